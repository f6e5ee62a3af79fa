"""Two who were apart have the same after one pull each way, however long each went on alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodeimpl.kernel.crdt.hlc import SKEW_MS_MAX
from nodeimpl.kernel.crdt.pull import Pull, answer
from nodeimpl.kernel.crdt.replica import ReplicaLimits
from nodeimpl.kernel.crdt.told import OPERATIONS_GIVEN_MAX, Delta
from opkit.proof import jws
from opkit.wire.operations import AddAct, ExpelAct
from tests.operations import first_operation


def forked(eve, number):
    """Return one of many operations that eve signs as her first one."""
    act = AddAct(element=f"fork {number}")
    return first_operation(eve.identity, act, at_ms=eve.now + number).token


def go_apart(ada, ben, *, shared, apart):
    """Let two say things together, by turns, and then each of them alone."""
    for number in range(shared):
        one, other = (ada, ben) if number % 3 else (ben, ada)
        one.now = other.now = max(one.now, other.now)
        other.hear(one.say(AddAct(element=f"together {number}")))
    for one, count in zip((ada, ben), apart, strict=True):
        for number in range(count):
            one.say(AddAct(element=f"{one.did} {number}"))


def heal(ada, ben, *, page_min):
    """Pull once each way, in as many questions as two passes over all pages take."""
    for one, other in ((ada, ben), (ben, ada)):
        one.pull(other)
        assert one.asked <= 2 * (len(other.replica) // page_min + 2)
    assert ada.replica.snapshot() == ben.replica.snapshot()
    assert ada.replica.frontier().heads == ben.replica.frontier().heads
    assert ada.replica.heads_hash == ben.replica.heads_hash
    assert ada.pull(ben) + ben.pull(ada) == 0


@pytest.mark.parametrize(
    ("shared", "apart"),
    [
        (0, (257, 256)),
        (0, (1_800, 1_800)),
        (400, (1_800, 1_800)),
        (400, (2_000, 1_300)),
        (700, (3_000, 0)),
    ],
)
def test_long_histories_heal(parties, shared, apart):
    ada, ben = parties(("ada", "ben"))
    go_apart(ada, ben, shared=shared, apart=apart)
    heal(ada, ben, page_min=OPERATIONS_GIVEN_MAX)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shared=st.integers(0, 40),
    apart=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    forks=st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(0, 80)),
    page=st.integers(1, 8_000),
)
def test_any_two_histories_heal(parties, shared, apart, forks, page):
    limits = ReplicaLimits(given_characters_max=page)
    ada, ben, eve = parties(("ada", "ben", "eve"), limits=limits)
    both, first, _ = forks
    tokens = [forked(eve, number) for number in range(sum(forks))]
    ada.hear(*tokens[: both + first])
    ben.hear(*tokens[:both], *tokens[both + first :])
    go_apart(ada, ben, shared=shared, apart=apart)
    heal(ada, ben, page_min=1)


def test_what_one_signed_a_thousand_times_holds_nobodys_word_up(parties):
    ada, ben, eve = parties(("ada", "ben", "eve"))
    tokens = [forked(eve, number) for number in range(1_000)]
    for each in (ada, ben):
        each.hear(*tokens)
        each.now += 5_000
    for number in range(20):
        ada.say(AddAct(element=f"honest {number}"))
    heal(ada, ben, page_min=OPERATIONS_GIVEN_MAX)


def test_a_page_of_what_counts_no_more_is_not_the_last_one(parties):
    ada, cy, dan, dora = parties(("ada", "cy", "dan", "dora"))
    for number in range(301):
        token = dora.say(AddAct(element=f"together {number}"))
        for each in (ada, dan):
            each.hear(token)
    ada.now = dora.now
    ada.say(ExpelAct(did=cy.did))
    for number in range(300):
        dan.hear(cy.say(AddAct(element=f"beside {number}")))
    dan.hear(dora.say(AddAct(element="late")))
    pull = Pull(ada.replica)
    while (question := pull.question()) is not None:
        pull.answered(answer(dan.replica, question), dora.now)
    assert pull.complete and pull.taken == 1
    assert "late" in ada.replica.state.value
    dan.pull(ada)
    assert dan.replica.snapshot() == ada.replica.snapshot()


def test_who_gives_a_page_again_is_not_asked_for_it_without_end(parties):
    ada, ben, _ = parties()
    token = ada.say(AddAct(element="saw"))
    pull, asked = Pull(ben.replica), 0
    while pull.question() is not None:
        asked += 1
        pull.answered(Delta(operations=(token,), more=True), ben.now)
    assert (asked, pull.taken, pull.complete) == (2, 1, False)


def test_what_is_too_early_has_to_come_again(parties):
    ada, ben, _ = parties()
    ada.now += SKEW_MS_MAX
    ada.say(AddAct(element="early"))
    for now_ms, complete in ((ben.now, False), (ada.now, True)):
        pull = Pull(ben.replica)
        while (question := pull.question()) is not None:
            pull.answered(answer(ada.replica, question), now_ms)
        assert pull.complete is complete and not pull.lied
    assert ben.replica.snapshot() == ada.replica.snapshot()


def test_a_replica_that_was_read_anew_is_given_everything(parties):
    ada, ben, _ = parties()
    _, again, _ = parties()
    tokens = [ada.say(AddAct(element=str(number))) for number in range(5)]
    pull = Pull(ben.replica)
    pull.question()
    pull.answered(Delta(operations=tuple(tokens), more=True), ben.now)
    pull.begin_anew(again.replica)
    while (question := pull.question()) is not None:
        pull.answered(answer(ada.replica, question), again.now)
    assert pull.complete and again.replica.snapshot() == ada.replica.snapshot()


def test_pages_are_of_one_order_whatever_is_known(parties):
    ada, ben, cy, eve = parties(("ada", "ben", "cy", "eve"))
    ada.hear(*(forked(eve, number) for number in range(5)))
    go_apart(ada, ben, shared=20, apart=(30, 20))
    ada.pull(ben)
    every = ada.replica.lacking(cy.replica.frontier()).operations
    assert len(every) == len(ada.replica)
    placed = [ada.replica._log.entries[jws.record_id(token)] for token in every]
    places = [(entry.depth, entry.said.id) for entry in placed]
    assert places == sorted(places, key=lambda place: (place[0], -int(place[1], 16)))
    for frontier in (cy.replica.frontier(), ben.replica.frontier()):
        lacking = ada.replica.lacking(frontier).operations
        for number, token in enumerate(every):
            rest = ada.replica.lacking(replace(frontier, after=jws.record_id(token))).operations
            assert rest == tuple(each for each in every[number + 1 :] if each in lacking)
        assert ada.replica.lacking(replace(frontier, after="f" * 64)).operations == lacking

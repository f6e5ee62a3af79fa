"""Voices about authors: each has so many, and what is kept of them grows as the log does."""

from __future__ import annotations

import tracemalloc

import pytest

from nodeimpl.kernel.crdt.authority import VOICES_MAX
from opkit.proof.operations import sign_operation
from opkit.wire.operations import (
    AUTHORS_MAX,
    AddAct,
    AdmitAct,
    ExpelAct,
    Operation,
    OperationNotAuthors,
    OperationRejected,
)
from tests.operations import first_operation

TWO = {"admissions_min": 2, "expulsions_min": 2}


def beginning_of(party, act, number=0):
    """Return an author's first operation: of several, each is another story."""
    return first_operation(party.identity, act, at_ms=party.now + number).token


def kept_by(work) -> int:
    """Return how many bytes more are in use after some work."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [AdmitAct, ExpelAct])
def test_a_voice_that_was_given_is_not_given_again(parties, key, kind):
    ada, ben, _ = parties(**TWO)
    about, other = kind(did=key("dora").did), kind(did=key("eve").did)
    first = ada.say(about)
    ben.hear(first, ada.say(AddAct(element="saw")))
    with pytest.raises(OperationRejected, match="has said so before"):
        ada.say(about)
    ben.hear(ada.say(other), ben.say(about))
    # Nobody takes what somebody signs all the same, whose own replica would take it.
    last = ada.replica._last_of(ada.did)
    entry = ada.replica._log.entries[last]
    again = Operation(
        network="a" * 26,
        aud="pool/tools",
        did=ada.did,
        epoch=0,
        base=None,
        sequence=entry.sequence + 1,
        previous=last,
        time_ms=ada.now + 1,
        tick=0,
        act=about,
    )
    with pytest.raises(OperationRejected, match="has said so before"):
        ben.hear(sign_operation(again, ada.identity).token)


def test_a_proof_says_more_than_a_voice_without_one(parties, settle):
    ada, ben, cy = everyone = parties(**TWO)
    for number in range(2):
        for each in (ada, cy):
            each.hear(beginning_of(ben, AddAct(element=str(number)), number))
    ada.say(ExpelAct(did=ben.did))
    assert ben.did in ada.replica.standing.authors, "one voice of two"
    fork = ada.replica.fork_ids[ben.did]
    ada.say(ExpelAct(did=ben.did, fork=fork))
    with pytest.raises(OperationRejected, match="has said so before"):
        ada.say(ExpelAct(did=ben.did, fork=fork))
    settle(everyone)
    assert all(ben.did in each.replica.standing.expelled for each in everyone)
    assert cy.replica.snapshot() == ada.replica.snapshot()


def test_one_voice_in_two_stories_is_taken_wherever_it_comes_first(parties, settle, key):
    ada, ben, cy = everyone = parties(**TWO)
    act = AdmitAct(did=key("dora").did)
    tokens = [beginning_of(cy, act, number) for number in range(2)]
    ada.hear(*tokens)
    ben.hear(*reversed(tokens))
    settle(everyone)
    assert len({each.replica.snapshot() for each in everyone}) == 1
    assert act.did not in ada.replica.standing.authors, "it is one author's voice"
    ben.say(act)
    settle(everyone)
    assert all(act.did in each.replica.standing.authors for each in everyone)


def test_an_author_has_so_many_voices_and_others_have_theirs(parties, key):
    ada, ben, _ = parties(**TWO)
    for number in range(VOICES_MAX):
        ada.say(AdmitAct(did=key(f"somebody {number}").did))
    for act in (AdmitAct(did=key("one more").did), ExpelAct(did=ben.did)):
        with pytest.raises(OperationRejected, match=str(VOICES_MAX)):
            ada.say(act)
    ben.pull(ada)
    ben.hear(ada.say(AddAct(element="saw")))
    ada.hear(ben.say(AdmitAct(did=key("somebody 7").did)))
    assert key("somebody 7").did in ada.replica.standing.authors


def test_no_more_authors_are_admitted_than_there_may_be(parties, key):
    names = [f"founder {number}" for number in range(AUTHORS_MAX)]
    (ada,) = parties(names[:1], founders=names)
    newcomer = AdmitAct(did=key("newcomer").did)
    with pytest.raises(OperationRejected, match=str(AUTHORS_MAX)):
        ada.say(newcomer)
    ada.say(ExpelAct(did=key(names[1]).did))
    ada.say(newcomer)
    assert newcomer.did in ada.replica.standing.authors
    assert len(ada.replica.standing.authors) == AUTHORS_MAX


def test_what_is_kept_of_voices_grows_as_their_number(parties, key):
    def say(count):
        ada = parties(**TWO)[0]
        acts = [AdmitAct(did=key(f"somebody {number}").did) for number in range(count)]

        def work():
            for act in acts:
                ada.say(act)

        return kept_by(work)

    few, many = say(100), say(400)
    assert many < 6 * few


def test_what_is_kept_of_stories_about_one_author_is_bounded_by_what_they_said(parties):
    ada, ben, cy = parties(**TWO)
    for number in range(600):
        ada.hear(ben.say(AddAct(element=str(number))))
    parents = tuple(ada.replica._log.heads)
    tokens = []
    for number in range(150):
        first = first_operation(
            cy.identity,
            ExpelAct(did=ben.did),
            at_ms=ben.now + 1,
            tick=number,
            parents=parents,
        )
        tokens.append(first.token)
    held = kept_by(lambda: ada.hear(*tokens))
    assert held < len(tokens) * 16_384
    ada.now = ben.now + 10
    assert ben.did in ada.replica.standing.authors, "all of it is one voice"
    ada.say(ExpelAct(did=ben.did))
    assert ben.did in ada.replica.standing.expelled
    assert len(ada.replica.state.value) == 600, "all who expelled had seen it"
    with pytest.raises(OperationNotAuthors):
        ada.hear(ben.say(AddAct(element="after")))


def test_merged_histories_of_voices_are_judged_by_all_of_them(parties, settle, key):
    ada, ben, cy = everyone = parties(**TWO)
    dora, eve = key("dora").did, key("eve").did
    for one, did in ((ada, dora), (ben, eve)):
        one.say(AdmitAct(did=did))
        one.say(AddAct(element="beside"))
    cy.pull(ada)
    cy.pull(ben)
    merging = cy.say(AddAct(element="after both"))
    cy.say(AdmitAct(did=dora))
    settle(everyone)
    assert all(
        (dora in each.replica.standing.authors, eve in each.replica.standing.authors)
        == (True, False)
        for each in everyone
    )
    # Whoever merges the same at the same time says the same of authors.
    entries = cy.replica._log.entries
    control = {each: entries[each].control for each in entries}
    both = [each for each in control if entries[each].token == merging]
    assert [control[each] for each in both] == both
    for _ in range(3):
        for one in everyone:
            one.say(AddAct(element="on"))
        settle(everyone)
    names = {each.control for each in ada.replica._log.entries.values()}
    assert len(names) <= 5

"""Pulling from a peer: it ends, and a liar changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodeimpl.kernel.crdt.limits import RELEASES_MAX
from nodeimpl.kernel.crdt.pull import Pull, answer
from nodeimpl.kernel.crdt.replica import Taken
from nodeimpl.kernel.crdt.told import Delta, Wanted
from opkit.proof import jws
from opkit.wire.operations import AddAct, EpochOver


def test_a_forged_operation_ends_the_session_and_what_verified_is_kept(parties):
    ada, ben, cy = parties()
    good = ada.say(AddAct(element="saw"))
    bad = ada.say(AddAct(element="lathe"))
    head, body, signature = bad.split(".")
    pull = Pull(ben.replica)
    pull.question()
    forged = f"{head}.{body}.{signature[:-4]}AAAA"
    pull.answered(Delta(operations=(good, forged), more=False), ben.now)
    assert pull.lied and pull.taken == 1 and pull.question() is None
    assert ben.replica.state.value == {"saw"}
    # The true one is taken from somebody else afterwards.
    cy.pull(ada)
    ben.pull(cy)
    assert ben.replica.snapshot() == ada.replica.snapshot()


def test_who_gives_more_than_was_asked_for_has_lied(parties):
    ada, ben, _ = parties()
    tokens = [ada.say(AddAct(element=str(number))) for number in range(4)]
    pull = Pull(ben.replica)
    pull.question()
    pull.answered(Delta(operations=(tokens[3],), more=False), ben.now)
    question = pull.question()
    assert question == Wanted(aud="pool/tools", ids=(jws.record_id(tokens[2]),))
    pull.answered(Delta(operations=tuple(tokens[:3]), more=False), ben.now)
    assert pull.lied == "it gave more than it was asked for"
    assert len(ben.replica) == 0


def test_a_peer_who_has_not_what_it_builds_on_ends_the_session_and_not_the_others(parties):
    ada, ben, cy = parties()
    tokens = [ada.say(AddAct(element=str(number))) for number in range(3)]
    cy.hear(tokens[2])
    pull = Pull(ben.replica)
    pull.question()
    pull.answered(Delta(operations=tokens[2:], more=False), ben.now)
    while (question := pull.question()) is not None:
        pull.answered(answer(cy.replica, question), ben.now)
    assert not pull.lied and pull.taken == 0
    assert ben.pull(ada) == 3


def test_a_peer_on_another_checkpoint_says_so(parties):
    ada, ben, _ = parties()
    frontier = replace(ben.replica.frontier(), epoch=2, base="c" * 64)
    with pytest.raises(EpochOver):
        answer(ada.replica, frontier)


def test_what_waited_is_taken_so_many_at_a_step_and_all_of_it_in_the_end(parties):
    ada, ben, cy = parties()
    tokens = [ada.say(AddAct(element=str(number))) for number in range(700)]
    ben.hear(*tokens[1:])
    assert len(ben.replica) == 0
    cy.hear(*tokens[:1])
    steps = []
    session = Pull(ben.replica)
    while (question := session.question()) is not None:
        before = len(ben.replica)
        session.answered(answer(cy.replica, question), ben.now + 60_000)
        steps.append(len(ben.replica) - before)
        assert not ben.replica.missing(), "what is here is not asked for"
    assert max(steps) <= RELEASES_MAX + 1 and sum(steps) == 700
    assert ben.replica.snapshot() == ada.replica.snapshot()


def test_what_is_ready_may_come_again_and_what_is_said_meanwhile_is_the_authors_own(parties):
    ada, ben, cy = parties()
    tokens = [ada.say(AddAct(element=str(number))) for number in range(700)]
    ben.hear(*tokens[1:])
    ben.hear(tokens[0])
    assert len(ben.replica) == RELEASES_MAX + 1
    placed = []
    ben.now = ada.now
    ben.replica.placed = placed.append
    mine = ben.say(AddAct(element="mine"))
    assert [read.token for read in placed] == [mine]
    # The next of those that are ready is given by somebody; it is taken once.
    assert ben.hear(tokens[RELEASES_MAX + 1]) == [Taken.NEW]
    while ben.replica.go_on():
        pass
    assert len(ben.replica) == 701
    cy.pull(ben)
    assert cy.replica.snapshot() == ben.replica.snapshot()

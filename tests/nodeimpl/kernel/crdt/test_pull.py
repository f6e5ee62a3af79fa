"""Pulling from a peer: it ends, and a liar changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodeimpl.kernel.crdt.pull import Pull, answer
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

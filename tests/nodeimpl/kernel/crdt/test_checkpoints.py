"""Checkpoints: the members sign what all adds up to, and who missed it rejoins as new."""

from __future__ import annotations

import pytest

from nodeimpl.kernel.crdt.replica import Taken
from opkit.proof import jws
from opkit.proof.operations import (
    beginning,
    checkpoint_id,
    read_checkpoint,
    read_next,
    sign_checkpoint,
)
from opkit.wire.operations import (
    AddAct,
    CheckpointRejected,
    CountAct,
    EpochOver,
    ExpelAct,
    ObjectKind,
    OperationNotAuthors,
    RemoveAct,
)

SPEC = {"network": "a" * 26, "aud": "pool/tools"}


def signed(proposer, *others):
    """Return the signatures of members under what the first of them proposes, in order."""
    first = sign_checkpoint(proposer.replica.propose(), proposer.identity)
    tokens = [first, *(each.replica.countersign(first, each.identity) for each in others)]
    return sorted(tokens, key=lambda token: jws.peek(token).kid)


@pytest.fixture
def busy(parties, settle):
    """Return three authors who have said things and know all of it."""
    everyone = parties()
    for number in range(6):
        everyone[number % 3].say(AddAct(element=f"tool {number}"))
    settle(everyone)
    ada = everyone[0]
    ada.say(RemoveAct(over=ada.replica.state.tags("tool 1")))
    settle(everyone)
    return everyone


def test_compaction_follows_a_checkpoint_that_more_than_half_of_the_members_signed(busy, settle):
    ada, ben, _cy = busy
    value = ada.replica.state.value
    tokens = signed(ada, ben)
    for each in busy:
        assert each.replica.compact(tokens) == ()
        assert len(each.replica) == 0 and each.replica.state.value == value
        assert not each.replica.state.removed, "what was taken back takes no room any more"
    assert len({each.replica.snapshot() for each in busy}) == 1
    ben.say(AddAct(element="after"))
    settle(busy)
    assert ada.replica.state.value == value | {"after"}
    assert len({each.replica.snapshot() for each in busy}) == 1


def test_too_few_signatures_end_no_epoch(busy, parties):
    ada, ben, _cy = busy
    stranger = parties(("eve",))[0]
    alone = signed(ada)
    with pytest.raises(CheckpointRejected, match="not more than half"):
        ben.replica.compact(alone)
    foreign = sign_checkpoint(ada.replica.propose(), stranger.identity)
    for tokens, why in (
        ([*alone, *alone], "there twice"),
        (sorted([*alone, foreign], key=lambda token: jws.peek(token).kid), "did not stand"),
        ([], "none"),
        (signed(ada, ben)[::-1], "not in order"),
    ):
        with pytest.raises(CheckpointRejected, match=why):
            ben.replica.compact(tokens)
    assert ben.replica.base.epoch == 0 and len(ben.replica) == 7


def test_a_member_signs_only_what_its_own_operations_add_up_to(busy):
    ada, ben, _ = busy
    honest = ada.replica.propose()
    for changes in (
        {"state": "0" * 64},
        {"authors": honest.authors[:2]},
        {"time_ms": honest.time_ms + 1},
        {"heads": honest.heads[:-1]},
    ):
        forged = sign_checkpoint(honest.model_copy(update=changes), ada.identity)
        with pytest.raises(CheckpointRejected, match="add up to"):
            ben.replica.countersign(forged, ben.identity)
    unknown = sign_checkpoint(honest.model_copy(update={"heads": ("f" * 64,)}), ada.identity)
    with pytest.raises(CheckpointRejected, match="not here"):
        ben.replica.countersign(unknown, ben.identity)


def test_what_more_than_half_forged_is_still_not_taken_by_who_has_the_operations(busy):
    ada, ben, cy = busy
    forged = ada.replica.propose().model_copy(update={"state": "0" * 64})
    tokens = sorted(
        (sign_checkpoint(forged, each.identity) for each in (ada, ben)),
        key=lambda token: jws.peek(token).kid,
    )
    with pytest.raises(CheckpointRejected, match="add up to"):
        cy.replica.compact(tokens)
    assert len(cy.replica) == 7


def test_who_missed_it_rejoins_as_new(busy, settle):
    ada, ben, cy = busy
    # Cy is cut off, and says something that the others do not see before they agree.
    lost = cy.say(AddAct(element="while I was away"))
    tokens = signed(ada, ben)
    for each in (ada, ben):
        each.replica.compact(tokens)
    snapshot = ada.replica.snapshot()
    ada.say(AddAct(element="the next day"))
    with pytest.raises(EpochOver) as no:
        ada.hear(lost)
    assert (no.value.epoch, no.value.epoch_now) == (0, 1)
    with pytest.raises(EpochOver):
        ada.replica.lacking(cy.replica.frontier())
    with pytest.raises(CheckpointRejected, match="not the snapshot"):
        cy.replica.rejoin([tokens], snapshot + b" ", own=cy.did)
    acts = cy.replica.rejoin([tokens], snapshot, own=cy.did)
    assert acts[-1] == AddAct(element="while I was away")
    cy.pull(ada)
    # Signed anew, under the next epoch's own numbers: that is no second story.
    token = cy.say(acts[-1])
    assert ada.hear(token) == [Taken.NEW]
    settle(busy)
    assert len({each.replica.snapshot() for each in busy}) == 1
    assert {"while I was away", "the next day"} <= ada.replica.state.value
    assert ada.replica.forks == {}


def test_who_has_the_operations_is_told_which_of_their_own_were_left_out(busy):
    ada, ben, cy = busy
    tokens = signed(ada, ben)
    cy.say(AddAct(element="too late"))
    assert cy.replica.compact(tokens, own=cy.did) == (AddAct(element="too late"),)
    assert "too late" not in cy.replica.state.value


def test_a_chain_of_checkpoints_leads_from_the_founders_to_now(busy, parties):
    ada, ben, cy = busy
    chain = []
    for number in range(3):
        tokens = signed(ada, ben)
        for each in busy:
            each.replica.compact(tokens)
        chain.append(tokens)
        ben.say(AddAct(element=f"epoch {number}"))
        ada.pull(ben)
        cy.pull(ben)
    new = parties(("dora",), founders=("ada", "ben", "cy"))[0]
    early = parties(("dora",), founders=("ada", "ben", "cy"))[0]
    with pytest.raises(CheckpointRejected, match="does not follow"):
        early.replica.rejoin([chain[0], chain[2]], b"")
    with pytest.raises(CheckpointRejected, match="no later"):
        early.replica.rejoin([], b"")
    # Operations of the last epoch are not in its snapshot: that is as the members signed it.
    at_cut = parties(("dora",), founders=("ada", "ben", "cy"))[0]
    snapshot = snapshot_at(cy, chain)
    new.replica.rejoin(chain, snapshot)
    new.pull(cy)
    assert new.replica.snapshot() == cy.replica.snapshot()
    assert at_cut.replica.base.epoch == 0 and new.replica.base.epoch == 3


def snapshot_at(party, chain):
    """Return the snapshot that the last checkpoint stands for, from one who was there."""
    from nodeimpl.kernel.crdt.fold import Standing, snapshot_of

    replica = party.replica
    standing = Standing(replica.base.authors, replica.base.expelled)
    return snapshot_of(replica.spec, replica._begun, standing)


def test_who_was_expelled_before_a_checkpoint_stays_so_after_it(busy, settle):
    ada, ben, cy = busy
    ada.say(ExpelAct(did=cy.did))
    settle(busy)
    tokens = signed(ada, ben)
    for each in busy:
        each.replica.compact(tokens)
    with pytest.raises(OperationNotAuthors):
        cy.say(AddAct(element="still here"))
    base = beginning(each.did for each in busy)
    after, said = read_next(tokens, base=base, **SPEC)
    assert after.expelled == {cy.did} and said.authors == tuple(sorted([ada.did, ben.did]))
    back = said.model_copy(
        update={"epoch": 2, "base": after.id, "expelled": (), "authors": said.authors}
    )
    forged = sorted(
        (sign_checkpoint(back, each.identity) for each in (ada, ben)),
        key=lambda token: jws.peek(token).kid,
    )
    with pytest.raises(CheckpointRejected, match="brings back"):
        ada.replica.compact(forged)


def test_all_who_sign_one_checkpoint_give_it_one_id(busy):
    tokens = signed(*busy)
    read = [read_checkpoint(token, **SPEC) for token in tokens]
    assert len({checkpoint_id(each) for each in read}) == 1
    assert len({jws.record_id(token) for token in tokens}) == 3


def test_the_time_after_a_checkpoint_is_later_than_all_that_it_covers(parties, settle):
    ada, ben, cy = everyone = parties(kind=ObjectKind.PN_COUNTER)
    ben.now += 50_000
    ben.say(CountAct(up=1))
    settle(everyone)
    tokens = signed(ada, cy)
    for each in everyone:
        each.replica.compact(tokens)
    assert ada.hear(cy.say(CountAct(up=2))) == [Taken.NEW]
    assert ada.replica.state.value == 3

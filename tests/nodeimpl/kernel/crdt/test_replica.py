"""Replicas: who may say what is judged in the causal past, and all end with the same bytes."""

from __future__ import annotations

import random

import pytest

from nodeimpl.kernel.crdt.limits import ReplicaLimits
from nodeimpl.kernel.crdt.replica import Taken
from opkit.proof import jws
from opkit.proof.operations import read_fork, read_operation, sign_operation
from opkit.wire.operations import (
    AddAct,
    AdmitAct,
    CountAct,
    EpochOver,
    ExpelAct,
    LogFull,
    ObjectKind,
    Operation,
    OperationClockAhead,
    OperationNotAuthors,
    OperationRejected,
    RemoveAct,
    SetAct,
)

SPEC = {"network": "a" * 26, "aud": "pool/tools"}


def same(parties):
    return len({each.replica.snapshot() for each in parties}) == 1


def test_an_operation_is_named_by_its_hash_and_cites_what_it_follows(parties):
    ada, ben, _ = parties()
    first = ada.say(AddAct(element="saw"))
    ben.hear(first)
    second = ben.say(AddAct(element="lathe"))
    read = read_operation(second, **SPEC)
    assert read.id == jws.record_id(second)
    assert read.operation.parents == (jws.record_id(first),)
    assert (read.operation.previous, read.operation.sequence) == (None, 1)
    third = read_operation(ben.say(AddAct(element="vice")), **SPEC).operation
    assert (third.previous, third.parents, third.sequence) == (read.id, (), 2)


def test_the_same_operation_twice_is_one_also_when_it_is_signed_again(parties):
    ada, ben, _ = parties()
    token = ada.say(AddAct(element="saw"))
    again = jws.sign(
        read_operation(token, **SPEC).operation, typ="opkit-operation+jws", identity=ada.identity
    )
    assert ben.hear(token, token, again) == [Taken.NEW, Taken.KNOWN, Taken.KNOWN]
    assert len(ben.replica) == 1


def test_what_comes_before_what_it_follows_waits_and_is_asked_for(parties):
    ada, ben, _ = parties()
    tokens = [ada.say(AddAct(element=f"tool {number}")) for number in range(4)]
    assert ben.hear(*reversed(tokens[1:])) == [Taken.WAITING] * 3
    assert ben.replica.missing() == (jws.record_id(tokens[0]),)
    assert ben.hear(tokens[0]) == [Taken.NEW]
    assert ben.replica.missing() == () and ben.replica.snapshot() == ada.replica.snapshot()


def test_a_stranger_is_refused_and_does_not_wait_either(parties, key):
    ada, _ben, _ = parties()
    _, eve = parties(("ada", "eve"))
    eve.replica = parties(("eve",))[0].replica
    first, second = eve.say(AddAct(element="gun")), eve.say(AddAct(element="rope"))
    for token in (first, second):
        with pytest.raises(OperationNotAuthors):
            ada.hear(token)
    assert ada.replica.missing() == () and len(ada.replica) == 0


def test_authority_is_judged_in_the_causal_past_and_not_by_arrival(parties):
    """Who is admitted signs nothing that counts before, though it comes after the admission."""
    ada, ben, dora = parties(("ada", "ben", "dora"), founders=("ada", "ben"))
    with pytest.raises(OperationNotAuthors):
        dora.say(AddAct(element="too early"))
    admission = ada.say(AdmitAct(did=dora.did))
    early = sign_operation(
        Operation(
            **SPEC,
            did=dora.did,
            epoch=0,
            base=None,
            sequence=1,
            previous=None,
            time_ms=dora.now,
            tick=0,
            act=AddAct(element="it does not cite the admission"),
        ),
        dora.identity,
    )
    ben.hear(admission)
    with pytest.raises(OperationNotAuthors):
        ben.hear(early.token)
    dora.hear(admission)
    ben.hear(dora.say(AddAct(element="now")))
    assert ben.replica.state.value == {"now"}


def test_an_admission_takes_as_many_voices_as_the_object_asks_for(parties):
    ada, ben, cy, dora = parties(
        ("ada", "ben", "cy", "dora"), founders=("ada", "ben", "cy"), admissions_min=2
    )
    dora.hear(ada.say(AdmitAct(did=dora.did)))
    assert dora.did not in dora.replica.standing.authors
    dora.hear(ben.say(AdmitAct(did=dora.did)))
    assert dora.did in dora.replica.standing.authors
    cy.pull(dora)
    cy.hear(dora.say(AddAct(element="saw")))
    assert cy.replica.state.value == {"saw"}


def test_removal_wins_over_concurrent_operations_of_the_removed(parties, settle):
    """Also when they come first, and were counted: every replica counts anew."""
    ada, ben, cy = everyone = parties()
    ben.say(AddAct(element="before"))
    settle(everyone)
    beside = ben.say(AddAct(element="beside"))
    cy.hear(beside)
    assert cy.replica.state.value == {"before", "beside"}
    removal = ada.say(ExpelAct(did=ben.did))
    cy.hear(removal)
    assert cy.replica.state.value == {"before"}, "what the removal has seen stays"
    settle(everyone)
    assert same(everyone) and ada.replica.state.value == {"before"}
    with pytest.raises(OperationNotAuthors):
        ben.say(AddAct(element="after"))


def test_what_the_removed_signs_as_if_it_were_old_counts_for_nothing(parties, settle):
    ada, ben, cy, dan = everyone = parties(("ada", "ben", "cy", "dan"))
    settle(everyone)
    ada.say(ExpelAct(did=ben.did))
    cy.pull(ada)
    old = [ben.say(AddAct(element=f"old {number}")) for number in range(300)]
    for token in old:
        with pytest.raises(OperationNotAuthors):
            ada.hear(token)
    assert ada.replica.missing() == () and len(ada.replica) == 1
    # Whoever had some before the removal may have built on it: that is kept, and counts no more.
    dan.hear(*old[:2])
    dan.say(AddAct(element="on it"))
    settle([ada, cy, dan])
    assert len(ada.replica) == 4
    assert ada.replica.state.value == {"on it"} and same([ada, cy, dan])


def test_two_who_expel_each_other_are_both_gone_on_every_replica(parties, settle):
    ada, ben, cy = everyone = parties()
    ada.say(ExpelAct(did=ben.did))
    ben.say(ExpelAct(did=ada.did))
    settle(everyone)
    assert cy.replica.standing.authors == {cy.did}
    assert same(everyone)


def test_one_voice_expels_nobody_where_it_takes_two(parties, settle):
    ada, ben, cy = everyone = parties(expulsions_min=2)
    ada.say(ExpelAct(did=ben.did))
    with pytest.raises(OperationRejected, match="has said so before"):
        ada.say(ExpelAct(did=ben.did))
    settle(everyone)
    assert ben.did in cy.replica.standing.authors
    ben.say(AddAct(element="seen by one of both"))
    cy.pull(ben)
    cy.say(ExpelAct(did=ben.did))
    settle(everyone)
    assert ada.replica.standing.authors == {ada.did, cy.did}
    # One of two who expel them had seen it: as many as it takes had not is not so.
    assert ada.replica.state.value == {"seen by one of both"} and same(everyone)


def test_who_leaves_does_so_with_their_own_voice_alone(parties, settle):
    ada, ben, cy = everyone = parties(expulsions_min=3)
    ben.say(AddAct(element="a gift"))
    ben.say(ExpelAct(did=ben.did))
    settle(everyone)
    assert ada.replica.standing.authors == {ada.did, cy.did}
    assert ada.replica.state.value == {"a gift"}
    with pytest.raises(OperationNotAuthors):
        ben.say(AddAct(element="not any more"))


def test_who_was_expelled_is_not_admitted_again(parties, settle):
    ada, ben, cy = everyone = parties()
    ada.say(ExpelAct(did=ben.did))
    cy.pull(ada)
    cy.say(AdmitAct(did=ben.did))
    settle(everyone)
    assert ben.did not in ada.replica.standing.authors


def test_clocks_beyond_skew_are_refused_and_never_adopted(parties):
    ada, ben, _cy = parties(kind=ObjectKind.LWW_REGISTER)
    ben.now += 10 * 365 * 86_400_000
    ahead = ben.say(SetAct(value="the last word"))
    with pytest.raises(OperationClockAhead) as no:
        ada.hear(ahead)
    assert no.value.skew_ms_max == 120_000
    said = read_operation(ada.say(SetAct(value="today")), **SPEC).operation
    assert said.time_ms == ada.now, "the clock that was refused moved nobody's"
    assert ada.replica.state.one == "today" and len(ada.replica) == 1
    # Once that time has come the very same is taken: what is refused today is not lost.
    ada.now = ben.now
    assert ada.hear(ahead) == [Taken.NEW] and ada.replica.state.one == "the last word"


def test_time_never_goes_back_on_a_path(parties):
    ada, ben, _ = parties(kind=ObjectKind.LWW_REGISTER)
    ben.hear(ada.say(SetAct(value="first")))
    ben.now -= 60_000
    ben.say(SetAct(value="second"))
    assert ben.replica.state.one == "second"
    late = read_operation(ada.say(SetAct(value="third")), **SPEC)
    old = late.operation.model_copy(
        update={"previous": late.id, "sequence": 3, "time_ms": late.operation.time_ms}
    )
    token = sign_operation(old, ada.identity).token
    with pytest.raises(OperationRejected, match="not after all that it follows"):
        ada.hear(token)


def branch(party, replica):
    """Return the same author with another replica, where they say other things."""
    twin = type(party)("ben", replica)
    twin.now = party.now
    return twin


def test_an_equivocating_author_is_proven_and_replicas_stay_byte_equal(parties, settle):
    ada, ben, cy = everyone = parties(kind=ObjectKind.LWW_MAP, expulsions_min=2)
    twin = branch(ben, parties(("ben",), founders=("ada", "ben", "cy"))[0].replica)
    twin.replica = parties(("ben",), founders=("ada", "ben", "cy"), kind=ObjectKind.LWW_MAP)[
        0
    ].replica
    for number in range(5):
        ada.hear(ben.say(SetAct(key="hours", value=f"told ada {number}")))
        cy.hear(twin.say(SetAct(key="hours", value=f"told cy {number}")))
    assert ada.replica.snapshot() != cy.replica.snapshot()
    settle([ada, cy])
    assert same([ada, cy])
    (first, second) = ada.replica.forks[ben.did]
    fork = read_fork(second, first, **SPEC)
    assert (fork.did, fork.sequence) == (ben.did, 1)
    assert cy.replica.forks == ada.replica.forks
    # With the proof one voice is enough, although it takes two.
    ada.say(ExpelAct(did=ben.did, fork=ada.replica.fork_ids[ben.did]))
    beside = ben.say(SetAct(key="hours", value="one more"))
    cy.hear(beside)
    settle([ada, cy])
    assert same([ada, cy]) and ben.did not in cy.replica.standing.authors
    assert cy.replica.state.value["hours"].startswith("told")
    ben.pull(ada)
    assert same(everyone)


def test_an_expulsion_by_a_fork_that_is_none_is_refused(parties):
    ada, ben, cy = parties(expulsions_min=2)
    ids = [jws.record_id(ben.say(AddAct(element=each))) for each in "ab"]
    cys = jws.record_id(cy.say(AddAct(element="c")))
    ada.pull(ben)
    ada.pull(cy)
    for fork, why in (
        (ids, "no fork"),
        ([ids[0], cys], "no fork"),
        ([ids[0], "f" * 64], "does not follow"),
    ):
        with pytest.raises(OperationRejected, match=why):
            ada.say(ExpelAct(did=ben.did, fork=tuple(sorted(fork))))
    assert ben.did in ada.replica.standing.authors and len(ada.replica) == 3


def test_an_act_that_the_object_does_not_know_is_refused(parties):
    ada, ben, _ = parties(kind=ObjectKind.OR_SET)
    counter = parties(("ada",), kind=ObjectKind.G_COUNTER)[0]
    token = counter.say(CountAct(up=1))
    with pytest.raises(OperationRejected, match="nothing that is done to"):
        ben.hear(token)
    with pytest.raises(OperationRejected, match="nothing that is done to"):
        ada.say(SetAct(value="x"))


def test_an_operation_of_another_epoch_is_refused(parties):
    ada, ben, _ = parties()
    said = read_operation(ada.say(AddAct(element="saw")), **SPEC).operation
    later = said.model_copy(update={"epoch": 1, "base": "c" * 64})
    with pytest.raises(EpochOver) as no:
        ben.hear(sign_operation(later, ada.identity).token)
    assert (no.value.epoch, no.value.epoch_now) == (1, 0)


def test_a_number_that_is_not_the_next_is_refused(parties):
    ada, ben, _ = parties()
    first = read_operation(ada.say(AddAct(element="saw")), **SPEC)
    bens = read_operation(ben.say(AddAct(element="vice")), **SPEC)
    ada.hear(bens.token)
    for changes in (
        {"sequence": 3, "previous": first.id},
        {"sequence": 2, "previous": bens.id},
    ):
        said = first.operation.model_copy(update={"time_ms": first.operation.time_ms + 9} | changes)
        with pytest.raises(OperationRejected, match="next one of its author"):
            ada.hear(sign_operation(said, ada.identity).token)


def test_a_full_log_says_so_and_takes_again_what_it_has(parties):
    ada, _ben, _ = parties(limits=ReplicaLimits(operations_max=2))
    tokens = [ada.say(AddAct(element=each)) for each in "ab"]
    with pytest.raises(LogFull) as no:
        ada.say(AddAct(element="c"))
    assert no.value.limit == 2
    assert ada.hear(*tokens) == [Taken.KNOWN, Taken.KNOWN]


def test_of_one_author_only_so_many_wait_and_the_oldest_goes(parties):
    ada, ben, _ = parties(limits=ReplicaLimits(waiting_max=2))
    tokens = [ada.say(AddAct(element=str(number))) for number in range(5)]
    ben.hear(*tokens[1:])
    assert ben.replica.missing() == (jws.record_id(tokens[2]),)
    ben.pull(ada)
    assert ben.replica.snapshot() == ada.replica.snapshot()


def test_a_removal_takes_back_only_what_its_author_saw(parties, settle):
    ada, ben, cy = everyone = parties()
    ada.say(AddAct(element="saw"))
    ben.pull(ada)
    ben.say(RemoveAct(over=ben.replica.state.tags("saw")))
    cy.say(AddAct(element="saw"))
    settle(everyone)
    assert ada.replica.state.value == {"saw"} and same(everyone)


def test_a_delta_is_what_is_lacking_and_costs_no_more(parties):
    ada, ben, _ = parties()
    for number in range(200):
        ada.say(AddAct(element=str(number)))
    ben.pull(ada)
    new = [ada.say(AddAct(element=f"new {number}")) for number in range(3)]
    assert ada.replica.lacking(ben.replica.frontier()).operations == tuple(new)
    walked = list(ada.replica._log.lacking(ben.replica.frontier().heads))
    assert [entry.token for entry in walked] == new
    assert ben.replica.lacking(ada.replica.frontier()).operations == ()


def test_what_two_sides_lack_after_a_partition_is_sent_in_parts(parties, settle):
    ada, ben, cy = everyone = parties()
    ada.say(AddAct(element="before"))
    settle(everyone)
    for number in range(400):
        ada.say(AddAct(element=f"a{number}"))
        ben.say(AddAct(element=f"b{number}"))
    given = ben.replica.lacking(ada.replica.frontier())
    assert len(given.operations) == 256 and given.more
    assert ada.pull(ben) == 400 and ben.pull(ada) == 400
    settle(everyone)
    assert same(everyone) and len(cy.replica.state.value) == 801


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_order_with_whatever_repetition_bytes_are_equal(parties, settle, seed):
    chance = random.Random(seed)
    everyone = parties(kind=ObjectKind.PN_COUNTER)
    tokens = []
    for number in range(30):
        one = chance.choice(everyone)
        tokens.append(one.say(CountAct(up=number, down=number // 2)))
        if chance.random() < 0.4:
            one.pull(chance.choice([each for each in everyone if each is not one]))
    settle(everyone)
    late = parties(("cy",), founders=("ada", "ben", "cy"), kind=ObjectKind.PN_COUNTER)[0]
    late.now = max(each.now for each in everyone)
    told = tokens * 2
    chance.shuffle(told)
    late.hear(*told)
    assert same([*everyone, late]) and late.replica.missing() == ()

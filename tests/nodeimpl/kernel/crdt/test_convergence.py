"""Replicas apart and together in any order: they end with the same bytes, liars among them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opkit.wire.operations import (
    AddAct,
    AdmitAct,
    AssignAct,
    CountAct,
    ExpelAct,
    ObjectKind,
    OperationRejected,
    RemoveAct,
    SetAct,
)

NAMES = ("ada", "ben", "cy", "dora", "eve")
FOUNDERS = ("ada", "ben", "cy", "eve")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 5), st.integers(0, 7)),
        st.tuples(st.just("pull"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("tell"), st.integers(0, 5), st.integers(0, 40)),
        st.tuples(st.just("admit"), st.integers(0, 5), st.just(3)),
        st.tuples(st.just("expel"), st.integers(0, 5), st.integers(0, 4)),
        st.tuples(st.just("skew"), st.integers(0, 5), st.integers(-50_000, 50_000)),
    ),
    max_size=40,
)
"""The last of six replicas is eve's second one: she tells two stories with one key."""


def act_of(replica, number):
    state = replica.state
    match replica.spec.kind:
        case ObjectKind.OR_SET:
            tags = state.tags(str(number % 3))[:4]
            return RemoveAct(over=tags) if tags and number % 2 else AddAct(element=str(number % 3))
        case ObjectKind.MV_REGISTER:
            return AssignAct(value=str(number), over=state.tags[:8])
        case ObjectKind.LWW_MAP:
            return SetAct(key=str(number % 2), value=str(number) if number % 3 else None)
        case ObjectKind.LWW_REGISTER:
            return SetAct(value=str(number))
    return CountAct(up=number, down=number // 2)


def did_of(parties, who):
    return parties[who].did


def step(parties, tokens, kind, one, number):
    """Do a step, if it is possible: who was expelled says nothing any more."""
    party = parties[one]
    if kind == "pull":
        if number != one:
            party.pull(parties[number])
    elif kind == "tell":
        if tokens:
            party._offered(tokens[number % len(tokens)])
    elif kind == "skew":
        party.now += number
    elif party.did in party.replica.standing.authors:
        act = {
            "say": lambda: act_of(party.replica, number),
            "admit": lambda: AdmitAct(did=did_of(parties, number)),
            "expel": lambda: ExpelAct(
                did=did_of(parties, number),
                fork=party.replica.fork_ids.get(did_of(parties, number)),
            ),
        }[kind]()
        party.now = max(party.now, party.replica._log.last.time_ms - 100_000)
        if act in [each.act for each in party.replica.voices() if each.said.did == party.did]:
            with pytest.raises(OperationRejected, match="has said so before"):
                party.say(act)
        else:
            tokens.append(party.say(act))


@pytest.mark.parametrize("kind", list(ObjectKind))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, voices=st.integers(1, 2), seed=st.randoms(use_true_random=False))
def test_after_any_partitions_all_replicas_are_byte_equal(
    parties, settle, kind, steps, voices, seed
):
    thresholds = {"kind": kind, "admissions_min": voices, "expulsions_min": voices}
    everyone = parties(NAMES, founders=FOUNDERS, **thresholds)
    everyone += parties(("eve",), founders=FOUNDERS, **thresholds)
    tokens = []
    for each in steps:
        step(everyone, tokens, *each)
    latest = max(each.now for each in everyone)
    for each in everyone:
        each.now = latest
    settle(everyone)
    snapshots = {each.replica.snapshot() for each in everyone}
    assert len(snapshots) == 1
    forks = {tuple(each.replica.forks) for each in everyone}
    assert len({frozenset(each) for each in forks}) <= 2
    # Whoever hears all of it at last, in any order and twice, has the same.
    late = parties(("cy",), founders=FOUNDERS, **thresholds)[0]
    late.now = latest
    told = tokens * 2
    seed.shuffle(told)
    for token in told:
        late._offered(token)
    settle([late, everyone[0]])
    assert late.replica.snapshot() in snapshots

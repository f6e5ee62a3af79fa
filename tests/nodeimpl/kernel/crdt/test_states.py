"""What the six kinds of values promise: the laws of a join semilattice, and one spelling each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.kernel.crdt.hlc import Hlc
from nodeimpl.kernel.crdt.states import STATES, Said, delta_of, merged, spelled
from opkit.proof.canonical import canonical
from opkit.wire.operations import (
    AddAct,
    AssignAct,
    CountAct,
    ObjectKind,
    RemoveAct,
    SetAct,
)

IDS = [f"{number:064x}" for number in range(12)]
TEXTS = st.sampled_from(["", "saw", "Säge", "𝔰", "\U0001f6e0", "lathe"])
OVER = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True).map(sorted)

ACTS = {
    ObjectKind.G_COUNTER: st.builds(CountAct, up=st.integers(0, 9), down=st.integers(0, 9)),
    ObjectKind.PN_COUNTER: st.builds(CountAct, up=st.integers(0, 9), down=st.integers(0, 9)),
    ObjectKind.OR_SET: st.builds(AddAct, element=TEXTS) | st.builds(RemoveAct, over=OVER),
    ObjectKind.MV_REGISTER: st.builds(AssignAct, value=TEXTS, over=OVER),
    ObjectKind.LWW_REGISTER: st.builds(SetAct, value=TEXTS | st.none()),
    ObjectKind.LWW_MAP: st.builds(SetAct, key=TEXTS, value=TEXTS | st.none()),
}

KINDS = pytest.mark.parametrize("kind", list(ObjectKind))


@st.composite
def operations(draw, kind):
    """Operations under different ids, but with equal moments and authors now and then."""
    ids = draw(st.lists(st.sampled_from(IDS), max_size=8, unique=True))
    return [
        (
            Said(each, draw(st.sampled_from("xyz")), Hlc(draw(st.integers(0, 3)), 0)),
            draw(ACTS[kind]),
        )
        for each in ids
    ]


def state_of(kind, said):
    state = STATES[kind]()
    for each, act in said:
        state.apply(each, act)
    return state


@KINDS
@given(data=st.data())
def test_merging_is_commutative_associative_and_idempotent(kind, data):
    # Parts of one history: two operations under one id do not exist.
    said = data.draw(operations(kind))
    parts = [state_of(kind, [each for each in said if data.draw(st.booleans())]) for _ in range(3)]
    one, two, three = parts
    before = [each.rows() for each in parts]
    assert merged(one, two).rows() == merged(two, one).rows()
    assert merged(merged(one, two), three).rows() == merged(one, merged(two, three)).rows()
    assert merged(one, one).rows() == one.rows()
    assert merged(one, STATES[kind]()).rows() == one.rows()
    assert [each.rows() for each in parts] == before, "merging changes neither side"


@KINDS
@given(data=st.data())
def test_order_and_repetition_of_operations_change_nothing(kind, data):
    said = data.draw(operations(kind))
    again = data.draw(st.permutations(said + said[:3]))
    assert state_of(kind, again).rows() == state_of(kind, said).rows()


@KINDS
@given(data=st.data())
def test_an_operation_is_a_value_that_merges_like_a_whole(kind, data):
    said = data.draw(operations(kind))
    joined = STATES[kind]()
    for each, act in data.draw(st.permutations(said)):
        joined.absorb(delta_of(kind, each, act))
    assert joined.rows() == state_of(kind, said).rows()


@KINDS
@given(data=st.data())
def test_what_is_spelled_is_canonical_and_reads_back(kind, data):
    state = state_of(kind, data.draw(operations(kind)))
    assert spelled(state.rows()) == canonical(state.rows())
    assert STATES[kind].of_rows(state.rows()).rows() == state.rows()
    assert state.compacted().value == state.value


def test_a_set_keeps_what_was_added_beside_a_removal():
    state = state_of(
        ObjectKind.OR_SET,
        [
            (Said(IDS[1], "x", Hlc(1)), AddAct(element="saw")),
            (Said(IDS[2], "y", Hlc(1)), AddAct(element="saw")),
            (Said(IDS[3], "x", Hlc(2)), RemoveAct(over=(IDS[1],))),
        ],
    )
    assert state.value == {"saw"} and state.tags("saw") == (IDS[2],)
    state.apply(Said(IDS[4], "x", Hlc(3)), RemoveAct(over=(IDS[2],)))
    assert state.value == frozenset()


def test_a_register_of_many_shows_what_nobody_replaced():
    state = state_of(
        ObjectKind.MV_REGISTER,
        [
            (Said(IDS[1], "x", Hlc(1)), AssignAct(value="open")),
            (Said(IDS[2], "y", Hlc(1)), AssignAct(value="shut")),
        ],
    )
    assert state.value == ("open", "shut") and state.tags == (IDS[1], IDS[2])
    state.apply(Said(IDS[3], "x", Hlc(2)), AssignAct(value="repairs", over=state.tags))
    assert state.value == ("repairs",)


def test_at_one_moment_the_higher_id_stands_whoever_comes_first():
    said = [
        (Said(IDS[2], "x", Hlc(5, 1)), SetAct(value="low")),
        (Said(IDS[7], "y", Hlc(5, 1)), SetAct(value="high")),
        (Said(IDS[9], "z", Hlc(5, 0)), SetAct(value="early")),
    ]
    for order in (said, said[::-1]):
        assert state_of(ObjectKind.LWW_REGISTER, order).one == "high"
        assert state_of(ObjectKind.LWW_MAP, order).value == {"": "high"}


def test_counters_take_the_greatest_total_of_each_author():
    said = [
        (Said(IDS[1], "x", Hlc(1)), CountAct(up=5, down=1)),
        (Said(IDS[2], "x", Hlc(2)), CountAct(up=3, down=4)),
        (Said(IDS[3], "y", Hlc(1)), CountAct(up=2)),
    ]
    assert state_of(ObjectKind.PN_COUNTER, said).value == 5 - 4 + 2
    assert state_of(ObjectKind.G_COUNTER, said).value == 5 + 2


def test_a_counter_says_what_was_counted_and_cannot_hold_a_limit():
    """Two sides that each keep to a limit of 10 exceed it together: no counter here has one."""
    one = state_of(ObjectKind.G_COUNTER, [(Said(IDS[1], "x", Hlc(1)), CountAct(up=7))])
    two = state_of(ObjectKind.G_COUNTER, [(Said(IDS[2], "y", Hlc(1)), CountAct(up=7))])
    assert one.value <= 10 and two.value <= 10 < merged(one, two).value
    assert not [name for name in dir(one) if "limit" in name or "max" in name]

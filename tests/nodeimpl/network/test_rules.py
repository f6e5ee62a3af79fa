"""World time moves forward only, on a devnet only, and by its operator only."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from nodeimpl.network.rules import Limits, WorldTime, judge_clock
from opkit.wire import network as wire
from opkit.wire.errors import Refusal

NETWORK = "a" * 26
STANDING = WorldTime(sequence=2, offset_ms=1_000)


def record(*, sequence: int = 3, offset_ms: int = 2_000) -> wire.ClockRecord:
    """Return a record that moves `STANDING` forward unless told otherwise."""
    return wire.ClockRecord(
        network=NETWORK, aud="clock", sequence=sequence, offset_ms=offset_ms, issued_at_ms=0
    )


def judge(asked: wire.ClockRecord | None, **why: Any) -> WorldTime:
    """Judge on a devnet with the default limits unless told otherwise."""
    facts: dict[str, Any] = {"why_rejected": "", "devnet": True, "limits": Limits(), **why}
    return judge_clock(asked, STANDING, **facts)


def test_a_later_record_with_a_greater_offset_is_adopted() -> None:
    assert judge(record()) == WorldTime(sequence=3, offset_ms=2_000)


def test_the_first_record_moves_a_world_whose_time_is_the_real_one() -> None:
    assert WorldTime() == WorldTime(sequence=0, offset_ms=0)
    first = record(sequence=1, offset_ms=1)
    moved = judge_clock(first, WorldTime(), why_rejected="", devnet=True, limits=Limits())
    assert moved == WorldTime(sequence=1, offset_ms=1)


def test_the_standing_record_may_be_repeated_without_effect() -> None:
    assert judge(record(sequence=2, offset_ms=1_000)) == STANDING


@pytest.mark.parametrize(
    ("sequence", "offset_ms"),
    [
        pytest.param(2, 2_000, id="same-sequence-other-offset"),
        pytest.param(1, 2_000, id="earlier-sequence"),
        pytest.param(3, 1_000, id="same-offset"),
        pytest.param(3, 999, id="smaller-offset"),
    ],
)
def test_time_never_goes_back(sequence: int, offset_ms: int) -> None:
    with pytest.raises(wire.ClockBackwards) as no:
        judge(record(sequence=sequence, offset_ms=offset_ms))

    assert no.value.details() == {"standing_offset_ms": 1_000, "standing_sequence": 2}


@pytest.mark.parametrize("beyond_ms", [0, 1])
def test_the_offset_is_bounded(beyond_ms: int) -> None:
    limits = Limits(offset_ms_max=5_000)
    asked = record(offset_ms=5_000 + beyond_ms)

    if beyond_ms:
        with pytest.raises(wire.ClockRecordRejected):
            judge(asked, limits=limits)
    else:
        assert judge(asked, limits=limits).offset_ms == 5_000


FAULTS: dict[type[Refusal], dict[str, Any]] = {
    wire.ClockFixed: {"devnet": False},
    wire.ClockRecordRejected: {"record": None, "why_rejected": "not the operator"},
    wire.ClockBackwards: {"record": record(sequence=1)},
}


def test_each_fault_alone_gives_its_own_refusal() -> None:
    for leaf, why in FAULTS.items():
        facts = dict(why)
        with pytest.raises(leaf):
            judge(facts.pop("record", record()), **facts)


@pytest.mark.parametrize(("first", "second"), list(combinations(wire.MOVE_CLOCK.refuses, 2)))
def test_refusals_come_in_the_declared_order(first: type[Refusal], second: type[Refusal]) -> None:
    """When two refusals apply, the one the contract lists first is given."""
    facts = {**FAULTS[second], **FAULTS[first]}

    with pytest.raises(first):
        judge(facts.pop("record", record()), **facts)

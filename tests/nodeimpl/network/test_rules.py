"""World time moves forward only, on a devnet only, by its operator only; and when a link is bad.

A link is bad once it has been for seconds, and good again once it has been for seconds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from nodeimpl.network.rules import (
    Limits,
    LinkLimits,
    LinkSeen,
    LinkState,
    WorldTime,
    judge_clock,
    judge_link,
)
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


SAID: dict[type[Refusal], dict[str, Any]] = {
    wire.ClockFixed: {},
    wire.ClockRecordRejected: {"why": "not the operator"},
    wire.ClockBackwards: {"standing_offset_ms": 1_000, "standing_sequence": 2},
}


def test_each_fault_alone_gives_its_own_refusal() -> None:
    for leaf, why in FAULTS.items():
        facts = dict(why)
        with pytest.raises(leaf) as no:
            judge(facts.pop("record", record()), **facts)
        assert no.value.details() == SAID[leaf]


@pytest.mark.parametrize(("first", "second"), list(combinations(wire.MOVE_CLOCK.refuses, 2)))
def test_refusals_come_in_the_declared_order(first: type[Refusal], second: type[Refusal]) -> None:
    """When two refusals apply, the one the contract lists first is given."""
    facts = {**FAULTS[second], **FAULTS[first]}

    with pytest.raises(first):
        judge(facts.pop("record", record()), **facts)


LIMITS = LinkLimits()
AT_ONCE = LinkLimits(bad_ms=0, good_ms=0)
PULSE_MS = 1_000


class Told:
    """One link, looked at once a pulse."""

    def __init__(self) -> None:
        """See it for the first time."""
        self.now_ms = 1_000_000
        self.sent = self.lost = 0
        self.state: LinkState | None = None
        self.look()

    def look(
        self, times: int = 1, *, sent: int = 40, lost: int = 0, trip_us: int = 1_000
    ) -> LinkState:
        """Let so many pulses pass, each with so many packets."""
        for _ in range(times):
            self.now_ms += PULSE_MS
            self.sent += sent
            self.lost += lost
            seen = LinkSeen(
                at_ms=self.now_ms,
                round_trip_us=trip_us,
                sent_packets=self.sent,
                lost_packets=self.lost,
            )
            self.state = judge_link(self.state, seen, LIMITS)
        assert self.state is not None
        return self.state


def look(at_ms: int, *, trip_us: int = 1_000, sent: int = 0, lost: int = 0) -> LinkSeen:
    return LinkSeen(at_ms=at_ms, round_trip_us=trip_us, sent_packets=sent, lost_packets=lost)


def state(*window: LinkSeen, **known: Any) -> LinkState:
    """Return a link that was seen so, of which all else is as at its beginning."""
    good = {"best_us": 1_000, "lost_permille": 0, "amiss": None, "amiss_ms": 0, "differs_ms": 0}
    return LinkState(window=window, **{**good, **known})


def test_a_link_is_good_when_it_is_first_seen() -> None:
    first = look(5, trip_us=700, sent=9, lost=9)
    assert judge_link(None, first, LIMITS) == state(first, best_us=700)


def test_what_was_seen_in_the_last_five_seconds_counts() -> None:
    before = [look(at_ms) for at_ms in (999, 1_000, 5_999, 6_000, 6_001)]
    now = look(6_000)
    assert judge_link(state(*before), now, LIMITS).window == (*before[1:4], now)


@pytest.mark.parametrize(
    ("sent", "lost", "permille"),
    [
        (1_000, 0, 0),
        (1_000, 49, 49),
        (10_000, 9_999, 999),
        (1_000, 1_000, 1_000),
        (1_000, 1_990, 1_000),
        (1_000, -10, 0),
        (1, 1, 1_000),
        (0, 3, 0),
        (-5, 3, 0),
    ],
)
def test_the_share_that_was_lost_is_counted_from_the_oldest_that_counts(
    sent: int, lost: int, permille: int
) -> None:
    """Counters may begin anew, and say less than before; more is never lost than was sent."""
    before = (look(0, sent=70, lost=7), look(1, sent=71, lost=8), look(2, sent=72, lost=9))
    now = look(3, sent=70 + sent, lost=7 + lost)
    assert judge_link(state(*before), now, LIMITS).lost_permille == permille


@pytest.mark.parametrize(
    ("sent", "lost", "finding"),
    [(1_000, 49, None), (1_000, 50, "loss"), (40, 2, None), (60, 3, "loss"), (61, 3, None)],
)
def test_a_link_is_bad_from_five_in_a_hundred_on_if_three_were_lost(
    sent: int, lost: int, finding: str | None
) -> None:
    now = judge_link(state(look(0)), look(1, sent=sent, lost=lost), AT_ONCE)
    assert (now.amiss, now.amiss_ms) == (finding, 1 if finding else 0)


@pytest.mark.parametrize(
    ("best_us", "trip_us", "finding"),
    [
        (1_000, 99_999, None),
        (1_000, 100_000, "delay"),
        (20_000, 199_999, None),
        (20_000, 200_000, "delay"),
    ],
)
def test_a_link_is_bad_from_ten_times_its_best_on_which_counts_as_ten_milliseconds_at_least(
    best_us: int, trip_us: int, finding: str | None
) -> None:
    now = judge_link(state(look(0), best_us=best_us), look(1, trip_us=trip_us), AT_ONCE)
    assert (now.amiss, now.best_us) == (finding, best_us)


@pytest.mark.parametrize(
    ("now", "amiss"),
    [
        (look(1, sent=1_000, lost=20), "loss"),
        (look(1, sent=1_000, lost=19), None),
        (look(1, sent=100, lost=2), None),
        (look(1, trip_us=50_000), "loss"),
        (look(1, trip_us=49_999), None),
    ],
)
def test_a_bad_link_is_good_below_two_in_a_hundred_and_five_times_its_best(
    now: LinkSeen, amiss: str | None
) -> None:
    """Until then it is bad as was said first, whatever is wrong with it now."""
    standing = state(look(0), amiss="loss", amiss_ms=7)
    after = judge_link(standing, now, AT_ONCE)
    assert (after.amiss, after.amiss_ms) == (amiss, 7 if amiss else 0)


def test_a_link_does_badly_for_six_seconds_before_that_is_said() -> None:
    slow = {"trip_us": 100_000}
    first = judge_link(state(look(9)), look(10, **slow), LIMITS)
    assert first == state(look(9), look(10, **slow), differs_ms=10)
    for at_ms, bad in ((6_009, False), (6_010, True)):
        after = judge_link(first, look(at_ms, **slow), LIMITS)
        known = {"amiss": "delay", "amiss_ms": 6_010} if bad else {"differs_ms": 10}
        assert replace(after, window=()) == state(**known)


def test_a_bad_link_does_well_for_six_seconds_before_that_is_said() -> None:
    bad = {"amiss": "loss", "amiss_ms": 5}
    first = judge_link(state(look(9), **bad), look(10, trip_us=900), LIMITS)
    assert first == state(look(9), look(10, trip_us=900), **bad, differs_ms=10, best_us=900)
    for at_ms, good in ((6_009, False), (6_010, True)):
        after = judge_link(first, look(at_ms), LIMITS)
        known = {} if good else {**bad, "differs_ms": 10}
        assert replace(after, window=()) == state(**known, best_us=900)


def test_bad_and_well_are_timed_each_by_its_own_limit() -> None:
    slow = {"trip_us": 100_000}
    worsens = state(look(0), differs_ms=1)
    recovers = state(look(0), amiss="delay", amiss_ms=1, differs_ms=1)
    for limits, bad, good in (
        (LinkLimits(bad_ms=5, good_ms=50), "delay", "delay"),
        (LinkLimits(bad_ms=50, good_ms=5), None, None),
    ):
        assert judge_link(worsens, look(20, **slow), limits).amiss == bad
        assert judge_link(recovers, look(20), limits).amiss == good


def test_a_link_that_loses_for_seconds_becomes_bad_and_good_again() -> None:
    link = Told()
    link.look(10)
    assert link.look(7, lost=8).amiss is None
    bad = link.look(1, lost=8)
    assert (bad.amiss, bad.amiss_ms, bad.lost_permille) == ("loss", link.now_ms, 200)
    still = link.look(9)
    assert (still.amiss, still.lost_permille) == ("loss", 0)
    good = link.look(2)
    assert (good.amiss, good.amiss_ms) == (None, 0)


def test_a_link_that_takes_ten_times_as_long_for_seconds_becomes_bad() -> None:
    link = Told()
    link.look(10, trip_us=20_000)
    # 1 ms was its best, which counts as ten.
    assert link.look(30, trip_us=99_000).amiss is None
    assert link.look(7, trip_us=100_000).amiss == "delay"
    assert link.look(30, trip_us=50_000).amiss == "delay"
    assert link.look(7, trip_us=49_000).amiss is None


def test_what_is_lost_at_one_moment_makes_no_bad_link() -> None:
    link = Told()
    link.look(10)
    assert link.look(1, lost=30).lost_permille == 150
    assert link.look(30).amiss is None


def test_a_few_lost_packets_say_nothing_of_a_link_that_carries_few() -> None:
    link = Told()
    link.look(1, sent=4, lost=2)
    assert link.look(30, sent=4).amiss is None
    for _ in range(10):
        link.look(5, sent=4)
        assert link.look(1, sent=4, lost=2).amiss is None


def test_a_pause_in_doing_badly_begins_the_time_anew() -> None:
    link = Told()
    assert link.look(2, lost=8).differs_ms
    assert link.look(6).differs_ms == 0
    assert link.look(7, lost=8).amiss is None


def test_a_bad_link_that_does_worse_again_stays_bad() -> None:
    link = Told()
    link.look(8, lost=8)
    link.look(9)
    assert link.look(1, lost=8).amiss == "loss"
    assert link.look(9).amiss == "loss"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_bad_link_has_to_do_better_than_one_that_is_not(lost: int) -> None:
    """Two lost of forty are less than five in a hundred, and one is more than two."""
    assert Told().look(30, lost=1).amiss is None
    link = Told()
    link.look(8, lost=8)
    assert link.look(30, sent=45, lost=lost).amiss == "loss"


def test_counters_that_begin_anew_and_a_clock_that_goes_back_break_nothing() -> None:
    link = Told()
    link.look(10, lost=8)
    link.sent = link.lost = 0
    assert link.look().lost_permille == 0
    link.now_ms -= 3_600_000
    state = link.look()
    assert len(state.window) == 1
    assert state.lost_permille == 0


def test_the_window_is_bounded() -> None:
    link = Told()
    assert len(link.look(500).window) == 6

"""A link is bad once it has been for seconds, and good again once it has been for seconds."""

from __future__ import annotations

import pytest

from nodeimpl.network.rules import LinkLimits, LinkSeen, LinkState, judge_link

LIMITS = LinkLimits()
PULSE = LIMITS.pulse_ms


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
            self.now_ms += PULSE
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


def test_a_link_is_good_when_it_is_first_seen() -> None:
    assert Told().state == LinkState(
        window=(LinkSeen(at_ms=1_001_000, round_trip_us=1_000, sent_packets=40, lost_packets=0),),
        best_us=1_000,
    )


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
    assert len(link.look(500).window) == LIMITS.window_ms // PULSE + 1

"""How long one more job would wait, and when that has been too long for too long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nodeimpl.compute.pace import AGAIN, PASSES, SAMPLE_S, Pace

LIMITS = {"wait_ms_max": 1_500, "crowd_ms_max": 1_200, "burst_ms_max": 1_000, "burst_max": 700}


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def busy(pace: Pace, clock: Clock, *, jobs: int, gap_s: float, ends: int) -> None:
    """Have a queue of `jobs` stand while `ends` jobs end, `gap_s` apart."""
    pace.began(jobs)
    for _ in range(ends):
        clock.now += gap_s
        pace.ended(jobs)


def paced(gap_s: float = 0.01) -> tuple[Pace, Clock]:
    """Return a pace that has seen jobs end `gap_s` apart, and its clock."""
    clock = Clock()
    pace = Pace(slots=2, now_s=clock)
    busy(pace, clock, jobs=100, gap_s=gap_s, ends=2 + int(4 * SAMPLE_S / gap_s))
    return pace, clock


def test_nothing_is_expected_of_jobs_that_nobody_saw_end() -> None:
    pace = Pace(slots=2, now_s=Clock())
    assert pace.wait_ms(1_000) == 0
    assert not pace.is_crowded(1_000, **LIMITS)


def test_the_wait_is_the_number_of_jobs_ahead_times_the_time_between_two_ends() -> None:
    pace, _ = paced(0.01)
    assert pace.wait_ms(102) == pytest.approx(1_000, rel=0.05)
    assert pace.wait_ms(2) == 0


def test_jobs_one_after_the_other_say_nothing_of_how_fast_many_are() -> None:
    clock = Clock()
    pace = Pace(slots=2, now_s=clock)
    for _ in range(100):
        pace.began(1)
        clock.now += 1
        pace.ended(0)
    assert pace.wait_ms(1_000) == 0


def test_another_speed_is_learnt_within_a_moment() -> None:
    pace, clock = paced(2.0)
    assert pace.wait_ms(102) == pytest.approx(200_000, rel=0.05)
    busy(pace, clock, jobs=100, gap_s=0.005, ends=200)
    assert pace.wait_ms(102) < 5_000


def test_slow_jobs_are_noticed_before_the_first_of_them_ends() -> None:
    pace, clock = paced(0.005)
    pace.began(102)
    clock.now += 10
    assert pace.wait_ms(102) > 100_000


def test_a_loop_that_comes_late_makes_each_job_wait_several_times() -> None:
    pace, _ = paced(0.01)
    before = pace.wait_ms(52)
    pace.late(0.2)
    assert pace.wait_ms(52) == before + PASSES * 200
    pace.late(0.0)
    assert pace.wait_ms(52) == before + PASSES * 100, "it is believed to be late for a while"
    for _ in range(20):
        pace.late(0.0)
    assert pace.wait_ms(52) == before


def test_a_loop_that_is_held_up_is_noticed() -> None:
    pace = Pace(slots=2)

    async def work() -> int:
        watching = asyncio.create_task(pace.watch())
        await asyncio.sleep(0)  # It has begun to look.
        threading.Event().wait(1)  # This is what the loop is held up by.
        async with asyncio.timeout(30):
            while not pace.wait_ms(0):
                await asyncio.sleep(0)
        watching.cancel()
        return pace.wait_ms(0)

    assert asyncio.run(work()) > PASSES * 500


def test_a_burst_is_taken_whole_and_a_queue_that_stands_is_not() -> None:
    pace, clock = paced(0.01)
    assert not pace.is_crowded(500, **LIMITS)
    clock.now += 0.2
    assert not pace.is_crowded(600, **LIMITS)
    busy(pace, clock, jobs=600, gap_s=0.01, ends=100)
    assert pace.is_crowded(500, **LIMITS)


def test_more_than_a_burst_has_are_a_crowd_at_once_if_they_would_wait_for_long() -> None:
    pace, _ = paced(0.01)
    assert not pace.is_crowded(699, **LIMITS)
    assert pace.is_crowded(700, **LIMITS)
    assert pace.is_crowded(300, **LIMITS), "no burst is taken for a while"
    quick, _ = paced(0.002)
    assert not quick.is_crowded(700, **LIMITS), "it is the wait that matters"


def test_who_was_crowded_takes_what_does_not_wait_long_and_no_burst_for_a_while() -> None:
    pace, clock = paced(0.01)
    assert not pace.is_crowded(500, **LIMITS)
    busy(pace, clock, jobs=500, gap_s=0.01, ends=200)
    assert pace.is_crowded(500, **LIMITS)
    assert not pace.is_crowded(110, **LIMITS), "there is room for one more"
    assert pace.is_crowded(140, **LIMITS), "but for no new burst, nor for as long a wait as before"
    assert not pace.is_crowded(60, **LIMITS)
    assert pace.is_crowded(140, **LIMITS), "not even after the queue was short for a moment"
    busy(pace, clock, jobs=60, gap_s=0.01, ends=1 + AGAIN * LIMITS["burst_ms_max"] // 10)
    assert not pace.is_crowded(60, **LIMITS)
    assert not pace.is_crowded(140, **LIMITS), "as long a wait as before is taken again"
    assert not pace.is_crowded(170, **LIMITS), "the next burst is taken whole"


def test_ends_that_come_in_groups_are_no_change_of_speed() -> None:
    pace, clock = paced(0.01)
    waits = []
    for _ in range(8):
        clock.now += 0.3
        for _ in range(30):
            pace.ended(100)
        waits.append(pace.wait_ms(102))
        busy(pace, clock, jobs=100, gap_s=0.03, ends=10)
        waits.append(pace.wait_ms(102))
    assert min(waits) * 2 > max(waits)

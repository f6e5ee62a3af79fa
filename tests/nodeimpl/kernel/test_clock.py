from __future__ import annotations

import asyncio
import time

import pytest

from nodeimpl.kernel.clock import Clock, RealClock, VirtualClock


def test_the_real_clock_is_the_machine_s() -> None:
    clock: Clock = RealClock(offset_ms=10)
    before = time.time_ns() // 1_000_000
    now, world = clock.now_ms(), clock.world_ms()
    after = time.time_ns() // 1_000_000
    assert before <= now <= after
    assert before + 10 <= world <= after + 10
    assert clock.monotonic() <= clock.monotonic()
    began = time.monotonic()
    asyncio.run(clock.sleep(20))
    assert time.monotonic() - began >= 0.019


@pytest.mark.parametrize("skew_ms", [-5_000, 5_000])
def test_a_wrong_clock_is_wrong_in_both_times_and_in_no_duration(skew_ms: int) -> None:
    clock = RealClock(offset_ms=10, skew_ms=skew_ms)
    before = time.time_ns() // 1_000_000
    now, world = clock.now_ms(), clock.world_ms()
    after = time.time_ns() // 1_000_000
    assert before <= now - skew_ms <= after
    assert before <= world - skew_ms - 10 <= after
    assert abs(clock.monotonic() - time.monotonic()) < 5


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock()])
def test_world_time_only_moves_forward(clock: Clock) -> None:
    clock.move_world(5_000)
    clock.move_world(5_000)
    assert clock.offset_ms == 5_000
    with pytest.raises(AssertionError):
        clock.move_world(4_999)


async def turns() -> None:
    """Let everyone who is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_virtual_clock_moves_only_when_told_and_wakes_in_order() -> None:
    async def main() -> None:
        clock = VirtualClock(1_000)
        woken: list[int] = []

        async def sleeper(ms: int) -> None:
            await clock.sleep(ms)
            woken.append(ms)

        tasks = [asyncio.ensure_future(sleeper(ms)) for ms in (30, 10, 20, 0, 99)]
        await turns()
        assert woken == [0]
        assert clock.sleepers() == 4
        tasks[2].cancel()
        clock.advance(9)
        await turns()
        assert woken == [0]
        clock.advance(50)
        await turns()
        assert woken == [0, 10, 30]
        assert (clock.now_ms(), clock.world_ms(), clock.monotonic()) == (1_059, 1_059, 0.059)
        clock.advance(1_000)
        await tasks[4]
        assert clock.sleepers() == 0

    asyncio.run(asyncio.wait_for(main(), 120))

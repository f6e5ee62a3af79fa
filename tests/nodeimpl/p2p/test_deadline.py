"""Deadlines on a clock that is advanced by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.p2p.deadline import deadline


@pytest.mark.parametrize("turns", range(6))
def test_a_body_that_ends_as_its_time_does_ends_once(turns: int) -> None:
    """Whichever was first, in whichever turn of the loop: it passed or it did not."""
    complaints: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        clock = VirtualClock()
        try:
            async with deadline(clock, 10):
                await asyncio.sleep(0)
                clock.advance(10)
                for _ in range(turns):
                    await asyncio.sleep(0)
        except TimeoutError:
            assert turns > 1
        for _ in range(6):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 120))
    assert complaints == []


def test_a_body_that_takes_longer_is_cancelled() -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with deadline(clock, 10):
            await asyncio.sleep(0)
            clock.advance(10)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(story())

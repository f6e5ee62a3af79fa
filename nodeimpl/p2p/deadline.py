"""Deadlines on any clock: on a virtual one they pass when it is advanced, not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nodeimpl.kernel.clock import Clock, RealClock


@asynccontextmanager
async def deadline(clock: Clock, ms: int) -> AsyncIterator[None]:
    """Cancel the body after `ms` of `clock`'s time.

    Raises:
        TimeoutError: the body took longer.
    """
    if isinstance(clock, RealClock):
        async with asyncio.timeout(ms / 1000):
            yield
        return
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        sleeper = loop.create_task(clock.sleep(ms))
        over = False

        def pass_deadline(slept: asyncio.Task[None]) -> None:
            # It may be called after the body ended, if both happened in one turn of the loop.
            if not over and not slept.cancelled():
                scope.reschedule(loop.time())

        sleeper.add_done_callback(pass_deadline)
        try:
            yield
        finally:
            over = True
            sleeper.cancel()


async def set_or_passed(event: asyncio.Event, *, clock: Clock, ms: int) -> None:
    """Return once `event` is set, or `ms` of `clock`'s time have passed, which sets it.

    For whoever waits many times a second: on the machine's clock it costs one timer, no more.
    """
    loop = asyncio.get_running_loop()
    if isinstance(clock, RealClock):
        timer = loop.call_later(ms / 1_000, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()
        return
    sleeper = loop.create_task(clock.sleep(ms))
    sleeper.add_done_callback(lambda slept: None if slept.cancelled() else event.set())
    try:
        await event.wait()
    finally:
        sleeper.cancel()

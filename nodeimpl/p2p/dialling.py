"""Reaching a peer that may be away: attempts that overlap, with pauses that grow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.transport import Connection, DialFailed

_log = structlog.get_logger("p2p")


class Reach:
    """Attempts to connect to one peer until one succeeds.

    A lost first packet is repeated by QUIC only after a second, so a peer that is back again is
    found sooner by a fresh attempt beside the pending ones than by waiting for them.
    """

    def __init__(
        self,
        *,
        dial: Callable[[], Awaitable[Connection]],
        clock: Clock,
        limits: PeersLimits,
    ) -> None:
        """Prepare.

        Args:
            dial: one attempt, which ends by itself in time.
        """
        self._dial = dial
        self._clock = clock
        self._limits = limits
        self._running: set[asyncio.Task[None]] = set()
        self._reached: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def until(self, no_longer_wanted: Callable[[], bool]) -> Connection | None:
        """Return a connection, or None once it is no longer wanted."""
        pause_ms = self._limits.backoff_ms_min
        try:
            while not no_longer_wanted():
                if len(self._running) < self._limits.dials_at_once_max:
                    attempt = asyncio.create_task(self._attempt())
                    self._running.add(attempt)
                    attempt.add_done_callback(self._running.discard)
                if await self._succeeded_within(_jittered(pause_ms)):
                    return self._reached.result()
                pause_ms = min(pause_ms * 3 // 2, self._limits.backoff_ms_max)
            return None
        finally:
            for attempt in self._running:
                attempt.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _attempt(self) -> None:
        try:
            connection = await self._dial()
        except DialFailed as failed:
            _log.debug("an attempt to connect failed", why=failed.why)
            return
        if self._reached.done():
            await connection.close("another attempt was quicker")
            return
        self._reached.set_result(connection)

    async def _succeeded_within(self, ms: int) -> bool:
        pause = asyncio.ensure_future(self._clock.sleep(ms))
        waited: set[asyncio.Future[Any]] = {pause, self._reached}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
        return self._reached.done()


def _jittered(ms: int) -> int:
    """Return up to a fifth less, so that nodes that lost each other do not dial in step."""
    return ms - random.randrange(ms // 5 + 1)  # noqa: S311 - spreads attempts, hides nothing

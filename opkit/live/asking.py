"""Asking nodes while somebody looks: when one journals something of a domain, and now and then.

Events say that something changed, not what a whole ledger or assembly has become: that is asked.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from opkit.live.live import Live
from opkit.live.ports import ControlRefused
from opkit.wire.errors import CoopError

EVERY_MS: Final = 2_000
"""How often nodes are asked though no event came."""

PAUSE_MS: Final = 200
"""How long at least between two asks, however many events come."""

WANTED_MS: Final = 6_000
"""For how long after a page was drawn nodes are still asked."""

SILENT: Final = (CoopError, ControlRefused, OSError, KeyError)
"""Why an answer is missing: the node is gone, says no, or is not followed any more."""


class Asking:
    """Asks as long as somebody wants to see it. Satisfies `Runs`; subclasses say what is asked."""

    domain = ""
    """The first word of the types of events after which is asked at once."""

    def __init__(self, live: Live) -> None:
        """Ask nothing yet."""
        self._live = live
        self._wanted = asyncio.Event()
        self._wanted_at = -1e9
        self._heard = 0

    async def look(self) -> None:
        """Ask, and have what is new drawn."""
        raise NotImplementedError

    async def run(self) -> None:
        """Ask as long as somebody wants to see it, until cancelled."""
        while True:
            await self._wanted.wait()
            self._heard = self._count()
            if self._live.followed:
                await self.look()
            await self._rest()
            late = time.monotonic() - self._wanted_at > WANTED_MS / 1000
            if not self._live.is_watched or late:
                self._wanted.clear()

    def _count(self) -> int:
        """Return how many events have come after which is asked at once."""
        return self._live.book.heard[self.domain]

    def _want(self) -> None:
        self._wanted_at = time.monotonic()
        self._wanted.set()

    def _is_wanted(self, at: float) -> bool:
        """Return whether something was drawn lately that was wanted at this moment."""
        return time.monotonic() - at < WANTED_MS / 1000

    async def _rest(self) -> None:
        """Return when a node has journalled something of the domain, or after a while."""
        await asyncio.sleep(PAUSE_MS / 1000)
        with suppress(TimeoutError):
            async with asyncio.timeout((EVERY_MS - PAUSE_MS) / 1000):
                while self._count() == self._heard:
                    await self._live.wait_change(self._live.revision)

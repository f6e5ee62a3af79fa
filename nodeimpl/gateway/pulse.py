"""When streams look at the journal: all together, and not at every commit."""

from __future__ import annotations

import asyncio

from nodeimpl.kernel.errors import StoreClosed
from nodeimpl.kernel.store import Store


class Pulse:
    """Tells all streams at once that the journal has grown, at most every so many milliseconds.

    An event after a pause is told at once; those that follow are gathered. Streams that look at the
    same moment stand at the same place, so that one page serves them all, and many of them cost
    one timer and one look at the journal (ADR 0027).
    """

    def __init__(self, store: Store, *, every_ms: int) -> None:
        """Beat only while somebody waits."""
        self._store = store
        self._every_s = every_ms / 1000
        self._told = 0
        self._told_at_s = 0.0
        self._waiting: set[asyncio.Future[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    async def after(self, sequence: int) -> None:
        """Return once it was told that there is an entry after `sequence`.

        Raises:
            StoreClosed: there will be none.
        """
        while self._told <= sequence:
            told = asyncio.get_running_loop().create_future()
            self._waiting.add(told)
            if self._beating is None:
                self._beating = asyncio.create_task(self._beat(), name="pulse")
            try:
                await told
            finally:
                self._waiting.discard(told)
                if not self._waiting and self._beating is not None:
                    self._beating.cancel()
                    self._beating = None

    async def _beat(self) -> None:
        """Tell those who wait, once there is something and the last beat is long enough ago."""
        broke: StoreClosed | None = None
        try:
            await self._store.journal_grew(self._told)
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._told_at_s + self._every_s - loop.time()))
            self._told, self._told_at_s = self._store.tree().size, loop.time()
        except StoreClosed as closed:
            broke = closed
        waiting, self._waiting, self._beating = self._waiting, set(), None
        for told in waiting:
            if told.done():
                continue
            if broke is None:
                told.set_result(None)
            else:
                told.set_exception(broke)

"""When streams look at the journal: all together, and not at every commit."""

from __future__ import annotations

import asyncio

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
        self._waiting = 0
        self._beat: asyncio.Task[None] | None = None

    async def after(self, sequence: int) -> None:
        """Return once it was told that there is an entry after `sequence`.

        Raises:
            StoreClosed: there will be none.
        """
        self._waiting += 1
        try:
            while self._told <= sequence:
                if self._beat is None or self._beat.done():
                    self._beat = asyncio.create_task(self._next(), name="pulse")
                # Whoever stops waiting leaves the beat to the others.
                await asyncio.shield(self._beat)
        finally:
            self._waiting -= 1
            if not self._waiting and self._beat is not None:
                self._beat.cancel()
                self._beat = None

    async def _next(self) -> None:
        """Wait until the journal has grown since the last beat, and that is long enough ago."""
        loop = asyncio.get_running_loop()
        await self._store.journal_grew(self._told)
        await asyncio.sleep(max(0.0, self._told_at_s + self._every_s - loop.time()))
        self._told, self._told_at_s = self._store.tree().size, loop.time()

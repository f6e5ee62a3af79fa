"""The journal by GET: the same pages that a stream sends, for who asks now and then."""

from __future__ import annotations

import asyncio

from nodeimpl.gateway.streams import cursor_of
from nodeimpl.gateway.tail import Kept, Tail, cursor_after
from nodeimpl.kernel.binding import Caller, Route, answer
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.store import Store
from opkit.proof.journal import JOURNAL_START
from opkit.wire.events import (
    READ_JOURNAL,
    Cursor,
    JournalEntry,
    JournalPage,
    ReadJournal,
)


class JournalPages:
    """Answers `events.read`."""

    def __init__(self, *, store: Store, tail: Tail, clock: Clock, ending: Ending) -> None:
        """Read by the same tail as the streams; wait no longer than until the end."""
        self._store = store
        self._tail = tail
        self._clock = clock
        self._ending = ending

    def routes(self) -> list[Route]:
        """Return the endpoint bound to this service."""
        return [answer(READ_JOURNAL, self.read)]

    async def read(self, ask: ReadJournal, caller: Caller | None) -> JournalPage:
        """Answer the entries after a cursor; wait for one if there is none and the ask allows it.

        Refuses, in this order:
            JournalDiverged: the cursor is not a place in this journal.
            JournalCut: the cursor's place was removed.
        """
        assert caller is not None, "the endpoint asks for a scope"
        place = cursor_of(ask.after)
        kept = await self._tail.after(place, entries_max=ask.entries_max)
        if not kept and ask.wait_ms:
            await self._grown(place.sequence if place else 0, wait_ms=ask.wait_ms)
            kept = await self._tail.after(place, entries_max=ask.entries_max)
        if not kept:
            beginning = Cursor(generation=self._store.generation, sequence=0, hash=JOURNAL_START)
            return JournalPage(entries=(), passed_through=0, cursor=place or beginning)
        shown = tuple(_entry(each) for each in kept if each.entry.scope in caller.scopes)
        end = cursor_after(kept, generation=self._store.generation)
        return JournalPage(
            entries=shown,
            passed_through=end.sequence - (place.sequence if place else 0) - len(shown),
            cursor=end,
        )

    async def _grown(self, sequence: int, *, wait_ms: int) -> None:
        """Return when there is an entry after `sequence`, after so long, or at the node's end."""
        waiting = (
            asyncio.ensure_future(self._store.journal_grew(sequence)),
            asyncio.ensure_future(self._clock.sleep(wait_ms)),
            asyncio.ensure_future(self._ending.over()),
        )
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def _entry(kept: Kept) -> JournalEntry:
    return JournalEntry.model_validate_json(kept.text)

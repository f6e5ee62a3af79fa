"""The last events in memory: many streams that follow the journal cost one read of it, not many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from nodeimpl.gateway.frames import text_frame
from nodeimpl.kernel.store import Store, StoredEntry
from opkit.wire.endpoint import Scope
from opkit.wire.events import Cursor

READ_MAX = 500
"""How many entries one read of the journal adds."""

PAGES_MAX = 64
"""How many pages are kept at once: one for each place and set of scopes that streams have now."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry and its JSON as every reader gets it."""

    entry: StoredEntry
    text: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A `JournalPage` as JSON, where it ends, and how many entries were looked at for it.

    Attributes:
        frame: `text` as one message of a stream.
    """

    text: str
    frame: bytes
    cursor: Cursor
    entries: int


class Tail:
    """The journal as streams and pages read it.

    A place within the last entries is served from memory, after its hash was compared; any other
    is asked of the store, which knows every place and refuses one that is none.
    """

    def __init__(self, store: Store, *, entries_max: int) -> None:
        """Keep at most `entries_max` entries."""
        self._store = store
        self._kept: deque[Kept] = deque(maxlen=entries_max)
        self._filling = asyncio.Lock()
        self._pages: dict[tuple[int, str, frozenset[Scope]], Page] = {}

    async def page(
        self, cursor: Cursor | None, *, scopes: frozenset[Scope], entries_max: int
    ) -> Page | None:
        """Return what a reader with these scopes gets after `cursor`; None if there is nothing.

        Readers at the same place with equal scopes get the same page, made once.

        Raises:
            JournalDiverged: `cursor` is not a place in this journal.
        """
        key = None if cursor is None else (cursor.generation, cursor.hash, scopes)
        made = None if key is None else self._pages.get(key)
        if made is None:
            kept = await self.after(cursor, entries_max=entries_max)
            if not kept:
                return None
            place = cursor_after(kept, generation=self._store.generation)
            before = 0 if cursor is None else cursor.sequence
            said = page_bytes(kept, scopes=scopes, cursor=place, before=before)
            frame = text_frame(said)
            made = Page(text=said.decode(), frame=frame, cursor=place, entries=len(kept))
            if key is not None:
                self._keep_page(key, made)
        return made

    async def after(self, cursor: Cursor | None, *, entries_max: int) -> list[Kept]:
        """Return at most so many entries after `cursor`, or from the beginning.

        Raises:
            JournalDiverged: `cursor` is not a place in this journal.
        """
        found = self._recall(cursor, entries_max)
        if found is None and self._is_end(cursor):
            await self._fill(cursor)
            found = self._recall(cursor, entries_max)
        if found is not None:
            return found
        entries = await self._store.read_journal(after=cursor, entries_max=entries_max)
        return [Kept(entry, _text(entry)) for entry in entries]

    def _is_end(self, cursor: Cursor | None) -> bool:
        """Say whether a place is where the kept entries end, or may begin to be kept."""
        if cursor is None:
            return False
        return not self._kept or self._kept[-1].entry.sequence == cursor.sequence

    async def _fill(self, cursor: Cursor | None) -> None:
        """Read on from `cursor`, the first of those who wait for it; the others find it done."""
        async with self._filling:
            if self._recall(cursor, 1) or not self._is_end(cursor):
                return
            entries = await self._store.read_journal(after=cursor, entries_max=READ_MAX)
            self._kept.extend(Kept(entry, _text(entry)) for entry in entries)
            # The pages made so far end where the journal ended until now.
            self._pages.clear()

    def _keep_page(self, key: tuple[int, str, frozenset[Scope]], page: Page) -> None:
        if len(self._pages) >= PAGES_MAX:
            del self._pages[next(iter(self._pages))]
        self._pages[key] = page

    def _recall(self, cursor: Cursor | None, entries_max: int) -> list[Kept] | None:
        """Return what follows `cursor` in memory; None if that is not known here."""
        if cursor is None or not self._kept or cursor.generation != self._store.generation:
            return None
        first = self._kept[0].entry
        place = cursor.sequence - first.sequence
        if not -1 <= place < len(self._kept) - 1:
            return None
        stands = first.previous if place == -1 else self._kept[place].entry.hash
        if stands != cursor.hash:
            return None
        return list(islice(self._kept, place + 1, place + 1 + entries_max))


def page_bytes(
    kept: Sequence[Kept], *, scopes: frozenset[Scope], cursor: Cursor, before: int
) -> bytes:
    """Return a `JournalPage` as JSON: what these scopes may read, and how many passed unseen.

    Args:
        cursor: the place after the last of `kept`.
        before: the sequence number that was read from; between it and the first of `kept` lies
            what was removed, for who reads from the beginning.
    """
    shown = [each.text for each in kept if each.entry.scope in scopes]
    passed = cursor.sequence - before - len(shown)
    place = cursor.model_dump_json().encode()
    return b'{"entries":[%b],"passed_through":%d,"cursor":%b}' % (b",".join(shown), passed, place)


def cursor_after(kept: Sequence[Kept], *, generation: int) -> Cursor:
    """Return the place after the last of these entries."""
    last = kept[-1].entry
    return Cursor.model_construct(generation=generation, sequence=last.sequence, hash=last.hash)


def _text(entry: StoredEntry) -> bytes:
    """Return a `JournalEntry` as JSON; its body is JSON already and goes in as it is."""
    return b'{"sequence":%d,"type":"%b","at_ms":%d,"body":%b,"previous":"%b","hash":"%b"}' % (
        entry.sequence,
        entry.type.encode(),
        entry.at_ms,
        entry.body,
        entry.previous.encode(),
        entry.hash.encode(),
    )

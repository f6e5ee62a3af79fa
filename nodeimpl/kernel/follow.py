"""Listening to the journal with a durable cursor: every entry at least once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from nodeimpl.kernel.journal import StoredEntry
from nodeimpl.kernel.schema import journal_listener
from nodeimpl.kernel.statements import sql, upsert
from nodeimpl.kernel.tx import Tx
from opkit.wire.events import Cursor

if TYPE_CHECKING:
    from nodeimpl.kernel.store import Store

ENTRIES_PER_STEP_MAX = 100
"""How many entries are read, and at most handled, before the cursor is kept."""

QUIET_S = 1.0
"""How long nothing must have come until a cursor that moved is kept anyway."""

_CURSOR = sql(
    select(
        journal_listener.c.generation, journal_listener.c.sequence, journal_listener.c.hash
    ).where(journal_listener.c.name == bindparam("listener"))
)
_KEEP = upsert(journal_listener)


async def follow(store: Store, name: str, handle: Callable[[StoredEntry], Awaitable[None]]) -> None:
    """Give every entry after `name`'s cursor to `handle`; run until cancelled or it raises.

    The cursor is kept after a full step of entries, or once nothing came for a while, so that a
    busy journal does not cost one more commit for each of its own.

    Raises:
        JournalDiverged: the journal is not the one that `name` read before.
    """
    kept = await store.read(lambda tx: _read_cursor(tx, name))
    cursor = kept
    while True:
        entries = await store.read_journal(after=cursor, entries_max=ENTRIES_PER_STEP_MAX)
        for entry in entries:
            await handle(entry)
            cursor = entry.cursor(store.generation)
        if _distance(kept, cursor) >= ENTRIES_PER_STEP_MAX:
            kept = await _keep(store, name, cursor)
        if len(entries) < ENTRIES_PER_STEP_MAX:
            kept = await _wait(store, name, kept=kept, cursor=cursor)


async def _wait(
    store: Store, name: str, *, kept: Cursor | None, cursor: Cursor | None
) -> Cursor | None:
    """Return once the journal has grown; keep the cursor if that takes a while."""
    after = cursor.sequence if cursor else 0
    if kept != cursor:
        try:
            async with asyncio.timeout(QUIET_S):
                await store.journal_grew(after)
                return kept
        except TimeoutError:
            kept = await _keep(store, name, cursor)
    await store.journal_grew(after)
    return kept


async def _keep(store: Store, name: str, cursor: Cursor | None) -> Cursor | None:
    assert cursor is not None, "a cursor that moved is a place"
    place = cursor
    await store.write(
        lambda tx: tx.run(
            _KEEP,
            name=name,
            generation=place.generation,
            sequence=place.sequence,
            hash=place.hash,
        )
    )
    return cursor


def _distance(kept: Cursor | None, cursor: Cursor | None) -> int:
    return (cursor.sequence if cursor else 0) - (kept.sequence if kept else 0)


def _read_cursor(tx: Tx, name: str) -> Cursor | None:
    row = tx.one(_CURSOR, listener=name)
    return Cursor(generation=row[0], sequence=row[1], hash=row[2]) if row else None

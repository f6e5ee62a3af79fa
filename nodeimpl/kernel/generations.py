"""Generations: which history a store's journal is, and how the operator opens another.

A generation goes on behind the entries that are there, in the same chain and the same tree, so
what was proved of them holds on. Its number is the second in which it was opened: two copies of
one database that both go on never come to the same number (ADR 0021).
"""

from __future__ import annotations

import json

from sqlalchemy import bindparam, select, update

from nodeimpl.kernel.journal import Head, read_cut, read_generation, read_head
from nodeimpl.kernel.schema import journal, journal_generation, journal_listener, store_meta
from nodeimpl.kernel.statements import sql, upsert
from nodeimpl.kernel.tx import Tx
from opkit.proof.canonical import canonical_of
from opkit.wire.base import RecordId
from opkit.wire.journal import OPENINGS_MAX, GenerationOpened, HistoryPlace, ProvenEntry

_MARKED = "marked"
_META = sql(select(store_meta.c.value).where(store_meta.c.name == bindparam("fact")))
_SET_META = upsert(store_meta)
_ADD = sql(journal_generation.insert())
_OPENINGS = sql(
    select(journal_generation.c.opened_at_ms, journal_generation.c.body)
    .order_by(journal_generation.c.generation.desc())
    .limit(OPENINGS_MAX)
)
_OPENED_AT = sql(
    select(journal_generation.c.opened_at_ms)
    .order_by(journal_generation.c.generation.desc())
    .limit(1)
)
_HASH_AT = sql(select(journal.c.hash).where(journal.c.sequence == bindparam("at")))
_MOVE_LISTENERS = sql(update(journal_listener).values(generation=bindparam("to")))


def is_marked(tx: Tx) -> bool:
    """Return whether a mark of this history is kept outside the database."""
    row = tx.one(_META, fact=_MARKED)
    return row is not None and row[0] == 1


def set_marked(tx: Tx) -> None:
    """Note that a mark is kept outside the database from now on."""
    tx.run(_SET_META, name=_MARKED, value=1)


def openings(tx: Tx) -> tuple[GenerationOpened, ...]:
    """Return the events that opened generations, the last ones, oldest first."""
    rows = tx.all(_OPENINGS)
    return tuple(GenerationOpened.model_validate_json(body) for _, body in reversed(rows))


def opening_entries(tx: Tx) -> tuple[tuple[int, ProvenEntry], ...]:
    """Return the entries that opened generations, by generation, the last ones, oldest first.

    They are told from their own table: the journal may have let them go.
    """
    shown = []
    for at_ms, said in reversed(tx.all(_OPENINGS)):
        body = json.loads(said)
        opened = GenerationOpened.model_validate(body)
        sequence = opened.after.size + 1
        entry = ProvenEntry(sequence=sequence, type=GenerationOpened.type, at_ms=at_ms, body=body)
        shown.append((opened.generation, entry))
    return tuple(shown)


def opened_at_ms(tx: Tx) -> int:
    """Return when the generation was opened; 0 for the first."""
    row = tx.one(_OPENED_AT)
    return row[0] if row else 0


def place(tx: Tx) -> HistoryPlace:
    """Return where the history stands, as this transaction sees it."""
    return place_of(read_head(tx), generation=read_generation(tx))


def place_of(head: Head, *, generation: int) -> HistoryPlace:
    """Return where a history stands whose journal ends so."""
    root = head.tree.root().hex()
    return HistoryPlace(generation=generation, size=head.sequence, root=root, hash=head.hash)


def hash_at(tx: Tx, size: int) -> RecordId | None:
    """Return the hash of the entry that makes the history so long; None if there is none now."""
    start, hash_at_start = read_cut(tx)
    if size <= start:
        return hash_at_start if size == start else None
    row = tx.one(_HASH_AT, at=size)
    return row[0] if row else None


def open_next(tx: Tx, *, lost: HistoryPlace | None, at_least: int, reason: str) -> GenerationOpened:
    """Open a generation behind what is there. The store must be opened anew afterwards.

    Listeners of this store go on: what they read is what it still has.

    Args:
        lost: the last place that is known of this history and that the store does not have.
        at_least: a number that the generation must not be below.
        reason: what the operator says.
    """
    after = place(tx)
    number = max(after.generation + 1, at_least, tx.now_ms // 1000)
    opened = GenerationOpened(generation=number, after=after, lost=lost, reason=reason)
    body = canonical_of(opened)
    tx.run(_ADD, generation=number, opened_at_ms=tx.now_ms, body=body)
    tx.run(_SET_META, name="generation", value=number)
    tx.run(_MOVE_LISTENERS, to=number)
    tx.announce(opened)
    return opened

"""The journal: events in the order of their commits, each linked to the one before by its hash.

What is hashed is the canonical JSON of the entry's sequence, type, time and body, so whoever reads
an entry can hash it again (ADR 0005). A cursor is a place in one journal; one that is not a place
in this journal is refused, never resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select

from nodeimpl.kernel import tree
from nodeimpl.kernel.schema import journal, journal_cut, store_meta
from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.tx import Spelled, Tx
from opkit.proof.canonical import canonical_of
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.base import RecordId
from opkit.wire.events import EVENTS_PER_PAGE_MAX, Cursor, Event, JournalCut, JournalDiverged

_FIELDS = (
    journal.c.sequence,
    journal.c.type,
    journal.c.scope,
    journal.c.at_ms,
    journal.c.body,
    journal.c.previous,
    journal.c.hash,
)

_INSERT = sql(journal.insert())
_LAST = sql(select(journal.c.sequence, journal.c.hash).order_by(journal.c.sequence.desc()).limit(1))
_HASH_AT = sql(select(journal.c.hash).where(journal.c.sequence == bindparam("at")))
_PAGE = sql(
    select(*_FIELDS)
    .where(journal.c.sequence > bindparam("after"))
    .order_by(journal.c.sequence)
    .limit(bindparam("entries_max"))
)
_GENERATION = sql(select(store_meta.c.value).where(store_meta.c.name == "generation"))
_CUT = sql(
    select(journal_cut.c.size, journal_cut.c.hash).order_by(journal_cut.c.size.desc()).limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One journalled event as it is stored; `body` is canonical JSON, `scope` may read it."""

    sequence: int
    type: str
    scope: str
    at_ms: int
    body: bytes
    previous: RecordId
    hash: RecordId

    @property
    def stored(self) -> bytes:
        """What the hash covers."""
        return stored_bytes(
            sequence=self.sequence, type_name=self.type, at_ms=self.at_ms, body=self.body
        )

    def cursor(self, generation: int) -> Cursor:
        """Return the place after this entry."""
        return Cursor(generation=generation, sequence=self.sequence, hash=self.hash)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the journal ends: the hash of its last entry, and the tree over all of them."""

    hash: RecordId = JOURNAL_START
    tree: Frontier = field(default_factory=Frontier)

    @property
    def sequence(self) -> int:
        """The last entry's sequence number; 0 before the first."""
        return self.tree.size


def append(tx: Tx, head: Head, events: Sequence[Event | Spelled]) -> Head:
    """Write `events` after `head` and return the head after them."""
    for event in events:
        sequence = head.sequence + 1
        if isinstance(event, Spelled):
            kind, body = event.kind, event.body
        else:
            kind, body = type(event), canonical_of(event)
        stored = stored_bytes(sequence=sequence, type_name=kind.type, at_ms=tx.now_ms, body=body)
        digest = entry_hash(previous=head.hash, stored=stored)
        row = (sequence, kind.type, kind.scope.value, tx.now_ms, body, head.hash, digest)
        tx.many(_INSERT, (row,))
        frontier, completed = head.tree.append(leaf_hash(stored))
        tree.keep(tx, size=sequence, completed=completed)
        head = Head(digest, frontier)
    return head


def read_head(tx: Tx) -> Head:
    """Return where the journal ends, as it is committed.

    Raises:
        SchemaBroken: entries or parts of the tree are missing.
    """
    row = tx.one(_LAST)
    return Head(row[1], tree.read_frontier(tx, size=row[0])) if row else Head()


def read_size(tx: Tx) -> int:
    """Return how many entries the journal has had, as it is committed."""
    row = tx.one(_LAST)
    return int(row[0]) if row else 0


def read_generation(tx: Tx) -> int:
    """Return which history this is."""
    row = tx.one(_GENERATION)
    assert row is not None, "every store has a generation"
    return int(row[0])


def read_cut(tx: Tx) -> tuple[int, RecordId]:
    """Return up to which entry the journal is gone, and that one's hash."""
    row = tx.one(_CUT)
    return (row[0], row[1]) if row else (0, JOURNAL_START)


def read_page(
    tx: Tx, *, generation: int, after: Cursor | None, entries_max: int
) -> list[StoredEntry]:
    """Return at most `entries_max` entries after `after`, or from the first that is kept.

    Raises:
        JournalDiverged: `after` is not a place in this journal.
        JournalCut: `after` is before the first entry that is kept.
    """
    assert 1 <= entries_max <= EVENTS_PER_PAGE_MAX, entries_max
    start, hash_at_start = read_cut(tx)
    if after is not None:
        _check_place(
            tx, after, begins=Cursor(generation=generation, sequence=start, hash=hash_at_start)
        )
        start = after.sequence
    rows = tx.all(_PAGE, after=start, entries_max=entries_max)
    return [
        StoredEntry(
            sequence=sequence,
            type=type_name,
            scope=scope,
            at_ms=at_ms,
            body=body,
            previous=previous,
            hash=digest,
        )
        for sequence, type_name, scope, at_ms, body, previous, digest in rows
    ]


def _check_place(tx: Tx, cursor: Cursor, *, begins: Cursor) -> None:
    """Return if a cursor is a place that can be read from; `begins` is the first one that is."""
    found: RecordId | None = begins.hash
    if cursor.sequence > begins.sequence:
        row = tx.one(_HASH_AT, at=cursor.sequence)
        found = row[0] if row else None
    is_cut = cursor.sequence < begins.sequence
    if cursor.generation == begins.generation and (is_cut or found == cursor.hash):
        if not is_cut:
            return
        raise JournalCut(cursor=str(cursor), head=str(_end(tx, begins)), resume=str(begins))
    raise JournalDiverged(cursor=str(cursor), head=str(_end(tx, begins)))


def _end(tx: Tx, begins: Cursor) -> Cursor:
    last = tx.one(_LAST) or (begins.sequence, begins.hash)
    return Cursor(generation=begins.generation, sequence=last[0], hash=last[1])

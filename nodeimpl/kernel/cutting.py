"""Removing the journal's oldest entries behind a checkpoint, so that it does not grow for ever.

First the checkpoint is committed, then entries go, a block at a time, each with the hashes of its
leaves left in its place. From the checkpoint on nothing reads what is going, so a process that is
killed in between leaves nothing to see, and the next one goes on. The tree stays as it is
(ADR 0021).
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select

from nodeimpl.kernel import tree
from nodeimpl.kernel.generations import hash_at
from nodeimpl.kernel.journal import read_cut
from nodeimpl.kernel.schema import journal, journal_cut, journal_leaves, journal_listener
from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.tx import Tx
from opkit.proof.canonical import canonical_of
from opkit.wire.base import Jws
from opkit.wire.journal import JournalCheckpointed

BLOCK = 1 << tree.LEVELS_PER_ROW
"""Entries are removed by so many: the tree keeps a node over each such block for ever."""

_ADD = sql(journal_cut.insert())
_LAST = sql(select(journal_cut.c.body).order_by(journal_cut.c.size.desc()).limit(1))
_FIRST = sql(select(func.min(journal.c.sequence)))
_AT_MS = sql(select(journal.c.at_ms).where(journal.c.sequence == bindparam("at")))
_HEARD = sql(select(func.min(journal_listener.c.sequence)))
_PACK = sql(journal_leaves.insert())
_REMOVE = sql(delete(journal).where(journal.c.sequence <= bindparam("upto")))


def last_checkpoint(tx: Tx) -> JournalCheckpointed | None:
    """Return the last checkpoint, as it was journalled."""
    row = tx.one(_LAST)
    return JournalCheckpointed.model_validate_json(row[0]) if row else None


def heard_by_all(tx: Tx, *, size: int) -> int:
    """Return up to which of the first `size` entries every listener of this store has read."""
    row = tx.one(_HEARD)
    assert row is not None, "an aggregate has one row"
    return size if row[0] is None else min(size, row[0])


def at_ms(tx: Tx, sequence: int) -> int:
    """Return when an entry that is kept was journalled."""
    row = tx.one(_AT_MS, at=sequence)
    assert row is not None, f"entry {sequence} is kept"
    return int(row[0])


def checkpoint(tx: Tx, *, size: int, head: Jws) -> JournalCheckpointed:
    """Journal that the first `size` entries go. They are read no more once this is committed.

    Args:
        size: whole blocks, more than are gone already.
        head: signed over at least so many entries.
    """
    assert size % BLOCK == 0, size
    assert size > read_cut(tx)[0], "a checkpoint never goes back"
    last = hash_at(tx, size)
    assert last is not None, f"entry {size} is kept"
    peaks = tuple(peak.hex() for peak in tree.read_frontier(tx, size=size).peaks)
    made = JournalCheckpointed(size=size, hash=last, peaks=peaks, head=head)
    tx.run(_ADD, size=size, hash=last, body=canonical_of(made))
    tx.announce(made)
    return made


def is_going(tx: Tx) -> bool:
    """Return whether entries before the last checkpoint are there still."""
    first = tx.one(_FIRST)
    assert first is not None, "an aggregate has one row"
    return first[0] is not None and first[0] <= read_cut(tx)[0]


def remove_block(tx: Tx) -> bool:
    """Remove the first block before the last checkpoint; return whether there was one."""
    if not is_going(tx):
        return False
    row = tx.one(_FIRST)
    assert row is not None, "there is an entry"
    first = row[0] - 1
    assert first % BLOCK == 0, "blocks go whole"
    hashes = tree.leaves(tx, first=first, end=first + BLOCK)
    assert len(hashes) == BLOCK, "a block before a checkpoint is whole"
    tx.run(_PACK, position=first // BLOCK, hashes=b"".join(hashes))
    tx.run(_REMOVE, upto=first + BLOCK)
    return True

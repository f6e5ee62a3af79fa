"""The journal's Merkle tree as it is stored: leaves are the entries, few of its nodes are kept.

Of the inner nodes only those of every eighth level are kept, one row for 256 entries; what lies
between is hashed again from at most 128 neighbours when a proof asks for it. So a commit costs no
row of its own, and a proof reads some hundred rows however long the journal is (ADR 0019).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from nodeimpl.kernel.errors import SchemaBroken
from nodeimpl.kernel.schema import journal, journal_leaves, journal_tree
from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.tx import Tx
from opkit.proof import merkle
from opkit.proof.journal import stored_bytes
from opkit.proof.merkle import HASH_BYTES, Frontier, leaf_hash, node_hash

LEVELS_PER_ROW = 8
"""Nodes whose level is a multiple of this are kept, but for the leaves."""

_KEEP = sql(journal_tree.insert())
_LEAVES = sql(
    select(journal.c.sequence, journal.c.type, journal.c.at_ms, journal.c.body)
    .where(journal.c.sequence > bindparam("after"), journal.c.sequence <= bindparam("upto"))
    .order_by(journal.c.sequence)
)
_PACKED = sql(
    select(journal_leaves.c.hashes).where(journal_leaves.c.position == bindparam("at_position"))
)
_NODES = sql(
    select(journal_tree.c.hash)
    .where(
        journal_tree.c.level == bindparam("at_level"),
        journal_tree.c.position >= bindparam("first"),
        journal_tree.c.position < bindparam("end"),
    )
    .order_by(journal_tree.c.position)
)


def keep(tx: Tx, *, size: int, completed: Sequence[bytes]) -> None:
    """Keep those of the subtrees that the tree's last leaf completed that are kept at all.

    Args:
        size: how many leaves there are with it.
        completed: the subtrees' roots by level, as `Frontier.append` returns them.
    """
    for level in range(LEVELS_PER_ROW, len(completed), LEVELS_PER_ROW):
        tx.many(_KEEP, ((level, (size >> level) - 1, completed[level]),))


def read_frontier(tx: Tx, *, size: int) -> Frontier:
    """Return the right edge of the tree over the first `size` entries.

    Raises:
        SchemaBroken: entries or parts of the tree are missing.
    """
    return merkle.frontier_of(size, _Subtrees(tx))


def inclusion_path(tx: Tx, *, index: int, size: int) -> tuple[bytes, ...]:
    """Return the path from entry `index` (from 0) to the root over the first `size` entries.

    Raises:
        SchemaBroken: entries or parts of the tree are missing.
    """
    return merkle.inclusion_path(index=index, size=size, subtree=_Subtrees(tx))


def consistency_path(tx: Tx, *, first: int, second: int) -> tuple[bytes, ...]:
    """Return what shows that the first `first` entries begin the first `second`.

    Raises:
        SchemaBroken: entries or parts of the tree are missing.
    """
    return merkle.consistency_path(first=first, second=second, subtree=_Subtrees(tx))


def leaves(tx: Tx, *, first: int, end: int) -> list[bytes]:
    """Return the leaves from `first` to before `end`, from 0, of those entries that are there."""
    return [
        leaf_hash(stored_bytes(sequence=at, type_name=name, at_ms=at_ms, body=body))
        for at, name, at_ms, body in tx.all(_LEAVES, after=first, upto=end)
    ]


class _Subtrees:
    """The roots of complete subtrees, from what is stored."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __call__(self, level: int, position: int) -> bytes:
        """Return the root of one, hashed from the nearest level below that is stored."""
        above = level % LEVELS_PER_ROW
        count = 1 << above
        first = position << above
        hashes = self._stored(level - above, first=first, end=first + count)
        if len(hashes) != count:
            raise SchemaBroken(f"the journal's tree lacks nodes of level {level - above}")
        while len(hashes) > 1:
            hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    def _stored(self, level: int, *, first: int, end: int) -> list[bytes]:
        """Return the nodes of a stored level from `first` to before `end`, as far as there are."""
        if level == 0:
            # Complete subtrees below a kept level lie within one block, and a block goes whole.
            return leaves(self._tx, first=first, end=end) or self._packed(first, end)
        rows = self._tx.all(_NODES, at_level=level, first=first, end=end)
        return [digest for (digest,) in rows]

    def _packed(self, first: int, end: int) -> list[bytes]:
        """Return leaves of entries that were removed, as far as they are kept."""
        block = first >> LEVELS_PER_ROW
        row = self._tx.one(_PACKED, at_position=block)
        if row is None:
            return []
        start = first - (block << LEVELS_PER_ROW)
        places = range(start, start + end - first)
        return [row[0][at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in places]

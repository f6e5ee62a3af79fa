"""Judgements about what can be shown of a journal, and which history it is: pure."""

from __future__ import annotations

from opkit.wire.base import RecordId
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalShort, ProofMisplaced


def judge_place(*, shown: int, tree: int, size: int) -> None:
    """Allow a proof that something up to `shown` is in the tree over the first `tree` entries.

    Args:
        shown: an entry's sequence number, or the size of a smaller tree; at least 1.
        tree: the size of the tree that shows it.
        size: how many entries the journal has.

    Refuses, in this order:
        ProofMisplaced: `shown` is greater than `tree`.
        JournalShort: the journal has no `tree` entries.

    Source: ADR 0019.
    """
    if shown > tree:
        raise ProofMisplaced(asked=shown, size=tree)
    if tree > size:
        raise JournalShort(asked=tree, size=size)


def find_fault(
    mark: HistoryPlace,
    *,
    stands: HistoryPlace,
    hash_there: RecordId | None,
    opening: GenerationOpened | None,
) -> str | None:
    """Return why a database is not the history that was marked, as a sentence; None if it is.

    The mark may lag: a process that was killed had no time for it. It never leads, so a database
    without what is marked is an old one, or one of another history.

    Args:
        mark: what the node kept outside its database.
        stands: where the database stands.
        hash_there: the hash of its entry at the mark's place; None if it has no such entry.
        opening: how its generation was opened; None for the first.

    Source: ADR 0021.
    """
    known_by_opening = opening is not None and opening.lost == mark
    if mark.generation > stands.generation:
        return (
            f"the database is of generation {stands.generation}, "
            f"and this node has been in generation {mark.generation}"
        )
    if mark.generation < stands.generation and known_by_opening:
        return None
    if mark.size > stands.size:
        return (
            f"the database has {stands.size:,} journal entries, "
            f"and this node has committed {mark.size:,}: it is an old one"
        )
    if hash_there != mark.hash:
        return (
            f"the database has another journal entry {mark.size:,} "
            "than this node has committed: it is of another history"
        )
    return None

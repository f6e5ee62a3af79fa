"""Judgements about what can be shown of a journal, and which history it is: pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opkit.wire.base import RecordId, TimeMs
from opkit.wire.journal import GenerationOpened, HistoryPlace, JournalShort, ProofMisplaced


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How much of the journal is kept at least; what is 0 does not count, both 0 keep all.

    Attributes:
        entries_min: the newest so many.
        age_ms_min: those younger than this.
        step_min: how many must be removable before any is: each time leaves an entry behind.
    """

    entries_min: int = 0
    age_ms_min: int = 0
    step_min: int = 1_024


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
    begins: int,
    opening: GenerationOpened | None,
) -> str | None:
    """Return why a database is not the history that was marked, as a sentence; None if it is.

    The mark may lag: a process that was killed had no time for it. It never leads, so a database
    without what is marked is an old one, or one of another history.

    Args:
        mark: what the node kept outside its database.
        stands: where the database stands.
        hash_there: the hash of its entry at the mark's place; None if it has no such entry.
        begins: up to which entry its journal was cut off. The mark is taken past that before
            anything is removed.
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
    if mark.size < begins:
        return (
            f"the mark is of entry {mark.size:,}, and the database begins after {begins:,}: "
            "it is an old mark, or of another history"
        )
    if hash_there != mark.hash:
        return (
            f"the database has another journal entry {mark.size:,} "
            "than this node has committed: it is of another history"
        )
    return None


def find_cut(
    keeping: Keeping,
    *,
    begins: int,
    size: int,
    heard: int,
    now_ms: TimeMs,
    at_ms: Callable[[int], TimeMs],
    block: int,
) -> int | None:
    """Return up to which entry the journal may be cut off now; None if nothing is to be done.

    Times may step back where a clock did; then some entries stay longer than they must.

    Args:
        begins: up to which entry it was cut off before; a whole number of blocks.
        size: how many entries there were ever.
        heard: up to which entry all listeners of the store have read.
        at_ms: tells when an entry that is kept was journalled.
        block: entries are removed by so many.

    Source: ADR 0021.
    """
    if not keeping.entries_min and not keeping.age_ms_min:
        return None
    # At least one entry stays, for the chain goes on from it.
    first = begins // block
    end = min(size - max(keeping.entries_min, 1), heard) // block
    if keeping.age_ms_min:
        old_before_ms = now_ms - keeping.age_ms_min
        low, high = first, max(end, first)
        while low < high:
            middle = (low + high + 1) // 2
            if at_ms(middle * block) < old_before_ms:
                low = middle
            else:
                high = middle - 1
        end = low
    cut = end * block
    return cut if cut - begins >= max(keeping.step_min, block) else None

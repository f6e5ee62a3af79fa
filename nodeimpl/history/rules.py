"""Judgements about what can be shown of a journal: pure."""

from __future__ import annotations

from opkit.wire.journal import JournalShort, ProofMisplaced


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

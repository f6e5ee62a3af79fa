"""How often what happened to exchanges since the node started, and what waits: to be measured."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select

from nodeimpl.clearing import outbox_store as outbox
from nodeimpl.clearing.store import exchanges
from nodeimpl.kernel.store import Tx, sql
from opkit.wire.clearing import Ending

_DOUBTFUL = sql(select(func.count()).select_from(exchanges).where(exchanges.c.doubt == 1))


class Counts:
    """Counts what is on disk: what was undone did not happen.

    Attributes:
        ended: sides of exchanges here, by how they ended first; a ruling may turn that round.
        ruled: what this node ruled as an arbiter.
        contradictions: how often a proposer or an arbiter was heard to contradict itself.
        broken: how often a defect ended an errand, which is tried again.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.ended: Counter[Ending] = Counter()
        self.ruled: Counter[Ending] = Counter()
        self.contradictions = 0
        self.broken = 0

    def end(self, tx: Tx, ending: Ending) -> None:
        """Count a side that ended."""
        tx.after_commit(lambda: self.ended.update((ending,)))

    def rule(self, tx: Tx, ending: Ending) -> None:
        """Count a ruling."""
        tx.after_commit(lambda: self.ruled.update((ending,)))

    def contradict(self, tx: Tx) -> None:
        """Count a contradiction."""

        def count() -> None:
            self.contradictions += 1

        tx.after_commit(count)


def waiting(tx: Tx) -> tuple[int, int]:
    """Return how many sides of exchanges are in doubt, and how much is to be said or done."""
    row = tx.one(_DOUBTFUL)
    assert row is not None, "a count is always one row"
    return int(row[0]), outbox.count(tx)

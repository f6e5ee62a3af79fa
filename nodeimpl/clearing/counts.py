"""How often what happened to exchanges since the node started, to be measured."""

from __future__ import annotations

from collections import Counter

from nodeimpl.kernel.store import Tx
from opkit.wire.clearing import Ending


class Counts:
    """Counts what is on disk: what was undone did not happen.

    Attributes:
        ended: sides of exchanges here, by how they ended first; a ruling may turn that round.
        ruled: what this node ruled as an arbiter.
        contradictions: how often a proposer or an arbiter was heard to contradict itself.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self.ended: Counter[Ending] = Counter()
        self.ruled: Counter[Ending] = Counter()
        self.contradictions = 0

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

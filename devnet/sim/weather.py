"""What goes wrong on the way: delay, loss, reordering, duplication, partitions.

All of it is drawn from one generator, in the order of the events; delays come from a table that is
drawn once, for a run draws hundreds of thousands of them.
"""

from __future__ import annotations

from random import Random

from devnet.sim.spec import Latency, Spec

DRAWN = 4_096
SIGMA = 0.6
"""Of the log-normal distribution: the 95th percentile is e^(1.645 · 0.6) = 2.7 medians."""


class Weather:
    """What becomes of each message; `good` from when on nothing more goes wrong.

    Attributes:
        cut_off: the nodes that are on the other side of a partition now.
    """

    def __init__(self, spec: Spec, *, chance: Random) -> None:
        """Draw the delays of a run."""
        self._chance = chance
        self._random = chance.random
        self._delays = delays(spec.latency, chance)
        self._at = 0
        self._loss = spec.loss
        self._reorder = spec.reorder
        self._duplicate = spec.duplicate
        self.cut_off: frozenset[int] = frozenset()

    def delay_ms(self) -> int:
        """Return how long the next message is under way."""
        self._at = (self._at + 1) % DRAWN
        return self._delays[self._at]

    def loses(self) -> bool:
        """Whether the next message is lost."""
        return self._loss > 0 and self._random() < self._loss

    def reorders(self) -> bool:
        """Whether the next message may be overtaken by those behind it."""
        return self._reorder > 0 and self._random() < self._reorder

    def duplicates(self) -> bool:
        """Whether the next message arrives twice."""
        return self._duplicate > 0 and self._random() < self._duplicate

    def cuts(self, a: int, b: int) -> bool:
        """Whether a partition lies between two nodes."""
        cut_off = self.cut_off
        return bool(cut_off) and (a in cut_off) != (b in cut_off)

    def cut(self, nodes: frozenset[int]) -> None:
        """Cut these nodes off from all others."""
        self.cut_off = nodes

    def clear_up(self) -> None:
        """Let nothing go wrong any more; messages still take their time."""
        self._loss = self._reorder = self._duplicate = 0.0
        self.cut_off = frozenset()


def delays(latency: Latency, chance: Random) -> list[int]:
    """Return `DRAWN` delays in whole milliseconds, none of them nought."""
    typical = latency.typical_ms
    if latency.kind == "constant":
        drawn = [float(typical)] * DRAWN
    elif latency.kind == "uniform":
        drawn = [2 * typical * chance.random() for _ in range(DRAWN)]
    else:
        drawn = [typical * chance.lognormvariate(0, SIGMA) for _ in range(DRAWN)]
    return [max(1, round(each)) for each in drawn]

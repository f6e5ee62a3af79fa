"""Hybrid logical clocks: time that is never before what was seen, and near what clocks show.

Source: ADR 0043; Kulkarni and others: Logical Physical Clocks (2014).
"""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.operations import TICK_MAX, OperationClockAhead

SKEW_MS_MAX = 120_000
"""How far ahead of this node's clock an operation may lie, as for all records."""


@dataclass(frozen=True, slots=True, order=True)
class Hlc:
    """A moment: milliseconds of real time, and a count within one."""

    time_ms: int
    tick: int = 0

    def following(self, now_ms: int) -> Hlc:
        """Return a moment after this one: what the clock shows, if that is later."""
        if now_ms > self.time_ms:
            return Hlc(now_ms)
        if self.tick < TICK_MAX:
            return Hlc(self.time_ms, self.tick + 1)
        return Hlc(self.time_ms + 1)


def check_skew(moment: Hlc, *, now_ms: int, skew_ms_max: int = SKEW_MS_MAX) -> None:
    """Return if a moment is not further ahead than clocks may differ.

    Whoever sets a clock far ahead would have the last word in every register; so such a moment is
    refused before anything is made of it.

    Raises:
        OperationClockAhead: it is.
    """
    if moment.time_ms > now_ms + skew_ms_max:
        raise OperationClockAhead(time_ms=moment.time_ms, now_ms=now_ms, skew_ms_max=skew_ms_max)

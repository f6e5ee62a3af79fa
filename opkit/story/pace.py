"""How long a step stays when a story goes on by itself: as long as it takes to read.

A fixed pause is too short for a step with twelve checks and too long for one with one.
"""

from __future__ import annotations

from dataclasses import dataclass

SPOKEN_WORD_MS = 400
"""A word read aloud to a room: 150 a minute."""
READ_WORD_MS = 250
"""A word read silently from a screen: 240 a minute."""
CHECK_MS = 350
"""A glance at one check that holds."""
PAUSE_MS_MIN = 2_500
PAUSE_MS_MAX = 45_000
OPENING_MS_MAX = 6_000
"""Whoever presses play wants to see something happen; the story's text stays beside its steps."""
FACTOR_MAX = 10.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a story goes on by itself.

    Attributes:
        factor: what the time to read is multiplied by: 2 is slow, 0.5 quick, 0 no pause at all.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        """Keep the factor within what a room can bear.

        Raises:
            ValueError: it is negative, above ten, or not a number.
        """
        if not 0.0 <= self.factor <= FACTOR_MAX:
            raise ValueError(f"the pace is between 0 and {FACTOR_MAX:g}")

    def pause_ms(self, *, read: str, spoken: str = "", checks: int = 0) -> int:
        """Return how long to stay: who is spoken to reads at the same time, so the longer counts.

        Args:
            read: what stands on the screen.
            spoken: what the presenter says beside it.
            checks: how many checks stand under it.
        """
        reading_ms = len(read.split()) * READ_WORD_MS + checks * CHECK_MS
        speaking_ms = len(spoken.split()) * SPOKEN_WORD_MS
        pause_ms = min(PAUSE_MS_MAX, max(PAUSE_MS_MIN, reading_ms, speaking_ms))
        return round(pause_ms * self.factor)

    def opening_ms(self, story: str) -> int:
        """Return how long the text of a whole story stays before its first step."""
        return min(self.pause_ms(read=story), round(OPENING_MS_MAX * self.factor))

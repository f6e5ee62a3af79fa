"""How patient a client is: bounded attempts, growing random pauses, one deadline over all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from opkit.wire.errors import Unreachable
from opkit.wire.gateway import StoreBusy

PASSING = (Unreachable, StoreBusy)
"""After these the same may succeed in a moment: the node, or its database, is away. Nothing is
known, or nothing happened, so repeating is safe with the same key."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a client tries again what is safe to repeat.

    Each pause is drawn evenly from the upper half of a span that doubles, so that many clients
    that lost the same node do not come back in step.

    Attributes:
        attempts_max: attempts in all, the first included.
        pause_ms_first: the span before the second attempt.
        pause_ms_max: the span never grows beyond this.
    """

    attempts_max: int = 8
    pause_ms_first: int = 50
    pause_ms_max: int = 1_000

    def pauses_ms(self) -> Iterator[int]:
        """Return the pauses between the attempts: one fewer than there are attempts."""
        span = self.pause_ms_first
        for _ in range(self.attempts_max - 1):
            yield random.randint(span // 2, span)  # noqa: S311 - spreads load, guards nothing
            span = min(2 * span, self.pause_ms_max)

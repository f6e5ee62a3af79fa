"""Time that never goes back, and what a second allows."""

from __future__ import annotations


class Steady:
    """Time in milliseconds that stands still when the clock goes back, and then goes on."""

    def __init__(self) -> None:
        """Begin when it is first asked."""
        self.at_ms = 0
        self._real_ms: int | None = None

    def see(self, now_ms: int) -> int:
        """Return the steady time at a real time."""
        if self._real_ms is not None and now_ms > self._real_ms:
            self.at_ms += now_ms - self._real_ms
        self._real_ms = now_ms
        return self.at_ms

    def real(self, at_ms: int) -> int:
        """Return when by the clock it will be that steady time, if the clock does not jump."""
        assert self._real_ms is not None, "it has begun"
        return self._real_ms + at_ms - self.at_ms


class Allowance:
    """So much a second, after a burst; what was not used comes back until the burst is full."""

    __slots__ = ("_at_ms", "_burst", "_left", "_per_s")

    def __init__(self, *, per_s: int, burst: int) -> None:
        """Begin with a whole burst. Thousandths are counted, so that no rounding adds up."""
        self._per_s = per_s
        self._burst = burst * 1_000
        self._left = self._burst
        self._at_ms = 0

    def spend(self, amount: int, at_ms: int) -> bool:
        """Use so much of it, or nothing if there is less."""
        if at_ms > self._at_ms:
            self._left = min(self._burst, self._left + (at_ms - self._at_ms) * self._per_s)
            self._at_ms = at_ms
        if amount * 1_000 > self._left:
            return False
        self._left -= amount * 1_000
        return True

    def ready_ms(self, amount: int) -> int:
        """Return the steady time at which there will be so much, if nothing is used."""
        lacking = amount * 1_000 - self._left
        return self._at_ms + max(0, -(-lacking // self._per_s))

"""Rates by token bucket: bounded memory, an exact time to wait, and a clock that is an argument.

A package for this exists; its stores grow with every new key until a timer of its own fires, and
it reads the clock itself. Source: ADR 0009.
"""

from __future__ import annotations

from nodeimpl.gateway.limits import Rate


class Buckets:
    """One bucket for each key, of which the one seen longest ago goes first.

    Dropping a bucket fills it; the bound is far above what can be in use at once, so a bucket that
    is dropped has long been full again.
    """

    def __init__(self, rate: Rate, *, keys_max: int) -> None:
        """Give every new key a full bucket."""
        self._per_ms = rate.per_second / 1000
        self._burst = float(rate.burst)
        self._keys_max = keys_max
        self._levels: dict[str, tuple[float, int]] = {}

    def take(self, key: str, *, now_ms: int) -> int:
        """Take one ask from the bucket of `key`.

        Returns:
            0 if there was one, else in how many milliseconds there will be.
        """
        level, since_ms = self._levels.pop(key, (self._burst, now_ms))
        level = min(self._burst, level + max(0, now_ms - since_ms) * self._per_ms)
        left = level - 1 if level >= 1 else level
        if len(self._levels) >= self._keys_max:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (left, now_ms)
        return 0 if level >= 1 else int((1 - level) / self._per_ms) + 1

"""What was seen lately, in bounded memory and without looking at all of it."""

from __future__ import annotations


class Seen:
    """Ids of the last while: each is known for at least one span, unless too many came.

    There are two sets; when a span is over, or the younger one full, the older one is forgotten
    and the younger takes its place. So nothing is ever searched for what is old.
    """

    def __init__(self, *, span_ms: int, ids_max: int) -> None:
        """Know at most `2 * ids_max` ids."""
        self._span_ms = span_ms
        self._ids_max = ids_max
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._turned_ms = 0

    def __contains__(self, each: bytes) -> bool:
        return each in self._young or each in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, each: bytes, at_ms: int) -> None:
        """Remember an id from now on."""
        self.age(at_ms)
        self._young.add(each)
        if len(self._young) >= self._ids_max:
            self._turn(at_ms)

    def age(self, at_ms: int) -> None:
        """Forget what is old."""
        if at_ms - self._turned_ms >= self._span_ms:
            if at_ms - self._turned_ms >= 2 * self._span_ms:
                self._young = set()
            self._turn(at_ms)

    def _turn(self, at_ms: int) -> None:
        self._old, self._young, self._turned_ms = self._young, set(), at_ms

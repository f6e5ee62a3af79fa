"""Virtual time: what is to happen, in the order in which it does.

Nothing here waits. Two things at the same millisecond happen in the order in which they were
planned, so that a run depends on nothing but its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Act = Callable[..., None]


class Scheduler:
    """A clock that jumps from one event to the next.

    Attributes:
        now_ms: time since the run began.
        steps: how many events have happened.
    """

    __slots__ = ("_heap", "_planned", "now_ms", "steps")

    def __init__(self) -> None:
        """Begin at nought, with nothing planned."""
        self._heap: list[tuple[int, int, Act, tuple[Any, ...]]] = []
        self._planned = 0
        self.now_ms = 0
        self.steps = 0

    def at(self, at_ms: int, act: Act, *args: Any) -> None:
        """Plan `act(*args)`; what is planned for the past happens now."""
        self._planned += 1
        heappush(self._heap, (max(at_ms, self.now_ms), self._planned, act, args))

    def after(self, wait_ms: int, act: Act, *args: Any) -> None:
        """Plan `act(*args)` for `wait_ms` from now."""
        self._planned += 1
        heappush(self._heap, (self.now_ms + wait_ms, self._planned, act, args))

    def step(self, *, until_ms: int) -> bool:
        """Let the next event before `until_ms` happen; if there is none, let time pass until then.

        Returns:
            Whether there was one.
        """
        heap = self._heap
        if not heap or heap[0][0] >= until_ms:
            self.now_ms = max(self.now_ms, until_ms)
            return False
        self.now_ms, _, act, args = heappop(heap)
        self.steps += 1
        act(*args)
        return True

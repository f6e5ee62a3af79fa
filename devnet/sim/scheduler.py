"""Virtual time: what is to happen, in the order in which it does.

Nothing here waits. Two things at the same millisecond happen in the order in which they were
planned, so that a run depends on nothing but its seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Act = Callable[..., None]


class Scheduler:
    """A clock that jumps from one event to the next.

    What happens at one millisecond stands in one queue, and only the milliseconds are in a heap: a
    large network has dozens of events at each.

    Attributes:
        now_ms: time since the run began.
        steps: how many events have happened.
    """

    __slots__ = ("_moments", "_queues", "now_ms", "steps")

    def __init__(self) -> None:
        """Begin at nought, with nothing planned."""
        self._moments: list[int] = []
        self._queues: dict[int, deque[tuple[Act, tuple[Any, ...]]]] = {}
        self.now_ms = 0
        self.steps = 0

    def at(self, at_ms: int, act: Act, *args: Any) -> None:
        """Plan `act(*args)`; what is planned for the past happens now."""
        at_ms = max(at_ms, self.now_ms)
        queue = self._queues.get(at_ms)
        if queue is None:
            queue = self._queues[at_ms] = deque()
            heappush(self._moments, at_ms)
        queue.append((act, args))

    def after(self, wait_ms: int, act: Act, *args: Any) -> None:
        """Plan `act(*args)` for `wait_ms` from now."""
        self.at(self.now_ms + wait_ms, act, *args)

    def step(self, *, until_ms: int) -> bool:
        """Let the next event before `until_ms` happen; if there is none, let time pass until then.

        Returns:
            Whether there was one.
        """
        moments = self._moments
        while moments and moments[0] < until_ms:
            queue = self._queues[moments[0]]
            if queue:
                self.now_ms = moments[0]
                act, args = queue.popleft()
                self.steps += 1
                act(*args)
                return True
            del self._queues[heappop(moments)]
        self.now_ms = max(self.now_ms, until_ms)
        return False

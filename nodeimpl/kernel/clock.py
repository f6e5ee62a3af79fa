"""Two clocks: real time for the network and its deadlines, world time for what members agreed on.

World time is real time plus an offset that only grows (ADR 0014). Nothing
below the kernel reads a clock by itself: "now" is an argument.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What a node may know about time.

    Attributes:
        offset_ms: by how much world time runs ahead.
        when_moved: called each time that it was moved.
    """

    offset_ms: int
    when_moved: list[Callable[[], None]]

    def now_ms(self) -> int:
        """Return real time in milliseconds since the Unix epoch."""

    def world_ms(self) -> int:
        """Return world time in milliseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Return seconds that never step back, for measuring how long something took."""

    def move_world(self, offset_ms: int) -> None:
        """Let world time run `offset_ms` ahead of real time from now on; never less than before."""

    async def sleep(self, ms: int) -> None:
        """Return after `ms` milliseconds of real time."""


class RealClock:
    """The machine's clock."""

    def __init__(self, *, offset_ms: int = 0, skew_ms: int = 0) -> None:
        """Start with world time `offset_ms` ahead of real time.

        By `skew_ms` this clock is wrong, on purpose, against that of the machine (ADR 0033).
        """
        assert offset_ms >= 0, "world time never runs behind"
        self.offset_ms = offset_ms
        self.when_moved: list[Callable[[], None]] = []
        self._skew_ms = skew_ms

    def now_ms(self) -> int:
        """Return real time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000 + self._skew_ms

    def world_ms(self) -> int:
        """Return world time in milliseconds since the Unix epoch."""
        return self.now_ms() + self.offset_ms

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return time.monotonic()

    def move_world(self, offset_ms: int) -> None:
        """Let world time run `offset_ms` ahead from now on; it never goes back."""
        assert offset_ms >= self.offset_ms, "world time only moves forward"
        self.offset_ms = offset_ms
        for told in self.when_moved:
            told()

    async def sleep(self, ms: int) -> None:
        """Return after `ms` milliseconds."""
        await asyncio.sleep(ms / 1000)


class VirtualClock:
    """A clock that moves only when a test or a simulation says so.

    One clock serves one event loop, and several nodes may share it.
    """

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        """Start at `start_ms` (2026-01-01 unless told otherwise)."""
        assert start_ms >= 0, start_ms
        self.offset_ms = 0
        self.when_moved: list[Callable[[], None]] = []
        self._now_ms = start_ms
        self._start_ms = start_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        """Return this clock's real time in milliseconds since the Unix epoch."""
        return self._now_ms

    def world_ms(self) -> int:
        """Return this clock's world time in milliseconds since the Unix epoch."""
        return self._now_ms + self.offset_ms

    def monotonic(self) -> float:
        """Return the seconds by which this clock was advanced."""
        return (self._now_ms - self._start_ms) / 1000

    def move_world(self, offset_ms: int) -> None:
        """Let world time run `offset_ms` ahead from now on; it never goes back."""
        assert offset_ms >= self.offset_ms, "world time only moves forward"
        self.offset_ms = offset_ms
        for told in self.when_moved:
            told()

    async def sleep(self, ms: int) -> None:
        """Return once the clock was advanced by `ms`; at once, after one turn, if it is not > 0."""
        if ms <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + ms, next(self._order), woken))
        await woken

    def advance(self, ms: int) -> None:
        """Move time by `ms` and wake everyone who is due, in the order in which they were due."""
        assert ms >= 0, "time moves forward"
        self._now_ms += ms
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    def sleepers(self) -> int:
        """Return how many wait for this clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

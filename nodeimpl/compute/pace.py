"""How fast jobs end here, and so how long one more would wait: what early refusals are judged by.

A queue that comes and goes is what queues are for; one that stands only makes everybody wait. So a
burst is taken whole, up to a number, and only once the wait has stayed too long for a while are new
jobs refused.
Who was crowded a moment ago takes no burst again: without that a steady crowd comes in waves, each
of them a burst. Source: RFC 8289 (controlled delay), from which both ideas are.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

SAMPLE_S = 0.25
"""How long ends are counted before the estimate takes them in."""

FADE_S = 1.0
"""How soon what was seen fades: after so long it counts a third. Ends come in groups, as they are
committed, and a group is no change of speed."""

LOOK_S = 0.1
"""How often it is looked at whether the event loop comes late."""

AGAIN = 16
"""For so many bursts after a crowd no burst is taken. Source: RFC 8289, as above."""

PASSES = 4
"""How often a job comes back to the event loop: begun, answered by its worker, recorded, told."""


class Pace:
    """The time between two ends while all workers are busy, and since when the wait is too long.

    All of it is for the event loop, but for `wait_ms`, which the store's writer asks too.
    """

    def __init__(self, *, slots: int, now_s: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; the first estimate is made of the ends in `SAMPLE_S`.

        Args:
            slots: how many jobs run at once.
        """
        self._slots = slots
        self._now_s = now_s
        self._gap_s = 0.0
        self._seen_s = 0.0
        self._seen_ends = 0.0
        self._queued = False
        self._since_s: float | None = None
        self._ends = 0
        self._last_s = 0.0
        self._late_s = 0.0
        self._long_since_s: float | None = None
        self._crowded_s = -math.inf

    def began(self, jobs: int) -> None:
        """Note that a job began to wait; `jobs` are under way now, with it."""
        if jobs > self._slots and not self._queued:
            self._queued, self._since_s = True, None
            self._last_s = self._now_s()

    def ended(self, jobs: int) -> None:
        """Note that a job ended; `jobs` are still under way."""
        if not self._queued:
            return
        self._queued = jobs > self._slots
        self._last_s = self._now_s()
        if self._since_s is None:
            # The first end tells how long one job takes, all its ways included; the others tell
            # how long it is from one end to the next.
            self._since_s, self._ends = self._last_s, 0
            return
        self._ends += 1
        took = self._last_s - self._since_s
        if took >= SAMPLE_S:
            fade = math.exp(-took / FADE_S)
            self._seen_s = self._seen_s * fade + took
            self._seen_ends = self._seen_ends * fade + self._ends
            self._gap_s = self._seen_s / self._seen_ends
            self._since_s, self._ends = self._last_s, 0

    async def watch(self) -> None:
        """Look at how late the event loop comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.late(loop.time() - due)

    def late(self, late_s: float) -> None:
        """Note by how much the event loop came late; it is believed to do so for a while."""
        self._late_s = max(late_s, self._late_s / 2)

    def wait_ms(self, jobs: int) -> int:
        """Return how long one more job would wait while `jobs` are under way.

        It waits for a worker, and each time for its turn on the event loop: a node that gets too
        little of its machine is late there first.
        """
        gap = self._gap_s
        if self._queued:
            # Jobs that take longer than those before are noticed before the first of them ends.
            gap = max(gap, self._now_s() - self._last_s - SAMPLE_S)
        return int((max(0, jobs - self._slots) * gap + PASSES * self._late_s) * 1000)

    def is_crowded(
        self, jobs: int, *, wait_ms_max: int, crowd_ms_max: int, burst_ms_max: int, burst_max: int
    ) -> bool:
        """Return whether the wait has been too long for too long; ask before each job.

        Args:
            jobs: how many are under way.
            wait_ms_max: the longest wait of a queue that stands, and
            crowd_ms_max: where there was a crowd lately.
            burst_ms_max: how long it may be longer, and
            burst_max: while how many are under way: a burst ends, and who comes after as many as
                a burst has is part of a crowd.
        """
        now, burst_s = self._now_s(), burst_ms_max / 1000
        lately = now - self._crowded_s < AGAIN * burst_s
        if self.wait_ms(jobs) <= (crowd_ms_max if lately else wait_ms_max):
            self._long_since_s = None
            return False
        if self._long_since_s is None:
            self._long_since_s = now
        if lately or jobs >= burst_max or now - self._long_since_s >= burst_s:
            self._crowded_s = now
            return True
        return False

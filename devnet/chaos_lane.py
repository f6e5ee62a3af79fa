"""One direction of a link, and what hinders it: loss, delay, a narrow line, a cut.

Datagrams keep their order: a link that reorders is for the in-memory transport and the simulation,
which act on frames. Which are lost and how late each one is follows from a seed alone.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LATE_MAX = 8192
"""How many datagrams wait in one direction; more are lost, as in a full router."""

QUEUE_MS_MAX = 500
"""How long a datagram may wait for a narrow line; what would wait longer is lost."""

Send = Callable[[bytes, int], None]
"""Sends bytes on: one datagram, or several of the given size."""


@dataclass(frozen=True, kw_only=True)
class Hindrance:
    """What hinders a link, the same in both directions.

    Attributes:
        cut: nothing passes.
        loss_permille: how many of 1,000 datagrams are lost.
        delay_ms: how long each takes.
        jitter_ms: by how much more or less than that at random.
        rate_kbit_s: how many kilobits pass in a second; 0: as many as the machine carries.
    """

    cut: bool = False
    loss_permille: int = 0
    delay_ms: int = 0
    jitter_ms: int = 0
    rate_kbit_s: int = 0


NONE = Hindrance()


def together(hindrances: Iterable[Hindrance]) -> Hindrance:
    """Return what several come to on one link: the worst of each kind, not their sum."""
    each = tuple(hindrances)
    rates = [one.rate_kbit_s for one in each if one.rate_kbit_s]
    slowest = max(each, key=lambda one: (one.delay_ms, one.jitter_ms), default=NONE)
    return Hindrance(
        cut=any(one.cut for one in each),
        loss_permille=max((one.loss_permille for one in each), default=0),
        delay_ms=slowest.delay_ms,
        jitter_ms=slowest.jitter_ms,
        rate_kbit_s=min(rates, default=0),
    )


class Lane:
    """One direction.

    Attributes:
        clear: nothing hinders it and nothing waits in it, so it need not be asked.
        lost: how many datagrams were dropped, by a cut, by loss or for want of room.
    """

    def __init__(self) -> None:
        """Hinder nothing."""
        self.clear = True
        self.lost = 0
        self._hindrance = NONE
        # Two, so that the same datagrams are lost whether or not the delay varies.
        self._losing = random.Random(0)
        self._varying = random.Random(0)
        self._late: deque[tuple[float, Callable[[], None]]] = deque()
        self._last_due = 0.0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def hinder(self, hindrance: Hindrance, *, seed: str) -> None:
        """Be hindered so from now on; `seed` fixes what is lost and how late the rest is."""
        self._hindrance = hindrance
        self._losing = random.Random(f"{seed}/loss")
        self._varying = random.Random(f"{seed}/jitter")
        self._free_at = 0.0
        if hindrance.cut:
            self.forget()
        self._look()

    def forget(self) -> None:
        """Lose all that is under way."""
        self.lost += len(self._late)
        self._late.clear()
        self._last_due = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def waiting(self) -> int:
        """How many sends are under way."""
        return len(self._late)

    def carry(self, data: bytes, segment: int, send: Send) -> bool:
        """Pass on what one read gave, at its time; return whether the lane is open at all.

        Args:
            data: one datagram, or several of `segment` bytes and a last one that may be shorter.
            segment: 0: it is one.
            send: passes it on.
        """
        how = self._hindrance
        if how.cut:
            self.lost += 1
            return False
        if not (how.loss_permille or how.rate_kbit_s or how.jitter_ms):
            self._pass(data, segment, send)
            return True
        step = segment or len(data) or 1
        for start in range(0, len(data) or 1, step):
            if how.loss_permille and self._losing.randrange(1_000) < how.loss_permille:
                self.lost += 1
            else:
                self._pass(data[start : start + step], 0, send)
        return True

    def _pass(self, data: bytes, segment: int, send: Send) -> None:
        """Send at once if it is due already, else when it is."""
        now = asyncio.get_running_loop().time()
        at = self._through_the_line(len(data), now)
        if at is None or len(self._late) >= LATE_MAX:
            self.lost += 1
            return
        how = self._hindrance
        late_ms = how.delay_ms
        if how.jitter_ms:
            late_ms += self._varying.randint(-how.jitter_ms, how.jitter_ms)
        due = max(at + late_ms / 1000, self._last_due)
        if due <= now and not self._late:
            send(data, segment)
            return
        self._last_due = due
        self._late.append((due, lambda: send(data, segment)))
        if len(self._late) == 1:
            self._set_timer()

    def _through_the_line(self, size_bytes: int, now: float) -> float | None:
        """Return when a datagram has passed the narrow line; None if it waited too long."""
        rate = self._hindrance.rate_kbit_s
        if not rate:
            return now
        begins = max(now, self._free_at)
        if (begins - now) * 1000 > QUEUE_MS_MAX:
            return None
        self._free_at = begins + size_bytes * 8 / (rate * 1000)
        return self._free_at

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._late[0][0], self._send_due)

    def _send_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._late and self._late[0][0] <= now:
            self._late.popleft()[1]()
        if self._late:
            self._set_timer()
        else:
            self._timer = None
            self._look()

    def _look(self) -> None:
        self.clear = self._hindrance == NONE and not self._late

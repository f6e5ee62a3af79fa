"""What happens between two keys in memory: ways with faults, lines that keep order, streams.

Parts of the transport in `memory.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from nodeimpl.kernel.clock import Clock
from nodeimpl.p2p.transport import StreamEnded

WINDOW_BYTES_MAX = 2**20
"""How much one stream holds unread before its sender waits."""

RESEND_MS = 200
"""How long a lost message takes to be noticed and sent again."""


class Way:
    """All traffic between two keys: how late it is, how much is lost, whether it is cut."""

    def __init__(self, *, clock: Clock, chance: random.Random) -> None:
        self.delay_ms = 0
        self.loss_percent = 0
        self._clock = clock
        self._chance = chance
        self._open = asyncio.Event()
        self._open.set()

    def cut(self) -> None:
        """Let nothing pass until `heal`."""
        self._open.clear()

    def heal(self) -> None:
        """Let what waits pass."""
        self._open.set()

    @property
    def clear(self) -> bool:
        """Whether a message passes at once."""
        return self._open.is_set() and not self.delay_ms and not self.loss_percent

    def due_ms(self) -> int:
        """Return when a message sent now arrives, losses included."""
        return self.due()[0]

    def due(self) -> tuple[int, int]:
        """Return when a message sent now arrives, and how often it is lost before."""
        lost = 0
        while self.loss_percent and self._chance.randrange(100) < self.loss_percent:
            lost += 1
        return self._clock.now_ms() + self.delay_ms + lost * RESEND_MS, lost

    async def pass_at(self, due_ms: int) -> None:
        """Wait until a message that is due at `due_ms` has come through."""
        if (left_ms := due_ms - self._clock.now_ms()) > 0:
            await self._clock.sleep(left_ms)
        await self._open.wait()


class Line:
    """One direction of one connection: messages arrive in the order in which they were sent."""

    def __init__(self, way: Way) -> None:
        self.sent_bytes = 0
        self.received_bytes = 0
        self.sent_packets = 0
        self.lost_packets = 0
        self._way = way
        self._under_way: deque[tuple[int, int, Callable[[], None]]] = deque()
        self._carrying: asyncio.Task[None] | None = None
        self._dead = False

    def carry(self, arrive: Callable[[], None], *, size: int = 1) -> None:
        """Run `arrive` on the other side once `size` bytes have come through."""
        if self._dead:
            return
        self.sent_bytes += size
        self.sent_packets += 1
        if self._way.clear and not self._under_way:
            self.received_bytes += size
            arrive()
            return
        due_ms, lost = self._way.due()
        self.sent_packets += lost
        self.lost_packets += lost
        self._under_way.append((due_ms, size, arrive))
        if self._carrying is None or self._carrying.done():
            self._carrying = asyncio.get_running_loop().create_task(self._carry_all())

    def stop(self) -> None:
        """Lose what is under way and all that is sent later: one end has vanished."""
        self._dead = True
        self._under_way.clear()
        if self._carrying is not None:
            self._carrying.cancel()

    async def _carry_all(self) -> None:
        while self._under_way:
            due_ms, size, arrive = self._under_way[0]
            await self._way.pass_at(due_ms)
            self._under_way.popleft()
            self.received_bytes += size
            arrive()


class Half:
    """One direction of one stream: a bounded buffer with an end, or a reason why it broke."""

    def __init__(self, line: Line, *, over: Callable[[], None]) -> None:
        self._line = line
        self._tell_over = over
        self._sent = 0
        self._read = 0
        self._arrived: deque[bytes] = deque()
        self._finished = False
        self._complete = False
        self._broken = ""
        self._changed = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing more can come out of it."""
        return bool(self._broken) or (self._complete and not self._arrived)

    async def send(self, data: bytes) -> None:
        """Put bytes in, waiting while there is no room. Raises `StreamEnded`."""
        assert not self._finished, "nothing is sent after the end"
        for start in range(0, len(data), WINDOW_BYTES_MAX):
            await self._send_piece(bytes(data[start : start + WINDOW_BYTES_MAX]))

    async def _send_piece(self, piece: bytes) -> None:
        while not self._broken and self._sent - self._read + len(piece) > WINDOW_BYTES_MAX:
            self._changed.clear()
            await self._changed.wait()
        if self._broken:
            raise StreamEnded(self._broken)
        self._sent += len(piece)
        self._line.carry(lambda: self._arrive(piece), size=len(piece))

    def _arrive(self, piece: bytes) -> None:
        if not self._broken:
            self._arrived.append(piece)
            self._changed.set()

    def finish(self) -> None:
        """Put the end in. Raises `StreamEnded`."""
        if self._broken:
            raise StreamEnded(self._broken)
        self._finished = True
        self._line.carry(self._end)

    def _end(self) -> None:
        self._complete = True
        self._change()

    def _change(self) -> None:
        self._changed.set()
        if self.over:
            self._tell_over()

    def break_(self, why: str) -> None:
        """End it unfinished, unless all of it was read."""
        if not self.over:
            self._broken = why
            self._arrived.clear()
        self._change()

    async def broken(self) -> None:
        """Return once nothing more can be put in."""
        while not self._broken:
            self._changed.clear()
            await self._changed.wait()

    async def receive(self, max_bytes: int) -> bytes:
        """Take bytes out, or `b""` at the end. Raises `StreamEnded`."""
        while not self._arrived and not self._complete and not self._broken:
            self._changed.clear()
            await self._changed.wait()
        if self._broken:
            raise StreamEnded(self._broken)
        if not self._arrived:
            return b""
        piece = self._arrived.popleft()
        if len(piece) > max_bytes:
            self._arrived.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self._read += len(piece)
        self._change()
        return piece


class MemoryStream:
    """One side of a stream."""

    def __init__(self, *, out: Half, into: Half, line: Line) -> None:
        """Join the two directions as this side sees them."""
        self._out = out
        self._into = into
        self._line = line

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `StreamEnded`."""
        await self._out.send(data)

    async def finish(self) -> None:
        """Say that nothing more will be sent. Raises `StreamEnded`."""
        self._out.finish()

    async def receive(self, max_bytes: int) -> bytes:
        """Return 1 to `max_bytes` bytes, or `b""` at the end. Raises `StreamEnded`."""
        assert max_bytes > 0, max_bytes
        return await self._into.receive(max_bytes)

    async def unwanted(self) -> None:
        """Return once the other side takes nothing more."""
        await self._out.broken()

    async def ignore(self) -> None:
        """Take nothing more from the other side."""
        self._into.break_("nothing more is taken")

    async def reset(self) -> None:
        """Give both directions up; the other side learns it when the news has travelled."""
        self._into.break_("the receiver gave it up")
        self._line.carry(lambda: self._out.break_("the sender gave it up"))

    def lose(self, why: str) -> None:
        """End both directions: the connection is gone."""
        self._out.break_(why)
        self._into.break_(why)

    @property
    def over(self) -> bool:
        """Whether neither direction has anything left."""
        return self._out.over and self._into.over

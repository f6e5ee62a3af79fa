"""The transport of tests and simulations: the same promises in memory, with faults on request.

Everything between two keys passes through one `_Way`, where it can be delayed, lost (which on a
reliable stream shows as delay) and cut. With a virtual clock and a seed a run repeats itself.
Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from itertools import count

from nodeimpl.kernel.clock import Clock, RealClock
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.transport import (
    ConnectionEnded,
    DialFailed,
    LinkFigures,
    StreamEnded,
    TransportLimits,
)
from opkit.proof.keys import Identity
from opkit.wire.base import Did

WINDOW_BYTES_MAX = 2**20
"""How much one stream holds unread before its sender waits."""

RESEND_MS = 200
"""How long a lost message takes to be noticed and sent again."""

PROBE_BYTES = 64


class _Way:
    """All traffic between two keys: how late it is, how much is lost, whether it is cut."""

    def __init__(self, *, clock: Clock, chance: random.Random) -> None:
        self.delay_ms = 0
        self.loss_percent = 0
        self._clock = clock
        self._chance = chance
        self._open = asyncio.Event()
        self._open.set()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    @property
    def clear(self) -> bool:
        """Whether a message passes at once."""
        return self._open.is_set() and not self.delay_ms and not self.loss_percent

    def due_ms(self) -> int:
        """Return when a message sent now arrives, losses included."""
        late = self.delay_ms
        while self.loss_percent and self._chance.randrange(100) < self.loss_percent:
            late += RESEND_MS
        return self._clock.now_ms() + late

    async def pass_at(self, due_ms: int) -> None:
        """Wait until a message that is due at `due_ms` has come through."""
        if (left_ms := due_ms - self._clock.now_ms()) > 0:
            await self._clock.sleep(left_ms)
        await self._open.wait()


class _Line:
    """One direction of one connection: messages arrive in the order in which they were sent."""

    def __init__(self, way: _Way) -> None:
        self.sent_bytes = 0
        self.received_bytes = 0
        self._way = way
        self._under_way: deque[tuple[int, int, Callable[[], None]]] = deque()
        self._carrying: asyncio.Task[None] | None = None
        self._dead = False

    def carry(self, arrive: Callable[[], None], *, size: int = 1) -> None:
        """Run `arrive` on the other side once `size` bytes have come through."""
        if self._dead:
            return
        self.sent_bytes += size
        if self._way.clear and not self._under_way:
            self.received_bytes += size
            arrive()
            return
        self._under_way.append((self._way.due_ms(), size, arrive))
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


class _Half:
    """One direction of one stream: a bounded buffer with an end, or a reason why it broke."""

    def __init__(self, line: _Line, *, over: Callable[[], None]) -> None:
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
        while not self._broken:
            self._changed.clear()
            await self._changed.wait()

    async def receive(self, max_bytes: int) -> bytes:
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

    def __init__(self, *, out: _Half, into: _Half, line: _Line) -> None:
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


class MemoryConnection:
    """One side of a connection."""

    def __init__(
        self, *, peer: Did, dialled: bool, way: _Way, limits: TransportLimits, out: _Line
    ) -> None:
        """Make one side; `join` gives it the other."""
        self.peer = peer
        self.dialled = dialled
        self.out = out
        self._way = way
        self._limits = limits
        self._other: MemoryConnection | None = None
        self._opened: set[MemoryStream] = set()
        self._taken: set[MemoryStream] = set()
        self._freed = asyncio.Event()
        self._offered: asyncio.Queue[MemoryStream | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._why = ""

    def join(self, other: MemoryConnection) -> None:
        """Make `other` the far side."""
        self._other = other

    @property
    def _far(self) -> MemoryConnection:
        assert self._other is not None, "a connection has two sides"
        return self._other

    async def open_stream(self) -> MemoryStream:
        """Open a stream, waiting while the peer allows no more. Raises `ConnectionEnded`."""
        streams_max = self._far._limits.streams_per_peer_max  # noqa: SLF001 - the other side of this
        while not self._ended.is_set() and _unfinished(self._opened) >= streams_max:
            self._freed.clear()
            await self._freed.wait()
        if self._ended.is_set():
            raise ConnectionEnded(self._why)
        there = _Half(self.out, over=self._freed.set)
        back = _Half(self._far.out, over=self._freed.set)
        mine = MemoryStream(out=there, into=back, line=self.out)
        theirs = MemoryStream(out=back, into=there, line=self._far.out)
        self._opened.add(mine)
        self.out.carry(lambda: self._far.offer(theirs))
        return mine

    def offer(self, stream: MemoryStream) -> None:
        """Take note of a stream that the far side opened."""
        if not self._ended.is_set():
            self._offered.put_nowait(stream)

    async def accept_stream(self) -> MemoryStream:
        """Return the next stream the peer opened. Raises `ConnectionEnded`."""
        stream = await self._offered.get() if not self._ended.is_set() else None
        if stream is None:
            self._offered.put_nowait(None)
            raise ConnectionEnded(self._why)
        _unfinished(self._taken)
        self._taken.add(stream)
        return stream

    def figures(self) -> LinkFigures:
        """Return what went through this connection."""
        return LinkFigures(
            round_trip_us=2000 * self._way.delay_ms,
            sent_bytes=self.out.sent_bytes,
            received_bytes=self._far.out.received_bytes,
        )

    def probe(self) -> None:
        """Send something that the far side acknowledges by itself."""
        if not self._ended.is_set():
            self.out.carry(self._far.acknowledge, size=PROBE_BYTES)

    def acknowledge(self) -> None:
        """Answer a probe."""
        self.out.carry(lambda: None, size=PROBE_BYTES)

    async def close(self, why: str) -> None:
        """End this side now, and the far side when the news has travelled."""
        if self._ended.is_set():
            return
        self.lose(f"closed here: {why}")
        self.out.carry(lambda: self._far.lose(f"closed by the peer: {why}"))

    def lose(self, why: str) -> None:
        """End this side."""
        if self._ended.is_set():
            return
        self._why = why
        self._ended.set()
        for stream in self._opened | self._taken:
            stream.lose(why)
        self._freed.set()
        while not self._offered.empty():
            offered = self._offered.get_nowait()
            if offered is not None:
                offered.lose(why)
        self._offered.put_nowait(None)

    def die(self) -> None:
        """Fall silent in both directions, as when this side's process is killed."""
        self._why = "killed"
        self._ended.set()
        self.out.stop()
        self._far.out.stop()

    async def ended(self) -> str:
        """Return once the connection is gone, with the reason."""
        await self._ended.wait()
        return self._why


def _unfinished(streams: set[MemoryStream]) -> int:
    """Forget the streams that are over, and return how many are not."""
    streams.difference_update([stream for stream in streams if stream.over])
    return len(streams)


class MemoryTransport:
    """One key's end in a `MemoryNetwork`."""

    def __init__(self, *, network: MemoryNetwork, identity: Identity, address: str) -> None:
        """Prepare; nobody can dial it before `start`."""
        self.did = identity.did
        self._network = network
        self._address = address
        self._started = False
        self._connections: set[MemoryConnection] = set()
        self._arrived: asyncio.Queue[MemoryConnection | None] = asyncio.Queue()

    async def start(self) -> None:
        """Begin to accept; once."""
        assert not self._started, "a transport starts once"
        self._started = True
        self._network.listening[self._address] = self

    def addresses(self) -> tuple[str, ...]:
        """Return the one address; empty before `start`."""
        return (self._address,) if self._started else ()

    async def dial(
        self, did: Did, *, addresses: tuple[str, ...], deadline_ms: int
    ) -> MemoryConnection:
        """Connect to the holder of `did`. Raises `DialFailed`."""
        assert self._started, "a transport dials after its start"
        return await self._network.connect(
            self, did=did, addresses=addresses, deadline_ms=deadline_ms
        )

    def arrive(self, connection: MemoryConnection) -> None:
        """Take note of a connection that another transport dialled."""
        self.keep(connection)
        self._arrived.put_nowait(connection)

    def keep(self, connection: MemoryConnection) -> None:
        """Remember a connection, to end it with the transport."""
        self._connections.add(connection)

    def waiting(self) -> int:
        """Return how many connections nobody has taken yet."""
        return self._arrived.qsize()

    async def accept(self) -> MemoryConnection:
        """Return the next connection. Raises `ConnectionEnded`."""
        connection = await self._arrived.get()
        if connection is None:
            self._arrived.put_nowait(None)
            raise ConnectionEnded("the transport was closed")
        return connection

    async def close(self) -> None:
        """End all connections, telling the peers, and stop accepting."""
        for connection in self._connections:
            await connection.close("the transport was closed")
        self._vanish()

    def die(self) -> None:
        """End without telling anyone, as a killed process does."""
        for connection in self._connections:
            connection.die()
        self._vanish()

    def _vanish(self) -> None:
        self._connections.clear()
        self._network.listening.pop(self._address, None)
        self._arrived.put_nowait(None)


class MemoryNetwork:
    """Any number of transports in one event loop, and the faults between them."""

    def __init__(
        self, *, clock: Clock | None = None, seed: int = 0, limits: TransportLimits | None = None
    ) -> None:
        """Begin without transports and without faults.

        Args:
            clock: whose time delays take; the machine's unless told otherwise.
            seed: fixes which messages are lost.
            limits: what each transport takes from others.
        """
        self.listening: dict[str, MemoryTransport] = {}
        self._clock = clock or RealClock()
        self._chance = random.Random(seed)  # noqa: S311 - repeatable faults, not secrets
        self._limits = limits or TransportLimits()
        self._ways: dict[frozenset[Did], _Way] = {}
        self._numbers = count(1)

    def transport(self, identity: Identity) -> MemoryTransport:
        """Return a new transport for `identity`, with an address of its own."""
        return MemoryTransport(
            network=self, identity=identity, address=f"memory:{next(self._numbers)}"
        )

    def cut(self, a: Did, b: Did) -> None:
        """Let nothing pass between two keys until `heal`."""
        self._way(a, b).cut()

    def heal(self, a: Did, b: Did) -> None:
        """Let what waits pass again."""
        self._way(a, b).heal()

    def delay(self, a: Did, b: Did, *, ms: int) -> None:
        """Let every message between two keys take `ms`."""
        self._way(a, b).delay_ms = ms

    def lossy(self, a: Did, b: Did, *, percent: int) -> None:
        """Lose `percent` of the messages once or more before they arrive."""
        assert 0 <= percent < 100, percent
        self._way(a, b).loss_percent = percent

    def _way(self, a: Did, b: Did) -> _Way:
        return self._ways.setdefault(
            frozenset((a, b)), _Way(clock=self._clock, chance=self._chance)
        )

    async def connect(
        self, dialler: MemoryTransport, *, did: Did, addresses: tuple[str, ...], deadline_ms: int
    ) -> MemoryConnection:
        """Join two transports, as `Transport.dial` promises. Raises `DialFailed`."""
        found = next((self.listening[a] for a in addresses if a in self.listening), None)
        if found is None:
            raise DialFailed("nobody listens there")
        way = self._way(dialler.did, found.did)
        if not way.clear:
            try:
                async with deadline(self._clock, deadline_ms):
                    await way.pass_at(way.due_ms())
                    await way.pass_at(way.due_ms())
            except TimeoutError as late:
                raise DialFailed(f"no answer within {deadline_ms} ms") from late
        if found.did != did:
            raise DialFailed("whoever answers holds another key")
        if found.waiting() >= self._limits.waiting_max:
            raise DialFailed("too many connections are waiting there")
        near = self._side(peer=found.did, dialled=True, way=way)
        far = self._side(peer=dialler.did, dialled=False, way=way)
        near.join(far)
        far.join(near)
        dialler.keep(near)
        found.arrive(far)
        return near

    def _side(self, *, peer: Did, dialled: bool, way: _Way) -> MemoryConnection:
        return MemoryConnection(
            peer=peer, dialled=dialled, way=way, limits=self._limits, out=_Line(way)
        )

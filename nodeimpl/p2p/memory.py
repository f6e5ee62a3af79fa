"""The transport of tests and simulations: the same promises in memory, with faults on request.

Everything between two keys passes through one `Way`, where it can be delayed, lost (which on a
reliable stream shows as delay) and cut. With a virtual clock and a seed a run repeats itself.
Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
import random
from itertools import count

from nodeimpl.kernel.clock import Clock, RealClock
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.memory_ways import Half, Line, MemoryStream, Way
from nodeimpl.p2p.transport import (
    ConnectionEnded,
    DialFailed,
    LinkFigures,
    TransportLimits,
)
from opkit.proof.keys import Identity
from opkit.wire.base import Did

PROBE_BYTES = 64


class MemoryConnection:
    """One side of a connection."""

    def __init__(
        self, *, peer: Did, dialled: bool, way: Way, limits: TransportLimits, out: Line
    ) -> None:
        """Make one side; `join` gives it the other."""
        self.peer = peer
        self.dialled = dialled
        self.out = out
        self.streams_max = limits.streams_per_peer_max
        self._way = way
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
        while not self._ended.is_set() and _unfinished(self._opened) >= self._far.streams_max:
            self._freed.clear()
            await self._freed.wait()
        if self._ended.is_set():
            raise ConnectionEnded(self._why)
        there = Half(self.out, over=self._freed.set)
        back = Half(self._far.out, over=self._freed.set)
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
            sent_packets=self.out.sent_packets,
            lost_packets=self.out.lost_packets,
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

    def place_of(self, address: str) -> str | None:
        """Bound nobody by place: there is none."""
        del address
        return None

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
        self._ways: dict[frozenset[Did], Way] = {}
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

    def _way(self, a: Did, b: Did) -> Way:
        return self._ways.setdefault(frozenset((a, b)), Way(clock=self._clock, chance=self._chance))

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

    def _side(self, *, peer: Did, dialled: bool, way: Way) -> MemoryConnection:
        return MemoryConnection(
            peer=peer, dialled=dialled, way=way, limits=self._limits, out=Line(way)
        )

"""Ends over which frames come twice or in another order: what QUIC never does, a program may.

They wrap any transport, in memory or real. What is done is done to whole frames: a question is
asked a second time, a cast is sent again or after the next one. Bytes within a frame stay whole.
"""

from __future__ import annotations

import random
from collections import Counter

from nodeimpl.p2p.frames import LENGTH_BYTES
from nodeimpl.p2p.transport import Connection, LinkFigures, Stream, Transport
from opkit.wire.base import Did
from opkit.wire.peer import OPEN_CASTS

CAST_OPENING = f'"method":"{OPEN_CASTS.name}"'.encode()
HELD_MAX = 4
"""How many frames of a stream are kept back at most."""


class UnrulyTransport:
    """An end whose frames are doubled and shuffled.

    Attributes:
        counts: how many frames were doubled, and how many overtaken.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        chance: random.Random,
        doubled: float = 0.0,
        overtaken: float = 0.0,
    ) -> None:
        """Spoil what goes out of `transport`.

        Args:
            chance: decides, by its seed.
            doubled: the share of frames that are sent twice.
            overtaken: the share of casts that later ones overtake.
        """
        self.did = transport.did
        self.counts: Counter[str] = Counter()
        self.chance = chance
        self.doubled = doubled
        self.overtaken = overtaken
        self._transport = transport

    async def start(self) -> None:
        """Bind and begin to accept; once."""
        await self._transport.start()

    def addresses(self) -> tuple[str, ...]:
        """Return where others can dial it."""
        return self._transport.addresses()

    def place_of(self, address: str) -> str | None:
        """Return at what place an address is."""
        return self._transport.place_of(address)

    async def dial(self, did: Did, *, addresses: tuple[str, ...], deadline_ms: int) -> Connection:
        """Connect to the holder of `did`. Raises `DialFailed`."""
        made = await self._transport.dial(did, addresses=addresses, deadline_ms=deadline_ms)
        return UnrulyConnection(made, self)

    async def accept(self) -> Connection:
        """Return the next connection. Raises `ConnectionEnded`."""
        return UnrulyConnection(await self._transport.accept(), self)

    async def close(self) -> None:
        """End all connections."""
        await self._transport.close()


class UnrulyConnection:
    """A connection whose frames are doubled and shuffled."""

    def __init__(self, connection: Connection, unruly: UnrulyTransport) -> None:
        """Spoil what goes out on `connection`."""
        self.peer = connection.peer
        self.dialled = connection.dialled
        self._connection = connection
        self._unruly = unruly

    async def open_stream(self) -> Stream:
        """Open a stream; what is asked on it may be asked on another one too."""
        return UnrulyStream(await self._connection.open_stream(), self._connection, self._unruly)

    async def accept_stream(self) -> Stream:
        """Return the next stream that the peer opened; answers are left as they are."""
        return await self._connection.accept_stream()

    def figures(self) -> LinkFigures:
        """Return what the transport measured."""
        return self._connection.figures()

    def probe(self) -> None:
        """Send something small."""
        self._connection.probe()

    async def close(self, why: str) -> None:
        """End the connection."""
        await self._connection.close(why)

    async def ended(self) -> str:
        """Return once it is gone, with the reason."""
        return await self._connection.ended()


class UnrulyStream:
    """A stream that was opened here: its first frame is a question, others are casts."""

    def __init__(self, stream: Stream, connection: Connection, unruly: UnrulyTransport) -> None:
        """Spoil what is sent on `stream`."""
        self._stream = stream
        self._connection = connection
        self._unruly = unruly
        self._asked = False
        self._held: list[bytes] = []

    async def send(self, data: bytes) -> None:
        """Send frames, some of them twice or later. Raises `StreamEnded`."""
        if self._asked:
            await self._stream.send(b"".join(self._shuffled(split(data))))
            return
        self._asked = True
        await self._stream.send(data)
        if CAST_OPENING not in data and self._unruly.chance.random() < self._unruly.doubled:
            self._unruly.counts["doubled"] += 1
            again = await self._connection.open_stream()
            await again.send(data)
            await again.finish()
            await again.ignore()

    def _shuffled(self, arrived: list[bytes]) -> list[bytes]:
        """Return what is sent now of these casts and of those kept back."""
        unruly = self._unruly
        sent: list[bytes] = []
        for frame in arrived:
            if len(self._held) < HELD_MAX and unruly.chance.random() < unruly.overtaken:
                unruly.counts["overtaken"] += 1
                self._held.append(frame)
                continue
            sent.append(frame)
            if unruly.chance.random() < unruly.doubled:
                unruly.counts["doubled"] += 1
                sent.append(frame)
            sent += self._held
            self._held.clear()
        return sent

    async def finish(self) -> None:
        """Say that nothing more will be sent. Raises `StreamEnded`."""
        await self._stream.finish()

    async def receive(self, max_bytes: int) -> bytes:
        """Return what comes back. Raises `StreamEnded`."""
        return await self._stream.receive(max_bytes)

    async def unwanted(self) -> None:
        """Return once the other side takes nothing more."""
        await self._stream.unwanted()

    async def ignore(self) -> None:
        """Take nothing more from the other side."""
        await self._stream.ignore()

    async def reset(self) -> None:
        """Give the stream up."""
        await self._stream.reset()


def split(data: bytes) -> list[bytes]:
    """Return the whole frames that some bytes are."""
    found: list[bytes] = []
    while data:
        size = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
        assert len(data) >= size, "whoever casts sends whole frames"
        found.append(data[:size])
        data = data[size:]
    return found

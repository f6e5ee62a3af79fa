"""What hostile peers are made of: where they work, and lines on which they say any bytes.

Each kind of misbehaviour is a small function; this is what they share. Nothing of it is in the
node, and it exists on devnets only (`devnet/hostile.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from devnet.doors import Doors, LoopbackDoors
from nodeimpl.kernel.clock import Clock
from nodeimpl.p2p import frames
from nodeimpl.p2p.frames import FrameReader
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import (
    Connection,
    DialFailed,
    Stream,
    Transport,
    TransportError,
)
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Did
from opkit.wire.errors import Unreachable
from opkit.wire.peer import HELLO, OPEN_CASTS, Hello, OpenCasts

CONNECT_MS_MAX = 10_000
ANSWER_MS_MAX = 10_000
AGAIN_MS = 250
"""How long a stranger that was sent away waits before it comes again."""


class HostilePeer(Protocol):
    """One misbehaving peer at work."""

    @property
    def kind(self) -> str:
        """How it misbehaves."""

    @property
    def did(self) -> Did:
        """Its key, or the first of its keys."""

    def stats(self) -> dict[str, int]:
        """Return what it was told, asked and sent so far."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where a hostile peer works.

    Attributes:
        identity: its key, which `transport` has.
        transport: not started yet; whoever works on it starts it and closes it at the end.
        make: makes an end for a further key, not started yet.
        targets: whom it connects to.
        about: the name that it is after, if its kind is after one.
        doors: where it is called over HTTP, and calls others.
    """

    kind: str
    identity: Identity
    transport: Transport
    make: Callable[[Identity], Transport]
    genesis: GenesisView
    targets: Sequence[PeerAddress]
    clock: Clock
    about: str = ""
    doors: Doors = field(default_factory=LoopbackDoors)


Conduct = Callable[[Scene], AbstractAsyncContextManager[HostilePeer]]
"""Works on a scene until the context ends."""


class Line:
    """A connection to a node by somebody who says bytes, whatever the protocol calls them.

    Attributes:
        tally: how often it was told what: codes of refusals, `ok`, and how streams ended.
    """

    def __init__(self, connection: Connection, *, clock: Clock, tally: Counter[str]) -> None:
        """Say whatever is to be said on `connection`."""
        self.connection = connection
        self.clock = clock
        self.tally = tally

    async def say(self, data: bytes, *, finish: bool = True) -> Stream:
        """Open a stream and send these bytes on it. Raises `TransportError`."""
        stream = await self.connection.open_stream()
        await stream.send(data)
        if finish:
            await stream.finish()
        return stream

    async def ask(self, data: bytes) -> str:
        """Send a frame and return what was said to it: the code of a refusal, or `ok`.

        Raises:
            TransportError: the stream or the connection ended before there was an answer.
        """
        stream = await self.say(data)
        async with asyncio.timeout(ANSWER_MS_MAX / 1000):
            said = await code_of(stream)
        self.tally[said] += 1
        return said

    async def casts(self) -> Stream:
        """Return a stream on which the node hears gossip. Raises `TransportError`."""
        stream = await self.say(
            frames.request(OPEN_CASTS.name, OpenCasts(kind="gossip")), finish=False
        )
        async with asyncio.timeout(ANSWER_MS_MAX / 1000):
            await code_of(stream)
        return stream


def framed(body: bytes) -> bytes:
    """Return any bytes as a frame, also longer ones than a frame may be."""
    return len(body).to_bytes(frames.LENGTH_BYTES, "big") + body


def asking(method: str, body: bytes) -> bytes:
    """Return the frame that asks a method with these bytes in the place of its body."""
    return framed(b'{"v":1,"method":"%b","body":%b}' % (method.encode(), body))


async def code_of(stream: Stream) -> str:
    """Return what the one frame of an answer says: the code of a refusal, or `ok`.

    Raises:
        StreamEnded: there was none.
    """
    reader = FrameReader(stream)
    frame: dict[str, Any] = json.loads(await reader.body(await reader.length()))
    return str(frame["problem"]["code"]) if "problem" in frame else "ok"


async def dialled(
    transport: Transport,
    target: PeerAddress,
    *,
    genesis: GenesisView,
    clock: Clock,
    tally: Counter[str],
) -> Line:
    """Return a line to a node that has welcomed it.

    Raises:
        Unreachable: nobody is there, or it welcomes nobody with this key.
    """
    hello = Hello(network=genesis.network, genesis=genesis.record_id, org=None, version="hostile")
    try:
        connection = await transport.dial(
            target.did, addresses=target.addresses, deadline_ms=CONNECT_MS_MAX
        )
        line = Line(connection, clock=clock, tally=tally)
        said = await line.ask(frames.request(HELLO.name, hello))
    except (DialFailed, TransportError, TimeoutError) as gone:
        raise Unreachable(where=target.did, why=str(gone) or "no welcome in time") from gone
    if said != "ok":
        raise Unreachable(where=target.did, why=said)
    return line


Attack = Callable[[Line], Awaitable[None]]
"""Misbehaves on one line until it ends. Raises `TransportError` then."""


class Stranger:
    """A key that is no node's, and what it does to each of its targets."""

    def __init__(self, scene: Scene) -> None:
        """Begin with nothing done."""
        self.kind = scene.kind
        self.did = scene.identity.did
        self.tally: Counter[str] = Counter()
        self._scene = scene

    def stats(self) -> dict[str, int]:
        """Return what it was told, and how often it was cut off."""
        return dict(self.tally)

    async def line_to(self, target: PeerAddress) -> Line:
        """Return a line to one of its targets. Raises `Unreachable`."""
        scene = self._scene
        line = await dialled(
            scene.transport, target, genesis=scene.genesis, clock=scene.clock, tally=self.tally
        )
        self.tally["connected"] += 1
        return line

    async def go_on(self, line: Line, target: PeerAddress, attack: Attack) -> None:
        """Attack, and come again whenever it was sent away."""
        clock = self._scene.clock
        while True:
            began_s = clock.monotonic()
            try:
                await attack(line)
            except (TransportError, TimeoutError):
                self.tally["cut off"] += 1
                lasted_ms = round(1_000 * (clock.monotonic() - began_s))
                self.tally.setdefault("cut off after ms", lasted_ms)
            await line.connection.close("again")
            line = await self._again(target)

    async def _again(self, target: PeerAddress) -> Line:
        while True:
            await self._scene.clock.sleep(AGAIN_MS)
            try:
                return await self.line_to(target)
            except Unreachable:
                self.tally["not let in"] += 1


@asynccontextmanager
async def on_transport(end: Transport) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Start a transport; at the end cancel the tasks that were added, and close it."""
    running: list[asyncio.Task[None]] = []
    await end.start()
    try:
        yield running
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await end.close()


def strangers(attack: Callable[[Scene, Counter[str]], Attack]) -> Conduct:
    """Return a conduct: a stranger that attacks each target on a line of its own.

    Args:
        attack: makes the attack, given where, and where to count.
    """

    @asynccontextmanager
    async def conduct(scene: Scene) -> AsyncIterator[Stranger]:
        stranger = Stranger(scene)
        async with on_transport(scene.transport) as running:
            for target in scene.targets:
                line = await stranger.line_to(target)
                doing = stranger.go_on(line, target, attack(scene, stranger.tally))
                running.append(asyncio.create_task(doing))
            yield stranger

    return conduct

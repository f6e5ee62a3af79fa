"""Strangers that use connections against whoever takes them: floods, and silence in any place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from devnet.hostile_base import (
    CONNECT_MS_MAX,
    Attack,
    Conduct,
    HostilePeer,
    Line,
    Scene,
    Stranger,
    asking,
    framed,
    on_transport,
    strangers,
)
from devnet.hostile_messages import Scribe, carried, gossiped
from nodeimpl.p2p import frames
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Connection, Stream, StreamEnded, TransportError
from opkit.proof.keys import Identity
from opkit.wire.dht import FIND, PUT
from opkit.wire.peer import CastsTaken

FLOOD_PER_SECOND = 2_000
FLOOD_EVERY_MS = 10
EACH_TIME = FLOOD_PER_SECOND * FLOOD_EVERY_MS // 1_000
FRESH_KEYS = 10_000
FRESH_EVERY_MS = 2
HALVES = 500
"""How many streams a stranger keeps half a frame on."""

HALF = framed(bytes(16_384))[:8_192]
UNREAD = 500
"""How many answers a stranger leaves unread."""

OPEN = 100
"""How many connections a stranger keeps on which it never says who it is."""

LOOK_MS = 50


def forger(scribe: Scribe) -> Callable[[], bytes]:
    """Return what makes notes whose signatures do not hold, others each time, as cheaply as can be.

    A node cannot see without verifying that they do not.
    """
    signature = scribe.note().rpartition(".")[2]
    return lambda: carried(f"{scribe.note().rpartition('.')[0]}.{signature}")


async def _paced(
    scene: Scene, send: Callable[[], Awaitable[None]], *, every_ms: int = FLOOD_EVERY_MS
) -> None:
    """Send for ever, at even distances; what was late is caught up."""
    due_s = scene.clock.monotonic()
    while True:
        await send()
        due_s += every_ms / 1_000
        await scene.clock.sleep(max(0, round(1_000 * (due_s - scene.clock.monotonic()))))


def flood(scene: Scene, tally: Counter[str]) -> Attack:
    """Gossip 2,000 forged messages a second."""
    make = forger(Scribe(scene.identity, network=scene.genesis.network, clock=scene.clock))

    async def attack(line: Line) -> None:
        stream = await line.casts()

        async def send() -> None:
            await stream.send(gossiped([make() for _ in range(EACH_TIME)]))
            tally["sent"] += EACH_TIME

        await _paced(scene, send)

    return attack


def fresh_keys(scene: Scene, tally: Counter[str]) -> Attack:
    """Gossip 500 valid records a second, each by a key of its own, up to 10,000."""
    made = [_note_of_fresh_key(scene) for _ in range(FRESH_KEYS)]

    async def attack(line: Line) -> None:
        stream = await line.casts()

        async def send() -> None:
            if made:
                await stream.send(gossiped([made.pop()]))
                tally["sent"] += 1

        await _paced(scene, send, every_ms=FRESH_EVERY_MS)

    return attack


def _note_of_fresh_key(scene: Scene) -> bytes:
    network = scene.genesis.network
    scribe = Scribe(Identity.generate(), network=network, clock=scene.clock)
    return carried(scribe.note())


def flood_puts(scene: Scene, tally: Counter[str]) -> Attack:
    """Have 2,000 forged messages put into the hash table a second, whatever is answered."""
    make = forger(Scribe(scene.identity, network=scene.genesis.network, clock=scene.clock))

    async def attack(line: Line) -> None:
        async def send() -> None:
            for _ in range(EACH_TIME):
                stream = await line.say(asking(PUT.name, b'{"record":%b}' % make()))
                await stream.ignore()
                tally["sent"] += 1

        await _paced(scene, send)

    return attack


def half_frames(scene: Scene, tally: Counter[str]) -> Attack:
    """Keep half a frame on many streams, and say nothing more."""

    async def attack(line: Line) -> None:
        async with asyncio.TaskGroup() as halves:
            for _ in range(HALVES):
                halves.create_task(half(line))

    async def half(line: Line) -> None:
        while True:
            stream = await line.say(HALF, finish=False)
            tally["halves"] += 1
            try:
                while await stream.receive(1_024):
                    tally["told"] += 1
            except StreamEnded:
                tally["reset"] += 1
            await scene.clock.sleep(LOOK_MS)

    return attack


def unread(_scene: Scene, tally: Counter[str]) -> Attack:
    """Ask and be told, and read nothing of it."""

    async def attack(line: Line) -> None:
        question = asking(FIND.name, b'{"target":"%b"}' % (b"0" * 64))
        streams = [await line.say(question) for _ in range(UNREAD)]
        tally["sent"] += len(streams)
        stream = await line.casts()
        await stream.send(framed(b'{"subscribe":["records"],"graft":["records"]}'))
        while True:
            streams.append(await hear_out(line.connection, tally))

    return attack


async def hear_out(connection: Connection, tally: Counter[str]) -> Stream:
    """Take the next question of the node; say to casts that they are read, and never read one."""
    stream = await connection.accept_stream()
    reader = frames.FrameReader(stream)
    asked = frames.read_request(await reader.body(await reader.length()))
    if asked.method == "peer.cast":
        await stream.send(frames.answer(CastsTaken()))
        tally["casts not read"] += 1
    return stream


@asynccontextmanager
async def half_open(scene: Scene) -> AsyncIterator[HostilePeer]:
    """Keep many connections on which it never says who it is."""
    stranger = Stranger(scene)
    tally = stranger.tally

    async def keep(target: PeerAddress) -> None:
        while True:
            try:
                connection = await scene.transport.dial(
                    target.did, addresses=target.addresses, deadline_ms=CONNECT_MS_MAX
                )
                tally["connected"] += 1
                await connection.ended()
                tally["cut off"] += 1
            except TransportError:
                tally["not let in"] += 1
            await scene.clock.sleep(LOOK_MS)

    async with on_transport(scene.transport) as running:
        for target in scene.targets:
            running.extend(asyncio.create_task(keep(target)) for _ in range(OPEN))
        yield stranger


CONDUCTS: Mapping[str, Conduct] = {
    "flood": strangers(flood),
    "flood-puts": strangers(flood_puts),
    "fresh-keys": strangers(fresh_keys),
    "half-frames": strangers(half_frames),
    "unread": strangers(unread),
    "half-open": half_open,
}
"""Each kind of stranger here, and what it does."""

"""Providers that lie: each says that it keeps every blob, and then serves what its kind serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from devnet.hostile_base import CONNECT_MS_MAX, Conduct, HostilePeer, Scene, on_transport
from nodeimpl.p2p.handlers import Streamed
from nodeimpl.p2p.peers import Peers
from opkit.wire.base import Cid, Did
from opkit.wire.errors import CoopError
from opkit.wire.events import Event
from opkit.wire.peer import FETCH_BLOB, HAVE_BLOB, BlobHeader, BlobOffer, FetchBlob, HaveBlob

PIECE = bytes(65_536)
GUESSED_BYTES = 65_536
"""The size it claims when nobody honest can be asked for it."""

Pieces = Callable[[int], AsyncIterator[bytes]]


async def _tampered(size: int) -> AsyncIterator[bytes]:
    """Send the announced number of bytes, but other ones."""
    for start in range(0, size, len(PIECE)):
        yield PIECE[: size - start]


async def _short(size: int) -> AsyncIterator[bytes]:
    """Send half of what was announced, and say that this is all."""
    async for piece in _tampered(size // 2):
        yield piece


async def _endless(size: int) -> AsyncIterator[bytes]:
    """Send for ever."""
    assert size >= 0, size
    while True:
        yield PIECE


async def _silent(size: int) -> AsyncIterator[bytes]:
    """Send nothing, and say nothing."""
    assert size >= 0, size
    await asyncio.get_running_loop().create_future()
    yield b""


PIECES: Mapping[str, Pieces] = {
    "tampering-provider": _tampered,
    "short-provider": _short,
    "endless-provider": _endless,
    "silent": _silent,
}
"""How each kind answers whoever fetches a blob from it."""


class Provider:
    """One misbehaving peer at work."""

    def __init__(self, kind: str, *, pieces: Pieces, peers: Peers) -> None:
        """Answer fetches with `pieces`, among `peers`."""
        self.kind = kind
        self.did = peers.did
        self._pieces = pieces
        self._peers = peers
        self._counts: Counter[str] = Counter()

    def stats(self) -> dict[str, int]:
        """Return what it was asked, and what it sent."""
        return {
            "connected": len(self._peers.connected()),
            "asked": self._counts["asked"],
            "fetched": self._counts["fetched"],
            "sent_bytes": self._counts["sent_bytes"],
        }

    async def claim(self, peer: Did, ask: HaveBlob) -> BlobOffer:
        """Say to keep any blob, with the size that an honest peer tells, to be believable."""
        self._counts["asked"] += 1
        return BlobOffer(size_bytes=await self._size(ask.cid, asker=peer))

    async def serve(self, peer: Did, ask: FetchBlob) -> Streamed[BlobHeader]:
        """Announce a believable size, and send what this kind sends."""
        self._counts["fetched"] += 1
        size = min(await self._size(ask.cid, asker=peer), ask.size_bytes_max)
        return Streamed(BlobHeader(size_bytes=size), self._counted(self._pieces(size)))

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self._counts["sent_bytes"] += len(piece)
            yield piece

    async def _size(self, cid: Cid, *, asker: Did) -> int:
        """Return how large the blob is, as the first honest peer that keeps it says."""
        for peer in self._peers.connected():
            if peer == asker:
                continue
            try:
                size = await self._peers.have_blob(peer, cid)
            except CoopError:
                # Whoever does not answer cannot help to lie well.
                self._counts["unanswered"] += 1
                continue
            if size is not None:
                return size
        return GUESSED_BYTES


def provider(kind: str) -> Conduct:
    """Return a conduct: a provider of this kind, connected with every target."""

    @asynccontextmanager
    async def conduct(scene: Scene) -> AsyncIterator[HostilePeer]:
        async with on_transport(scene.transport) as running:
            peers = Peers(
                transport=scene.transport,
                genesis=scene.genesis,
                org=None,
                version="hostile",
                clock=scene.clock,
                announce=forget,
                bootstrap=scene.targets,
            )
            hostile = Provider(kind, pieces=PIECES[kind], peers=peers)
            peers.serve(HAVE_BLOB, hostile.claim)
            peers.serve(FETCH_BLOB, hostile.serve)
            running.append(asyncio.create_task(peers.run()))
            for target in scene.targets:
                await peers.wait_connected(target.did, CONNECT_MS_MAX)
            yield hostile

    return conduct


def forget(_event: Event) -> Awaitable[None]:
    """Keep no journal."""
    return asyncio.sleep(0)

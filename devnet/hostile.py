"""Peers that misbehave on purpose, over the same transports as honest ones.

Each says that it keeps every blob it is asked about, and then does what its kind does. Nothing of
this is in the node; a node meets it as it would meet a stranger.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from devnet.spec import HOSTILE_KINDS
from nodeimpl.kernel.clock import Clock, RealClock
from nodeimpl.p2p.handlers import Streamed
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Cid, Did
from opkit.wire.errors import CoopError
from opkit.wire.events import Event
from opkit.wire.peer import FETCH_BLOB, HAVE_BLOB, BlobHeader, BlobOffer, FetchBlob, HaveBlob

CONNECT_MS_MAX = 10_000
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


KINDS: Mapping[str, Pieces] = {
    "tampering-provider": _tampered,
    "short-provider": _short,
    "endless-provider": _endless,
    "silent": _silent,
}
"""How each kind answers whoever fetches a blob from it."""
assert tuple(KINDS) == HOSTILE_KINDS, "the kinds that can be asked for are those there are"


class HostilePeer:
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


@asynccontextmanager
async def hostile_peer(
    kind: str,
    *,
    transport: Transport,
    genesis: GenesisView,
    targets: Sequence[PeerAddress],
    clock: Clock | None = None,
) -> AsyncIterator[HostilePeer]:
    """Run a hostile peer, connected to every target, until the context ends.

    Args:
        kind: one of `KINDS`.
        transport: not started yet; started here and closed at the end.
        targets: whom it connects to.
        clock: the machine's unless given.

    Raises:
        ValueError: genesis calls the network no devnet: this is for networks made to be broken.
        KeyError: there is no such kind.
        Unreachable: a target did not answer in time.
    """
    if not genesis.devnet:
        raise ValueError("hostile peers exist on devnets only")
    pieces = KINDS[kind]
    await transport.start()
    peers = Peers(
        transport=transport,
        genesis=genesis,
        org=None,
        version="hostile",
        clock=clock or RealClock(),
        announce=_forget,
        bootstrap=targets,
    )
    hostile = HostilePeer(kind, pieces=pieces, peers=peers)
    peers.serve(HAVE_BLOB, hostile.claim)
    peers.serve(FETCH_BLOB, hostile.serve)
    running = asyncio.create_task(peers.run())
    try:
        for target in targets:
            await peers.wait_connected(target.did, CONNECT_MS_MAX)
        yield hostile
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await transport.close()


def _forget(_event: Event) -> Awaitable[None]:
    """Keep no journal."""
    return asyncio.sleep(0)

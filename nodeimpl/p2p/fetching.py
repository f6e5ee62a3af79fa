"""Fetching a blob by its name from peers that nobody trusts.

Whoever says they have it is asked, the least used first; bytes are hashed while they arrive. Who
sends other bytes, fewer or more than announced, has lied: they are remembered and not asked again,
and the next one is. A lie costs at most one blob. If nobody provides and somebody could not be
heard, all are asked once more: on a bad link that is nobody's word.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

import structlog

from nodeimpl.kernel.blobs import BlobMismatch, BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.frames import PIECE_BYTES, FrameReader
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.transport import StreamEnded
from opkit.proof.cid import is_cid
from opkit.wire.base import Cid, CidText, Did
from opkit.wire.compute import BlobUnknown, Fetched, HashMalformed, StorageQuotaExceeded
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import Event
from opkit.wire.network import ProviderLied
from opkit.wire.peer import FETCH_BLOB

LIARS_MAX = 1024
"""How many liars are remembered; the longest known is forgotten first."""

COUNTED_MAX = 4096
"""For how many peers received bytes are counted; then all counts begin again."""

AGAIN_MS = 250
"""How long after the first time all are asked once more."""

Judge = Callable[[int], None]
"""Told how many bytes a provider announces, before they come: raises `StorageQuotaExceeded`."""

_log = structlog.get_logger("p2p")


def any_size(_size_bytes: int) -> None:
    """Take blobs of any size, on nobody's account."""


class BlobPeers(Protocol):
    """What fetching needs of the peers."""

    def newest_first(self) -> tuple[Did, ...]:
        """Return the connected peers, who came last first."""

    async def providers(self, cid: Cid) -> tuple[Did, ...]:
        """Return who is said in the network to keep a blob, and is connected by now."""

    async def have_blob(self, peer: Did, cid: Cid) -> int | None:
        """Return how many bytes of this name the peer says it keeps."""

    def open_blob(
        self, peer: Did, cid: Cid, *, size_max: int
    ) -> AbstractAsyncContextManager[tuple[int, FrameReader]]:
        """Ask a peer for bytes; gives their announced number and a reader of them."""


class Lied(Exception):
    """A provider sent other bytes than it was asked for; `received_bytes` is what it cost."""

    def __init__(self, why: str, *, received_bytes: int) -> None:
        """Say how it lied."""
        super().__init__(why)
        self.received_bytes = received_bytes


class Providers:
    """Who has a blob: those of whom the network says so, and of the connected peers the newest."""

    def __init__(self, peers: BlobPeers) -> None:
        """Ask `peers`."""
        self.peers = peers

    async def offers(
        self, cid: Cid, *, without: Iterable[Did], clock: Clock, limits: PeersLimits
    ) -> tuple[list[tuple[Did, int]], bool]:
        """Return who says to have it, newest first, once all answered or time is up.

        And whether somebody could not be heard.

        After the first offer the others have `offer_ms_max` left: one silent peer must not make
        a fetch wait.
        """
        lying = frozenset(without)
        newest = [did for did in self.peers.newest_first() if did not in lying]
        found: dict[Did, int] = {}
        unheard: set[Did] = set()
        first = asyncio.Event()

        async def ask(did: Did) -> None:
            try:
                size = await self.peers.have_blob(did, cid)
            except CoopError as no:
                _log.info("a peer did not say whether it has a blob", peer=did, why=str(no))
                if isinstance(no, Unreachable):
                    unheard.add(did)
                return
            if size is not None:
                found[did] = size
                first.set()

        async def ask_told() -> None:
            told = await self.peers.providers(cid)
            beside = [did for did in told if did not in lying and did not in asked]
            await asyncio.gather(*map(ask, beside))

        asked = newest[: limits.askable_max]
        asking = [asyncio.create_task(ask(did)) for did in asked]
        asking.append(asyncio.create_task(ask_told()))
        hurry = asyncio.create_task(_hurry(first, clock=clock, ms=limits.offer_ms_max))
        try:
            waited: set[asyncio.Future[Any]] = {asyncio.gather(*asking), hurry}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*asking, hurry):
                task.cancel()
            await asyncio.gather(*asking, hurry, return_exceptions=True)
        order = {did: place for place, did in enumerate(newest)}
        by_age = sorted(found, key=lambda did: order.get(did, 0))
        return [(did, found[did]) for did in by_age][: limits.providers_max], bool(unheard)


async def _hurry(first: asyncio.Event, *, clock: Clock, ms: int) -> None:
    await first.wait()
    await clock.sleep(ms)


@dataclass
class _Turn:
    """Those who want the same bytes at the same time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    fetched: Fetched | None = None


@dataclass(frozen=True)
class _Want:
    """What is to be fetched, how much of it is taken, and where it is kept."""

    cid: Cid
    _: KW_ONLY
    size_max: int
    blobs: BlobStore
    judge: Judge


class _Unheard(Exception):
    """Nobody gave it, and somebody could not be heard."""


class Fetching:
    """Fetches blobs, and remembers what providers did."""

    def __init__(
        self,
        *,
        providers: Providers,
        clock: Clock,
        limits: PeersLimits,
        announce: Callable[[Event], None],
        liars: Iterable[Did] = (),
    ) -> None:
        """Begin; `liars` were caught before."""
        self._providers = providers
        self._clock = clock
        self._limits = limits
        self._announce = announce
        self._liars: OrderedDict[Did, None] = OrderedDict.fromkeys(liars)
        self._received: Counter[Did] = Counter()
        self._turns: dict[Cid, _Turn] = {}

    def liars(self) -> tuple[Did, ...]:
        """Return who was caught lying, in order of DID."""
        return tuple(sorted(self._liars))

    async def fetch(
        self, cid: CidText, *, size_max: int, blobs: BlobStore, judge: Judge = any_size
    ) -> Fetched:
        """Fetch, check and keep.

        Who wants bytes that somebody else is fetching already waits, and gets the same answer.

        Refuses, in this order: HashMalformed, StorageQuotaExceeded (by `judge`, if nobody gives
        fewer bytes), BlobUnknown, StorageFull.
        """
        if not is_cid(cid):
            raise HashMalformed(value=cid)
        turn = self._turns.setdefault(cid, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                if turn.fetched is None or blobs.size(cid) is None:
                    want = _Want(cid, size_max=size_max, blobs=blobs, judge=judge)
                    turn.fetched = await self._fetch(want)
                else:
                    judge(turn.fetched.size_bytes)
                return turn.fetched
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[cid]

    async def _fetch(self, want: _Want) -> Fetched:
        """Ask all, and once more if somebody could not be heard and little time has passed."""
        began = self._clock.monotonic()
        try:
            try:
                did = await self._fetch_once(want)
            except _Unheard:
                if self._clock.monotonic() - began > 2 * self._limits.look_up_ms_max / 1000:
                    raise
                await self._clock.sleep(AGAIN_MS)
                did = await self._fetch_once(want)
        except _Unheard as silence:
            raise BlobUnknown(cid=want.cid) from silence
        took_us = round((self._clock.monotonic() - began) * 1_000_000)
        return Fetched(peer=did, size_bytes=want.blobs.size(want.cid) or 0, took_us=took_us)

    async def _fetch_once(self, want: _Want) -> Did:
        """Return who provided. Raises `_Unheard` if nobody did and somebody may have it."""
        cid, unfit = want.cid, None
        offers, unheard = await self._providers.offers(
            cid, without=self._liars, clock=self._clock, limits=self._limits
        )
        # Least used first, then newest: it spreads the load, and newcomers are tried soon.
        offers.sort(key=lambda offer: self._received[offer[0]])
        for did, size in offers:
            if size > want.size_max:
                continue
            try:
                await self._fetch_from(did, want)
            except Lied as lie:
                self._remember(did, cid, lie)
            except StorageQuotaExceeded as no:
                # One provider's word about a size is not believed: the next may announce less.
                unfit = no
            except CoopError as no:
                if not isinstance(no, Unreachable) and no.__class__ not in FETCH_BLOB.refuses:
                    raise
                _log.info("a provider did not provide", peer=did, cid=cid, why=str(no))
                unheard = unheard or isinstance(no, Unreachable)
            else:
                return did
        raise unfit or (_Unheard() if unheard else BlobUnknown(cid=cid))

    async def _fetch_from(self, did: Did, want: _Want) -> None:
        """Fetch from one peer; raises `Lied`, `Unreachable`, `StorageFull` or its refusal."""
        try:
            async with deadline(self._clock, FETCH_BLOB.deadline_ms), AsyncExitStack() as opened:
                async with deadline(self._clock, self._limits.piece_ms_max):
                    size, reader = await opened.enter_async_context(
                        self._providers.peers.open_blob(did, want.cid, size_max=want.size_max)
                    )
                if size > want.size_max:
                    raise Lied(f"it announced {size} bytes", received_bytes=0)
                want.judge(size)
                await self._receive(did, want.cid, size=size, reader=reader, blobs=want.blobs)
        except TimeoutError as late:
            raise Unreachable(where=did, why="it sent too slowly") from late

    async def _receive(
        self, did: Did, cid: Cid, *, size: int, reader: FrameReader, blobs: BlobStore
    ) -> None:
        writer = await blobs.open_writer(cid, size)
        received = 0
        try:
            while True:
                async with deadline(self._clock, self._limits.piece_ms_max):
                    piece = await reader.piece(PIECE_BYTES)
                if not piece:
                    break
                received += len(piece)
                self._count(did, len(piece))
                await writer.write(piece)
            await writer.commit()
        except BlobMismatch as lie:
            raise Lied(str(lie), received_bytes=received) from lie
        except StreamEnded as broken:
            raise Unreachable(where=did, why=broken.why) from broken
        finally:
            await writer.abort()

    def _count(self, did: Did, size_bytes: int) -> None:
        if did not in self._received and len(self._received) >= COUNTED_MAX:
            self._received.clear()
        self._received[did] += size_bytes

    def _remember(self, did: Did, cid: Cid, lie: Lied) -> None:
        self._liars[did] = None
        if len(self._liars) > LIARS_MAX:
            self._liars.popitem(last=False)
        _log.warning("a provider lied", peer=did, cid=cid, why=str(lie))
        self._announce(ProviderLied(peer=did, cid=cid, received_bytes=lie.received_bytes))

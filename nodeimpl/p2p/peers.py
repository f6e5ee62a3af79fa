"""The peers of a node: who is connected, what they are asked, and what they may ask.

Connections are kept, lost ones noticed by probes and made again. All that others can do here is
bounded per peer, and what goes wrong on one connection stays there. Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.p2p.blob_handlers import serve_blobs
from nodeimpl.p2p.casts import Hearing, Hearings
from nodeimpl.p2p.company import Company, Watcher
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.fetching import Fetching, Judge, Providers, any_size
from nodeimpl.p2p.frames import FrameReader
from nodeimpl.p2p.handlers import Handler, Handlers
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.session import Session
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Cid, CidText, Did, Slug, Wire
from opkit.wire.compute import Fetched
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import Event
from opkit.wire.network import PeerLink
from opkit.wire.peer import (
    FETCH_BLOB,
    HAVE_BLOB,
    FetchBlob,
    HaveBlob,
    Hello,
    PeerMethod,
)

EVENTS_WAITING_MAX = 1024
"""How many announcements may wait for the journal; more are only logged."""

_log = structlog.get_logger("p2p")


_Said = TypeVar("_Said", bound=Wire)


LookUp = Callable[[Cid], Awaitable[tuple[PeerAddress, ...]]]
"""Finds out who is said to keep a blob."""


class Peers:
    """All connections of one node. Handlers are given before `run`."""

    def __init__(
        self,
        *,
        transport: Transport,
        genesis: GenesisView,
        org: Slug | None,
        version: str,
        clock: Clock,
        announce: Callable[[Event], Awaitable[None]],
        bootstrap: Iterable[PeerAddress] = (),
        limits: PeersLimits | None = None,
        liars: Iterable[Did] = (),
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            transport: started by the caller, who also closes it after `run` has ended.
            announce: takes `PeerConnected`, `PeerLost` and `ProviderLied`, one after another.
            bootstrap: peers to stay connected with.
            liars: peers that once sent other bytes than asked for; no blob is fetched from them.
        """
        self.did = transport.did
        self._clock = clock
        self._announce = announce
        self._handlers = Handlers()
        self._hearings = Hearings()
        self._limits = limits = limits or PeersLimits()
        self._look_up: LookUp = _nowhere
        self._provide: Callable[[Cid, int], None] = _to_nobody
        self._company = Company(
            transport=transport,
            genesis=genesis,
            hello=Hello(
                network=genesis.network, genesis=genesis.record_id, org=org, version=version
            ),
            handlers=self._handlers,
            hearings=self._hearings,
            clock=clock,
            limits=limits,
            tell=self._tell,
            bootstrap=bootstrap,
        )
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._fetching = Fetching(
            providers=Providers(self),
            clock=clock,
            limits=limits,
            announce=self._tell,
            liars=liars,
        )

    def serve(self, method: PeerMethod[Ask, Answer], handler: Handler) -> None:
        """Let `handler(peer, ask)` answer `method`; it returns the answer or raises a refusal."""
        self._handlers.serve(method, handler)

    def hear(self, kind: str, of: type[_Said], heard: Callable[[Did, _Said], None]) -> None:
        """Let `heard(peer, said)` take the casts of a kind; it returns at once."""
        self._hearings.add(kind, Hearing(of, heard))

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody, at once, what becomes of links; one watcher a node."""
        self._company.watch(watcher)

    def serve_blobs(self, blobs: BlobStore) -> None:
        """Answer who asks for blobs from `blobs`."""
        serve_blobs(self._handlers, blobs)

    async def run(self) -> None:
        """Accept, dial, probe and announce until cancelled; then tell the peers goodbye."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce_all())
                self._company.begin(tasks)
        finally:
            self._company.current.clear()

    async def ask(
        self,
        peer: Did,
        method: PeerMethod[Ask, Answer],
        ask: Ask,
        *,
        deadline_ms: int | None = None,
    ) -> Answer:
        """Ask a connected peer one question.

        If its link ends beside another to the same peer, it is asked once more over that one: it
        may have been heard before, which changes nothing, for no question has more effect twice.

        Args:
            deadline_ms: the method's own unless given.

        Raises:
            Refusal: the peer said no; the leaf is one that the method declares.
            Unreachable: not connected, no answer in time, or the connection ended meanwhile.
            Fault: the peer is broken, or answers outside the protocol.
        """
        deadline_ms = method.deadline_ms if deadline_ms is None else deadline_ms
        began, session = self._clock.monotonic(), self._company.session(peer)
        try:
            return await session.ask(method, ask, deadline_ms=deadline_ms)
        except Unreachable as gone:
            other = self._company.beside(session)
            left_ms = deadline_ms - round(1_000 * (self._clock.monotonic() - began))
            if other is None or left_ms <= 0:
                raise
            _log.info("a question is asked once more", peer=peer, method=method.name, why=gone.why)
        return await other.ask(method, ask, deadline_ms=left_ms)

    async def reach(self, peer: PeerAddress, *, deadline_ms: int) -> None:
        """Return once `peer` is connected, dialling it if it is not.

        Where the operator said how a peer is dialled, nobody else's word about it counts.

        Raises:
            Unreachable: it is banned, or cannot be connected with in time.
        """
        await self._company.reach(peer, deadline_ms=deadline_ms)

    def cast(self, peer: Did, kind: str, frame: bytes) -> int | None:
        """Let a frame travel to a connected peer, in order, unless its link ends before.

        Returns:
            How many bytes wait for this link now; None if it was dropped, because the peer is not
            connected or too much waits.
        """
        session = self._company.current.get(peer)
        return None if session is None else session.cast(kind, frame)

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        """End the connection to a peer and take none of it for so long."""
        self._company.ban(peer, why=why, ms=ms)

    def banned(self) -> tuple[Did, ...]:
        """Return who is banned now, in order."""
        return self._company.banned()

    def connected(self) -> tuple[Did, ...]:
        """Return the connected peers, in order."""
        return tuple(sorted(self._company.current))

    def dialled(self, peer: Did) -> bool:
        """Return whether this node made the connection to a peer; False if there is none."""
        session = self._company.current.get(peer)
        return session is not None and session.connection.dialled

    def newest_first(self) -> tuple[Did, ...]:
        """Return the connected peers, who came last first."""
        return tuple(reversed(self._company.current))

    def links(self) -> tuple[PeerLink, ...]:
        """Return the connected peers with the transport's figures, in order."""
        current = self._company.current
        return tuple(_link(current[did]) for did in sorted(current))

    def find_blobs_by(self, look_up: LookUp, *, provide: Callable[[Cid, int], None]) -> None:
        """Let others in the network say who keeps a blob, and be told that this node does.

        Before, only connected peers are asked, and nobody is told.

        Args:
            look_up: finds out who is said to keep a blob.
            provide: says that this node keeps one of so many bytes.
        """
        self._look_up, self._provide = look_up, provide

    def provide(self, cid: Cid, size_bytes: int) -> None:
        """Say in the network that this node keeps a blob; it is found there from then on."""
        self._provide(cid, size_bytes)

    async def providers(self, cid: Cid) -> tuple[Did, ...]:
        """Return who is said in the network to keep a blob, and is connected by now."""
        ms = self._limits.look_up_ms_max
        try:
            async with deadline(self._clock, ms):
                told = await self._look_up(cid)
        except TimeoutError:
            _log.info("it was not found in time who keeps a blob", cid=cid)
            return ()
        await asyncio.gather(*(self._reach_if_there(peer) for peer in told))
        return tuple(peer.did for peer in told if peer.did in self._company.current)

    async def _reach_if_there(self, peer: PeerAddress) -> None:
        if peer.did == self.did:
            return
        try:
            await self.reach(peer, deadline_ms=self._limits.look_up_ms_max)
        except Unreachable as gone:
            _log.info("a provider is not there", peer=peer.did, why=gone.why)

    def liars(self) -> tuple[Did, ...]:
        """Return the peers from which no blob is fetched any more, in order."""
        return self._fetching.liars()

    async def wait_connected(self, did: Did, deadline_ms: int) -> None:
        """Return once `did` is connected.

        Raises:
            Unreachable: it did not happen in time.
        """
        await self._company.wait_connected(did, deadline_ms)

    async def fetch(
        self, cid: CidText, *, size_max: int, blobs: BlobStore, judge: Judge = any_size
    ) -> Fetched:
        """Fetch bytes by name from whoever has them, check them, and keep them in `blobs`.

        Args:
            judge: told how many bytes a provider announces, before they come.

        Raises:
            HashMalformed: not a content name.
            StorageQuotaExceeded: `judge` said so of what was announced, and nobody gave less.
            BlobUnknown: no connected peer gave at most `size_max` bytes of that name.
            StorageFull: `blobs` has no room.
        """
        fetched = await self._fetching.fetch(cid, size_max=size_max, blobs=blobs, judge=judge)
        self._provide(cid, fetched.size_bytes)
        return fetched

    async def have_blob(self, peer: Did, cid: Cid) -> int | None:
        """Return how many bytes of this name the peer says it keeps. Raises as `ask` does."""
        return (await self.ask(peer, HAVE_BLOB, HaveBlob(cid=cid))).size_bytes

    @asynccontextmanager
    async def open_blob(
        self, peer: Did, cid: Cid, *, size_max: int
    ) -> AsyncIterator[tuple[int, FrameReader]]:
        """Ask a peer for bytes; gives their announced number and a reader of what follows.

        The caller sets the deadline. Raises as `ask` does.
        """
        ask = FetchBlob(cid=cid, size_bytes_max=size_max)
        async with self._company.session(peer).exchange(FETCH_BLOB, ask) as (header, reader):
            yield header.size_bytes, reader

    def _tell(self, event: Event) -> None:
        _log.info("announced", event_type=event.type, **event.model_dump(mode="json"))
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            _log.error("an event is not journalled: too many wait", event_type=event.type)

    async def _announce_all(self) -> None:
        while True:
            event = await self._events.get()
            try:
                await self._announce(event)
            except CoopError as no:
                _log.error("an event is not journalled", event_type=event.type, why=str(no))


def _link(session: Session) -> PeerLink:
    figures = session.connection.figures()
    return PeerLink(
        did=session.peer,
        org=session.org,
        round_trip_us=figures.round_trip_us,
        sent_bytes=figures.sent_bytes,
        received_bytes=figures.received_bytes,
        since_ms=session.since_ms,
        sent_packets=figures.sent_packets,
        lost_packets=figures.lost_packets,
    )


async def _nowhere(_cid: Cid) -> tuple[PeerAddress, ...]:
    """Find nobody."""
    return ()


def _to_nobody(_cid: Cid, _size_bytes: int) -> None:
    """Tell nobody."""

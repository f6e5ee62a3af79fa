"""The peers of a node: who is connected, what they are asked, and what they may ask.

Connections are kept, lost ones noticed by probes and made again. All that others can do here is
bounded per peer, and what goes wrong on one connection stays there. Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ids import incident_id
from nodeimpl.p2p.blob_handlers import serve_blobs
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.dialling import Reach
from nodeimpl.p2p.fetching import Fetching, Judge, Providers, any_size
from nodeimpl.p2p.frames import FrameReader
from nodeimpl.p2p.handlers import Handler, Handlers
from nodeimpl.p2p.limits import Guards, PeersLimits
from nodeimpl.p2p.session import Session, Surroundings
from nodeimpl.p2p.transport import Connection, ConnectionEnded, Transport
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Cid, CidText, Did, Slug
from opkit.wire.compute import Fetched
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import Event
from opkit.wire.network import PeerConnected, PeerLink, PeerLost
from opkit.wire.peer import (
    FETCH_BLOB,
    HAVE_BLOB,
    FetchBlob,
    HaveBlob,
    Hello,
    PeerMethod,
    Welcome,
    WrongNetwork,
)

EVENTS_WAITING_MAX = 1024
"""How many announcements may wait for the journal; more are only logged."""

_log = structlog.get_logger("p2p")


@dataclass(frozen=True, kw_only=True)
class PeerAddress:
    """A peer to stay connected with, and where it can be dialled."""

    did: Did
    addresses: tuple[str, ...]


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
        self._transport = transport
        self._genesis = genesis
        self._hello = Hello(
            network=genesis.network, genesis=genesis.record_id, org=org, version=version
        )
        self._clock = clock
        self._limits = limits or PeersLimits()
        self._announce = announce
        self._bootstrap = tuple(peer for peer in bootstrap if peer.did != transport.did)
        self._handlers = Handlers()
        self._guards = Guards(clock=clock, limits=self._limits)
        self._around = Surroundings(
            network=genesis.network,
            handlers=self._handlers,
            clock=clock,
            limits=self._limits,
            greet=self._greet,
        )
        self._all: set[Session] = set()
        self._current: dict[Did, Session] = {}
        self._changed = asyncio.Event()
        self._events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._tasks: asyncio.TaskGroup | None = None
        self._fetching = Fetching(
            providers=Providers(self),
            clock=clock,
            limits=self._limits,
            announce=self._tell,
            liars=liars,
        )

    def serve(self, method: PeerMethod[Ask, Answer], handler: Handler) -> None:
        """Let `handler(peer, ask)` answer `method`; it returns the answer or raises a refusal."""
        self._handlers.serve(method, handler)

    def serve_blobs(self, blobs: BlobStore) -> None:
        """Answer who asks for blobs from `blobs`."""
        serve_blobs(self._handlers, blobs)

    async def run(self) -> None:
        """Accept, dial, probe and announce until cancelled; then tell the peers goodbye."""
        assert self._tasks is None, "peers run once"
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._announce_all())
                tasks.create_task(self._accept_all())
                tasks.create_task(self._probe_all())
                for peer in self._bootstrap:
                    tasks.create_task(self._stay_connected(peer))
        finally:
            self._current.clear()

    async def ask(
        self,
        peer: Did,
        method: PeerMethod[Ask, Answer],
        ask: Ask,
        *,
        deadline_ms: int | None = None,
    ) -> Answer:
        """Ask a connected peer one question.

        Args:
            deadline_ms: the method's own unless given.

        Raises:
            Refusal: the peer said no; the leaf is one that the method declares.
            Unreachable: not connected, no answer in time, or the connection ended meanwhile.
            Fault: the peer is broken, or answers outside the protocol.
        """
        return await self._session(peer).ask(
            method, ask, deadline_ms=method.deadline_ms if deadline_ms is None else deadline_ms
        )

    def connected(self) -> tuple[Did, ...]:
        """Return the connected peers, in order."""
        return tuple(sorted(self._current))

    def newest_first(self) -> tuple[Did, ...]:
        """Return the connected peers, who came last first."""
        return tuple(reversed(self._current))

    def links(self) -> tuple[PeerLink, ...]:
        """Return the connected peers with the transport's figures, in order."""
        return tuple(self._link(self._current[did]) for did in sorted(self._current))

    def liars(self) -> tuple[Did, ...]:
        """Return the peers from which no blob is fetched any more, in order."""
        return self._fetching.liars()

    async def wait_connected(self, did: Did, deadline_ms: int) -> None:
        """Return once `did` is connected.

        Raises:
            Unreachable: it did not happen in time.
        """
        try:
            async with deadline(self._clock, deadline_ms):
                while did not in self._current:
                    await self._changed.wait()
        except TimeoutError as late:
            raise Unreachable(where=did, why=f"not connected in {deadline_ms} ms") from late

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
        return await self._fetching.fetch(cid, size_max=size_max, blobs=blobs, judge=judge)

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
        async with self._session(peer).exchange(FETCH_BLOB, ask) as (header, reader):
            yield header.size_bytes, reader

    def _session(self, peer: Did) -> Session:
        session = self._current.get(peer)
        if session is None:
            raise Unreachable(where=peer, why="not connected")
        return session

    def _link(self, session: Session) -> PeerLink:
        figures = session.connection.figures()
        return PeerLink(
            did=session.peer,
            org=session.org,
            round_trip_us=figures.round_trip_us,
            sent_bytes=figures.sent_bytes,
            received_bytes=figures.received_bytes,
            since_ms=session.since_ms,
        )

    # Coming and going.

    async def _accept_all(self) -> None:
        while True:
            try:
                connection = await self._transport.accept()
            except ConnectionEnded as ended:
                _log.info("no more connections are accepted", why=ended.why)
                return
            if self._full(connection.peer):
                await connection.close("too many connections")
                continue
            session = self._begin(connection)
            self._spawn(self._end_unless_greeted(session))

    def _full(self, peer: Did) -> bool:
        """Return whether there is no room for one more connection from `peer`."""
        if self._genesis.node(peer) is not None:
            return len(self._all) >= self._limits.connections_max
        strangers = sum(self._genesis.node(session.peer) is None for session in self._all)
        return strangers >= self._limits.strangers_max

    def _begin(self, connection: Connection) -> Session:
        session = Session(connection, guard=self._guards.of(connection.peer), around=self._around)
        self._all.add(session)
        self._spawn(self._serve(session))
        return session

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "only while running"
        try:
            self._tasks.create_task(work)
        except RuntimeError as ending:
            # A group that is being cancelled takes no more work; the transport's end does the rest.
            _log.debug("nothing new is begun at the end", why=str(ending))
            work.close()

    async def _serve(self, session: Session) -> None:
        """Let one session run to its end; what breaks in it breaks nothing else."""
        try:
            await session.serve()
        except asyncio.CancelledError:
            await session.connection.close("the node stops")
            raise
        except Exception as cause:  # noqa: BLE001 - the edge: the other connections go on
            _log.error(
                "a connection broke", incident=incident_id(), peer=session.peer, exc_info=cause
            )
            await session.connection.close("this side broke")
        finally:
            session.over.set()
            self._all.discard(session)
        why = (await session.connection.ended())[:512]
        if self._current.get(session.peer) is session:
            del self._current[session.peer]
            self._change()
            self._tell(PeerLost(peer=session.peer, why=why))

    async def _end_unless_greeted(self, session: Session) -> None:
        try:
            async with deadline(self._clock, self._limits.hello_ms_max):
                await session.admitted.wait()
        except TimeoutError:
            await session.connection.close("no hello in time")

    async def _greet(self, session: Session, hello: Hello) -> Welcome:
        """Judge a hello and admit who belongs here."""
        ours = self._hello
        if (hello.network, hello.genesis) != (ours.network, ours.genesis):
            self._close_later(session, "another network")
            raise WrongNetwork(network=ours.network)
        session.org = hello.org
        self._admit(session)
        return Welcome(org=ours.org, version=ours.version)

    def _admit(self, session: Session) -> None:
        """Make the session the one for its peer, or let it end beside the one that stays."""
        if session.over.is_set():
            return
        standing = self._current.get(session.peer)
        if standing is not None and not standing.over.is_set():
            if not self._replaces(session, standing):
                self._close_later(session, "another connection stays")
                return
            self._close_later(standing, "replaced by another connection")
        self._current[session.peer] = session
        self._change()
        if standing is None:
            self._tell(PeerConnected(peer=session.peer, org=session.org))

    def _replaces(self, new: Session, standing: Session) -> bool:
        """Return whether `new` stays, so that both sides choose alike.

        Nobody dials a peer it is connected to: if the standing one is not fresh, the other side
        has lost it. If both dialled at once, the one that the lower DID dialled stays.
        """
        if new.connection.dialled == standing.connection.dialled:
            return True
        if new.since_ms - standing.since_ms > self._limits.crossing_ms:
            return True
        return new.connection.dialled == (self.did < new.peer)

    def _close_later(self, session: Session, why: str) -> None:
        async def close() -> None:
            await self._clock.sleep(self._limits.retire_ms)
            await session.connection.close(why)

        self._spawn(close())

    async def _stay_connected(self, peer: PeerAddress) -> None:
        """Dial one peer whenever it is not connected."""
        while True:
            standing = self._current.get(peer.did)
            if standing is not None:
                await standing.over.wait()
                await self._until_changed_from(standing)
                continue
            connection = await self._reach(peer).until(lambda: peer.did in self._current)
            if connection is not None:
                await self._say_hello(self._begin(connection))

    async def _until_changed_from(self, standing: Session) -> None:
        while self._current.get(standing.peer) is standing:
            await self._changed.wait()

    def _reach(self, peer: PeerAddress) -> Reach:
        return Reach(
            dial=lambda: self._transport.dial(
                peer.did, addresses=peer.addresses, deadline_ms=self._limits.dial_ms_max
            ),
            clock=self._clock,
            limits=self._limits,
        )

    async def _say_hello(self, session: Session) -> None:
        try:
            await session.greet(self._hello)
        except Unreachable as gone:
            # It stops, or starts again, just now: that is no refusal. It is looked for as before.
            _log.info("a peer was gone before it answered", peer=session.peer, why=gone.why)
            await session.connection.close("no welcome in time")
            await self._clock.sleep(self._limits.backoff_ms_max)
            return
        except CoopError as no:
            _log.warning("a peer did not welcome this node", peer=session.peer, why=str(no))
            await session.connection.close("not welcome")
            await self._clock.sleep(self._limits.refused_ms)
            return
        self._admit(session)

    async def _probe_all(self) -> None:
        while True:
            await self._clock.sleep(self._limits.probe_ms)
            for session in tuple(self._all):
                await session.check_pulse()

    # Telling.

    def _change(self) -> None:
        """Wake everyone who waits for a peer to come or go."""
        self._changed.set()
        self._changed = asyncio.Event()

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

"""Who is connected: connections come and go, one a peer stays, lost ones are made again.

What goes wrong on one connection stays there. Source: ADR 0006.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.groups import begin_in
from nodeimpl.kernel.ids import incident_id
from nodeimpl.p2p.casts import Hearings
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.dialling import Reach
from nodeimpl.p2p.handlers import Handlers
from nodeimpl.p2p.limits import Bans, Guards, PeersLimits
from nodeimpl.p2p.reaching import PeerAddress, Reaching, unused
from nodeimpl.p2p.session import Session, Surroundings
from nodeimpl.p2p.transport import Connection, ConnectionEnded, DialFailed, Transport
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Did
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import Event
from opkit.wire.network import PeerConnected, PeerLost
from opkit.wire.peer import Hello, Welcome, WrongNetwork

_log = structlog.get_logger("p2p")


class Watcher:
    """Who is told, at once, what becomes of links; this one does not care."""

    def joined(self, peer: Did) -> None:
        """Take note that a peer is connected, or connected anew: what was cast before is lost."""

    def left(self, peer: Did) -> None:
        """Take note that a peer is gone."""

    def relieved(self, peer: Did, kind: str, unsent_bytes: int) -> None:
        """Take note that casts to a peer have gone, and how many bytes of the kind still wait."""


class Company:
    """The connections of one node.

    Attributes:
        all: every connection, also those that are not admitted yet or end beside another.
        current: the one for each connected peer, in the order in which they came.
        guards: the account of each peer.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        genesis: GenesisView,
        hello: Hello,
        handlers: Handlers,
        hearings: Hearings,
        clock: Clock,
        limits: PeersLimits,
        tell: Callable[[Event], None],
        bootstrap: Iterable[PeerAddress],
    ) -> None:
        """Prepare; `Peers` says what the arguments are, `tell` takes what is to be announced."""
        self.all: set[Session] = set()
        self.current: dict[Did, Session] = {}
        self.guards = Guards(clock=clock, limits=limits)
        self._did = transport.did
        self._transport = transport
        self._genesis = genesis
        self._hello = hello
        self._clock = clock
        self._limits = limits
        self._tell = tell
        self._bans = Bans(clock)
        self._around = Surroundings(
            network=genesis.network,
            handlers=handlers,
            hearings=hearings,
            clock=clock,
            limits=limits,
            greet=self._greet,
            misbehaved=lambda peer, why: self.ban(peer, why=why, ms=limits.ban_ms),
            relieved=self._relieved,
        )
        self._book = {peer.did: peer for peer in bootstrap if peer.did != transport.did}
        self._reaching = Reaching(connect=self._connect, clock=clock, limits=limits)
        self._spares: dict[Did, Session] = {}
        self._watchers: list[Watcher] = []
        self._changed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Let `tasks` accept, dial and probe; once."""
        assert self._tasks is None, "a company begins once"
        self._tasks = tasks
        tasks.create_task(self._accept_all())
        tasks.create_task(self._probe_all())
        for peer in self._book.values():
            if peer.addresses:
                tasks.create_task(self._stay_connected(peer))

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody, at once, what becomes of links."""
        self._watchers.append(watcher)

    def session(self, peer: Did) -> Session:
        """Return the connection to a peer.

        Raises:
            Unreachable: there is none.
        """
        session = self.current.get(peer)
        if session is None:
            raise Unreachable(where=peer, why="not connected")
        return session

    def beside(self, session: Session) -> Session | None:
        """Return another connection to the same peer, if it said hello on one; best the current."""
        standing = self.current.get(session.peer)
        if standing is not None and standing is not session:
            return standing
        spare = self._spares.get(session.peer)
        return None if spare is session else spare

    async def reach(self, peer: PeerAddress, *, deadline_ms: int) -> None:
        """Return once `peer` is connected, dialling it if it is not. Raises `Unreachable`."""
        if peer.did in self.current:
            return
        if self._bans.left_ms(peer.did):
            raise Unreachable(where=peer.did, why="it is banned")
        if self._tasks is None:
            raise Unreachable(where=peer.did, why="this node does not dial yet")
        known = self._book.get(peer.did, peer)
        if not known.addresses:
            raise Unreachable(where=peer.did, why="nobody said where it can be dialled")
        await self._reaching.reach(known, tasks=self._tasks, deadline_ms=deadline_ms)

    async def wait_connected(self, did: Did, deadline_ms: int) -> None:
        """Return once `did` is connected. Raises `Unreachable` if that takes longer."""
        try:
            async with deadline(self._clock, deadline_ms):
                while did not in self.current:
                    await self._changed.wait()
        except TimeoutError as late:
            raise Unreachable(where=did, why=f"not connected in {deadline_ms} ms") from late

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        """End the connection to a peer and take none of it for so long."""
        if peer == self._did:
            return
        _log.warning("a peer is banned", peer=peer, why=why, ban_ms=ms)
        self._bans.add(peer, ms=ms)
        for session in tuple(self.all):
            if session.peer == peer:
                self._spawn(session.connection.close("banned"))

    def banned(self) -> tuple[Did, ...]:
        """Return who is banned now, in order."""
        return self._bans.standing()

    async def _accept_all(self) -> None:
        while True:
            try:
                connection = await self._transport.accept()
            except ConnectionEnded as ended:
                _log.info("no more connections are accepted", why=ended.why)
                return
            if self._bans.left_ms(connection.peer):
                await connection.close("banned")
                continue
            if self._full(connection.peer):
                await connection.close("too many connections")
                continue
            session = self._begin(connection)
            self._spawn(self._end_unless_greeted(session))

    def _full(self, peer: Did) -> bool:
        """Return whether there is no room for one more connection from `peer`."""
        if self._genesis.node(peer) is not None:
            return len(self.all) >= self._limits.connections_max
        strangers = sum(self._genesis.node(session.peer) is None for session in self.all)
        return strangers >= self._limits.strangers_max

    def _begin(self, connection: Connection) -> Session:
        session = Session(connection, guard=self.guards.of(connection.peer), around=self._around)
        self.all.add(session)
        self._spawn(self._serve(session))
        return session

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None, "only while running"
        if begin_in(self._tasks, work) is None:
            # The transport's end does the rest.
            _log.debug("nothing new is begun at the end")

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
            self.all.discard(session)
        why = (await session.connection.ended())[:512]
        if self.current.get(session.peer) is session:
            del self.current[session.peer]
            self._change()
            self._left(session.peer)
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
        standing = self.current.get(session.peer)
        if standing is not None and not standing.over.is_set():
            if not self._replaces(session, standing):
                self._spares[session.peer] = session
                self._spawn(self._end_one(session, standing))
                return
            self._close_later(standing, "replaced by another connection")
        self._let_stand(session)

    async def _end_one(self, spare: Session, standing: Session) -> None:
        """End the spare one of two connections to a peer, unless the one that stays is dead.

        A peer that was killed and is back dials as one does whose dial crossed this node's: only
        that nobody acknowledges anything on the connection before tells them apart.
        """
        heard_bytes = standing.connection.figures().received_bytes
        standing.connection.probe()
        with suppress(TimeoutError):
            async with deadline(self._clock, self._limits.retire_ms):
                await standing.over.wait()
        newest = self._spares.get(spare.peer) is spare
        if newest:
            del self._spares[spare.peer]
        silent = standing.connection.figures().received_bytes == heard_bytes
        dead = standing.over.is_set() or silent
        taken = self.current.get(spare.peer) not in {None, standing}
        if not dead or taken or not newest or spare.over.is_set():
            await spare.connection.close("another connection stays")
            return
        self._let_stand(spare)
        await standing.connection.close("silent beside another connection")

    def _let_stand(self, session: Session) -> None:
        """Make the session the one for its peer."""
        standing = self.current.get(session.peer)
        self.current[session.peer] = session
        self._change()
        if standing is None:
            self._tell(PeerConnected(peer=session.peer, org=session.org))
        else:
            # What was cast on the connection before may be lost: for a machine that is a new link.
            self._left(session.peer)
        for watcher in self._watchers:
            watcher.joined(session.peer)
        for spare in unused(
            self.current.values(), keep=frozenset(self._book), most=self._limits.linked_max
        ):
            self._close_later(spare, "unused for the longest time")

    def _replaces(self, new: Session, standing: Session) -> bool:
        """Return whether `new` stays, so that both sides choose alike.

        Nobody dials a peer it is connected to: if the standing one is not fresh, the other side
        has lost it. If both dialled at once, the one that the lower DID dialled stays.
        """
        if new.connection.dialled == standing.connection.dialled:
            return True
        if new.since_ms - standing.since_ms > self._limits.crossing_ms:
            return True
        return new.connection.dialled == (self._did < new.peer)

    def _close_later(self, session: Session, why: str) -> None:
        async def close() -> None:
            await self._clock.sleep(self._limits.retire_ms)
            await session.connection.close(why)

        self._spawn(close())

    async def _stay_connected(self, peer: PeerAddress) -> None:
        """Dial one peer whenever it is not connected."""
        while True:
            standing = self.current.get(peer.did)
            if standing is not None:
                await standing.over.wait()
                await self._until_changed_from(standing)
                continue
            if left_ms := self._bans.left_ms(peer.did):
                await self._clock.sleep(left_ms)
                continue
            connection = await self._reach(peer).until(lambda: peer.did in self.current)
            if connection is not None and (pause_ms := await self._say_hello(connection)):
                await self._clock.sleep(pause_ms)

    async def _until_changed_from(self, standing: Session) -> None:
        while self.current.get(standing.peer) is standing:
            await self._changed.wait()

    def _reach(self, peer: PeerAddress) -> Reach:
        return Reach(dial=lambda: self._dial(peer), clock=self._clock, limits=self._limits)

    async def _connect(self, peer: PeerAddress) -> bool:
        """Dial a peer once, and return whether it is connected then."""
        try:
            connection = await self._dial(peer)
        except DialFailed as failed:
            _log.debug("a peer cannot be dialled", peer=peer.did, why=failed.why)
            return peer.did in self.current
        await self._say_hello(connection)
        return peer.did in self.current

    def _dial(self, peer: PeerAddress) -> Awaitable[Connection]:
        return self._transport.dial(
            peer.did, addresses=peer.addresses, deadline_ms=self._limits.dial_ms_max
        )

    async def _say_hello(self, connection: Connection) -> int:
        """Greet on a connection made here; return how long not to try again if it came to nothing.

        A peer that was gone before it answered stops or starts again just now: that is no refusal,
        and it is looked for as before.
        """
        session = self._begin(connection)
        try:
            await session.greet(self._hello)
        except Unreachable as gone:
            _log.info("a peer was gone before it answered", peer=session.peer, why=gone.why)
            await session.connection.close("no welcome in time")
            return self._limits.backoff_ms_max
        except CoopError as no:
            _log.warning("a peer did not welcome this node", peer=session.peer, why=str(no))
            await session.connection.close("not welcome")
            return self._limits.refused_ms
        self._admit(session)
        return 0

    async def _probe_all(self) -> None:
        while True:
            await self._clock.sleep(self._limits.probe_ms)
            for session in tuple(self.all):
                await session.check_pulse()

    def _left(self, peer: Did) -> None:
        for watcher in self._watchers:
            watcher.left(peer)

    def _relieved(self, peer: Did, kind: str, unsent_bytes: int) -> None:
        for watcher in self._watchers:
            watcher.relieved(peer, kind, unsent_bytes)

    def _change(self) -> None:
        """Wake everyone who waits for a peer to come or go."""
        self._changed.set()
        self._changed = asyncio.Event()

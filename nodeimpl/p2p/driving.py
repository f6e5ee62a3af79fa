"""Drives the overlay over real connections: what arrives goes in, what it wants is done.

The machines decide; here is only how a question is dialled and asked, how a cast is put on a link,
and when the machines are told that time has passed. Source: ADR 0028.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.ids import incident_id
from nodeimpl.overlay.node import OverlayNode, OverlayNote
from nodeimpl.overlay.port import Ask, Ban, Cast, Contact, Outbox
from nodeimpl.overlay.search import OnDone, Outcome
from nodeimpl.p2p import frames
from nodeimpl.p2p.company import Watcher
from nodeimpl.p2p.deadline import set_or_passed
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.wire import dht, reconcile
from opkit.wire.base import Cid, Did, Wire
from opkit.wire.errors import CoopError, Refusal
from opkit.wire.gossip import GOSSIP
from opkit.wire.peer import PeerMethod

METHODS: tuple[PeerMethod[Any, Any], ...] = (
    dht.PING,
    dht.FIND,
    dht.GET,
    dht.PUT,
    reconcile.COMPARE,
    reconcile.FETCH,
    reconcile.PUSH,
)
"""The questions of the overlay."""

IDLE_MS_MAX = 60_000
"""How long the machines are left alone at most."""

BROKEN_MS = 1_000
"""How long they are left alone after something in them broke."""

_log = structlog.get_logger("p2p.overlay")


class Driver(Watcher):
    """Joins one node's overlay and its peers. Made before the peers run."""

    def __init__(
        self,
        overlay: OverlayNode,
        *,
        outbox: Outbox,
        peers: Peers,
        clock: Clock,
        told: Callable[[OverlayNote], None],
    ) -> None:
        """Let `overlay` answer its questions and hear its casts; nothing is asked before `run`.

        Args:
            outbox: the overlay's.
            told: hears what operators may want to know.
        """
        self.overlay = overlay
        self._outbox = outbox
        self._peers = peers
        self._clock = clock
        self._told = told
        self._methods = {method.ask: method for method in METHODS}
        self._tasks: asyncio.TaskGroup | None = None
        self._wanted = asyncio.Event()
        self._planned_ms = 0
        self._pressed: set[Did] = set()
        for method in METHODS:
            peers.serve(method, self._answer)
        peers.hear(GOSSIP.name, GOSSIP.message, self._heard)
        peers.watch(self)

    async def run(self) -> None:
        """Do what the machines want, and tell them the time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                sound = self._told_of("time", lambda: self.overlay.tick(self._clock.now_ms()))
                sound &= self._told_of("what is wanted", self._do_all)
                await (self._until_due() if sound else self._clock.sleep(BROKEN_MS))

    def touch(self) -> None:
        """Do soon what the machines want: call it after they were told something from elsewhere."""
        self._wanted.set()

    def meet(self, peer: PeerAddress) -> None:
        """Come into the network by a peer of which somebody said that it is there."""
        there = Contact(did=peer.did, addresses=peer.addresses)
        self._told_of("a peer", lambda: self.overlay.join([there], self._clock.now_ms()))
        self.touch()

    async def search(self, begin: Callable[[OnDone, int], None]) -> Outcome:
        """Begin a search of the overlay's and return its outcome; each ends within its own limits.

        Args:
            begin: calls a method of the overlay with what it is given: who is told, and the time.

        Raises:
            Refusal: as that method.
        """
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not ended.done():
                ended.set_result(outcome)

        begin(done, self._clock.now_ms())
        self.touch()
        return await ended

    async def providers(self, cid: Cid) -> tuple[PeerAddress, ...]:
        """Return who says in the network that they keep a blob, and where they are."""
        try:
            found = await self.search(lambda done, now: self.overlay.dht.providers(cid, done, now))
        except Refusal as no:
            _log.info("nobody was looked for", cid=cid, why=str(no))
            return ()
        return tuple(PeerAddress(did=one.did, addresses=one.addresses) for one in found.contacts)

    def provide(self, cid: Cid, size_bytes: int) -> None:
        """Say in the network that this node keeps a blob; what becomes of it is not waited for."""
        try:
            self.overlay.dht.provide(cid, size_bytes, _ended, self._clock.now_ms())
        except Refusal as no:
            _log.warning("it is told to nobody that a blob is here", cid=cid, why=str(no))
        self.touch()

    # What arrives.

    def joined(self, peer: Did) -> None:
        """Tell of a link, and who made it."""
        now_ms, dialled = self._clock.now_ms(), self._peers.dialled(peer)
        self._told_of("a link", lambda: self.overlay.joined(peer, now_ms, dialled=dialled))
        self.touch()

    def left(self, peer: Did) -> None:
        """Tell of a link's end."""
        self._pressed.discard(peer)
        self._told_of("a link's end", lambda: self.overlay.left(peer, self._clock.now_ms()))
        self.touch()

    def relieved(self, peer: Did, kind: str, unsent_bytes: int) -> None:
        """Tell how much waits for a link of which too much waited."""
        if kind != GOSSIP.name or peer not in self._pressed:
            return
        if unsent_bytes <= self.overlay.gossip.limits.quick_bytes:
            self._pressed.discard(peer)
        now_ms, gossip = self._clock.now_ms(), self.overlay.gossip
        self._told_of("relief", lambda: gossip.congested(peer, unsent_bytes, now_ms))
        self.touch()

    async def _answer(self, peer: Did, question: Any) -> Wire:
        try:
            return self.overlay.answer(peer, question, self._clock.now_ms())
        finally:
            self.touch()

    def _heard(self, peer: Did, message: Any) -> None:
        self.overlay.heard(peer, message, self._clock.now_ms())
        # Half of what comes is known: then nothing is wanted that was not before.
        due_ms = self.overlay.due_ms()
        sooner = due_ms is not None and due_ms < self._planned_ms
        if sooner or len(self._outbox) or self.overlay.gathers():
            self.touch()

    # What is wanted.

    async def _until_due(self) -> None:
        """Return when something is wanted, or time has passed."""
        due_ms, now_ms = self.overlay.due_ms(), self._clock.now_ms()
        left_ms = IDLE_MS_MAX if due_ms is None else min(due_ms - now_ms, IDLE_MS_MAX)
        if left_ms > 0:
            self._planned_ms = now_ms + left_ms
            await set_or_passed(self._wanted, clock=self._clock, ms=left_ms)
        self._wanted.clear()

    def _do_all(self) -> None:
        written: dict[int, bytes] = {}
        self.overlay.flush()
        for effect in self._outbox.take():
            if isinstance(effect, Ask):
                assert self._tasks is not None, "only while running"
                self._tasks.create_task(self._ask(effect))
            elif isinstance(effect, Cast):
                self._put(effect, written)
            else:
                assert isinstance(effect, Ban), effect
                self._peers.ban(effect.peer, why=effect.why, ms=effect.ban_ms)
        for note in self.overlay.take_notes():
            self._told(note)

    def _put(self, wanted: Cast, written: dict[int, bytes]) -> None:
        """Put a cast on its link; one that goes to many is written once."""
        frame = written.get(id(wanted.message))
        if frame is None:
            frame = written[id(wanted.message)] = frames.cast(wanted.message)
        unsent = self._peers.cast(wanted.to, GOSSIP.name, frame)
        if unsent is not None:
            if unsent > self.overlay.gossip.limits.quick_bytes:
                self._pressed.add(wanted.to)
            self.overlay.gossip.congested(wanted.to, unsent, self._clock.now_ms())

    async def _ask(self, wanted: Ask) -> None:
        """Ask, and tell the machines how it ended; what comes too late has failed."""
        began_ms = self._clock.now_ms()
        to, method = wanted.to, self._methods[type(wanted.question)]
        try:
            there = PeerAddress(did=to.did, addresses=to.addresses)
            await self._peers.reach(there, deadline_ms=wanted.timeout_ms)
            left_ms = began_ms + wanted.timeout_ms - self._clock.now_ms()
            answer = await self._peers.ask(
                to.did, method, wanted.question, deadline_ms=max(1, left_ms)
            )
        except CoopError as no:
            self._fail(wanted, no.code if isinstance(no, Refusal) else str(no))
        else:
            now_ms, token = self._clock.now_ms(), wanted.token
            if not self._told_of("an answer", lambda: self.overlay.answered(token, answer, now_ms)):
                self._fail(wanted, "its answer broke something here")
        self.touch()

    def _fail(self, wanted: Ask, why: str) -> None:
        now_ms, token = self._clock.now_ms(), wanted.token
        self._told_of("a failure", lambda: self.overlay.failed(token, why, now_ms))

    def _told_of(self, what: str, tell: Callable[[], None]) -> bool:
        """Tell the machines something, and return whether they took it.

        A defect of theirs that one peer has found costs what it told them, not the node.
        """
        try:
            tell()
        except Exception as cause:  # noqa: BLE001 - the edge: it stays in the overlay, and the log
            _log.error("the overlay broke", incident=incident_id(), at=what, exc_info=cause)
            return False
        return True


def _ended(_outcome: Outcome) -> None:
    """Let a search end for which nobody waits."""

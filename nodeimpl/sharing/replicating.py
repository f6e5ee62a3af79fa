"""Brings replicas together: tells peers the heads of what changed, and pulls what is lacking here.

A node tells on each new link, after each change, and now and then all the same, so that nothing
that was lost on the way stays lost. While a peer is being told, what changes meanwhile waits and
goes together. Whoever gives what does not verify is ended and left alone for a while; nothing of it
is believed, and what verified before is kept. Source: ADR 0044.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.crdt.pull import Pull
from nodeimpl.kernel.groups import begin_in
from nodeimpl.kernel.ids import incident_id
from nodeimpl.kernel.store import Store, StoreError
from nodeimpl.p2p.company import Watcher
from nodeimpl.p2p.deadline import deadline, set_or_passed
from nodeimpl.sharing.exchange import Exchange, Question, pages_of
from nodeimpl.sharing.service import Sharing
from opkit.wire import objects as wire
from opkit.wire.base import Did
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import CoopError
from opkit.wire.operations import EpochOver, ObjectId
from opkit.wire.peer import PeerMethod

LIARS_MAX = 1_024
"""Of how many peers it is remembered how often they lied."""

_log = structlog.get_logger("sharing")


class Links(Protocol):
    """What is asked of the node's connections."""

    def connected(self) -> tuple[Did, ...]:
        """Return the connected peers."""

    async def ask(self, peer: Did, method: PeerMethod[Ask, Answer], ask: Ask) -> Answer:
        """Ask a connected peer one question."""

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        """End the connection to a peer and take none of it for so long."""


class Replicator(Watcher):
    """One node's traffic about shared objects.

    Attributes:
        counts: how often what happened.
    """

    def __init__(self, sharing: Sharing, *, store: Store, links: Links, clock: Clock) -> None:
        """Be told of what changes; nothing is said before `run`."""
        self.counts: Counter[str] = Counter()
        self._sharing = sharing
        self._exchange = Exchange(sharing)
        self._store = store
        self._links = links
        self._clock = clock
        self._limits = sharing.limits
        self._tell: dict[Did, set[ObjectId] | None] = {}
        self._pulls: dict[Did, dict[ObjectId, int]] = {}
        """What is pulled from whom, and how often that failed."""
        self._put_off: set[tuple[Did, ObjectId]] = set()
        self._telling: set[Did] = set()
        self._pulling: set[Did] = set()
        self._under_way: dict[ObjectId, asyncio.Event] = {}
        self._lies: Counter[Did] = Counter()
        self._wake = asyncio.Event()
        sharing.when_touched.append(self._touched)

    async def run(self) -> None:
        """Tell and pull until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        async with asyncio.TaskGroup() as tasks:
            while True:
                due_ms = self._clock.now_ms() + self._limits.round_ms
                for peer in self._links.connected():
                    self._want(peer, None)
                while (left_ms := due_ms - self._clock.now_ms()) > 0:
                    self._begin(tasks)
                    await set_or_passed(self._wake, clock=self._clock, ms=left_ms)
                    self._wake.clear()

    # What happens.

    def joined(self, peer: Did) -> None:
        """Tell a peer soon that was connected just now."""
        self._want(peer, None)

    def left(self, peer: Did) -> None:
        """Tell a peer no more, and pull nothing from it, until it is back."""
        self._tell.pop(peer, None)
        self._pulls.pop(peer, None)

    def _touched(self, object_id: ObjectId) -> None:
        for peer in self._links.connected():
            self._want(peer, [object_id])

    def _want(self, peer: Did, objects: Iterable[ObjectId] | None) -> None:
        """Have a peer told of objects; None for all."""
        before = self._tell.get(peer, set())
        self._tell[peer] = None if objects is None or before is None else before | set(objects)
        self._wake.set()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        for peer in [each for each in self._tell if each not in self._telling]:
            self._telling.add(peer)
            begin_in(tasks, self._tell_on(peer))
        for peer in [each for each in self._pulls if each not in self._pulling]:
            self._pulling.add(peer)
            begin_in(tasks, self._pull_on(tasks, peer))

    # Telling.

    async def _tell_on(self, peer: Did) -> None:
        """Tell a peer until it knows all that is new."""
        try:
            while peer in self._tell:
                await self._tell_heads(peer, self._tell.pop(peer))
        except CoopError as no:
            self.counts["peers not told"] += 1
            _log.info("a peer is told later what is shared", peer=peer, why=str(no))
            await self._clock.sleep(self._limits.retry_ms)
            if peer in self._links.connected():
                self._want(peer, None)
        except StoreError:
            raise
        except Exception as cause:  # noqa: BLE001 - the edge: a defect costs one telling
            self.counts["peers not told"] += 1
            _log.error("telling a peer broke", incident=incident_id(), peer=peer, exc_info=cause)
        finally:
            self._telling.discard(peer)
            self._wake.set()

    async def _tell_heads(self, peer: Did, wanted: set[ObjectId] | None) -> None:
        exchange, after = self._exchange, ""
        while True:
            start = after
            heads, after = await self._store.read(
                lambda tx: exchange.heads(tx, peer, wanted, start)  # noqa: B023 - run at once
            )
            if heads:
                heard = await self._links.ask(peer, wire.TELL_HEADS, wire.TellHeads(objects=heads))
                if heard.unknown:
                    await self._introduce(peer, heard.unknown)
                await self._ask_what_was_said(peer, heads)
            if not after:
                return

    async def _introduce(self, peer: Did, unknown: tuple[ObjectId, ...]) -> None:
        """Tell a peer how objects are opened that it does not know."""
        heads = await self._store.read(lambda tx: self._exchange.introduced(tx, peer, unknown))
        for page in pages_of(heads):
            await self._links.ask(peer, wire.TELL_HEADS, wire.TellHeads(objects=page))

    async def _ask_what_was_said(self, peer: Did, told: tuple[wire.ObjectHeads, ...]) -> None:
        """After a loss, pull also what a peer has not told of: that it has nothing is an answer."""
        unsure = await self._store.read(lambda tx: self._exchange.unsure(tx, peer, told))
        for object_id in unsure:
            try:
                await self._pull(peer, object_id)
            except CoopError as no:
                # With the next telling it is asked again.
                self.counts["pulls that failed"] += 1
                _log.info("an object is pulled later", object_id=object_id, peer=peer, why=str(no))

    # Hearing, and answering.

    async def heard(self, peer: Did, told: wire.TellHeads) -> wire.HeadsHeard:
        """Take note of what a peer has."""
        heard = await self._store.write(lambda tx: self._exchange.hear(tx, peer, told.objects))
        for object_id, why in heard.lies.items():
            await self._expose(peer, object_id, why)
        if heard.lacking:
            self._pulls.setdefault(peer, {}).update(dict.fromkeys(heard.lacking, 0))
            self._wake.set()
        if heard.behind:
            self._want(peer, heard.behind)
        return wire.HeadsHeard(unknown=tuple(heard.unknown))

    async def lacking(self, peer: Did, ask: wire.AskLacking) -> wire.OperationsGiven:
        """Give a peer what it lacks, all of which is on disk. Refuses: ObjectUnknown, EpochOver."""
        return await self._store.write(lambda tx: self._exchange.lacking(tx, peer, ask))

    async def give(self, peer: Did, ask: wire.AskOperations) -> wire.OperationsGiven:
        """Give a peer operations by their ids. Refuses: ObjectUnknown."""
        return await self._store.write(lambda tx: self._exchange.give(tx, peer, ask))

    # Pulling.

    async def _pull_on(self, tasks: asyncio.TaskGroup, peer: Did) -> None:
        """Pull from a peer until nothing is lacking that it said it has."""
        try:
            while pulls := self._pulls.get(peer):
                object_id = next(iter(pulls))
                failed = pulls.pop(object_id)
                try:
                    await self._pull(peer, object_id)
                except CoopError as no:
                    self.counts["pulls that failed"] += 1
                    _log.info(
                        "an object is pulled later", object_id=object_id, peer=peer, why=str(no)
                    )
                    if not isinstance(no, wire.ObjectUnknown | EpochOver):
                        self._put_off_pull(tasks, peer, object_id, failed)
                except StoreError:
                    raise
                except Exception as cause:  # noqa: BLE001 - the edge: a defect costs one pull
                    _log.error("a pull broke", incident=incident_id(), peer=peer, exc_info=cause)
        finally:
            if not self._pulls.get(peer):
                self._pulls.pop(peer, None)
            self._pulling.discard(peer)
            self._wake.set()

    def _put_off_pull(
        self, tasks: asyncio.TaskGroup, peer: Did, object_id: ObjectId, failed: int
    ) -> None:
        """Have a pull that failed tried again, each time after twice as long.

        Once that would be longer than a round, the next telling comes sooner. However often a peer
        tells of an object and then gives nothing, it waits once.
        """
        wait_ms = self._limits.retry_ms << failed
        if wait_ms < self._limits.round_ms and (peer, object_id) not in self._put_off:
            self._put_off.add((peer, object_id))
            begin_in(tasks, self._pull_again(peer, object_id, wait_ms, failed + 1))

    async def _pull_again(self, peer: Did, object_id: ObjectId, wait_ms: int, failed: int) -> None:
        await self._clock.sleep(wait_ms)
        self._put_off.discard((peer, object_id))
        if peer in self._links.connected():
            self._pulls.setdefault(peer, {}).setdefault(object_id, failed)
            self._wake.set()

    async def _pull(self, peer: Did, object_id: ObjectId) -> None:
        exchange = self._exchange
        ended = await self._turn(object_id)
        try:
            pull, question = await self._store.write(lambda tx: exchange.begin(tx, object_id))
            while question is not None:
                question = await self._pull_once(peer, pull, question)
        finally:
            ended.set()
            if self._under_way.get(object_id) is ended:
                del self._under_way[object_id]
        self.counts["operations pulled"] += pull.taken
        if pull.lied:
            await self._expose(peer, object_id, pull.lied)

    async def _turn(self, object_id: ObjectId) -> asyncio.Event:
        """Return once nobody else is pulled from about an object, or takes too long about it.

        What two peers have they mostly have alike: asked one after the other, each operation is
        verified once. A slow one holds nobody up for long.
        """
        before = self._under_way.get(object_id)
        if before is not None:
            with suppress(TimeoutError):
                async with deadline(self._clock, self._limits.patience_ms):
                    await before.wait()
        ended = self._under_way[object_id] = asyncio.Event()
        return ended

    async def _pull_once(self, peer: Did, pull: Pull, question: Question) -> Question | None:
        if isinstance(question, wire.AskOperations):
            given = await self._links.ask(peer, wire.GIVE, question)
        else:
            given = await self._links.ask(peer, wire.LACKING, question)
        # Verifying takes a tenth of a millisecond each: neither loop nor writer waits for it.
        came = await asyncio.to_thread(self._exchange.read, pull, given)
        return await self._store.write(
            lambda tx: self._exchange.step(tx, peer, pull, came, more=given.more)
        )

    async def _expose(self, peer: Did, object_id: ObjectId, why: str) -> None:
        """End a peer that gave what no honest one gives, for longer each time, and say so."""
        self.counts["lies"] += 1
        self._lies[peer] += 1
        while len(self._lies) > LIARS_MAX:
            del self._lies[next(iter(self._lies))]
        limits = self._limits
        ban_ms = min(limits.ban_ms << min(self._lies[peer] - 1, 16), limits.ban_ms_max)
        self._pulls.pop(peer, None)
        self._links.ban(peer, why=f"about {object_id}: {why}"[:512], ms=ban_ms)
        event = wire.GiverLied(object_id=object_id, peer=peer, why=why[:1_024])
        await self._store.write(lambda tx: tx.announce(event))

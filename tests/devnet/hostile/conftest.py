"""Real nodes on loopback, over iroh, and strangers that misbehave among them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from devnet.hostile import hostile_peer
from devnet.hostile_base import HostilePeer, Line, dialled
from devnet.hostile_messages import Scribe
from nodeimpl.kernel.clock import RealClock
from nodeimpl.overlay.node import OverlayLimits, OverlayNode
from nodeimpl.overlay.port import Contact, Outbox
from nodeimpl.overlay.search import Outcome
from nodeimpl.p2p.driving import Driver
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.events import Event
from opkit.wire.records import Carried, Namespace

CLOCK = RealClock()
PATIENCE_S = 60.0
"""How long the right thing may take; a sabotaged node is given up sooner."""


async def _unheard(_event: Event) -> None:
    """Announce nothing."""


async def eventually(holds: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Return once something holds."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


@dataclass
class Node:
    """An honest node: its connections and its overlay, as in a real one."""

    identity: Identity
    peers: Peers
    driver: Driver
    address: PeerAddress
    delivered: Counter[str] = field(default_factory=Counter)

    @property
    def overlay(self) -> OverlayNode:
        return self.driver.overlay

    @property
    def did(self) -> str:
        return self.identity.did

    async def publish(self, carried: Carried) -> Outcome:
        return await self.driver.search(lambda done, now: self.overlay.publish(carried, done, now))

    async def get(self, name: str, *, namespace: Namespace = "note") -> Outcome:
        return await self.driver.search(
            lambda done, now: self.overlay.dht.get(namespace, name, done, now)
        )

    def keeps(self, name: str) -> tuple[str, ...]:
        return tuple(each.jws for each in self.overlay.shelf.get("note", name))


@dataclass
class Net:
    """Honest nodes that are connected, and what strangers need to join them."""

    nodes: list[Node]
    genesis: GenesisView
    patience_s: float
    options: dict[str, Any]

    @property
    def victim(self) -> Node:
        return self.nodes[0]

    def all_attacked(self, kind: str) -> AbstractAsyncContextManager[HostilePeer]:
        """Have a hostile peer of this kind take part, connected with everybody."""
        targets = [node.address for node in self.nodes]
        return hostile_peer(kind, make=iroh, genesis=self.genesis, targets=targets, clock=CLOCK)

    def address_of(self, stranger: HostilePeer) -> PeerAddress:
        """Return where a hostile peer can be dialled, as a node knows it."""
        contact = self.victim.overlay.dht.table.get(stranger.did)
        assert contact is not None, "it is known here"
        return PeerAddress(did=contact.did, addresses=contact.addresses)

    @asynccontextmanager
    async def newcomer(
        self, *knows: PeerAddress, end: Transport | None = None
    ) -> AsyncIterator[Node]:
        """Have one more node, no member, that comes in by those it knows."""
        who = Identity.generate()
        end = end or iroh(who)
        await end.start()
        node = _node(who, end, knows, genesis=self.genesis, options=self.options)
        running = [asyncio.create_task(each.run()) for each in (node.peers, node.driver)]
        try:
            yield node
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await end.close()

    async def eventually(self, holds: Callable[[], object]) -> None:
        await eventually(holds, within_s=self.patience_s)

    async def works(self) -> None:
        """Return once what one node publishes has reached every other one, and is found."""
        author = self.nodes[1]
        scribe = Scribe(author.identity, network=self.genesis.network, clock=CLOCK)
        name = f"{author.did}/honest-{time.monotonic_ns()}"
        note = Carried(jws=scribe.note(name=name))
        await author.publish(note)
        await self.eventually(lambda: all(node.keeps(name) == (note.jws,) for node in self.nodes))
        for node in self.nodes:
            assert (await node.get(name)).records == (note,)

    def attacked(self, kind: str) -> AbstractAsyncContextManager[HostilePeer]:
        """Have a hostile peer of this kind attack the victim meanwhile."""
        return hostile_peer(
            kind, make=iroh, genesis=self.genesis, targets=[self.victim.address], clock=CLOCK
        )

    @asynccontextmanager
    async def stranger(self, identity: Identity | None = None) -> AsyncIterator[Line]:
        """Connect a stranger with the victim, as a line."""
        transport = iroh(identity or Identity.generate())
        await transport.start()
        try:
            line = await dialled(
                transport,
                self.victim.address,
                genesis=self.genesis,
                clock=CLOCK,
                tally=Counter(),
            )
            yield line
        finally:
            await transport.close()


def iroh(identity: Identity) -> Transport:
    return IrohTransport(identity=identity, fixed_paths=True)


def _node(
    who: Identity,
    end: Transport,
    knows: Sequence[PeerAddress],
    *,
    genesis: GenesisView,
    options: dict[str, Any],
) -> Node:
    peers = Peers(
        transport=end,
        genesis=genesis,
        org=None,
        version="test",
        clock=CLOCK,
        announce=_unheard,
        bootstrap=knows,
        limits=options["limits"],
    )
    outbox = Outbox()
    overlay = OverlayNode(
        contact=Contact(did=end.did, addresses=end.addresses()),
        verifier=Verifier(genesis),
        outbox=outbox,
        chance=random.Random(7),
        prefix=options["prefix"],
        limits=options["overlay"],
    )
    driver = Driver(overlay, outbox=outbox, peers=peers, clock=CLOCK, told=lambda _: None)
    known = [Contact(did=one.did, addresses=one.addresses) for one in knows if one.did != end.did]
    if known:
        overlay.join(known, CLOCK.now_ms())
    node = Node(who, peers, driver, PeerAddress(did=end.did, addresses=end.addresses()))
    overlay.shelf.on_kept.append(lambda kept: node.delivered.update([kept.carried.jws]))
    return node


Opened = Callable[..., AbstractAsyncContextManager[Net]]


@pytest.fixture
def net(genesis_for: Callable[..., GenesisView]) -> Opened:
    """Open honest nodes that know the first one, and wait until all know each other."""

    @asynccontextmanager
    async def opened(
        count: int = 3,
        *,
        make: Callable[[Identity, int], Transport] = lambda who, _: iroh(who),
        limits: PeersLimits | None = None,
        overlay: OverlayLimits | None = None,
        prefix: Callable[[str], str | None] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncIterator[Net]:
        identities = [Identity.generate() for _ in range(count)]
        genesis = genesis_for(*identities)
        ends = [make(who, number) for number, who in enumerate(identities)]
        options = {"limits": limits, "overlay": overlay, "prefix": prefix}
        async with asyncio.timeout(240):
            for end in ends:
                await end.start()
            first = PeerAddress(did=ends[0].did, addresses=ends[0].addresses())
            nodes = [
                _node(who, end, [first], genesis=genesis, options=options)
                for who, end in zip(identities, ends, strict=True)
            ]
            running = [asyncio.create_task(each.peers.run()) for each in nodes]
            running += [asyncio.create_task(each.driver.run()) for each in nodes]
            try:
                for each in nodes[1:]:
                    await each.peers.wait_connected(first.did, 30_000)
                await eventually(lambda: all(len(it.overlay.dht.table) > count - 2 for it in nodes))
                yield Net(nodes, genesis, patience_s, options)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                for end in ends:
                    await end.close()

    return opened

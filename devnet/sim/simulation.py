"""Everybody in a run, and what can be done to them: start, crash, come back.

All choices are drawn from generators of the run's seed, one for each purpose, so that another share
of lost messages does not change who lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from devnet.sim.bounds import SMALL, bounds_of
from devnet.sim.keys import identities_near, identity_of, network_of
from devnet.sim.liars import Liar
from devnet.sim.scheduler import Scheduler
from devnet.sim.spec import Lie, Spec
from devnet.sim.truth import Key, Truth
from devnet.sim.watch import Watch
from devnet.sim.weather import Weather
from devnet.sim.world import Peer, World
from nodeimpl.overlay.node import OverlayNode
from nodeimpl.overlay.port import Chance, Contact, Outbox, key_id
from nodeimpl.overlay.shelf import Kept
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier
from opkit.wire.base import Cid
from opkit.wire.dht import ContactText
from opkit.wire.records import Carried

VERDICTS_MAX = 1_000_000
"""How many verdicts a run remembers: all of them."""

SEEDS = 3
"""How many nodes everybody knows from the start; these neither crash nor lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a node is made of."""

    contact: Contact
    verifier: Verifier
    outbox: Outbox
    chance: Chance


NodeOf = Callable[[Parts], OverlayNode]


def honest_node(parts: Parts) -> OverlayNode:
    """Return a node as it runs anywhere."""
    return OverlayNode(
        contact=parts.contact,
        verifier=parts.verifier,
        outbox=parts.outbox,
        chance=parts.chance,
        limits=SMALL,
    )


class Simulation:
    """All nodes of one run.

    Attributes:
        nodes: the overlay node within each peer that is up, liars included, by the peer's number.
        honest: the peers that do not lie, in order.
        target: the blob that sybils surround.
    """

    def __init__(self, spec: Spec, *, node_of: NodeOf = honest_node) -> None:
        """Make everybody; nobody is up yet."""
        self.spec = spec
        self.scheduler = Scheduler()
        self.weather = Weather(spec, chance=self.chance("weather"))
        self.world = World(self.scheduler, self.weather, chance=self.chance("links"))
        self.truth = Truth()
        self.watch = Watch(self.world, self.truth)
        self.nodes: dict[int, OverlayNode] = {}
        self.target: Cid = cid_of(b"the blob that sybils surround")
        self._node_of = node_of
        identities = [identity_of(spec.seed, "node", number) for number in range(spec.nodes)]
        self.verifier = Verifier(network_of(spec.seed, identities), verdicts_max=VERDICTS_MAX)
        self._old: dict[int, dict[Key, Carried]] = {}
        self._nobody = 0
        for identity in identities:
            self._add(identity)
        self._choose_liars()
        place = key_id("blob", self.target)
        for identity in identities_near(spec.seed, place, spec.sybils):
            self._add(identity).lies = "sybil"
        self.honest = [peer for peer in self.world.peers if not peer.lies]
        self.world.touched = self.watch.touched

    def chance(self, purpose: str) -> Random:
        """Return the generator of one purpose."""
        return Random(f"simulated {self.spec.seed} {purpose}")

    def living(self) -> Iterator[tuple[Peer, OverlayNode]]:
        """Yield all honest peers that are up, with their nodes."""
        for peer in self.honest:
            if peer.machine is not None:
                yield peer, self.nodes[peer.index]

    def start(self, peer: Peer, *, with_state: bool = False) -> None:
        """Bring a peer up, and have it join through nodes that everybody knows.

        Args:
            with_state: it still has the records that it had when it crashed.
        """
        parts = Parts(
            contact=peer.contact, verifier=self.verifier, outbox=peer.outbox, chance=peer.chance
        )
        node = self.nodes[peer.index] = self._node_of(parts)
        old = self._old.pop(peer.index, {})
        self._old[peer.index] = {}
        if not peer.lies:
            node.shelf.on_kept.append(lambda kept: self._kept(peer, kept))
            self.watch.begin(peer, node.held, bounds_of(node.limits))
        self.world.start(peer, self._liar(peer, node) if peer.lies else node)
        seeds = [one.contact for one in self.world.peers[:SEEDS] if one is not peer]
        now_ms = self.world.now_of(peer)
        if with_state:
            self.world.act(peer, node.restore, tuple(old.values()), now_ms)
        self.world.act(peer, node.join, seeds, now_ms)

    def crash(self, peer: Peer) -> None:
        """Take a peer down without a word."""
        self.watch.end(peer)
        del self.nodes[peer.index]
        self.world.crash(peer)

    def check_all(self) -> None:
        """Check the rules on all nodes that are up.

        Raises:
            Violation: one of them is broken.
        """
        for peer, node in self.living():
            self.watch.holds(peer)
            self.watch.keeps(peer, node.shelf.held()["records"])

    def repairs(self) -> int:
        """Return how many records came to nodes that are up by comparing."""
        return sum(
            node.reconciler.counts["records kept"] + node.reconciler.counts["records taken"]
            for _, node in self.living()
        )

    def _kept(self, peer: Peer, kept: Kept) -> None:
        """Judge what a node keeps, and take note of whom it has reached."""
        self.watch.believed(peer, kept.carried)
        self._old[peer.index][kept.namespace, kept.name, kept.owner] = kept.carried
        published = self.truth.of(kept.carried.jws)
        if published is not None:
            published.reached_ms.setdefault(peer.index, self.scheduler.now_ms)

    def _add(self, identity: Identity) -> Peer:
        index = len(self.world.peers)
        chance = self.chance(f"node {index}")
        peer = Peer(
            index=index,
            identity=identity,
            contact=Contact(did=identity.did, addresses=(f"sim:{index}",)),
            outbox=Outbox(),
            chance=chance,
            skew_ms=round((2 * chance.random() - 1) * self.spec.skew_ms),
        )
        self.world.add(peer)
        return peer

    def _choose_liars(self) -> None:
        able = self.world.peers[SEEDS:]
        self.chance("liars").shuffle(able)
        for lie, share in self.spec.liars:
            for _ in range(min(len(able), round(share * self.spec.nodes))):
                able.pop().lies = lie

    def _liar(self, peer: Peer, node: OverlayNode) -> Liar:
        others = [one for one in self.world.peers if one.lies == peer.lies and one is not peer]
        lie: Lie = peer.lies  # type: ignore[assignment]  # Whoever lies does so in one of the ways.
        return Liar(
            node,
            lie=lie,
            peer=peer,
            accomplices=tuple(_text(one.contact) for one in others),
            nobody=self._make_up,
        )

    def _make_up(self) -> ContactText:
        """Return a contact that does not exist; there are a thousand of them."""
        self._nobody = (self._nobody + 1) % 1_000
        identity = identity_of(self.spec.seed, "nobody", self._nobody)
        return ContactText(did=identity.did, addresses=(f"nowhere:{self._nobody}",))


def _text(contact: Contact) -> ContactText:
    return ContactText(did=contact.did, addresses=contact.addresses)

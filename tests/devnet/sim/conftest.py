"""Nodes that break one rule each, and small runs in which it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devnet.sim.run import run
from devnet.sim.simulation import honest_node
from devnet.sim.spec import Latency, Spec
from nodeimpl.overlay.fingerprints import Fingerprints
from nodeimpl.overlay.gossip import GossipLimits
from nodeimpl.overlay.node import OverlayNode
from opkit.proof import jws
from opkit.proof.record import Record, Verifier
from opkit.wire.dht import FindRecords, PutRecord
from opkit.wire.peer import MethodUnknown
from opkit.wire.reconcile import Compare
from opkit.wire.records import RecordBody

SMALL = Spec(nodes=6, seconds=4, settle_s=25, publish_per_s=6.0, lookups_per_s=4.0)


class Credulous(Verifier):
    """Believes every signature."""

    def read(self, token):
        body = RecordBody.model_validate(jws.peek(token).payload)
        return Record(token, body, bytes.fromhex(jws.record_id(token)))


class Nervous(OverlayNode):
    """Fails some seconds after it began to keep something."""

    def tick(self, now_ms):
        super().tick(now_ms)
        if self.shelf.held()["records"] > 2:
            raise ZeroDivisionError


class Secretive(OverlayNode):
    """Tells nobody what it keeps, and keeps nothing for others."""

    def answer(self, peer, question, now_ms):
        if isinstance(question, FindRecords | PutRecord):
            raise MethodUnknown(method="dht")
        return super().answer(peer, question, now_ms)


class Deaf(Secretive):
    """Hears no gossip either, and compares with nobody."""

    def heard(self, peer, cast, now_ms):
        return

    def answer(self, peer, question, now_ms):
        if isinstance(question, Compare):
            raise MethodUnknown(method="reconcile.compare")
        return super().answer(peer, question, now_ms)

    def joined(self, peer, now_ms, *, dialled=False):
        self.dht.joined(peer, now_ms)


class Doubting(OverlayNode):
    """Reckons anew each time when something is due, and compares it with what was remembered."""

    def due_ms(self):
        remembered = super().due_ms()
        self.gossip._due_known = self.reconciler._due_known = False
        self.dht._due_ms = None
        for search in self.dht.searches._active:
            search.due_ms = None
        anew = super().due_ms()
        if remembered is None or anew is None:
            assert remembered == anew
            return remembered
        # What is overdue is looked at at once, whatever the next look would find.
        assert remembered == anew or remembered <= min(anew, self._now_ms), (remembered, anew)
        return remembered


def credulous(parts):
    return honest_node(replace(parts, verifier=Credulous(parts.verifier.genesis)))


def hoarding(parts):
    """Return a node that keeps more than its limits say."""
    node = honest_node(parts)
    node.limits = replace(node.limits, gossip=GossipLimits(cached_max=3))
    return node


def forgetful(parts):
    """Return a node that takes older records for newer ones."""
    node = honest_node(parts)
    node.shelf._compare = lambda *_: None
    return node


def smuggling(parts):
    """Return a node that keeps records without telling anybody that it does."""
    node = honest_node(parts)
    tell = list(node.shelf.on_kept)
    node.shelf.on_kept = type("Mute", (list,), {"append": lambda self, each: None})(tell)
    return node


def mute(parts):
    """Return a node that hands on nothing that it hears."""
    node = honest_node(parts)
    spread = node.gossip._spread
    spread.push = spread.announce = spread.remind = spread._ride_along = lambda *_: None
    return node


def blind(parts):
    """Return a node that pushes what is new, and sees no difference from what others have."""
    node = honest_node(parts)
    node.shelf.ids = lambda _: Fingerprints()
    node.gossip._spread.catch_up = node.gossip._spread.announce = lambda *_: None
    return node


def gullible(parts):
    """Return a node that looks up over one path, and ends with the first two that answer."""
    limits = honest_node(parts).limits
    searches = limits.dht.searches
    lookup = replace(searches.lookup, paths=1, at_once=1, width=2)
    dht = replace(limits.dht, searches=replace(searches, lookup=lookup))
    return made_as(OverlayNode, limits=replace(limits, dht=dht))(parts)


def made_as(kind, *, limits=None):
    def node_of(parts):
        return kind(
            contact=parts.contact,
            verifier=parts.verifier,
            outbox=parts.outbox,
            chance=parts.chance,
            limits=limits or honest_node(parts).limits,
        )

    return node_of


SABOTAGES = {
    "credulous": (
        credulous,
        replace(SMALL, liars=(("forged", 0.4),)),
        "nothing unverified is kept or delivered",
    ),
    "smuggling": (
        smuggling,
        replace(SMALL, checked_every=100),
        "nothing unverified is kept or delivered",
    ),
    "hoarding": (hoarding, SMALL, "memory keeps its bounds"),
    "nervous": (made_as(Nervous), SMALL, "no machine raises"),
    "forgetful": (
        forgetful,
        replace(
            SMALL,
            nodes=4,
            publish_per_s=40.0,
            reorder=0.5,
            latency=Latency(kind="lognormal", typical_ms=400),
        ),
        "a sequence never goes back at a reader",
    ),
    "deaf": (made_as(Deaf), SMALL, "did not reach"),
    "mute": (mute, replace(SMALL, nodes=30), "did not reach"),
    "blind": (blind, replace(SMALL, nodes=30, churn=0.5), "did not reach"),
    "gullible": (
        gullible,
        replace(SMALL, nodes=40, seconds=6, liars=(("empty", 0.45),)),
        "of the last 100 lookups found nothing",
    ),
    "secretive": (made_as(Secretive), SMALL, "of the last 100 lookups found nothing"),
}
"""Every sabotage: how the nodes are made, in which run, and what is said of it."""


@pytest.fixture(params=SABOTAGES)
def sabotage(request):
    """Return one sabotage after another."""
    return SABOTAGES[request.param]


@pytest.fixture
def run_of():
    """Return the function that runs a spec."""
    return run


@pytest.fixture
def small():
    """Return a spec of a small network that holds."""
    return SMALL


@pytest.fixture
def doubting():
    """Return what makes nodes that doubt what they remember to be due."""
    return made_as(Doubting)

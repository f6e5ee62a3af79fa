"""All machines of one node behind the one port, with one outbox.

What the shelf keeps by any way enters the trees that two nodes compare, and is gossiped if its
namespace says so; what gossip brings is judged by the shelf. Source: ADR 0028.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from nodeimpl.overlay.budgets import Limits as ShelfLimits
from nodeimpl.overlay.dht import Dht, DhtLimits
from nodeimpl.overlay.gossip import Gossiper, GossipLimits, Verdict
from nodeimpl.overlay.gossip_state import Note
from nodeimpl.overlay.namespaces import RULES
from nodeimpl.overlay.pace import Allowance, Steady
from nodeimpl.overlay.port import Chance, Contact, Outbox
from nodeimpl.overlay.reconcile import PeerLied, Reconciler, ReconcilerLimits, Repaired
from nodeimpl.overlay.search import OnDone
from nodeimpl.overlay.shelf import EquivocationSeen, Kept, Shelf
from nodeimpl.overlay.table import Prefix
from nodeimpl.overlay.upkeep import Sign
from opkit.proof.record import Verifier, is_ahead
from opkit.wire.base import Did, Wire
from opkit.wire.gossip import Gossip
from opkit.wire.reconcile import Compare, Fetch, Push
from opkit.wire.records import (
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

TOPIC = "records"
"""The topic on which records of gossiped namespaces travel."""

NEWS_MS = 600_000
"""How long after its issue a record is gossiped that came in another way: who was away for longer
gets what it missed by comparing, and its peers have it."""

COMPARED_NEWS_PER_S, COMPARED_NEWS_BURST = 2, 128
"""How much of what comparing brought is gossiped: whoever had it knows it, and others may. A node
that lost everything would else be taken for one that repeats what is known."""

HELD_NAMES_MAX = 256

OverlayNote = EquivocationSeen | Note | Repaired | PeerLied
"""What operators may hear of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayLimits:
    """Bounds of all machines."""

    shelf: ShelfLimits = field(default_factory=ShelfLimits)
    dht: DhtLimits = field(default_factory=DhtLimits)
    gossip: GossipLimits = field(default_factory=GossipLimits)
    reconcile: ReconcilerLimits = field(default_factory=ReconcilerLimits)


class OverlayNode:
    """One node's part in the overlay, driven as `nodeimpl.overlay.port` says.

    Attributes:
        shelf, dht, gossip, reconciler: the machines, to look at and to ask.
        limits: all bounds.
    """

    def __init__(
        self,
        *,
        contact: Contact,
        verifier: Verifier,
        outbox: Outbox,
        chance: Chance,
        sign: Sign | None = None,
        prefix: Prefix | None = None,
        serves: bool = True,
        limits: OverlayLimits | None = None,
    ) -> None:
        """Know nobody and keep nothing yet.

        Args:
            contact: this node, and where it can be dialled.
            verifier: reads records of this network.
            outbox: takes what is to be sent.
            chance: makes all choices.
            sign: signs records that this node keeps alive; None: it has none.
            prefix: what part of an address is bounded in the table; None bounds nothing.
            serves: False is client mode: it asks, and is in nobody's table.
        """
        self.limits = limits = limits or OverlayLimits()
        self.shelf = Shelf(verifier, limits.shelf)
        self.dht = Dht(
            contact,
            outbox=outbox,
            chance=chance,
            shelf=self.shelf,
            sign=sign,
            prefix=prefix,
            serves=serves,
            limits=limits.dht,
        )
        self.gossip = Gossiper(
            outbox=outbox,
            chance=chance,
            judge=self._judge,
            suspect=self._suspect,
            limits=limits.gossip,
        )
        self.reconciler = Reconciler(
            self.shelf, outbox=outbox, chance=chance, limits=limits.reconcile
        )
        self.gossip.subscribe(TOPIC)
        self._now_ms = 0
        self._restoring = False
        self._comparing = False
        self._judging = b""
        self._steady = Steady()
        self._news = Allowance(per_s=COMPARED_NEWS_PER_S, burst=COMPARED_NEWS_BURST)
        self.shelf.on_kept.append(self._kept)

    # What the driver tells. What gossip then wants sent is gathered until `flush`.

    def joined(self, peer: Did, now_ms: int, *, dialled: bool = False) -> None:
        """Learn that a link stands; `dialled`: this node made it."""
        self._now_ms = now_ms
        self.gossip.joined(peer, now_ms, dialled=dialled)
        self.dht.joined(peer, now_ms)
        self.reconciler.joined(peer, now_ms)

    def left(self, peer: Did, now_ms: int) -> None:
        """Learn that it is gone."""
        self._now_ms = now_ms
        self.gossip.left(peer, now_ms)
        self.reconciler.left(peer, now_ms)

    def answer(self, peer: Did, question: Wire, now_ms: int) -> Wire:
        """Answer a question of any machine.

        Refuses: what the machine refuses whose question it is; MethodUnknown: it is nobody's.
        """
        self._now_ms = now_ms
        try:
            if isinstance(question, Compare | Fetch | Push):
                self._comparing = True
                return self.reconciler.answer(peer, question, now_ms)
            return self.dht.answer(peer, question, now_ms)
        finally:
            self._comparing = False

    def answered(self, token: int, answer: Wire, now_ms: int) -> None:
        """Take an answer to a question of this node."""
        self._now_ms = now_ms
        if self.dht.owns(token):
            self.dht.answered(token, answer, now_ms)
        elif self.reconciler.owns(token):
            self._comparing = True
            try:
                self.reconciler.answered(token, answer, now_ms)
            finally:
                self._comparing = False

    def failed(self, token: int, why: str, now_ms: int) -> None:
        """Take the code with which a question was refused, or why nothing came."""
        self._now_ms = now_ms
        if self.dht.owns(token):
            self.dht.failed(token, why, now_ms)
        elif self.reconciler.owns(token):
            self.reconciler.failed(token, why, now_ms)

    def heard(self, peer: Did, cast: Wire, now_ms: int) -> None:
        """Take a one-way message; one of a kind that is unknown here is nothing."""
        self._now_ms = now_ms
        if isinstance(cast, Gossip):
            self.gossip.heard(peer, cast, now_ms)

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        self._now_ms = now_ms
        for machine in (self.shelf, self.dht, self.gossip, self.reconciler):
            due_ms = machine.due_ms()
            if due_ms is not None and due_ms <= now_ms:
                machine.tick(now_ms)

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next."""
        least = self.dht.due_ms()
        for due_ms in (self.gossip.due_ms(), self.reconciler.due_ms(), self.shelf.due_ms()):
            if due_ms is not None and due_ms < least:
                least = due_ms
        return least

    def flush(self) -> None:
        """Put into the outbox what gossip has gathered; the driver does so before it takes from it.

        What arrived in one turn of the driver's is so told each peer in one frame.
        """
        self.gossip.flush()

    def gathers(self) -> bool:
        """Return whether something is gathered that `flush` would put into the outbox."""
        return self.gossip.gathers()

    # What the node wants.

    def join(self, contacts: Iterable[Contact], now_ms: int) -> None:
        """Come into the network by these contacts."""
        self._now_ms = now_ms
        self.dht.bootstrap(contacts, now_ms)

    def publish(self, carried: Carried, on_done: OnDone, now_ms: int) -> None:
        """Keep a record, gossip it if its namespace says so, and put it to the nearest nodes.

        Refuses: as `Dht.put`.
        """
        self._now_ms = now_ms
        self.dht.put(carried, on_done, now_ms)

    def restore(self, records: Iterable[Carried], now_ms: int) -> int:
        """Keep again what was kept before a restart, and tell nobody; return how many were."""
        self._now_ms = now_ms
        self._restoring = True
        kept = 0
        for carried in records:
            try:
                self.shelf.offer(carried, now_ms)
                kept += 1
            except (RecordLapsed, RecordOutdated, RecordsExhausted, SignedRecordRejected):
                # Time went on, or the room is smaller now.
                continue
        self._restoring = False
        return kept

    def take_notes(self) -> list[OverlayNote]:
        """Return what operators should hear of, once."""
        return [*self.shelf.take_notes(), *self.gossip.notes(), *self.reconciler.take_notes()]

    def held(self) -> dict[str, int]:
        """Return how many of each there are in any machine: what the limits bound."""
        found: dict[str, int] = {}
        for name, held in (
            ("shelf", self.shelf.held()),
            ("dht", self.dht.held()),
            ("gossip", self.gossip.held()),
            ("reconcile", self.reconciler.held()),
        ):
            for what, count in held.items():
                found[_named(name, what)] = count
        return found

    # How the machines are joined.

    def _kept(self, kept: Kept) -> None:
        """Gossip what is new here, but for what gossip has brought and hands on by itself."""
        if not RULES[kept.namespace].gossiped:
            return
        if self._restoring or not self._is_news(kept.issued_at_ms):
            self.gossip.saw(kept.carried.jws, self._now_ms)
        elif kept.id != self._judging:
            self.gossip.publish(TOPIC, kept.carried, self._now_ms)

    def _is_news(self, issued_at_ms: int) -> bool:
        """Return whether what is new here is told to others who may not have it."""
        if issued_at_ms < self._now_ms - NEWS_MS:
            return False
        return not self._comparing or self._news.spend(1, self._steady.see(self._now_ms))

    def _judge(self, topic: str, carried: Carried, now_ms: int) -> Verdict:
        """Say what a gossiped record is worth, and keep it if it is good."""
        del topic  # There is one.
        try:
            record = self.shelf.read(carried)
            body = record.body
            if not RULES[body.aud].gossiped:
                return Verdict.REJECT
            if is_ahead(body, now_ms=now_ms):
                return Verdict.STALE
            self._judging = record.id
            self.shelf.offer(carried, now_ms)
        except (SignedRecordRejected, RecordNotOwners):
            return Verdict.REJECT
        except RecordLapsed:
            return Verdict.STALE
        except (RecordOutdated, RecordsExhausted):
            return Verdict.IGNORE
        finally:
            self._judging = b""
        return Verdict.ACCEPT

    def _suspect(self, peer: Did) -> None:
        """Compare with a peer that gossip may have missed something of."""
        self.reconciler.suspect(peer, self._now_ms)


@lru_cache(maxsize=HELD_NAMES_MAX)
def _named(machine: str, what: str) -> str:
    return f"{machine}: {what}"

"""The distributed hash table of one node, as a machine: it serves, looks up, and keeps up.

It is driven as `nodeimpl.overlay.port` says. Its answers come from the table and from what verifies
of records; its questions leave through the outbox; whoever began a search is told its outcome by
the call that they gave. Source: ADR 0030; Maymounkov, Mazieres: Kademlia (2002).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nodeimpl.overlay import search
from nodeimpl.overlay.asking import Asking, AskingLimits, Moment
from nodeimpl.overlay.copies import Copies, CopiesLimits, ShelfPort
from nodeimpl.overlay.namespaces import RULES
from nodeimpl.overlay.port import Chance, Contact, Outbox, key_id, node_id
from nodeimpl.overlay.presence import Presence, PresenceLimits
from nodeimpl.overlay.search import FindProviders, Get, OnDone, Outcome, Search
from nodeimpl.overlay.searches import Searches, SearchesLimits
from nodeimpl.overlay.table import Prefix, Table, TableLimits
from nodeimpl.overlay.upkeep import Sign, Upkeep, UpkeepLimits
from opkit.wire.base import Cid, Did, Wire
from opkit.wire.dht import (
    CONTACTS_MAX,
    RECORDS_MAX,
    ContactText,
    FindNodes,
    FindRecords,
    NodesFound,
    Ping,
    Pong,
    PutRecord,
    RecordsFound,
    RecordTaken,
)
from opkit.wire.peer import MethodUnknown
from opkit.wire.records import (
    Carried,
    Namespace,
    RecordName,
)

G = TypeVar("G", bound=Get)


@dataclass(frozen=True, slots=True, kw_only=True)
class DhtLimits:
    """All bounds of the machine."""

    table: TableLimits = field(default_factory=TableLimits)
    asking: AskingLimits = field(default_factory=AskingLimits)
    searches: SearchesLimits = field(default_factory=SearchesLimits)
    copies: CopiesLimits = field(default_factory=CopiesLimits)
    presence: PresenceLimits = field(default_factory=PresenceLimits)
    upkeep: UpkeepLimits = field(default_factory=UpkeepLimits)


def contact_text(contact: Contact) -> ContactText:
    """Return a contact as it travels: no more addresses than fit, and none that is too long."""
    return search.contact_text(contact.did, contact.addresses)


class Dht:
    """The machine. Attributes `table`, `asking`, `searches` and `copies` are its parts, to look at.

    Attributes:
        counts: what it served, and what upkeep did.
    """

    def __init__(
        self,
        own: Contact,
        *,
        outbox: Outbox,
        chance: Chance,
        shelf: ShelfPort,
        sign: Sign | None = None,
        prefix: Prefix | None = None,
        serves: bool = True,
        limits: DhtLimits | None = None,
    ) -> None:
        """Know nobody yet.

        Args:
            own: this node, and where it can be dialled.
            sign: signs records of the node's own; without it the node has none to keep alive.
            prefix: what part of an address is bounded in the table; None bounds nothing.
            serves: False is client mode: it asks, and is in nobody's table.
        """
        limits = limits or DhtLimits()
        self.counts: Counter[str] = Counter()
        self.moment = Moment()
        self.table = Table(own.did, limits=limits.table, prefix=prefix)
        self.copies = Copies(shelf, limits.copies)
        self.asking = Asking(
            outbox=outbox, table=self.table, moment=self.moment, limits=limits.asking
        )
        self._contact = contact_text(own)
        self._sender = self._contact if serves else None
        self.searches = Searches(
            table=self.table,
            asking=self.asking,
            moment=self.moment,
            sender=self._sender,
            limits=limits.searches,
        )
        self.presence = Presence(
            table=self.table,
            asking=self.asking,
            searches=self.searches,
            moment=self.moment,
            sender=self._sender,
            chance=chance,
            limits=limits.presence,
        )
        self.upkeep = Upkeep(
            table=self.table,
            copies=self.copies,
            searches=self.searches,
            moment=self.moment,
            sender=self._sender,
            chance=chance,
            sign=sign,
            limits=limits.upkeep,
        )
        self._every_ms = limits.upkeep.every_ms
        self._upkeep_ms = 0
        self._due_ms: int | None = None

    # What the driver tells.

    def joined(self, peer: Did, now_ms: int) -> None:
        """Learn that a link stands."""
        self._see(now_ms)
        self.presence.linked(peer)

    def answer(self, peer: Did, question: Wire, now_ms: int) -> Wire:
        """Answer a question of these methods.

        Refuses:
            MethodUnknown: it is none of them, or this node serves none.
            SignedRecordRejected, RecordNotOwners, RecordLapsed, RecordOutdated, RecordsExhausted:
                as `dht.put` says, in this order.
        """
        self._see(now_ms)
        if self._sender is None or not isinstance(
            question, Ping | FindNodes | FindRecords | PutRecord
        ):
            raise MethodUnknown(method=type(question).__name__)
        self._met(peer, question.sender)
        if isinstance(question, FindRecords):
            self.counts["get served"] += 1
            kept = self.copies.get(question.namespace, question.name, now_ms)
            contacts = self._nearest(key_id(question.namespace, question.name), peer)
            return RecordsFound(records=kept[:RECORDS_MAX], contacts=contacts)
        if isinstance(question, FindNodes):
            self.counts["find served"] += 1
            return NodesFound(contacts=self._nearest(int(question.target, 16), peer))
        if isinstance(question, PutRecord):
            self.counts["put served"] += 1
            return RecordTaken(new=self.upkeep.take(question.record))
        self.counts["ping served"] += 1
        return Pong(contact=self._contact)

    def owns(self, token: int) -> bool:
        """Return whether a question was asked here."""
        return self.asking.owns(token)

    def answered(self, token: int, answer: Wire, now_ms: int) -> None:
        """Take an answer to a question of its own."""
        self._see(now_ms)
        self.asking.answered(token, answer)
        self.searches.went_on()

    def failed(self, token: int, why: str, now_ms: int) -> None:
        """Take the code with which a question was refused, or why nothing came."""
        self._see(now_ms)
        self.asking.failed(token, why)
        self.searches.went_on()

    def tick(self, now_ms: int) -> None:
        """Do what is due."""
        self._see(now_ms)
        self.asking.tick()
        self.searches.tick()
        at_ms = self.moment.at_ms
        if at_ms >= self._upkeep_ms and at_ms >= min(self.presence.due_ms(), self.upkeep.due_ms()):
            self._upkeep_ms = at_ms + self._every_ms
            self.presence.keep_up()
            self.upkeep.keep_up()

    def due_ms(self) -> int:
        """Return when `tick` is wanted next."""
        due_ms = self._due_ms
        if due_ms is None:
            due_ms = max(self._upkeep_ms, min(self.presence.due_ms(), self.upkeep.due_ms()))
            for next_ms in (self.asking.due_ms(), self.searches.due_ms()):
                if next_ms is not None and next_ms < due_ms:
                    due_ms = next_ms
            self._due_ms = due_ms = self.moment.real(due_ms)
        return due_ms

    def held(self) -> dict[str, int]:
        """Return how many of each there are: what the limits bound."""
        return {
            "contacts": len(self.table),
            "spares": self.table.aside(),
            "suspects": len(self.table.suspects),
            "questions": len(self.asking),
            "copies": self.copies.held(),
            **self.presence.held(),
            **self.upkeep.held(),
            **self.searches.held(),
        }

    # What the node wants.

    def bootstrap(self, contacts: Iterable[Contact], now_ms: int) -> None:
        """Come into the network by these contacts; it is tried again until one of them answers."""
        self._see(now_ms)
        self.presence.bootstrap(map(contact_text, contacts))

    def locate(self, target: int | Did, on_done: OnDone, now_ms: int) -> None:
        """Find the nodes nearest to a place, or to that of a key. Refuses: LookupsFull."""
        self._see(now_ms)
        place = target if isinstance(target, int) else node_id(target)
        self.searches.begin(Search(place, sender=self._sender, on_done=on_done))

    def get(self, namespace: Namespace, name: RecordName, on_done: OnDone, now_ms: int) -> None:
        """Find what stands under a name: never less than is kept here. Refuses: LookupsFull."""
        self._see(now_ms)
        self.searches.begin(self._getting(Get, namespace, name, on_done))

    def put(self, carried: Carried, on_done: OnDone, now_ms: int) -> None:
        """Have a record kept here and by the nodes nearest to its name.

        Refuses, in this order:
            SignedRecordRejected, RecordNotOwners, RecordLapsed, RecordOutdated: as the shelf does.
            LookupsFull: as many searches wait as may.
        """
        self._see(now_ms)
        self.upkeep.put(carried, on_done)

    def keep(
        self,
        namespace: Namespace,
        name: RecordName,
        value: dict[str, Any] | None,
        on_done: OnDone,
        now_ms: int,
    ) -> None:
        """Say something under a name, and keep it alive until something else is said.

        None takes back what was said; that is put once some node has taken it, and then no more.

        Refuses:
            RecordsExhausted: the node keeps as many records alive as it may.
            as `put` does.
        """
        self._see(now_ms)
        self.upkeep.keep((namespace, name), value, on_done)

    def provide(self, cid: Cid, size_bytes: int, on_done: OnDone, now_ms: int) -> None:
        """Say that this node keeps a blob, until it is said otherwise. Refuses: as `keep`."""
        addresses = list(self._contact.addresses)
        value = {"size_bytes": size_bytes, "addresses": addresses}
        self.keep("blob", cid, value, on_done, now_ms)

    def provide_no_more(self, cid: Cid, on_done: OnDone, now_ms: int) -> None:
        """Say that this node keeps a blob no more. Refuses: as `keep`."""
        self.keep("blob", cid, None, on_done, now_ms)

    def providers(
        self,
        cid: Cid,
        on_done: OnDone,
        now_ms: int,
        *,
        enough: int = 1,
        anew: bool = False,
    ) -> None:
        """Find who says that they keep a blob, and where they are.

        Args:
            cid: the blob's name.
            on_done: told with the providers as `contacts`, those with addresses first.
            now_ms: real time.
            enough: how many end the search.
            anew: whether to ask even if enough are known here: those did not have it.

        Refuses:
            LookupsFull: as many searches wait as may.
        """
        self._see(now_ms)
        finding = self._getting(FindProviders, "blob", cid, on_done)
        finding.enough = enough
        finding.where = self.where
        if not anew and len(finding.providers()) >= enough:
            on_done(Outcome(records=finding.records(), contacts=finding.contacts()))
            return
        self.searches.begin(finding)

    def where(self, did: Did) -> ContactText | None:
        """Return where a key's holder is, as it itself said."""
        known = self.table.get(did)
        if known is not None and known.addresses:
            return known
        for carried in self.copies.get("node", did, self.moment.now_ms):
            value = self.copies.read(carried).body.value
            if value:
                return search.contact_text(did, value.get("addresses", ()))
        return known

    # Serving.

    def _see(self, now_ms: int) -> None:
        """Learn what time it is; what is due is reckoned anew, for something happens now."""
        self._due_ms = None
        self.moment.see(now_ms)

    def _met(self, peer: Did, sender: ContactText | None) -> None:
        """Take note of who asks: its contact is believed only if it is its own."""
        if sender is None:
            self.table.alive(peer, self.moment.at_ms)
        elif sender.did != peer:
            self.counts["contacts of others"] += 1
        else:
            doubtful = self.table.heard(sender, self.moment.at_ms)
            if doubtful is not None:
                self.presence.look_at(doubtful)

    def _nearest(self, target: int, asker: Did) -> tuple[ContactText, ...]:
        near = self.table.nearest(target, CONTACTS_MAX + 1)
        return tuple([one for one in near if one.did != asker][:CONTACTS_MAX])

    def _getting(self, kind: type[G], namespace: Namespace, name: RecordName, on_done: OnDone) -> G:
        return kind(
            namespace,
            name,
            sender=self._sender,
            on_done=on_done,
            copies=self.copies,
            nearer=self.table.nearer,
            now_ms=lambda: self.moment.now_ms,
            owners_max=RULES[namespace].owners_max,
        )

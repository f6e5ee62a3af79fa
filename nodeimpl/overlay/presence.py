"""How a node comes into the network, stays known, and notices who is gone.

Source: ADR 0030; Maymounkov, Mazieres: Kademlia, sections 2.3 and 2.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from nodeimpl.overlay.asking import Asking, Moment
from nodeimpl.overlay.port import Chance
from nodeimpl.overlay.search import Outcome, Search, unheard
from nodeimpl.overlay.searches import Searches
from nodeimpl.overlay.table import Table
from opkit.wire.base import Did, Wire
from opkit.wire.dht import CONTACTS_MAX, ContactText, Ping, Pong


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceLimits:
    """Bounds.

    Attributes:
        contacts_max: contacts to begin with that are remembered.
        pings_max: contacts that are looked at at once.
        suspects_max: suspects that are looked at each time.
        refresh_ms: after how long without a lookup into a range one is made.
        refreshes_max: ranges into which one is made each time.
        far_ranges: into how many of the farthest a node looks when it has come in.
        missed_max: how many are remembered that were dropped; beyond it the first is forgotten.
        look_back_ms: after how long the next of them is looked for; each time twice as long.
        look_back_ms_max: how long at most.
        retry_ms: when it is tried again to come in; each time twice as late.
        retry_ms_max: how late at most.
    """

    contacts_max: int = 32
    pings_max: int = 32
    suspects_max: int = 4
    refresh_ms: int = 3_600_000
    refreshes_max: int = 4
    far_ranges: int = 4
    missed_max: int = 64
    look_back_ms: int = 30_000
    look_back_ms_max: int = 300_000
    retry_ms: int = 1_000
    retry_ms_max: int = 60_000


class Presence:
    """One node's place among the others.

    Attributes:
        counts: what was done.
    """

    def __init__(
        self,
        *,
        table: Table,
        asking: Asking,
        searches: Searches,
        moment: Moment,
        sender: ContactText | None,
        chance: Chance,
        limits: PresenceLimits,
    ) -> None:
        """Know nobody yet."""
        self.counts: Counter[str] = Counter()
        self._table = table
        self._asking = asking
        self._searches = searches
        self._moment = moment
        self._sender = sender
        self._chance = chance
        self._limits = limits
        self._ping = Ping(sender=sender)
        self._pinging: set[Did] = set()
        self._first: dict[Did, ContactText] = {}
        self._missed: dict[Did, ContactText] = {}
        self._back_ms = 0
        self._back_wait_ms = limits.look_back_ms
        self._again_ms = 0
        self._wait_ms = limits.retry_ms
        self._came_in = False
        self._refresh_ms = limits.refresh_ms
        asking.on_doubt = self.look_at
        asking.on_dropped = self._miss

    def held(self) -> dict[str, int]:
        """Return how many contacts are looked at now, and how many are missed."""
        return {"pings": len(self._pinging), "missed": len(self._missed)}

    def bootstrap(self, contacts: Iterable[ContactText]) -> None:
        """Come in by these contacts; it is tried again until one of them answers."""
        for contact in contacts:
            if contact.did != self._table.own and len(self._first) < self._limits.contacts_max:
                self._first[contact.did] = contact
        self._ask_in()

    def linked(self, peer: Did) -> None:
        """Learn that a link stands: in a small network everybody knows everybody at once."""
        known = self._table.alive(peer, self._moment.at_ms)
        if not known and peer != self._table.own and len(self._table) < CONTACTS_MAX:
            self.look_at(ContactText(did=peer))

    def look_at(self, contact: ContactText) -> None:
        """Ask a contact whether it lives."""
        if contact.did in self._pinging or len(self._pinging) >= self._limits.pings_max:
            return
        if self._asking.room() > 0:
            self._pinging.add(contact.did)
            self._asking.ask(contact, self._ping, partial(self._looked_at, contact.did))

    def keep_up(self) -> None:
        """Do a little of what is due."""
        at_ms, table = self._moment.at_ms, self._table
        self._look_at_suspects()
        self._look_back()
        if self._first and not len(table) and at_ms >= self._again_ms:
            self._ask_in()
        if at_ms > self._refresh_ms:
            before_ms = at_ms - self._limits.refresh_ms
            for index in table.unlooked(before_ms)[: self._limits.refreshes_max]:
                self._refresh(index)
            self._refresh_ms = table.looked_ms(at_ms) + self._limits.refresh_ms

    def due_ms(self) -> int:
        """Return when `keep_up` may have something to do."""
        due_ms = self._refresh_ms + 1
        if self._first and not len(self._table):
            due_ms = min(due_ms, self._again_ms)
        if self._missed:
            due_ms = min(due_ms, self._back_ms)
        suspects_ms = self._table.suspects.next_ms
        return due_ms if suspects_ms is None else min(due_ms, suspects_ms)

    def _look_at_suspects(self) -> None:
        """Look again at suspects of the table; whoever else is silent is nobody's concern."""
        suspects, at_ms = self._table.suspects, self._moment.at_ms
        suspects.lapse(at_ms)
        looks = 0
        for did in suspects.due(at_ms):
            contact = self._table.get(did)
            if contact is not None:
                if looks >= self._limits.suspects_max:
                    continue
                looks += 1
                self.look_at(contact)
            suspects.put_off(did, at_ms)

    def _miss(self, contact: ContactText) -> None:
        """Remember who was dropped.

        Two halves of a network that was parted for long have dropped each other, and nobody on one
        side names anybody of the other any more. Somebody has to look back.
        """
        self._back_wait_ms = self._limits.look_back_ms
        next_ms = self._moment.at_ms + self._back_wait_ms
        self._back_ms = min(self._back_ms, next_ms) if self._missed else next_ms
        self._missed.pop(contact.did, None)
        self._missed[contact.did] = contact
        if len(self._missed) > self._limits.missed_max:
            del self._missed[next(iter(self._missed))]

    def _look_back(self) -> None:
        """Look for one of those that were dropped: whoever was not looked for the longest."""
        at_ms = self._moment.at_ms
        if not self._missed or at_ms < self._back_ms:
            return
        self._back_ms = at_ms + self._back_wait_ms
        self._back_wait_ms = min(2 * self._back_wait_ms, self._limits.look_back_ms_max)
        did = next(iter(self._missed))
        contact = self._missed.pop(did)
        if self._table.get(did) is None:
            self._missed[did] = contact
            self.counts["looked back"] += 1
            self.look_at(contact)

    def _looked_at(self, did: Did, answer: Wire | None, why: str) -> None:
        del why  # The asking itself has drawn what follows from silence.
        self._pinging.discard(did)
        if isinstance(answer, Pong) and answer.contact.did == did:
            self._table.heard(answer.contact, self._moment.at_ms)
            if self._missed.pop(did, None):
                # Where one is back, the next one may be, too.
                self._back_ms, self._back_wait_ms = self._moment.at_ms, self._limits.look_back_ms
            if self._first and not self._came_in and self._searches.room():
                self._came_in = True
                self._search(self._table.place, background=False)

    def _ask_in(self) -> None:
        """Ask the contacts to begin with whether they live."""
        self._came_in = False
        self._again_ms = self._moment.at_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, self._limits.retry_ms_max)
        for contact in self._first.values():
            self.look_at(contact)

    def _refresh(self, index: int) -> None:
        """Look into a range, at a place by chance."""
        if not self._searches.room():
            return
        target = self._table.place ^ (1 << index) ^ self._chance.randrange(1 << index)
        self.counts["refreshed"] += 1
        self._table.looked(target, self._moment.at_ms)
        self._search(target, background=True)

    def _search(self, target: int, *, background: bool) -> None:
        on_done = unheard if background else self._came_near
        search = Search(target, sender=self._sender, on_done=on_done, background=background)
        self._searches.begin(search)

    def _came_near(self, outcome: Outcome) -> None:
        """Look far away, after becoming known to those who are near."""
        del outcome  # Whoever answered is in the table already.
        for index in sorted(self._table.ranges(), reverse=True)[: self._limits.far_ranges]:
            self._refresh(index)

"""The searches of one node: some under way, some that wait for their turn, no more than so many.

Source: ADR 0030.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial

from nodeimpl.overlay.asking import USELESS, Asking, Moment
from nodeimpl.overlay.lookup import Lookup, LookupLimits
from nodeimpl.overlay.search import Placing, Search
from nodeimpl.overlay.table import Table
from opkit.wire.base import Wire
from opkit.wire.dht import CONTACTS_MAX, ContactText, LookupsFull, PutRecord, RecordTaken
from opkit.wire.errors import REFUSALS
from opkit.wire.records import Carried

NEVER_MS = 2**62
"""When a search goes on that waits for room to ask: when the question of another one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchesLimits:
    """Bounds.

    Attributes:
        active_max: searches under way.
        background_max: those of them that nobody waits for.
        waiting_max: searches that wait for their turn.
        puts_at_once: how many nodes one search gives records to at once.
        spares_max: how many more than the nearest are given a record, each in the place of one that
            did not answer.
    """

    lookup: LookupLimits = field(default_factory=LookupLimits)
    active_max: int = 16
    background_max: int = 2
    waiting_max: int = 256
    puts_at_once: int = 8
    spares_max: int = 8


class Searches:
    """What one node looks for.

    Attributes:
        counts: searches by kind, and how they ended.
    """

    def __init__(
        self,
        *,
        table: Table,
        asking: Asking,
        moment: Moment,
        sender: ContactText | None,
        limits: SearchesLimits,
    ) -> None:
        """Look for nothing yet."""
        self.counts: Counter[str] = Counter()
        self._table = table
        self._asking = asking
        self._moment = moment
        self._sender = sender
        self._limits = limits
        self._active: list[Search] = []
        self._waiting: deque[Search] = deque()
        self._later: deque[Search] = deque()
        self._starved = False
        lookup = limits.lookup
        self._room_wanted = lookup.at_once + lookup.paths * (lookup.slow_max + 1)

    def held(self) -> dict[str, int]:
        """Return how many searches there are, and how many candidates they have."""
        lookups = [search.lookup for search in self._active if search.lookup is not None]
        return {
            "searches": len(self._active),
            "searches waiting": len(self._waiting) + len(self._later),
            "candidates": sum(lookup.held() for lookup in lookups),
        }

    def room(self) -> bool:
        """Return whether one more may wait."""
        return len(self._waiting) + len(self._later) < self._limits.waiting_max

    def begin(self, search: Search) -> None:
        """Begin a search, now or when it is its turn.

        Refuses:
            LookupsFull: as many wait as may.
        """
        if not self.room():
            self.counts["refused"] += 1
            raise LookupsFull(limit=self._limits.waiting_max)
        (self._later if search.background else self._waiting).append(search)
        self.pump()

    def pump(self) -> None:
        """Begin what may begin."""
        limits = self._limits
        while self._waiting and len(self._active) < limits.active_max:
            self._start(self._waiting.popleft())
        while self._later and len(self._active) < limits.active_max:
            if sum(1 for search in self._active if search.background) >= limits.background_max:
                return
            self._start(self._later.popleft())

    def went_on(self) -> None:
        """Look at searches that had no room to ask, now that a question has ended."""
        if self._starved:
            self._starved = False
            for search in tuple(self._active):
                self._go_on(search)

    def tick(self) -> None:
        """Ask besides whoever is slow, and wait no longer for whoever is late."""
        at_ms = self._moment.at_ms
        for search in tuple(self._active):
            lookup = search.path_of()
            if search.placing is None:
                lookup.overdue(at_ms)
            else:
                self._overdue(search.placing, at_ms)
            self._go_on(search)

    def due_ms(self) -> int | None:
        """Return when `tick` is wanted next."""
        dues = [search.due_ms or self._due_of(search) for search in self._active]
        return min(dues, default=None)

    def _due_of(self, search: Search) -> int:
        """Return when a search is to be looked at; it holds until something becomes of it."""
        if search.placing is None:
            due_ms = search.path_of().due_ms(self._moment.at_ms)
        else:
            lates = (late_ms for late_ms, _ in search.placing.under_way.values())
            due_ms = min(lates, default=NEVER_MS)
        search.due_ms = due_ms
        return due_ms

    def _start(self, search: Search) -> None:
        table, target = self._table, search.target
        seeds = table.nearest(target, CONTACTS_MAX)
        table.looked(target, self._moment.at_ms)
        search.lookup = Lookup(
            target,
            own=table.own,
            seeds=seeds or table.nearest(target, CONTACTS_MAX, suspects=True),
            doubts=self._asking.doubts,
            gone=table.suspects.gone,
            prefixes=table.prefixes,
            limits=self._limits.lookup,
            now_ms=self._moment.at_ms,
        )
        self.counts[search.kind] += 1
        self._active.append(search)
        self._go_on(search)

    def _go_on(self, search: Search) -> None:
        """Ask whom a search wants asked; end what has come to its end."""
        search.due_ms = None
        if search.placing is not None:
            self._place(search, search.placing)
            return
        lookup, asking = search.path_of(), self._asking
        if asking.room() < self._room_wanted and not lookup.stopped:
            self._starved = True
            return
        self._ask(search, lookup)
        if lookup.ended() and not (search.lacks() and self._insists(search, lookup)):
            self._found(search)

    def _ask(self, search: Search, lookup: Lookup) -> None:
        for contact in lookup.wanted(self._moment.at_ms, self._asking.pace):
            self._asking.ask(contact, search.question, partial(self._came, search, contact))

    def _insists(self, search: Search, lookup: Lookup) -> bool:
        """Return whether a search that would end with nothing goes on.

        Who was slow or failed once may be the only one that knows: it is asked, and who is late is
        waited for. Those who are gone are not, so that each costs no more than two time-outs.
        """
        if not lookup.widened:
            lookup.widen(self._table.nearest(search.target, CONTACTS_MAX, suspects=True))
            self._ask(search, lookup)
        return not lookup.ended() or lookup.awaits()

    def _came(self, search: Search, contact: ContactText, answer: Wire | None, why: str) -> None:
        """Take the end of a question of a lookup."""
        del why  # Whoever refuses a question of the table's has nothing to say to it.
        if search.placing is not None or search not in self._active:
            return
        if answer is None or not search.came(contact, answer):
            search.path_of().failed(contact.did)
        self._go_on(search)

    def _found(self, search: Search) -> None:
        """Put what is to be put to the nearest, or end."""
        lookup = search.path_of()
        near = lookup.closest(CONTACTS_MAX + self._limits.spares_max)
        nearest, spare = near[:CONTACTS_MAX], near[CONTACTS_MAX:]
        if search.puts and nearest:
            # Who answered a moment ago comes before whoever was only heard of.
            known = self._table.nearest(search.target, CONTACTS_MAX + self._limits.spares_max)
            spare += lookup.unasked(self._limits.spares_max - len(spare), known)
            left = [(contact, carried) for carried in search.puts for contact in nearest]
            left.reverse()
            spares = {carried.jws: spare[::-1] for carried in search.puts}
            search.placing = Placing(left, spares)
            self._place(search, search.placing)
            return
        self._end(search)

    def _place(self, search: Search, placing: Placing) -> None:
        search.due_ms = None
        asking = self._asking
        while placing.left and len(placing.under_way) < self._limits.puts_at_once:
            if asking.room() <= 0:
                self._starved = True
                break
            contact, carried = placing.left.pop()
            token = self.put(contact, carried, search)
            placing.under_way[token] = (self._moment.at_ms + asking.pace.late_ms, carried)
        if not placing.left and not placing.under_way:
            self._end(search)

    def _overdue(self, placing: Placing, at_ms: int) -> None:
        """Wait no longer for whoever is late; the next nearest is given the record, too."""
        late = [token for token, (late_ms, _) in placing.under_way.items() if late_ms <= at_ms]
        for token in late:
            _, carried = placing.under_way.pop(token)
            self.counts["put instead"] += placing.instead(carried)

    def put(self, contact: ContactText, carried: Carried, search: Search | None) -> int:
        """Give a contact a record; return the token of the question."""
        question = PutRecord(sender=self._sender, record=carried)
        tokens: list[int] = []
        token = self._asking.ask(contact, question, partial(self._put, search, contact, tokens))
        tokens.append(token)
        return token

    def _put(
        self,
        search: Search | None,
        contact: ContactText,
        tokens: list[int],
        answer: Wire | None,
        why: str,
    ) -> None:
        """Take the end of a put."""
        if search is None or search.placing is None:
            return
        placing = search.placing
        if isinstance(answer, RecordTaken):
            placing.kept.add(contact.did)
        elif why in REFUSALS:
            placing.refused[why] += 1
        given = placing.under_way.pop(tokens[0], None)
        if given is None:
            return
        if not isinstance(answer, RecordTaken) and (why not in REFUSALS or why in USELESS):
            self.counts["put instead"] += placing.instead(given[1])
        self._place(search, placing)

    def _end(self, search: Search) -> None:
        self._active.remove(search)
        copy = search.cached()
        if copy is not None and self._asking.room() > 0:
            contact, records = copy
            self.put(contact, records[0], None)
            self.counts["copies given"] += 1
        search.done(self._moment.at_ms)
        self.pump()

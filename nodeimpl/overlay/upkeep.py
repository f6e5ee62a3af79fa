"""What keeps records where they belong: owners say them again, holders put them again.

All of it is done a little at a time, and waits behind what somebody asked for. Source: ADR 0030;
Maymounkov, Mazieres: Kademlia, section 2.5.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nodeimpl.overlay.asking import Moment
from nodeimpl.overlay.copies import Copies
from nodeimpl.overlay.port import Chance, key_id
from nodeimpl.overlay.search import OnDone, Outcome, Search, unheard
from nodeimpl.overlay.searches import Searches
from nodeimpl.overlay.table import Table
from opkit.wire.dht import CONTACTS_MAX, ContactText
from opkit.wire.errors import Refusal
from opkit.wire.records import Carried, Namespace, RecordName, RecordsExhausted

Key = tuple[Namespace, RecordName]
Sign = Callable[[Namespace, RecordName, dict[str, Any] | None, int], Carried]
"""Signs a record of the node's own: namespace, name, value, and real time in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepLimits:
    """Bounds.

    Attributes:
        every_ms: how often it is looked at what is due, if anything is.
        lapse_ms: how often copies that lapsed are dropped: they are told to nobody anyway.
        searches_max: records put again each time.
        held_max: names that are put again by this node because it holds them.
        republish_ms: after how long without a put a holder puts a record again; up to a quarter of
            chance comes upon it, so that one holder is first.
        own_max: names under which the node itself keeps a record alive.
        retry_ms: when a record of its own that nobody took is put again; each time twice as late.
        retry_ms_max: how late at most.
    """

    every_ms: int = 1_000
    lapse_ms: int = 60_000
    searches_max: int = 4
    held_max: int = 16_384
    republish_ms: int = 3_600_000
    own_max: int = 4_096
    retry_ms: int = 1_000
    retry_ms_max: int = 60_000


class Timetable:
    """Which name is due when: each at one time, the last that was set."""

    __slots__ = ("_at", "_heap", "_max")

    def __init__(self, names_max: int) -> None:
        """Know of no name."""
        self._at: dict[Key, int] = {}
        self._heap: list[tuple[int, Key]] = []
        self._max = names_max

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._at)

    def next_ms(self) -> int | None:
        """Return before when nothing is due; None if nothing ever is."""
        return self._heap[0][0] if self._heap else None

    def set(self, key: Key, at_ms: int) -> bool:
        """Have a name due at a time, and no other; return False if there are too many."""
        if key not in self._at and len(self._at) >= self._max:
            return False
        self._at[key] = at_ms
        heapq.heappush(self._heap, (at_ms, key))
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [(at_ms, key) for key, at_ms in self._at.items()]
            heapq.heapify(self._heap)
        return True

    def drop(self, key: Key) -> None:
        """Have a name never due."""
        self._at.pop(key, None)

    def take(self, at_ms: int) -> Key | None:
        """Return a name that is due, and have it never due; None if none is."""
        while self._heap and self._heap[0][0] <= at_ms:
            due_ms, key = heapq.heappop(self._heap)
            if self._at.get(key) == due_ms:
                del self._at[key]
                return key
        return None


@dataclass(slots=True)
class Own:
    """A record that the node keeps alive: what it says, and how often nobody took it in a row."""

    value: dict[str, Any] | None
    failures: int = 0


class Upkeep:
    """The records that one node says, and those that it holds for others.

    Attributes:
        counts: what was done.
    """

    def __init__(
        self,
        *,
        table: Table,
        copies: Copies,
        searches: Searches,
        moment: Moment,
        sender: ContactText | None,
        chance: Chance,
        sign: Sign | None,
        limits: UpkeepLimits,
    ) -> None:
        """Say and hold nothing yet."""
        self.counts: Counter[str] = Counter()
        self._table = table
        self._copies = copies
        self._searches = searches
        self._moment = moment
        self._sender = sender
        self._chance = chance
        self._sign = sign
        self._limits = limits
        self._own: dict[Key, Own] = {}
        self._own_due = Timetable(limits.own_max)
        self._held_due = Timetable(limits.held_max)
        self._lapse_ms = 0

    def held(self) -> dict[str, int]:
        """Return how many names the node says something under, and how many it holds."""
        return {"own": len(self._own), "to put again": len(self._held_due)}

    def take(self, carried: Carried) -> bool:
        """Keep a record that somebody put here; return whether it is new. Refuses as `Copies`."""
        record = self._copies.read(carried)
        key = (record.body.aud, record.body.name)
        nearer = self._table.nearer(key_id(*key))
        new = self._copies.take(record, carried, now_ms=self._moment.now_ms, nearer=nearer)
        if nearer < CONTACTS_MAX:
            self._hold(key)
        return new

    def put(self, carried: Carried, on_done: OnDone, *, background: bool = False) -> None:
        """Keep a record here, and have the nearest nodes keep it."""
        record = self._copies.read(carried)
        try:
            self._copies.take(record, carried, now_ms=self._moment.now_ms, nearer=0)
        except RecordsExhausted:
            # Others may have room for it.
            self.counts["no room here"] += 1
        key = (record.body.aud, record.body.name)
        self._put(key, (carried,), on_done, background=background)

    def keep(self, key: Key, value: dict[str, Any] | None, on_done: OnDone) -> None:
        """Say something under a name, and keep it alive until something else is said."""
        if key not in self._own and len(self._own) >= self._limits.own_max:
            raise RecordsExhausted(limit=self._limits.own_max)
        before = self._own.get(key)
        self._own[key] = Own(value)
        try:
            self._say(key, on_done)
        except Refusal:
            self._undo(key, before)
            raise

    def resume(self, key: Key, value: dict[str, Any] | None) -> None:
        """Go on with what was kept under a name before a restart, a little at a time.

        Args:
            key: the name.
            value: what the node itself says under it, and says again in its turn; None: what is
                there is held for others.
        """
        if value is None:
            self._hold(key)
        elif key not in self._own and self._own_due.set(key, self._moment.at_ms):
            self._own[key] = Own(value)

    def keep_up(self) -> None:
        """Do a little of what is due."""
        if self._moment.at_ms >= self._lapse_ms:
            self._lapse_ms = self._moment.at_ms + self._limits.lapse_ms
            self._copies.lapse(self._moment.now_ms)
        for _ in range(self._limits.searches_max):
            if not (self._searches.room() and (self._say_again() or self._put_again())):
                return

    def due_ms(self) -> int:
        """Return when `keep_up` may have something to do."""
        due_ms = self._lapse_ms
        for next_ms in (self._own_due.next_ms(), self._held_due.next_ms()):
            if next_ms is not None and next_ms < due_ms:
                due_ms = next_ms
        return due_ms

    def _say(self, key: Key, on_done: OnDone, *, background: bool = False) -> None:
        """Sign what the node says under a name of its own, and put it."""
        assert self._sign is not None, "who keeps records alive can sign them"
        carried = self._sign(*key, self._own[key].value, self._moment.now_ms)
        body = self._copies.read(carried).body
        # What cannot be said any more is taken back, once.
        self._own[key].value = body.value
        # Due even if nothing comes of this: what is told in the end only moves it.
        half_ms = (body.lapses_at_ms - self._moment.now_ms) // 2
        self._own_due.set(key, self._moment.at_ms + half_ms)
        self.put(carried, partial(self._said, key, on_done), background=background)

    def _undo(self, key: Key, before: Own | None) -> None:
        """Keep alive what was kept alive before, if anything was."""
        if before is None:
            del self._own[key]
            self._own_due.drop(key)
        else:
            self._own[key] = before

    def _said(self, key: Key, on_done: OnDone, outcome: Outcome) -> None:
        own = self._own.get(key)
        if own is not None and outcome.kept:
            own.failures = 0
            if own.value is None:
                del self._own[key]
                self._own_due.drop(key)
        elif own is not None:
            wait_ms = min(self._limits.retry_ms << min(own.failures, 16), self._limits.retry_ms_max)
            own.failures += 1
            self._own_due.set(key, self._moment.at_ms + wait_ms)
        on_done(outcome)

    def _say_again(self) -> bool:
        """Put a record of the node's own that is due; return whether there was one."""
        key = self._own_due.take(self._moment.at_ms)
        if key is None:
            return False
        try:
            self._say(key, unheard, background=True)
        except Refusal:
            # The clock went back, or the owner said more elsewhere: the next time is due already.
            self.counts["not said"] += 1
        else:
            self.counts["said again"] += 1
        return True

    def _put_again(self) -> bool:
        """Put what is held under a name that nobody put of late; return whether one was due."""
        key = self._held_due.take(self._moment.at_ms)
        if key is None:
            return False
        records = self._copies.get(*key, self._moment.now_ms)
        near = self._table.nearer(key_id(*key)) < CONTACTS_MAX
        if records and near and key not in self._own:
            self.counts["put again"] += 1
            self._hold(key)
            self._put(key, records, unheard, background=True)
        return True

    def _hold(self, key: Key) -> None:
        """Put what is under a name again, unless somebody does so before."""
        wait_ms = self._limits.republish_ms
        wait_ms += int(wait_ms * self._chance.random() / 4)
        if not self._held_due.set(key, self._moment.at_ms + wait_ms):
            self.counts["not put again"] += 1

    def _put(
        self, key: Key, records: tuple[Carried, ...], on_done: OnDone, *, background: bool
    ) -> None:
        self._searches.begin(
            Search(
                key_id(*key),
                sender=self._sender,
                on_done=on_done,
                background=background,
                puts=records,
            )
        )

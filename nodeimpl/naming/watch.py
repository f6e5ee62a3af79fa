"""What becomes of names while nobody asks: the index follows the shelf, and events are told.

Names of other homes are told of up to a rate, for a network may have any number of them; the
journal is no copy of the shelf. Source: ADR 0035.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.naming.index import Index, Listed
from nodeimpl.naming.ports import Shelved
from nodeimpl.naming.registry import Registry
from nodeimpl.naming.rules import Limits
from nodeimpl.overlay.pace import Allowance, Steady
from nodeimpl.p2p.deadline import set_or_passed
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.names import NameView, contradict, read_takeover, view_name
from opkit.wire import names as wire
from opkit.wire.base import Did, Jws
from opkit.wire.errors import CoopError
from opkit.wire.events import Event
from opkit.wire.records import Carried

IDLE_MS = 60_000
"""How long it is waited at most before it is looked whether something is due."""

BUSY_MS = 1_000
"""How long until the store is tried again that took nothing."""

EVENTS_MAX = 256
"""How many events wait for the journal; more are only counted."""

PROVEN_MAX = 256
"""Of how many names it is remembered that it was told that their home said two things."""

_log = structlog.get_logger("naming")


class Watch:
    """Follows the shelf, and lets names lapse.

    Attributes:
        counts: how often what happened.
        proven: of each name the proof, if there is one, that its home said two things: the one
            that stands, and the other.
    """

    def __init__(
        self,
        own: Did,
        *,
        genesis: GenesisView,
        store: Store,
        clock: Clock,
        shelf: Shelved,
        index: Index,
        registry: Registry,
        limits: Limits,
    ) -> None:
        """Keep the parts; `own` is this node's key."""
        self.counts: Counter[str] = Counter()
        self.proven: dict[wire.NameText, tuple[Jws, Jws]] = {}
        self._own = own
        self._genesis = genesis
        self._store = store
        self._clock = clock
        self._shelf = shelf
        self._index = index
        self._registry = registry
        self._steady = Steady()
        self._allowance = Allowance(per_s=limits.events_per_s, burst=limits.events_burst)
        self._events: list[Event] = []
        self._strays: dict[wire.NameText, None] = {}
        self._wake = asyncio.Event()
        registry.on_due = self._wake.set

    def changed(self, name: wire.NameText) -> None:
        """Take note that something else is on the shelf under a name than was."""
        before, view = self._index.see(name)
        due_ms = self._index.due_ms()
        if due_ms is not None and view is not None and view.lapses_at_ms <= due_ms:
            self._wake.set()
        if view is None:
            if before is not None and before.lapses_at_ms <= self._clock.now_ms():
                self._lapsed(name, before)
            return
        if before is not None and before.sequence == view.sequence:
            return
        if view.home != self._own:
            self._tell_of(view, before)
        elif self._registry.is_news(view):
            self._strays[name] = None
            self._wake.set()

    def compared(self, one: Carried, other: Carried) -> None:
        """Look at two records of one name that both verify: they may prove a lie."""
        views = view_name(one.jws), view_name(other.jws)
        if not (contradict(*views) or contradict(*reversed(views))):
            return
        if views[0].name in self.proven or len(self.proven) >= PROVEN_MAX:
            return
        try:
            proof = read_takeover(one.jws, other.jws, self._genesis)
        except ProofError:
            return
        self.proven[proof.name] = (proof.first.record, proof.second.record)
        self.counts["equivocations"] += 1
        _log.error("a home node countersigned one name for two", name=proof.name, home=proof.home)
        self._queue(
            wire.HomeEquivocated(
                name=proof.name,
                home=proof.home,
                member_id=proof.first.member_id,
                other_id=proof.second.member_id,
                first=proof.first.id,
                second=proof.second.id,
            )
        )

    async def run(self) -> None:
        """Let lapse what is due and journal what is to be told, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        while True:
            try:
                await self._do_what_is_due()
                wait_ms = self._wait_ms()
            except CoopError as busy:
                _log.warning("names are looked at later", why=str(busy))
                wait_ms = BUSY_MS
            await set_or_passed(self._wake, clock=self._clock, ms=wait_ms)
            self._wake.clear()

    async def _do_what_is_due(self) -> None:
        now_ms = self._clock.now_ms()
        for name, listed in self._index.lapsed(now_ms):
            self._lapsed(name, listed)
        while self._strays:
            name = next(iter(self._strays))
            carried = self._shelf.standing(name)
            if carried is not None:
                await self._registry.adopt(carried)
            del self._strays[name]
        while self._registry.due_ms is not None and self._registry.due_ms <= now_ms:
            await self._registry.look_at_due()
        if self._events:
            await self._journal()

    async def _journal(self) -> None:
        events = tuple(self._events)

        def record(tx: Tx) -> None:
            for event in events:
                tx.announce(event)

        await self._store.write(record)
        del self._events[: len(events)]

    def _wait_ms(self) -> int:
        due = [each for each in (self._index.due_ms(), self._registry.due_ms) if each is not None]
        now_ms = self._clock.now_ms()
        return max(1, min([*(each - now_ms for each in due), IDLE_MS]))

    def _lapsed(self, name: wire.NameText, listed: Listed) -> None:
        home = self._genesis.charter(name.rpartition(".")[2])
        if home is not None and home.home_node != self._own:
            self._ration(
                wire.NameLapsed(
                    name=name,
                    member_id=listed.member_id,
                    home=home.home_node,
                    sequence=listed.sequence,
                )
            )

    def _tell_of(self, view: NameView, before: Listed | None) -> None:
        """Tell what another home countersigned."""
        if view.held:
            self._ration(
                wire.NameRegistered(
                    name=view.name,
                    member_id=view.member_id,
                    home=view.home,
                    sequence=view.sequence,
                    lapses_at_ms=view.lapses_at_ms,
                )
            )
        elif before is not None:
            self._ration(
                wire.NameWithdrawn(
                    name=view.name,
                    member_id=view.member_id,
                    home=view.home,
                    sequence=view.sequence,
                )
            )

    def _ration(self, event: Event) -> None:
        if self._allowance.spend(1, self._steady.see(self._clock.now_ms())):
            self._queue(event)
        else:
            self.counts["events left out"] += 1

    def _queue(self, event: Event) -> None:
        if len(self._events) >= EVENTS_MAX:
            self.counts["events left out"] += 1
            return
        self._events.append(event)
        self._wake.set()

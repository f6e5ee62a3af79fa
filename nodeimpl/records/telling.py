"""Journals what the overlay noticed: little enough that a flood of it floods no journal.

Each kind of note has a ration; what is beyond it is counted, and told once a minute as a number.
Whoever has no sponsor can sign two things with as many keys as they like, so of such owners few
proofs are journalled. Source: ADR 0029.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.overlay.gossip_state import PeerBanned
from nodeimpl.overlay.node import OverlayNote
from nodeimpl.overlay.reconcile import PeerLied, Repaired
from nodeimpl.overlay.shelf import EquivocationSeen
from nodeimpl.p2p.deadline import set_or_passed
from opkit.wire import overlay as wire
from opkit.wire.errors import CoopError
from opkit.wire.events import Event

QUEUE_MAX = 64
"""How many events wait for the journal."""

LEFT_OUT_MS = 60_000
"""How often at most it is told how many were left out."""

WHY_CHARACTERS_MAX = 1_024

_log = structlog.get_logger("overlay")


@dataclass(slots=True)
class Ration:
    """So many at once, and then one every so often. Source: ITU-T I.371 (generic cell rate).

    Attributes:
        at_once: how many may come at once.
        every_ms: how long until there may be one more.
    """

    at_once: int
    every_ms: int
    full_ms: int = 0

    def take(self, now_ms: int) -> bool:
        """Return whether one more is within the ration, and count it if so."""
        most_ms = now_ms + self.at_once * self.every_ms
        # A clock that went back starves nobody for longer than the whole ration takes.
        self.full_ms = min(max(self.full_ms, now_ms), most_ms)
        if self.full_ms + self.every_ms > most_ms:
            return False
        self.full_ms += self.every_ms
        return True


def rations() -> dict[str, Ration]:
    """Return what each kind of event may cost, by its type; of strangers' equivocations, less."""
    return {
        wire.OwnerEquivocated.type: Ration(at_once=32, every_ms=60_000),
        STRANGERS: Ration(at_once=4, every_ms=900_000),
        wire.PeerBanned.type: Ration(at_once=16, every_ms=20_000),
        wire.PeerLied.type: Ration(at_once=16, every_ms=20_000),
        wire.RecordsRepaired.type: Ration(at_once=16, every_ms=10_000),
    }


STRANGERS = "strangers"
"""The ration of equivocations for whose owner nobody vouches."""


def event_of(note: OverlayNote) -> Event | None:
    """Return the event that says what was noticed; None if it is nothing for a journal."""
    if isinstance(note, EquivocationSeen):
        seen = note.evidence
        return wire.OwnerEquivocated(
            owner=seen.owner,
            namespace=seen.namespace,
            name=seen.name,
            sequence=seen.sequence,
            first=seen.first,
            second=seen.second,
        )
    if isinstance(note, PeerBanned):
        return wire.PeerBanned(peer=note.peer, why=note.why[:WHY_CHARACTERS_MAX])
    if isinstance(note, PeerLied):
        why = note.why[:WHY_CHARACTERS_MAX]
        return wire.PeerLied(peer=note.peer, why=why, strikes=note.strikes)
    if isinstance(note, Repaired):
        return wire.RecordsRepaired(peer=note.peer, kept=note.kept, pushed=note.pushed)
    return None


class Telling:
    """What one node's overlay noticed and its journal has not yet."""

    def __init__(
        self, *, clock: Clock, announce: Callable[[Sequence[Event]], Awaitable[None]]
    ) -> None:
        """Tell nothing yet; `announce` journals events, all of them or none."""
        self._clock = clock
        self._announce = announce
        self._rations = rations()
        self._queue: list[Event] = []
        self._left_out: Counter[str] = Counter()
        self._told_ms = clock.now_ms() - LEFT_OUT_MS
        self._wanted = asyncio.Event()

    def note(self, note: OverlayNote) -> None:
        """Have a note journalled, if it is of a kind that is, and within its ration."""
        event = event_of(note)
        if event is None:
            return
        of_stranger = isinstance(note, EquivocationSeen) and not note.sponsored
        ration = self._rations[STRANGERS if of_stranger else event.type]
        if len(self._queue) < QUEUE_MAX and ration.take(self._clock.now_ms()):
            self._queue.append(event)
        else:
            self._left_out[event.type] += 1
        self._wanted.set()

    async def run(self) -> None:
        """Journal what is noted, until cancelled."""
        while True:
            await self._until_wanted()
            events, self._queue = self._queue, []
            if self._due_ms() == 0:
                events.append(self._summary())
            if not events:
                continue
            try:
                await self._announce(events)
            except CoopError as no:
                for event in events:
                    _log.error("an event is not journalled", event_type=event.type, why=str(no))

    def _summary(self) -> wire.EventsLeftOut:
        """Return how many were left out since it was said last, and begin anew."""
        left_out, self._left_out = self._left_out, Counter()
        self._told_ms = self._clock.now_ms()
        counts = (wire.Counted(name=name, count=n) for name, n in sorted(left_out.items()))
        return wire.EventsLeftOut(counts=tuple(counts))

    def _due_ms(self) -> int | None:
        """Return how long until it is to be said what was left out; None if nothing was."""
        if not self._left_out:
            return None
        left_ms = self._told_ms + LEFT_OUT_MS - self._clock.now_ms()
        return min(max(0, left_ms), LEFT_OUT_MS)

    async def _until_wanted(self) -> None:
        """Return when something is noted, or it is time to say what was left out."""
        due_ms = self._due_ms()
        if due_ms is None:
            await self._wanted.wait()
        elif due_ms > 0:
            await set_or_passed(self._wanted, clock=self._clock, ms=due_ms)
        self._wanted.clear()

"""When streams look at the journal: all together, and not at every commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nodeimpl.gateway.tail import Page, Tail
from nodeimpl.kernel.errors import StoreClosed
from nodeimpl.kernel.store import Store
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Refusal
from opkit.wire.events import Cursor

Take = Callable[[bytes], bool]
"""Sends a whole message at once and says so; False if it would have to wait, or cannot."""


@dataclass(eq=False, slots=True)
class Rider:
    """A reader at the journal's end, who is handed pages without looking for itself."""

    place: Cursor
    scopes: frozenset[Scope]
    take: Take
    ended: asyncio.Future[None]


class Pulse:
    """Tells all streams at once that the journal has grown, at most every so many milliseconds.

    An event after a pause is told at once; those that follow are gathered. Streams that look at the
    same moment stand at the same place, so that one page serves them all, and many of them cost
    one timer and one look at the journal (ADR 0027). Whose connection takes whole messages is given
    them here, one after the other; waking a task for each costs more than sending does.
    """

    def __init__(
        self,
        store: Store,
        *,
        tail: Tail,
        every_ms: int,
        entries_max: int,
        sent: Callable[[int], None],
    ) -> None:
        """Beat only while somebody waits.

        Args:
            entries_max: how many entries a page has at most.
            sent: told how many pages a beat has sent.
        """
        self._store = store
        self._tail = tail
        self._every_s = every_ms / 1000
        self._entries_max = entries_max
        self._sent = sent
        self._told = 0
        self._told_at_s = 0.0
        self._waiting: set[asyncio.Future[None]] = set()
        self._riders: set[Rider] = set()
        self._beating: asyncio.Task[None] | None = None

    async def after(self, sequence: int) -> None:
        """Return once it was told that there is an entry after `sequence`.

        Raises:
            StoreClosed: there will be none.
        """
        while self._told <= sequence:
            told = asyncio.get_running_loop().create_future()
            self._waiting.add(told)
            self._go_on()
            try:
                await told
            finally:
                self._waiting.discard(told)
                self._rest()

    async def ride(self, place: Cursor, *, scopes: frozenset[Scope], take: Take) -> Cursor:
        """Hand `take` every page after `place`; return where it has to be looked for otherwise.

        That is at once if something was told since, and once `take` does not take a page, or took
        one that is not all there is.

        Raises:
            StoreClosed: there will be none.
        """
        if self._told > place.sequence:
            return place
        ended = asyncio.get_running_loop().create_future()
        rider = Rider(place, scopes, take, ended)
        self._riders.add(rider)
        self._go_on()
        try:
            await ended
        finally:
            self._riders.discard(rider)
            self._rest()
        return rider.place

    def _go_on(self) -> None:
        """Beat, unless that goes on already."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat(), name="pulse")

    def _rest(self) -> None:
        """Beat no longer, if nobody waits."""
        if not self._waiting and not self._riders and self._beating is not None:
            self._beating.cancel()
            self._beating = None

    async def _beat(self) -> None:
        """Tell those who wait, as often as there is something and the last beat is past."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting or self._riders:
                await self._store.journal_grew(self._told)
                await asyncio.sleep(max(0.0, self._told_at_s + self._every_s - loop.time()))
                self._told, self._told_at_s = self._store.tree().size, loop.time()
                waiting, self._waiting = self._waiting, set()
                for told in waiting:
                    _end(told)
                await self._carry()
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to all who wait
            for told in (*self._waiting, *(rider.ended for rider in self._riders)):
                _end(told, error)
        if self._beating is asyncio.current_task():
            self._beating = None

    async def _carry(self) -> None:
        """Hand each rider what comes after its place; who cannot take it all looks for itself."""
        pages: dict[tuple[str, frozenset[Scope]], Page | None] = {}
        sent = 0
        for rider in tuple(self._riders):
            key = (rider.place.hash, rider.scopes)
            if key not in pages:
                try:
                    pages[key] = await self._tail.page(
                        rider.place, scopes=rider.scopes, entries_max=self._entries_max
                    )
                except (Refusal, StoreClosed):
                    # Looking for itself, it finds the same, and says so to its reader.
                    _end(rider.ended)
                    continue
            page = pages[key]
            if page is None or rider.ended.done():
                continue
            if page.entries < self._entries_max and rider.take(page.frame):
                rider.place = page.cursor
                sent += 1
                if page.cursor.sequence >= self._told:
                    continue
                # The page ends where memory does, and of the rest nobody would be told again.
            _end(rider.ended)
        self._sent(sent)


def _end(waiting: asyncio.Future[None], error: Exception | None = None) -> None:
    """Wake who waits, unless they have gone."""
    if waiting.done():
        return
    if error is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(error)

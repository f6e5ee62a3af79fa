"""A network, followed as it lives: every node, the supervisor's disturbances, and figures of both.

One `Live` serves any number of pages. `run` owns all that goes on; whoever shows something waits
for the next revision and draws from the figures, which cost nothing to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from opkit.live.book import Book
from opkit.live.disturbed import SUPERVISOR, Disturbed
from opkit.live.follow import Followed, Follower, MakeClient, over_tcp
from opkit.live.heard import is_sound
from opkit.live.kept import Kept
from opkit.live.picture import (
    compute_figures,
    happening_of,
    names_of,
    network_figures,
    traffic_of,
)
from opkit.live.ports import ControlRefused, NodeAt, Source
from opkit.views.amounts import DAY_MS
from opkit.views.figures import ComputeFigures, Happening, NetworkFigures
from opkit.wire.endpoint import Answer, Ask, Endpoint
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.events import JournalEntry, JournalPage

NAMES_AT_ONCE = 16
"""How many modules are asked for their names in one go."""

NAMES_PAUSE_MS = 1_000
"""How long to rest before nodes that did not answer are asked for names again."""

GATHER_MS = 40
"""For how long what several nodes answer at about the same time is gathered before it is drawn."""

CALL_DEADLINE_MS = 10_000

NODES_EVERY_MS = 1_000
"""How often a supervisor that does not answer is asked which nodes there are."""


class Runs(Protocol):
    """Something that goes on beside the followers, once for a `Live`."""

    async def run(self) -> None:
        """Go on until cancelled."""


R = TypeVar("R", bound=Runs)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Live:
    """One network, followed. Satisfies what a `Session` asks for."""

    def __init__(
        self,
        source: Source,
        *,
        make: MakeClient = over_tcp,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """Prepare; nothing is asked before `run`.

        Args:
            source: which network; it is not closed with this.
            make: makes clients of its nodes.
            now_ms: the clock that dates what is seen.
        """
        self.source = source
        self.now_ms = now_ms
        self.followed: dict[str, Followed] = {}
        self.book = Book(orgs={})
        self.disturbed = Disturbed(source, on_change=self.touch)
        self.kept = Kept()
        self._make = make
        self._followers: dict[str, Follower] = {}
        self._revision = 0
        self._changed = asyncio.Event()
        self._gathering: asyncio.TimerHandle | None = None
        self._watching = 0
        self._shared: dict[type[Any], Any] = {}
        self._group: asyncio.TaskGroup | None = None
        self._nameless = asyncio.Event()
        self._trouble = ""

    @property
    def revision(self) -> int:
        """How often anything has changed."""
        return self._revision

    def touch(self) -> None:
        """Say that something changed, so that pages are drawn again."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def touch_soon(self) -> None:
        """Say that something changed, together with what else changes about now."""
        if self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(GATHER_MS / 1000, self.touch)

    async def wait_change(self, after: int) -> int:
        """Return the revision once it is greater than `after`."""
        while self._revision <= after:
            await self._changed.wait()
        return self._revision

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Hold while somebody looks: the nodes are looked at often only then."""
        self._watching += 1
        if self._watching == 1:
            for follower in self._followers.values():
                follower.look()
        try:
            yield
        finally:
            self._watching -= 1

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks."""
        return self._watching > 0

    def shared(self, kind: type[R], make: Callable[[Live], R]) -> R:
        """Return this `Live`'s one `kind`, whose `run` goes on as long as the `Live` does."""
        if kind not in self._shared:
            one = make(self)
            self._shared[kind] = one
            if self._group is not None:
                going_on = one.run()
                try:
                    self._group.create_task(going_on)
                except RuntimeError:
                    # The group ends. Python before 3.13 does not close what it does not take.
                    going_on.close()
        found: R = self._shared[kind]
        return found

    async def run(self) -> None:
        """Follow the network until cancelled."""
        nodes = await self._nodes()
        self.book = Book(orgs={at.did: at.org for at in nodes})
        for at in nodes:
            self.followed[at.org] = Followed(at, now_ms=self.now_ms())
            self._followers[at.org] = self._follower(self.followed[at.org])
        self.touch()
        try:
            async with asyncio.TaskGroup() as self._group:
                for follower in self._followers.values():
                    self._group.create_task(follower.run())
                self._group.create_task(self.disturbed.run(self.book, self._titles()))
                self._group.create_task(self._keep_naming())
                for one in self._shared.values():
                    self._group.create_task(one.run())
        finally:
            self._group = None

    async def _nodes(self) -> tuple[NodeAt, ...]:
        """Return which nodes there are, as soon as the supervisor says so."""
        while True:
            try:
                nodes = await self.source.nodes()
            except ControlRefused as refused:
                self._trouble = str(refused)
                self.touch()
                await asyncio.sleep(NODES_EVERY_MS / 1000)
            else:
                self._trouble = ""
                return nodes

    def network_figures(self) -> NetworkFigures:
        """Return the network as it is since the last change."""
        return self.kept.made("network", self._revision, self._network_figures)

    def compute_figures(self) -> ComputeFigures:
        """Return modules and tasks of the whole network as they are since the last change."""
        said = self.book, self.book.changes, self.now_ms() // DAY_MS
        return self.kept.made("compute", said, self._compute_figures)

    def _network_figures(self) -> NetworkFigures:
        now = network_figures(
            name=self.source.name,
            trouble=self._trouble or self.disturbed.why,
            now_ms=self.now_ms(),
            followed=self.followed,
            cut=self.disturbed.cut,
            book=self.book,
            kept=self.kept,
        )
        return replace(now, lasting=self.disturbed.figures(self._titles()))

    def _compute_figures(self) -> ComputeFigures:
        return compute_figures(book=self.book, titles=self._titles(), now_ms=self.now_ms())

    async def call(self, org: str, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
        """Ask an organisation's node one question, with the read token.

        Raises:
            KeyError: the network has no such node.
            ControlRefused: there is no token to be had.
            CoopError: as `NodeClient.call`.
        """
        return await self._followers[org].call(endpoint, ask, deadline_ms=CALL_DEADLINE_MS)

    def _titles(self) -> dict[str, str]:
        return {org: one.at.title for org, one in self.followed.items()}

    def _follower(self, followed: Followed) -> Follower:
        return Follower(
            followed,
            source=self.source,
            make=self._make,
            is_watched=lambda: self.is_watched,
            on_page=self._take,
            on_change=self.touch_soon,
            on_reset=lambda one: self.book.forget(one.at.org),
            now_ms=self.now_ms,
        )

    def _take(self, followed: Followed, page: JournalPage) -> None:
        org = followed.at.org
        sound = [entry for entry in page.entries if is_sound(entry)]
        self.book.take(org, sound)
        names = names_of(self.book, self._titles())
        for entry in page.entries:
            happening = happening_of(org, entry, names=names)
            if happening is not None:
                self.book.add(happening)
        for entry in sound:
            moved = traffic_of(org, entry, book=self.book)
            if moved is not None:
                self.book.traffic.append(moved)
        if self.book.unnamed:
            self._nameless.set()
        self.touch()

    async def _keep_naming(self) -> None:
        """Ask for the names of modules: their events do not carry them."""
        while True:
            await self._nameless.wait()
            self._nameless.clear()
            if await self._ask_names():
                self._tell_again()
                self.touch()
            elif self.book.unnamed:
                await asyncio.sleep(NAMES_PAUSE_MS / 1000)
            if self.book.unnamed:
                self._nameless.set()

    async def _ask_names(self) -> bool:
        """Ask nodes that are up for some names; return whether fewer are unknown now."""
        before = len(self.book.unnamed)
        up = {org for org, one in self.followed.items() if one.health == "up"}
        reachable = sorted(each for each in self.book.unnamed if each[0] in up)
        for org, wasm_hash in reachable[:NAMES_AT_ONCE]:
            try:
                self.book.name(org, await self._followers[org].module(wasm_hash))
            except (Unreachable, ControlRefused, OSError):
                continue  # It is asked again.
            except CoopError:
                # The node has no such module any more, so it has no name for it either.
                self.book.unnamed.discard((org, wasm_hash))
        return len(self.book.unnamed) < before

    def _tell_again(self) -> None:
        """Tell every happening with the names that are known by now."""
        names = names_of(self.book, self._titles())

        def tell(happening: Happening) -> Happening | None:
            if happening.key.startswith(SUPERVISOR):
                return None
            entry = JournalEntry.model_validate(happening.entry)
            return happening_of(happening.org, entry, names=names)

        self.book.retell(tell)

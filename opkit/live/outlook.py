"""What every node knows of the network around it, asked for while somebody looks at its page.

Asked less often than links, and only while a page shows it: a node gathers it in a millisecond or
two, and a page is drawn from it for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, TypeVar

from opkit.live.coverage import coverage
from opkit.live.live import Live
from opkit.live.ports import ControlRefused
from opkit.views.figures import Coverage, NodeOverlay, OverlayFigures
from opkit.wire.errors import CoopError
from opkit.wire.overlay import BELOW, OVERLAY, AskBelow, AskOverlay, KeptBelow, KeptSet
from opkit.wire.reconcile import ReconciledNamespace
from opkit.wire.witness import WITNESSES, AskWitnesses, Witnesses

EVERY_MS: Final = 2_000
"""How often all nodes are asked while somebody looks."""

WITNESSES_EVERY: Final = 5
"""Every so many times all are asked whose journals they have seen, too: that changes slowly."""

WANTED_MS: Final = 6_000
"""For how long after a page was drawn nodes are still asked."""

SILENT: Final = (CoopError, ControlRefused, OSError, KeyError)
"""Why an answer is missing: the node is gone, of another version, or not followed any more."""

T = TypeVar("T")


class Outlook:
    """The overlay as all nodes tell of it. Satisfies `Runs`: one for all pages of a `Live`.

    Attributes:
        figures: what was told last; None before the first look.
    """

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        self.figures: OverlayFigures | None = None
        self._live = live
        self._told: dict[str, NodeOverlay] = {}
        self._witnesses: dict[str, Witnesses] = {}
        self._wanted = asyncio.Event()
        self._wanted_at = -1e9
        self._looks = 0

    def want(self) -> OverlayFigures | None:
        """Return what is known, and have it kept up to date for a while."""
        self._wanted_at = time.monotonic()
        self._wanted.set()
        return self.figures

    async def run(self) -> None:
        """Ask all nodes as long as somebody wants to see it, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._live.followed:
                await self._look()
            await asyncio.sleep(EVERY_MS / 1000)
            is_watched = self._live.is_watched
            if not is_watched or time.monotonic() - self._wanted_at > WANTED_MS / 1000:
                self._wanted.clear()

    async def _look(self) -> None:
        orgs = [org for org, one in self._live.followed.items() if one.health == "up"]
        await asyncio.gather(*(self._ask(org) for org in orgs))
        is_due = self._looks % WITNESSES_EVERY == 0
        self._looks += 1
        wanted = [org for org in orgs if is_due or org not in self._witnesses]
        await asyncio.gather(*(self._ask_witnesses(org) for org in wanted))
        now = OverlayFigures(
            nodes=tuple(self._told[org] for org in self._live.followed if org in self._told),
            coverage=await self._coverage([org for org in orgs if org in self._told]),
            witnesses=tuple((org, self._witnesses[org]) for org in orgs if org in self._witnesses),
        )
        if now != self.figures:
            self.figures = now
            self._live.touch_soon()

    async def _ask(self, org: str) -> None:
        told = await _answer(self._live.call(org, OVERLAY, AskOverlay()))
        if told is not None:
            self._told[org] = NodeOverlay(org=org, told=told)

    async def _ask_witnesses(self, org: str) -> None:
        told = await _answer(self._live.call(org, WITNESSES, AskWitnesses()))
        if told is not None:
            self._witnesses[org] = told

    async def _coverage(self, orgs: list[str]) -> tuple[Coverage, ...]:
        """Return which share of the records is where, of nodes that are up."""
        sets: dict[ReconciledNamespace, dict[str, KeptSet]] = {}
        for org in orgs:
            for one in self._told[org].told.sets:
                sets.setdefault(one.namespace, {})[org] = one
        found = [
            await _answer(coverage(namespace, told, self._below))
            for namespace, told in sets.items()
        ]
        return tuple(one for one in found if one is not None)

    async def _below(self, org: str, ask: AskBelow) -> KeptBelow:
        return await self._live.call(org, BELOW, ask)


async def _answer(asking: Awaitable[T]) -> T | None:
    """Return an answer; None if none comes: what was told before then stays."""
    try:
        return await asking
    except SILENT:
        return None

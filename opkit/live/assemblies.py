"""The assemblies of all coops as their home nodes tell of them, asked while somebody looks.

How members voted is for the coop's own members. Who looks on sees who voted, as the home node
journalled it: by what it commits itself to, which tells nothing of the vote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from opkit.live.asking import SILENT, Asking
from opkit.live.homes import Home, home_of, homes_of
from opkit.live.live import Live
from opkit.views.governance_figures import GovernanceFigures, ProposalFigure, VoteFigure
from opkit.views.ledger_figures import HomeFigure
from opkit.wire.governance import (
    LIST_PROPOSALS,
    READ_ASSEMBLY,
    READ_PROPOSAL,
    READ_TREASURY,
    AskAssembly,
    AskTreasury,
    Assembly,
    ListProposals,
    ProposalLine,
    ProposalView,
    ReadProposal,
)

PROPOSALS_MAX: Final = 50
"""How many proposals of an assembly are shown: the newest."""

ELECTORS_MAX: Final = 200
"""How many of those who may vote are named."""

VIEWS_MAX: Final = 16
"""How many views of all viewers together are kept up to date."""

AHEAD_STEP_MS: Final = 10_000
"""To so much it is told by how much world time runs ahead: answers take their time."""


class Seat(NamedTuple):
    """What one viewer looks at: whose assembly, and which proposal (empty: the newest)."""

    coop: str
    proposal: str = ""


class Assemblies(Asking):
    """All assemblies. Satisfies `Runs`: one for all pages of a `Live`."""

    domain = "governance"

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        super().__init__(live)
        self._figures: dict[Seat, GovernanceFigures] = {}
        self._asked_at: dict[Seat, float] = {}
        self._assemblies: dict[str, Assembly | str] = {}

    def homes(self) -> tuple[HomeFigure, ...]:
        """Return the coops there are, each with how many decided."""
        return tuple(self._home(home) for home in homes_of(self._live))

    def want(
        self, seat: Seat, *, until_told: GovernanceFigures | None = None
    ) -> GovernanceFigures | None:
        """Return what is known of an assembly, and have it kept up to date for a while.

        Args:
            seat: whose, and which proposal of it.
            until_told: what stands for it until its home was asked.
        """
        self._want()
        self._asked_at[seat] = time.monotonic()
        if until_told is not None:
            self._figures.setdefault(seat, until_told)
        while len(self._asked_at) > VIEWS_MAX:
            oldest = min(self._asked_at, key=lambda each: self._asked_at[each])
            del self._asked_at[oldest]
            self._figures.pop(oldest, None)
        return self._figures.get(seat)

    async def look(self) -> None:
        """Ask every home for its assembly, and for the proposals that somebody looks at."""
        before = dict(self._assemblies)
        await asyncio.gather(*(self._ask_assembly(home) for home in homes_of(self._live)))
        seats = [seat for seat, at in self._asked_at.items() if self._is_wanted(at)]
        changed = [await self._ask(seat) for seat in seats]
        if any(changed) or self._assemblies != before:
            self._live.touch_soon()

    async def ask(self, seat: Seat) -> None:
        """Ask for one assembly at once."""
        self.want(seat)
        home = home_of(self._live, seat.coop)
        if home is not None:
            await self._ask_assembly(home)
            await self._ask(seat)
            self._live.touch()

    def _home(self, home: Home) -> HomeFigure:
        figure = HomeFigure(coop=home.coop, title=home.title, org=home.org)
        told = self._assemblies.get(home.coop)
        if told is None:
            return figure
        if isinstance(told, str):
            return replace(figure, state="silent", words="does not answer")
        many = "decision" if told.decisions == 1 else "decisions"
        return replace(figure, state="sound", words=f"{told.decisions:,} {many}")

    async def _ask_assembly(self, home: Home) -> None:
        try:
            ask = AskAssembly(coop=home.coop, electors_max=ELECTORS_MAX)
            told = await self._live.call(home.org, READ_ASSEMBLY, ask)
        except SILENT as no:
            self._assemblies[home.coop] = f"{home.title} does not answer: {no}"
            return
        ahead_ms = told.world_ms - self._live.now_ms()
        steps = round(ahead_ms / AHEAD_STEP_MS)
        # How late it is there is another time at each answer: only what runs ahead is news.
        told = told.model_copy(update={"world_ms": max(0, steps) * AHEAD_STEP_MS})
        self._assemblies[home.coop] = told

    async def _ask(self, seat: Seat) -> bool:
        """Ask for one assembly; return whether it is another one than before."""
        before = self._figures.get(seat, GovernanceFigures(coop=seat.coop))
        home, assembly = home_of(self._live, seat.coop), self._assemblies.get(seat.coop)
        if home is None or assembly is None:
            return False
        if isinstance(assembly, str):
            return self._keep(seat, replace(before, trouble=assembly))
        try:
            told = await self._told(home, seat, assembly)
        except SILENT as no:
            return self._keep(seat, replace(before, trouble=f"{home.title} does not answer: {no}"))
        return self._keep(seat, told)

    def _keep(self, seat: Seat, told: GovernanceFigures) -> bool:
        before = self._figures.get(seat)
        # When a node answered last is told only of one that does not answer any more.
        if told.trouble and before is not None and not before.trouble:
            told = replace(told, since_ms=self._live.now_ms())
        if told == before or seat not in self._asked_at:
            return False
        self._figures[seat] = told
        return True

    async def _told(self, home: Home, seat: Seat, assembly: Assembly) -> GovernanceFigures:
        call = self._live.call
        treasury = await call(home.org, READ_TREASURY, AskTreasury(coop=home.coop))
        ask = ListProposals(coop=home.coop, proposals_max=PROPOSALS_MAX)
        page = await call(home.org, LIST_PROPOSALS, ask)
        wanted = seat.proposal or _first(page.proposals)
        chosen = await self._proposal(home, wanted, assembly) if wanted else None
        return GovernanceFigures(
            coop=seat.coop,
            assembly=assembly,
            treasury=treasury.model_copy(update={"world_ms": 0}),
            proposals=page.proposals,
            more_proposals=bool(page.next_after),
            chosen=chosen,
            ahead_ms=assembly.world_ms,
        )

    async def _proposal(self, home: Home, proposal: str, assembly: Assembly) -> ProposalFigure:
        ask = ReadProposal(coop=home.coop, proposal_id=proposal)
        view = await self._live.call(home.org, READ_PROPOSAL, ask)
        noted = self._live.book.votes.get((home.org, view.proposal), {})
        votes = tuple(
            VoteFigure(
                member_id=member_id,
                times=len(each.ballots),
                commitment=each.entry.body["commitment"],
                at_ms=each.entry.at_ms,
            )
            for member_id, each in sorted(noted.items())
        )
        return ProposalFigure(
            view=view.model_copy(update={"world_ms": 0}),
            votes=votes,
            silent=_silent(noted, view, assembly) if view.opened_ms is not None else (),
        )


def _first(proposals: Sequence[ProposalLine]) -> str:
    """Return the proposal that is shown to who has chosen none: the newest open one, or any."""
    running = (each for each in proposals if each.state == "open")
    first = next(running, proposals[0] if proposals else None)
    return "" if first is None else first.proposal


def _silent(voted: Container[str], view: ProposalView, assembly: Assembly) -> tuple[str, ...]:
    """Return who may vote and cast none; nobody if the electorate of now is not the vote's."""
    if view.electorate_hash != assembly.electorate_hash or assembly.next_after:
        return ()
    return tuple(each.member_id for each in assembly.page if each.member_id not in voted)

"""The page of governance: whose assembly one viewer looks at, and which proposal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from opkit.live.assemblies import Assemblies, Seat
from opkit.live.decision_proof import prove_decision
from opkit.live.homes import default_coop, home_of
from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.views import governance
from opkit.views.governance_figures import GovernanceFigures
from opkit.views.ledger_figures import ProofFigure


class GovernancePage:
    """The page of governance of one viewer. Satisfies `Page`."""

    name = "governance"
    title = "Governance"

    def __init__(self, live: Live) -> None:
        """Begin with the first coop's assembly and its newest proposal."""
        self._live = live
        self._assemblies = live.shared(Assemblies, Assemblies)
        self._seat = Seat("")
        self._proof: ProofFigure | None = None

    def frame(self) -> str:
        """Return the markup around the cards."""
        return governance.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        now, told = self._live.network_figures(), self._told()
        homes = self._assemblies.homes()
        draws = governance.cards(
            lambda: now, homes=homes, coop=self._seat.coop, told=told, proof=self._proof
        )
        made_of = governance.made_of(now, homes, told, self._proof)
        return {name: partial(self._drawn, name, made_of[name], draws[name]) for name in draws}

    def _told(self) -> GovernanceFigures | None:
        if not self._seat.coop:
            self._seat = Seat(default_coop(self._live))
        told = self._assemblies.want(self._seat)
        if told is not None and told.chosen is not None and not self._seat.proposal:
            # What came up first stays: a newer proposal takes no one's eyes off it.
            self._seat = Seat(self._seat.coop, told.chosen.view.proposal)
            told = self._assemblies.want(self._seat, until_told=told)
        return told

    def _drawn(self, name: str, made_of: object, draw: Draw) -> str:
        return self._live.kept.made((self.name, name, self._seat), made_of, draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Choose an assembly or a proposal, or have its decision verified here.

        Raises:
            PageRefused: there is no such act, coop or proposal, or its home hands nothing over.
        """
        match act:
            case "coop":
                await self._choose(arguments.get("of", ""))
            case "open":
                await self._open(arguments.get("proposal", ""))
            case "verify":
                await self._verify(arguments.get("proposal", ""))
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    async def _choose(self, coop: str) -> None:
        if home_of(self._live, coop) is None:
            raise PageRefused("There is no such coop in this network.")
        self._seat = Seat(coop)
        await self._assemblies.ask(self._seat)

    async def _open(self, proposal: str) -> None:
        told = self._told()
        if told is None or proposal not in {each.proposal for each in told.proposals}:
            raise PageRefused("This proposal is not shown any more: opkit proposal list has it.")
        self._seat = Seat(self._seat.coop, proposal)
        await self._assemblies.ask(self._seat)

    async def _verify(self, proposal: str) -> None:
        told = self._told()
        if told is None or told.chosen is None or told.chosen.view.proposal != proposal:
            raise PageRefused("This proposal is not open.")
        coop = self._seat.coop
        proof = await prove_decision(self._live, coop, told.chosen.view)
        if self._seat.coop == coop:
            self._proof = proof
            self._live.touch()

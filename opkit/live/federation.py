"""The page of the federation: what a viewer looks at, and what a presenter does to the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from opkit.live.deeds import Deeds
from opkit.live.federation_moved import MovedProofs
from opkit.live.federation_proof import prove_agreement
from opkit.live.federations import Federations, places_of
from opkit.live.homes import homes_of
from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.views import federation
from opkit.views.federation import Looked, chosen_of
from opkit.views.federation_figures import AgreementFigure, MovedFigure
from opkit.views.federation_parted import DEEDS
from opkit.views.ledger_figures import ProofFigure

ACTS = frozenset({"deeds", "partition", "kill", "restart", "heal"})
"""What of all that disturbs a network can be asked for here."""


class FederationPage:
    """The page of the federation of one viewer. Satisfies `Page`."""

    name = "federation"
    title = "Federation"

    def __init__(self, live: Live) -> None:
        """Begin with the newest agreement, and nothing else open."""
        self._live = live
        self._federations = live.shared(Federations, Federations)
        self._deeds = Deeds(live)
        self._looked = Looked(may_act=live.source.may_act)
        self._moved = live.shared(MovedProofs, MovedProofs)
        self._proof: ProofFigure | None = None

    def frame(self) -> str:
        """Return the markup around the cards."""
        return federation.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        now, told = self._live.network_figures(), self._federations.want()
        homes = {home.coop: home.org for home in homes_of(self._live)}
        looked, moved_proof = self._look(), self._moved_proof()
        draws = federation.cards(
            lambda: now,
            told=told,
            homes=homes,
            looked=looked,
            proof=self._proof,
            moved_proof=moved_proof,
        )
        made_of = federation.made_of(now, told, homes, self._proof, moved_proof)
        return {
            name: partial(self._drawn, name, looked, made_of[name], draws[name]) for name in draws
        }

    def _look(self) -> Looked:
        """Return what is looked at; what came up first stays, whatever is agreed after it."""
        chosen = self._chosen()
        if chosen is not None and not self._looked.agreement:
            self._looked = replace(self._looked, agreement=chosen.agreement)
        return replace(self._looked, deeds=self._deeds.chosen)

    def _chosen(self) -> AgreementFigure | None:
        return chosen_of(self._federations.figures, self._looked.agreement)

    def _drawn(self, name: str, looked: Looked, made_of: object, draw: Draw) -> str:
        return self._live.kept.made((self.name, name, looked), made_of, draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Open an agreement or an exchange and verify it, or disturb the network.

        Raises:
            PageRefused: there is no such act, agreement or exchange, no node hands it over, or
                only a presenter may do that.
            ControlRefused: the supervisor says no.
        """
        match act:
            case "open":
                await self._open(arguments.get("agreement", ""))
            case "verify":
                await self._verify(arguments.get("agreement", ""))
            case "moved":
                await self._open_moved(arguments.get("exchange", ""))
            case _ if act in ACTS:
                await self._disturb(act, arguments)
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    async def _disturb(self, act: str, arguments: Mapping[str, str]) -> None:
        if act == "deeds" and arguments.get("open", "") not in ("", *DEEDS):
            raise PageRefused("There is no such control on this page.")
        await self._deeds.acts[act]({**arguments, "act": act})
        self._live.touch()

    async def _open(self, agreement: str) -> None:
        told = self._federations.figures
        if told is None or agreement not in {each.agreement for each in told.agreements}:
            raise PageRefused("This agreement is not shown any more: opkit agreement list has it.")
        self._looked = replace(self._looked, agreement=agreement, is_picked=True)
        self._live.touch()
        await self._verify(agreement)

    async def _verify(self, agreement: str) -> None:
        chosen = self._chosen()
        if chosen is None or chosen.agreement != agreement:
            raise PageRefused("This agreement is not open.")
        proof = await prove_agreement(self._live, places_of(self._live), chosen)
        if self._looked.agreement in ("", agreement):  # Another one may have been opened meanwhile.
            self._proof = proof
            self._live.touch()

    async def _open_moved(self, exchange: str) -> None:
        found = self._moved_figure(exchange)
        if exchange and found is None:
            raise PageRefused("This exchange is not shown any more: opkit exchange list has it.")
        self._looked = replace(self._looked, moved=exchange)
        self._live.touch()
        if found is not None:
            await self._moved.prove(found)

    def _moved_figure(self, exchange: str) -> MovedFigure | None:
        told = self._federations.figures
        return next((each for each in told.moved if each.hash == exchange), None) if told else None

    def _moved_proof(self) -> ProofFigure | None:
        """Return how the open exchange verified; it is verified again if it was told otherwise."""
        found = self._moved_figure(self._looked.moved)
        return self._moved.want(found) if found is not None else None

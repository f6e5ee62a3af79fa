"""The live part of the landing page: how the network is, in figures that open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opkit.live.ports import Draw, Page

HOME: Final = "home"
FIGURES: Final = ("nodes-up", "links-up", "round-trip", "traffic")
"""Which cards of the network's page stand on the landing page."""


class HomePage:
    """Some cards of the network's page, for one viewer. Satisfies `Page`."""

    name = HOME
    title = "opkit"

    def __init__(self, network: Page) -> None:
        """Show cards of a page that nobody else shows."""
        self._network = network

    def frame(self) -> str:
        """Return the markup around the cards."""
        figures = "".join(f'<div class="at-{card}" data-card="{card}"></div>' for card in FIGURES)
        return f'<div class="board">{figures}</div>'

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws the figures, and the health in the bar."""
        drawn = self._network.cards()
        return {card: drawn[card] for card in (*FIGURES, "health") if card in drawn}

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Do what a control in a figure asks for.

        Raises:
            PageRefused: as the network's page.
        """
        await self._network.act(act, arguments)

"""The network's page: what one viewer has selected on it, and the figures it is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from opkit.live.live import Live
from opkit.live.outlook import Outlook
from opkit.live.ports import Draw, PageRefused
from opkit.views import network
from opkit.views.figures import NetworkFigures, OverlayFigures


class NetworkPage:
    """The network's page of one viewer. Satisfies `Page`."""

    name = "network"
    title = "Network"

    def __init__(self, live: Live) -> None:
        """Begin with nothing selected."""
        self._live = live
        self._outlook = live.shared(Outlook, Outlook)
        self._selected = ""
        self._opened = ""

    def frame(self) -> str:
        """Return the markup around the cards."""
        return network.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        now, told = self._live.network_figures(), self._outlook.want()
        draws = network.cards(lambda: now, told=told, selected=self._selected, opened=self._opened)
        return {name: partial(self._drawn, name, (now, told), draw) for name, draw in draws.items()}

    def _drawn(
        self, name: str, now: tuple[NetworkFigures, OverlayFigures | None], draw: Draw
    ) -> str:
        key = (self.name, name, self._selected, self._opened)
        return self._live.kept.made(key, network.made_of(name, *now), draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Select a node, or open and close a happening.

        Raises:
            PageRefused: there is no such act, node or happening.
        """
        match act:
            case "select":
                self._select(arguments.get("org", ""))
            case "open":
                self._open(arguments.get("entry", ""))
            case "close":
                self._opened = ""
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    def _select(self, org: str) -> None:
        if org and org not in self._live.followed:
            raise PageRefused("There is no such node in this network.")
        self._selected = "" if org == self._selected else org

    def _open(self, entry: str) -> None:
        if not any(one.key == entry for one in self._live.book.happenings):
            raise PageRefused("That is no longer shown here; the node's journal still has it.")
        self._opened = entry

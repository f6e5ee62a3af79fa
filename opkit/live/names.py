"""The page of names and agents: what one viewer asks for, and whose proofs are open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pydantic import ValidationError

from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.live.registry import Question, Registry
from opkit.views import names
from opkit.wire.services import FindServices

WORDS = ("type", "capability", "region")
"""What may be asked for."""

SERVICES_MAX = 25
"""How many services an answer shows."""


class NamesPage:
    """The page of names and agents of one viewer. Satisfies `Page`."""

    name = "names"
    title = "Names and agents"

    def __init__(self, live: Live) -> None:
        """Begin by asking for every service, with no proof open."""
        self._live = live
        self._registry = live.shared(Registry, Registry)
        self._question: Question = ("", FindServices(services_max=SERVICES_MAX))
        self._opened = ""

    def frame(self) -> str:
        """Return the markup around the cards."""
        return names.frame()

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card; all of one drawing show one moment.

        What a card shows has often not changed, or was drawn for another viewer before.
        """
        now = self._live.network_figures()
        told, answer = self._registry.want(self._question)
        draws = names.cards(
            lambda: now, told=told, answer=answer, asked=self._question, opened=self._opened
        )
        made_of = names.made_of(now, told, answer)
        return {name: partial(self._drawn, name, made_of[name], draws[name]) for name in draws}

    def _drawn(self, name: str, made_of: object, draw: Draw) -> str:
        return self._live.kept.made((self.name, name, self._question, self._opened), made_of, draw)

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Ask for services, open and close the proofs of one, or verify them again.

        Raises:
            PageRefused: there is no such act, node or service, or nobody can ask that.
        """
        match act:
            case "find":
                self._question = self._read(arguments)
                self._opened = ""
                await self._registry.ask(self._question)
            case "open":
                self._opened = arguments.get("service", "")
            case "close":
                self._opened = ""
            case "verify":
                await self._registry.verify(self._question, arguments.get("service", ""))
            case _:
                raise PageRefused(f"This page knows no {act!r}.")

    def _read(self, arguments: Mapping[str, str]) -> Question:
        """Return the question that was typed."""
        org = arguments.get("at", "")
        if org and org not in self._live.followed:
            raise PageRefused("There is no such node in this network.")
        words = {name: arguments.get(name, "").strip().lower() for name in WORDS}
        try:
            return org, FindServices(**words, services_max=SERVICES_MAX)
        except ValidationError as bad:
            raise PageRefused("A word that is asked for has 64 letters at most.") from bad

"""The console's page: a telling as it goes on, and what a presenter may do to it.

What a presenter asks for goes through the supervisor, which checks the token that this process
holds; this page only refuses early what would be refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opkit.live.again import verify_again
from opkit.live.deeds import Act, Deeds, argument
from opkit.live.kept import Kept
from opkit.live.live import Live
from opkit.live.ports import Draw, PageRefused
from opkit.live.staged import Staged
from opkit.story.stage import Action
from opkit.views import console as views
from opkit.views import console_controls as controls
from opkit.views import console_evidence as evidence
from opkit.views import header
from opkit.views.figures import ConsoleFigures, NetworkFigures, Verification
from opkit.views.topology import shown_on_map, topology

SEED: Final = 7
"""Fixes the figures of a telling, as `opkit demo` does by default; never keys."""

_LEADS = frozenset(Action) - {Action.SKIP_TO, Action.STOP}
"""What a control asks of the stage by the action's own name."""


class ConsolePage:
    """The console for one viewer. Satisfies `Page`."""

    name = "console"
    title = "Console"

    def __init__(self, live: Live) -> None:
        """Show what `live` says; the stage is followed once for all pages."""
        self._live = live
        self._staged = live.shared(Staged, Staged)
        self._selected = ""
        self._node = ""
        self._deeds = Deeds(live)
        self._again: Verification | None = None
        self._verifying = False
        self._kept = Kept()
        self._acts: dict[str, Act] = {
            "select": self._select,
            "follow": self._follow,
            "verify": self._verify,
            "run": self._run,
            "open": self._open,
            "close": self._close,
            "skip-to": self._skip_to,
            **self._deeds.acts,
        }

    def frame(self) -> str:
        """Return the markup that stays."""
        return views.frame()

    def figures(self) -> ConsoleFigures:
        """Return what is drawn now."""
        return ConsoleFigures(
            network=self._live.network_figures(),
            flows=self._staged.flows,
            stage=self._staged.view,
            selected=self._selected,
            may_act=self._live.source.may_act,
            again=self._again,
        )

    def cards(self) -> Mapping[str, Draw]:
        """Return what draws each card, all from the same figures."""
        now = self.figures()
        told = (now.stage, now.flows, now.selected, now.again, self._staged.trouble)
        return {
            "health": lambda: header.health(now.network),
            "story": lambda: self._kept.made("story", told, lambda: self._story(now)),
            "map": lambda: self._map(now.network),
            "say": lambda: self._kept.made("say", told, lambda: evidence.say(now)),
            "evidence": lambda: self._kept.made("evidence", told, lambda: evidence.evidence(now)),
            "transport": lambda: controls.transport(now),
            "deeds": lambda: controls.deeds(now, chosen=self._deeds.chosen),
        }

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        """Do what a control asks for.

        Raises:
            PageRefused: it is unknown, lacks an argument, or only a presenter may do it.
            ControlRefused: the supervisor says no.
        """
        if act in _LEADS:
            await self._lead(Action(act))
        elif act in self._acts:
            await self._acts[act]({**arguments, "act": act})
        else:
            raise PageRefused(f"this page has no control {act!r}")

    def _story(self, now: ConsoleFigures) -> str:
        staged = self._staged
        return views.story(now, trouble=staged.trouble, trouble_ms=staged.trouble_ms)

    def _map(self, now: NetworkFigures) -> str:
        return self._live.kept.made(
            (self.name, "map", self._node),
            shown_on_map(now),
            lambda: topology(now, selected=self._node, tall=True),
        )

    # What every viewer may do: look.

    async def _select(self, arguments: Mapping[str, str]) -> None:
        if "org" in arguments:
            self._node = arguments["org"]
        else:
            self._selected = argument(arguments, "marker")

    async def _follow(self, _: Mapping[str, str]) -> None:
        self._selected = ""

    async def _verify(self, arguments: Mapping[str, str]) -> None:
        marker = argument(arguments, "marker")
        steps = self._staged.view.steps if self._staged.view is not None else ()
        told = next((each.record for each in steps if each.marker == marker), None)
        if told is None or not told.proofs:
            raise PageRefused(f"{marker} has no proof to verify: it has not been told")
        if self._verifying:
            raise PageRefused("the last verification is still going on")
        self._verifying = True
        try:
            self._again = await verify_again(self._live, told)
        finally:
            self._verifying = False

    # What a presenter may do.

    async def _run(self, arguments: Mapping[str, str]) -> None:
        await self._open(arguments)
        await self._lead(Action.PLAY)

    async def _open(self, arguments: Mapping[str, str]) -> None:
        flow = argument(arguments, "flow")
        self._staged.take(await self._deeds.ask("stage-open", flow=flow, seed=SEED))
        self._selected, self._again = "", None

    async def _close(self, _: Mapping[str, str]) -> None:
        await self._deeds.ask("stage-close")
        self._selected, self._again = "", None

    async def _skip_to(self, arguments: Mapping[str, str]) -> None:
        await self._lead(Action.SKIP_TO, marker=argument(arguments, "marker"))

    async def _lead(self, action: Action, marker: str = "") -> None:
        await self._deeds.ask("stage-do", action=action.value, marker=marker)
        # The audience looks where the presenter leads, not where they looked before.
        self._selected = ""

"""What is being told on the network, followed once for all pages of a `Live`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import ValidationError

from opkit.live.live import Live
from opkit.live.ports import ControlRefused
from opkit.story.stage import StageView
from opkit.views.figures import FlowChoice

HOLD_MS = 10_000
"""How long the supervisor may hold a question until the stage changes."""

PAUSE_MS = 500
"""How long to rest before a supervisor that did not answer is asked again."""

FLOWS_MAX = 64

_log = logging.getLogger(__name__)


class Staged:
    """The stage and the flows that can be chosen, as the supervisor last said.

    Attributes:
        view: the stage; None if nothing is told.
        flows: what can be told.
        trouble: why nothing newer is known; empty if all is well.
        trouble_ms: since when.
    """

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        self._live = live
        self._revision = 0
        self.view: StageView | None = None
        self.flows: tuple[FlowChoice, ...] = ()
        self.trouble = ""
        self.trouble_ms = 0

    async def run(self) -> None:
        """Follow the stage until cancelled; a supervisor that is silent is asked again."""
        hold_ms = 0
        while True:
            try:
                said = await self._live.source.ask("stage", after=self._revision, wait_ms=hold_ms)
                self.take(said)
                hold_ms = HOLD_MS
            except (ControlRefused, ValidationError, KeyError, TypeError) as bad:
                self._complain(bad)
                # Another supervisor may answer next, which counts from the beginning.
                hold_ms = self._revision = 0
                await asyncio.sleep(PAUSE_MS / 1000)

    def take(self, said: dict[str, Any]) -> None:
        """Take an answer of the supervisor that says how the stage stands.

        One that was overtaken by a newer answer changes nothing.

        Raises:
            ValidationError: it is no view of a stage.
            KeyError, TypeError: it names flows in no way that is known here.
        """
        revision = int(said["revision"])
        if revision < self._revision:
            return
        self._revision = revision
        told = said["view"]
        view = None if told is None else StageView.model_validate(told)
        flows = self.flows
        if "flows" in said:
            flows = tuple(_choice(each) for each in said["flows"][:FLOWS_MAX])
        if view != self.view or flows != self.flows or self.trouble:
            self.view, self.flows, self.trouble = view, flows, ""
            self._live.touch()

    def _complain(self, bad: Exception) -> None:
        hint = getattr(bad, "hint", "")
        why = f"{bad}; {hint}" if hint else str(bad)
        if not self.trouble:
            self.trouble_ms = self._live.now_ms()
            _log.warning("the stage cannot be followed: %s", bad)
        if why != self.trouble:
            self.trouble = why
            self._live.touch()


def _choice(said: dict[str, Any]) -> FlowChoice:
    return FlowChoice(
        name=str(said["name"]),
        title=str(said["title"]),
        story=str(said["story"]),
        steps=int(said["steps"]),
        lacking=str(said.get("lacking", "")),
    )

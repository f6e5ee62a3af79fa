"""The process that tells flows for a devnet: it holds the members' keys, and nobody else does.

The supervisor forks it, speaks JSON lines with it over a socket pair, and ends it by closing its
end. It says which flows there are, then does one ask after another:

```
{"flows": [{"name": "a", "title": "…", "story": "…", "steps": 14, "lacking": ""}]}
{"id": 1, "do": "open", "flow": "a", "seed": 7, "pace_percent": 100, "token": "…"}
{"view": {…}}                       whenever the stage has changed
{"id": 1, "ok": true}
{"id": 2, "do": "act", "action": "next", "marker": ""}
{"id": 2, "error": "the story is over", "hint": "again tells it anew"}
```

Source: ADR 0017.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import suppress
from typing import Any

from devnet.attach import open_world
from devnet.company import PROCESSES
from flows import FLOWS
from opkit.story import NotApplicable, World
from opkit.story.flow import Flow
from opkit.story.pace import Pace
from opkit.story.stage import Action, Stage, StageRefused, StageView

LINE_BYTES_MAX = 65_536
"""The longest ask."""


def run(devnet: str, profile: str, channel: int) -> int:
    """Tell flows on the devnet of this name until the other end of `channel` closes."""
    with socket.socket(fileno=channel) as ours:
        asyncio.run(_tell(devnet, profile, ours))
    return 0


async def _tell(devnet: str, profile: str, channel: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel, limit=LINE_BYTES_MAX)
    try:
        await _Teller(devnet=devnet, profile=profile, writer=writer).serve(reader)
    except* ConnectionError as gone:
        # Nobody is left to tell; what was told has been let go of on the way here.
        sys.stderr.write(f"the supervisor has hung up: {gone.exceptions[0]}\n")
    finally:
        writer.close()


class _Refused(Exception):
    """What was asked cannot be done; `hint` says what can."""

    def __init__(self, why: str, *, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


class _Teller:
    """Does what the supervisor asks, and says how the stage stands whenever that changes."""

    def __init__(self, *, devnet: str, profile: str, writer: asyncio.StreamWriter) -> None:
        self._devnet = devnet
        self._profile = profile
        self._writer = writer
        self._stage: Stage | None = None
        self._view: StageView | None = None
        self._changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Say which flows there are, then do as asked until there is no more to come."""
        self._say({"flows": [self._choice(flow) for flow in FLOWS.values()]})
        async with asyncio.TaskGroup() as group:
            saying = group.create_task(self._say_changes())
            telling: asyncio.Task[None] | None = None
            while line := await reader.readline():
                ask = json.loads(line)
                try:
                    if ask["do"] == "open":
                        stage = self._open(ask)
                        telling = group.create_task(stage.run())
                    else:
                        self._act(ask)
                    said = {"id": ask["id"], "ok": True}
                except (_Refused, StageRefused) as refused:
                    said = {"id": ask["id"], "error": str(refused), "hint": refused.hint}
                self._say_view()
                self._say(said)
            if telling is not None and self._stage is not None:
                with suppress(StageRefused):
                    self._stage.do(Action.STOP)
                await telling
            self._say_view()
            saying.cancel()
        await self._writer.drain()

    def _choice(self, flow: Flow[Any]) -> dict[str, Any]:
        return {
            "name": flow.name,
            "title": flow.title,
            "story": flow.story,
            "steps": len(flow.steps),
            "lacking": self._lacking(flow),
        }

    def _lacking(self, flow: Flow[Any]) -> str:
        """Return why a flow cannot be told on this devnet; empty if it can."""
        try:
            flow.check_applies(profile=self._profile, capabilities=PROCESSES)
        except NotApplicable as lacking:
            return str(lacking)
        return ""

    def _open(self, ask: dict[str, Any]) -> Stage:
        """Return a stage for the flow that is asked for.

        Raises:
            _Refused: a stage is open, there is no such flow, or it cannot be told here.
        """
        if self._stage is not None:
            raise _Refused("a stage is open already", hint="close it first")
        flow = FLOWS.get(ask["flow"])
        if flow is None:
            raise _Refused(f"there is no flow {ask['flow']!r}", hint=f"flows: {', '.join(FLOWS)}")
        if lacking := self._lacking(flow):
            raise _Refused(lacking, hint="choose another flow, or another network")

        async def open_one(run_id: str) -> World:
            return await open_world(
                self._devnet, run_id=run_id, seed=ask["seed"], token=ask["token"]
            )

        pace = Pace(factor=ask["pace_percent"] / 100)
        self._stage = Stage(flow, open_one, pace=pace, on_change=self._take)
        self._take(self._stage.view)
        return self._stage

    def _act(self, ask: dict[str, Any]) -> None:
        if self._stage is None:
            raise _Refused("no stage is open", hint="choose a flow and run it")
        try:
            action = Action(ask["action"])
        except ValueError:
            raise _Refused(
                f"nobody can {ask['action']!r} a stage", hint=f"try {', '.join(Action)}"
            ) from None
        self._stage.do(action, ask["marker"])

    def _take(self, view: StageView) -> None:
        self._view = view
        self._changed.set()

    async def _say_changes(self) -> None:
        """Say how the stage stands whenever that has changed; what was overtaken is left out."""
        while True:
            await self._changed.wait()
            self._say_view()
            await self._writer.drain()

    def _say_view(self) -> None:
        if self._changed.is_set() and self._view is not None:
            self._changed.clear()
            self._writer.write(b'{"view": %s}\n' % self._view.model_dump_json().encode("utf-8"))

    def _say(self, said: dict[str, Any]) -> None:
        self._writer.write(json.dumps(said).encode("utf-8") + b"\n")

"""What a teller says and does, by its protocol: without a network it tells that there is none."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from flows import FLOWS
from flows.teller import run
from opkit.story.stage import Mode, StageView

DEADLINE_S = 100
OPEN = {"do": "open", "flow": "a", "seed": 7, "pace_percent": 0, "token": ""}


class Supervisor:
    """The other end of a teller's channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._asked = 0
        self.views: list[StageView] = []

    async def connect(self) -> list[dict[str, Any]]:
        """Return which flows the teller says there are."""
        self._reader, self._writer = await asyncio.open_unix_connection(
            sock=self._channel, limit=4_194_304
        )
        flows: list[dict[str, Any]] = (await self._hear())["flows"]
        return flows

    async def ask(self, **ask: Any) -> dict[str, Any]:
        """Return the answer to one ask; views that come before it are kept."""
        self._asked += 1
        self._writer.write(json.dumps({"id": self._asked, **ask}).encode() + b"\n")
        while "view" in (said := await self._hear()):
            continue
        assert said.pop("id") == self._asked
        return said

    async def until(self, mode: Mode) -> StageView:
        """Return the first view of this mode."""
        while not self.views or self.views[-1].mode is not mode:
            assert "view" in await self._hear()
        return self.views[-1]

    async def leave(self) -> None:
        """Say that no more is asked, and hear the rest."""
        if self._writer.is_closing():
            return
        self._writer.write_eof()
        while await self._hear():
            continue
        self._writer.close()

    async def hang_up_after(self, ask: dict[str, Any]) -> None:
        """Ask something and hear no answer."""
        self._writer.write(json.dumps({"id": 0, **ask}).encode() + b"\n")
        self._writer.close()
        await self._writer.wait_closed()

    async def _hear(self) -> dict[str, Any]:
        line = await self._reader.readline()
        said: dict[str, Any] = json.loads(line) if line else {}
        if "view" in said:
            self.views.append(StageView.model_validate(said["view"]))
        return said


Work = Callable[[Supervisor, list[dict[str, Any]]], Awaitable[None]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a teller of a devnet that does not exist beside `work`; it must end by itself."""
    monkeypatch.setenv("OPKIT_HOME", str(tmp_path))

    def beside(work: Work, *, profile: str = "three") -> None:
        async def both() -> None:
            ours, theirs = socket.socketpair()
            async with asyncio.timeout(DEADLINE_S):
                teller = asyncio.to_thread(run, "none", profile, theirs.detach())
                telling = asyncio.create_task(teller)
                supervisor = Supervisor(ours)
                try:
                    await work(supervisor, await supervisor.connect())
                finally:
                    await supervisor.leave()
                assert await telling == 0

        asyncio.run(both())

    return beside


def test_it_says_first_which_flows_there_are(told: Callable[..., None]) -> None:
    async def work(_: Supervisor, flows: list[dict[str, Any]]) -> None:
        assert [flow["name"] for flow in flows] == list(FLOWS)
        for said, flow in zip(flows, FLOWS.values(), strict=True):
            assert (said["title"], said["story"]) == (flow.title, flow.story)
            assert said["steps"] == len(flow.steps)
            assert bool(said["lacking"]) == ("three" not in flow.profiles), said

    told(work)


def test_it_says_what_a_network_lacks_and_refuses_to_tell_there(told: Callable[..., None]) -> None:
    async def work(supervisor: Supervisor, flows: list[dict[str, Any]]) -> None:
        assert all("needs the profile" in flow["lacking"] for flow in flows)
        refused = await supervisor.ask(**OPEN)
        assert refused["error"] == flows[0]["lacking"]
        assert "another network" in refused["hint"]
        assert supervisor.views == []

    told(work, profile="none")


def test_before_a_stage_is_open_only_opening_makes_sense(told: Callable[..., None]) -> None:
    async def work(supervisor: Supervisor, _: Any) -> None:
        early = await supervisor.ask(do="act", action="next", marker="")
        assert early["error"] == "no stage is open"
        unknown = await supervisor.ask(**{**OPEN, "flow": "zz"})
        assert "no flow 'zz'" in unknown["error"]
        assert "a" in unknown["hint"]

    told(work)


def test_a_network_that_does_not_run_is_shown_on_the_stage(told: Callable[..., None]) -> None:
    async def work(supervisor: Supervisor, _: Any) -> None:
        assert await supervisor.ask(**OPEN) == {"ok": True}
        view = await supervisor.until(Mode.STOPPED)
        assert view.stopped is not None
        assert "no devnet called 'none'" in view.stopped.why
        assert (view.flow, view.told) == ("a", 0)
        second = await supervisor.ask(**OPEN)
        assert second == {"error": "a stage is open already", "hint": "close it first"}
        assert await supervisor.ask(do="act", action="stop", marker="") == {"ok": True}
        closed = await supervisor.ask(do="act", action="stop", marker="")
        assert "closed" in closed["error"]

    told(work)


def test_the_view_of_an_action_comes_before_its_answer(told: Callable[..., None]) -> None:
    async def work(supervisor: Supervisor, _: Any) -> None:
        await supervisor.ask(**OPEN)
        (first,) = supervisor.views
        assert first.mode is Mode.OPENING
        await supervisor.until(Mode.STOPPED)
        dance = await supervisor.ask(do="act", action="dance", marker="")
        assert "dance" in dance["error"]
        assert "repeat" in dance["hint"]
        revisions = [view.revision for view in supervisor.views]
        assert revisions == sorted(set(revisions))

    told(work)


def test_a_supervisor_that_hangs_up_ends_it(told: Callable[..., None]) -> None:
    async def work(supervisor: Supervisor, _: Any) -> None:
        await supervisor.hang_up_after(OPEN)

    for _ in range(3):
        told(work)

"""The console's page: what it asks the supervisor for, what it refuses, and what it shows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from opkit.live.console import ConsolePage
from opkit.live.live import Live
from opkit.live.ports import ControlRefused, NodeAt, PageRefused
from opkit.live.staged import Staged
from opkit.proof.cid import cid_of
from opkit.story.report import BlobRecord, CheckRecord, MarkerRecord
from opkit.story.stage import Mode, StageStep, StageView
from opkit.story.states import State

DEADLINE_S = 100
FLOUR = cid_of(b"flour")
BREAD = {"name": "t", "title": "Bread", "story": "A bakery bakes.", "steps": 2, "lacking": ""}


def told(marker: str) -> MarkerRecord:
    return MarkerRecord(
        name=marker,
        ok=True,
        kind="shown",
        sentence=f"{marker} is told.",
        evidence={},
        checks=(CheckRecord(name="peer", ok=True, expected="a", actual="a"),),
        proofs=(BlobRecord(cid=FLOUR, path=f"blobs/{FLOUR}"),) if marker == "DOUGH" else (),
        at_ms=1,
        took_ms=1,
    )


def view(revision: int, *, done: int = 0, mode: Mode = Mode.WAITING) -> StageView:
    steps = tuple(
        StageStep(
            marker=marker,
            sentence=f"{marker} is told.",
            kind="shown",
            state=State.DONE if index < done else State.WAITING,
            record=told(marker) if index < done else None,
        )
        for index, marker in enumerate(("DOUGH", "BREAD"))
    )
    return StageView(
        revision=revision,
        run_id="run",
        flow="t",
        title="Bread",
        story="A bakery bakes.",
        mode=mode,
        shown=max(0, done - 1),
        told=done,
        began_ms=1,
        pace_ms=1,
        steps=steps,
    )


@dataclass
class Desk:
    """A supervisor that says what a test wrote, and notes what it was asked for."""

    may_act: bool = True
    said: dict[str, Any] = field(
        default_factory=lambda: {"view": None, "revision": 1, "flows": [BREAD]}
    )
    refuses: ControlRefused | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    looked: list[tuple[int, int]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event | None = None
    name: str = "desk"
    network: str = "a" * 26
    genesis: Any = None

    def tell(self, **said: Any) -> None:
        """Let the next look see something else."""
        self.said = {**self.said, **said}
        self.news.set()

    def show(self, shown: StageView | None, *, revision: int) -> None:
        """Let the next look see this stage."""
        self.tell(view=shown and shown.model_dump(mode="json"), revision=revision)

    async def nodes(self) -> tuple[NodeAt, ...]:
        return ()

    async def token(self, org: str, *, instead_of: str | None = None) -> str:
        raise ControlRefused("no node is here")

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        if self.refuses is not None:
            raise self.refuses
        if do != "stage":
            self.asked.append((do, arguments))
            if self.holding is not None:
                await self.holding.wait()
            return {"view": self.said["view"], "revision": self.said["revision"]}
        self.looked.append((arguments["after"], arguments["wait_ms"]))
        if arguments["wait_ms"]:
            await self.news.wait()
            self.news.clear()
        return self.said

    async def close(self) -> None:
        pass


@dataclass
class Opened:
    """A page over a desk, with the stage followed."""

    desk: Desk
    live: Live
    page: ConsolePage
    staged: Staged

    async def until(self, holds) -> None:
        while not holds():
            await self.live.wait_change(self.live.revision)

    def drawn(self) -> Mapping[str, str]:
        return {name: draw() for name, draw in self.page.cards().items()}


def with_page(scenario, desk: Desk) -> None:
    """Run a scenario with a page whose stage is followed meanwhile."""

    async def run() -> None:
        live = Live(desk)
        page = ConsolePage(live)
        staged = live.shared(Staged, Staged)
        following = asyncio.create_task(staged.run())
        opened = Opened(desk=desk, live=live, page=page, staged=staged)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await opened.until(lambda: staged.flows or staged.trouble)
                await scenario(opened)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(run())


def test_all_pages_of_one_live_share_one_look_at_the_stage():
    async def scenario(opened):
        another = ConsolePage(opened.live)
        assert another.figures().flows == opened.page.figures().flows
        assert opened.desk.looked[0] == (0, 0)
        assert all(wait_ms for _, wait_ms in opened.desk.looked[1:])

    with_page(scenario, Desk())


def test_a_change_of_the_stage_shows_and_the_next_look_waits_after_it():
    async def scenario(opened):
        opened.desk.show(view(7, done=1), revision=7)
        await opened.until(lambda: opened.staged.view is not None)
        assert "DOUGH is told." in opened.drawn()["story"]
        opened.desk.show(None, revision=8)
        await opened.until(lambda: opened.staged.view is None)
        assert 7 in [after for after, _ in opened.desk.looked]

    with_page(scenario, Desk())


def test_an_answer_that_was_overtaken_changes_nothing():
    async def scenario(opened):
        opened.staged.take({"view": view(9, done=2).model_dump(mode="json"), "revision": 9})
        opened.staged.take({"view": view(8, done=1).model_dump(mode="json"), "revision": 8})
        assert opened.staged.view.told == 2

    with_page(scenario, Desk())


def test_a_supervisor_that_is_silent_is_said_and_asked_again_until_it_answers():
    async def scenario(opened):
        assert "gone; opkit devnet up" in opened.drawn()["story"]
        opened.desk.refuses = None
        await opened.until(lambda: not opened.staged.trouble)
        assert "gone" not in opened.drawn()["story"]

    with_page(scenario, Desk(refuses=ControlRefused("gone", hint="opkit devnet up")))


def test_an_answer_that_cannot_be_read_is_said_and_not_the_end():
    async def scenario(opened):
        opened.desk.tell(view={"no": "view"}, revision=2)
        await opened.until(lambda: opened.staged.trouble)
        opened.desk.tell(view=None, revision=3)
        await opened.until(lambda: not opened.staged.trouble)

    with_page(scenario, Desk())


def test_run_opens_a_stage_and_plays_it():
    async def scenario(opened):
        await opened.page.act("run", {"flow": "t"})
        assert opened.desk.asked == [
            ("stage-open", {"flow": "t", "seed": 7}),
            ("stage-do", {"action": "play", "marker": ""}),
        ]

    with_page(scenario, Desk())


@pytest.mark.parametrize(
    ("act", "arguments", "asked"),
    [
        ("open", {"flow": "t"}, ("stage-open", {"flow": "t", "seed": 7})),
        ("close", {}, ("stage-close", {})),
        ("next", {}, ("stage-do", {"action": "next", "marker": ""})),
        ("back", {}, ("stage-do", {"action": "back", "marker": ""})),
        ("pause", {}, ("stage-do", {"action": "pause", "marker": ""})),
        ("repeat", {}, ("stage-do", {"action": "repeat", "marker": ""})),
        ("again", {}, ("stage-do", {"action": "again", "marker": ""})),
        ("skip-to", {"marker": "BREAD"}, ("stage-do", {"action": "skip-to", "marker": "BREAD"})),
        ("cut", {"a": "x", "b": "y"}, ("cut", {"a": "x", "b": "y"})),
        ("heal", {"a": "x", "b": "y"}, ("heal", {"a": "x", "b": "y"})),
        ("heal", {"number": "3"}, ("heal", {"id": 3})),
        ("heal", {}, ("heal", {})),
        ("loss", {"permille": "200"}, ("loss", {"share_permille": 200})),
        ("delay", {"ms": "50"}, ("delay", {"delay_ms": 50})),
        ("partition", {"org": "x"}, ("partition", {"groups": [["x"]]})),
        ("kill", {"org": "x"}, ("kill", {"org": "x"})),
        ("restart", {"org": "x"}, ("restart", {"org": "x"})),
    ],
)
def test_each_control_asks_for_one_thing_and_a_viewer_for_none(act, arguments, asked):
    async def presenter(opened):
        await opened.page.act(act, arguments)
        assert opened.desk.asked == [asked]

    async def viewer(opened):
        with pytest.raises(PageRefused, match="only the presenter"):
            await opened.page.act(act, arguments)
        assert opened.desk.asked == []

    with_page(presenter, Desk())
    with_page(viewer, Desk(may_act=False))


@pytest.mark.parametrize("act", ["stop", "down", "grant", "pass-time", "", "stage-do"])
def test_what_the_page_has_no_control_for_is_refused(act):
    async def scenario(opened):
        with pytest.raises(PageRefused, match="no control"):
            await opened.page.act(act, {})
        assert opened.desk.asked == []

    with_page(scenario, Desk())


@pytest.mark.parametrize(
    ("act", "arguments"),
    [("open", {}), ("skip-to", {"marker": ""}), ("cut", {"a": "x"}), ("kill", {}), ("select", {})],
)
def test_a_control_without_its_argument_is_refused(act, arguments):
    async def scenario(opened):
        with pytest.raises(PageRefused, match="lacks its"):
            await opened.page.act(act, arguments)
        assert opened.desk.asked == []

    with_page(scenario, Desk())


@pytest.mark.parametrize(
    ("act", "arguments"),
    [("loss", {"permille": "many"}), ("delay", {"ms": "-5"}), ("heal", {"number": "1" * 10})],
)
def test_what_is_no_number_is_refused_here(act, arguments):
    async def scenario(opened):
        with pytest.raises(PageRefused, match="is no number"):
            await opened.page.act(act, arguments)
        assert opened.desk.asked == []

    with_page(scenario, Desk())


def test_what_the_supervisor_refuses_reaches_whoever_clicked():
    async def scenario(opened):
        opened.desk.refuses = ControlRefused("a flow is being told", hint="close the stage first")
        with pytest.raises(ControlRefused, match="being told"):
            await opened.page.act("open", {"flow": "t"})

    with_page(scenario, Desk())


def test_a_list_of_deeds_opens_for_one_viewer_and_closes_once_one_was_done():
    async def scenario(opened):
        await opened.page.act("deeds", {"open": "kill"})
        assert "Which node shall be killed?" in opened.drawn()["deeds"]
        other = ConsolePage(opened.live)
        assert "Which node" not in other.cards()["deeds"]()
        await opened.page.act("kill", {"org": "x"})
        assert "Which node" not in opened.drawn()["deeds"]

    with_page(scenario, Desk())


@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        ("cut", {"a": "x", "b": "y"}),
        ("loss", {"permille": "200"}),
        ("delay", {"ms": "50"}),
        ("partition", {"org": "x"}),
        ("heal", {}),
        ("kill", {"org": "x"}),
    ],
)
def test_a_list_that_is_opened_while_a_deed_is_done_stays_open(act, arguments):
    async def scenario(opened):
        opened.desk.holding = asyncio.Event()
        await opened.page.act("deeds", {"open": "weather"})
        doing = asyncio.create_task(opened.page.act(act, arguments))
        await asyncio.sleep(0)
        assert len(opened.desk.asked) == 1
        await opened.page.act("deeds", {"open": "part"})
        opened.desk.holding.set()
        await doing
        assert "Where shall the network be parted?" in opened.drawn()["deeds"]

    with_page(scenario, Desk())


def test_evidence_stays_where_a_viewer_looks_until_the_presenter_leads_on():
    async def scenario(opened):
        opened.desk.show(view(5, done=2), revision=5)
        await opened.until(lambda: opened.staged.view is not None)
        assert "Evidence for BREAD" in opened.drawn()["evidence"]
        await opened.page.act("select", {"marker": "DOUGH"})
        assert "Evidence for DOUGH" in opened.drawn()["evidence"]
        await opened.page.act("follow", {})
        assert "Evidence for BREAD" in opened.drawn()["evidence"]
        await opened.page.act("select", {"marker": "DOUGH"})
        await opened.page.act("back", {})
        assert opened.page.figures().selected == ""

    with_page(scenario, Desk())


def test_verifying_what_no_node_has_fails_and_says_why():
    async def scenario(opened):
        opened.desk.show(view(5, done=1), revision=5)
        await opened.until(lambda: opened.staged.view is not None)
        await opened.page.act("verify", {"marker": "DOUGH"})
        assert not opened.page.figures().again.ok
        assert "a node that has them" in opened.drawn()["evidence"]
        with pytest.raises(PageRefused, match="no proof"):
            await opened.page.act("verify", {"marker": "BREAD"})

    with_page(scenario, Desk())


def test_a_page_for_a_stage_that_has_ended_can_begin_another():
    async def scenario(opened):
        opened.desk.show(view(5, done=2, mode=Mode.ENDED), revision=5)
        await opened.until(lambda: opened.staged.view is not None)
        assert "Tell again" in opened.drawn()["transport"]
        await opened.page.act("close", {})
        assert opened.desk.asked[-1] == ("stage-close", {})

    with_page(scenario, Desk())

"""Recording: what a step does is on the screen when it ends, and every moment can be rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from flows.modules import stamped
from opkit.live.console import ConsolePage
from opkit.live.live import Live
from opkit.live.network import NetworkPage
from opkit.live.ports import ControlRefused, Draw
from opkit.live.replay import Recorder, StagedHere, tell_and_record
from opkit.story import BlobProof, Flow, expect, that
from opkit.story.pace import Pace
from opkit.story.stage import Action, Mode, Stage
from opkit.views.replay import Recording

RIVER = "river-city-tool-library"
DEADLINE_S = 120

flow: Flow[dict[str, bytes]] = Flow(name="t", title="Bread", story="A bakery.", memory=dict)


@flow.step("DOUGH_MADE")
async def dough(world, story):
    """Mara puts a program on River City's node."""
    story["program"] = stamped("upper", world.run_id)
    info = await world.client(RIVER, f"{RIVER}/mara").wasm.deploy(story["program"], name="bread")
    return expect(True, proofs=[BlobProof(story["program"])], info=info)


@flow.step("THIEF_REFUSED", adversarial=True)
async def thief(world, story):
    """A thief fails, unless this telling is sabotaged."""
    return expect(that("the thief is seen", "sabotage" not in story, expected="yes"))


def rebuilt(recording: Recording, until_ms: int) -> list[dict[str, str]]:
    """Return each page's cards at a moment, as the player does."""
    pages: list[dict[str, str]] = [{} for _ in recording.pages]
    for patch in recording.patches:
        if patch.at_ms > until_ms:
            break
        for each in patch.changes:
            old = pages[each.page].get(each.card, "")
            tail = old[len(old) - each.tail :]
            pages[each.page][each.card] = old[: each.head] + each.middle + tail
    return pages


class Lent:
    """A world that a stage may close without closing it for the others."""

    def __init__(self, world: Any, run_id: str) -> None:
        self._world = world
        self.run_id = run_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    async def close(self) -> None:
        return


def record(following: Any, *, told: Flow[Any] = flow, pace: float = 1.0) -> tuple[Recording, Stage]:
    """Record a telling on a network in this process."""

    async def within() -> tuple[Recording, Stage]:
        async with asyncio.timeout(DEADLINE_S), following() as held:
            here = StagedHere(held.source)
            live = Live(here, make=held.source.make)

            async def open_world(run_id: str) -> Any:
                return Lent(held.world, run_id)

            stage = Stage(told, open_world, pace=Pace(factor=pace), on_change=here.show)
            recorder = Recorder(live, [ConsolePage(live), NetworkPage(live)])
            running = asyncio.create_task(live.run())
            try:
                with live.watched():
                    await tell_and_record(stage, here, recorder, live)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            return recorder.recording(), stage

    return asyncio.run(within())


@pytest.mark.slow
def test_what_a_step_did_is_on_every_page_at_its_moment_and_not_before(following):
    recording, stage = record(following)

    assert stage.report().ok
    assert [each.marker for each in recording.moments] == ["DOUGH_MADE", "THIEF_REFUSED"]
    assert [each.name for each in recording.pages] == ["console", "network"]
    console, network = rebuilt(recording, 0)
    assert "is-waiting" in console["story"]
    assert "bread" not in network["happenings"]
    console, network = rebuilt(recording, recording.moments[0].at_ms)
    assert "Evidence for DOUGH_MADE" in console["evidence"]
    assert "bread" in network["happenings"]
    console, network = rebuilt(recording, recording.length_ms)
    assert "told whole" not in console["story"]
    assert "is-refused" in console["story"]


@pytest.mark.slow
def test_time_to_read_is_added_and_not_waited_for(following):
    recording, _ = record(following)
    first, second = (each.at_ms for each in recording.moments)
    assert recording.added_ms >= 3 * 2_500
    assert second - first >= 2_500
    assert recording.told_ms == recording.length_ms - recording.added_ms
    assert recording.told_ms < DEADLINE_S * 1000
    hurried, _ = record(following, pace=0.0)
    assert hurried.added_ms == 0


@pytest.mark.slow
def test_a_story_that_fails_is_recorded_with_how_it_failed(following):
    broken: Flow[dict[str, bytes]] = Flow(
        name="t", title="Bread", story="A bakery.", memory=lambda: {"sabotage": b""}
    )
    broken.step("THIEF_REFUSED", adversarial=True)(thief)
    recording, stage = record(following, told=broken)

    assert stage.view.mode is Mode.STOPPED
    assert not stage.report().ok
    console, _ = rebuilt(recording, recording.length_ms)
    assert "The story stopped at THIEF_REFUSED" in console["story"]
    assert "is-failed" in console["story"]


class Pages:
    """A page whose cards a test writes."""

    name = "slate"
    title = "Slate"

    def __init__(self, **written: str) -> None:
        self.written = written

    def frame(self) -> str:
        return "<div></div>"

    def cards(self) -> Mapping[str, Draw]:
        return {name: lambda name=name: self.written[name] for name in self.written}

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        raise AssertionError(act)


class Quiet:
    """A network of which nothing is known."""

    name = "quiet"
    may_act = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def nodes(self) -> tuple[()]:
        return ()

    async def ask(self, do: str, **_: Any) -> dict[str, Any]:
        self.asked.append(do)
        return {}


def recorder(page: Pages, **settings: Any) -> Recorder:
    return Recorder(Live(Quiet()), [page], **settings)


@pytest.mark.parametrize(
    "texts",
    [
        ("", "a", "ab", "ab", "b", ""),
        ("aaaa", "aaa", "aaaaa", "aXaaa", "aXaa"),
        ("<p>1</p>", "<p>2</p>", "<p>22</p>", "<p>2</p>", "<p></p>"),
        ("plain", "with 🍞 in it", "with 🥖 in it", "plain again"),
    ],
)
def test_every_text_is_rebuilt_from_what_it_shares_with_the_one_before(texts):
    page = Pages(one=texts[0])
    clock = iter(range(0, 1_000, 10))
    recording = recorder(page, now_ms=lambda: next(clock))
    for text in texts:
        page.written["one"] = text
        recording.take()
    made = recording.recording()
    for patch, change in ((each, each.changes[0]) for each in made.patches):
        assert rebuilt(made, patch.at_ms)[0]["one"] in texts
        assert change.middle.isascii() or change.head == change.tail == 0
    assert rebuilt(made, 10_000)[0]["one"] == texts[-1]


def test_what_did_not_change_takes_no_room():
    page = Pages(one="<p>1</p>", two="<p>2</p>")
    recording = recorder(page)
    recording.take()
    recording.take()
    page.written["two"] = "<p>3</p>"
    recording.take()
    first, second = recording.recording().patches
    assert [each.card for each in first.changes] == ["one", "two"]
    assert [(each.card, each.middle) for each in second.changes] == [("two", "3")]


def test_controls_are_left_out():
    recording = recorder(Pages(story="s", transport="t", deeds="d"))
    recording.take()
    (patch,) = recording.recording().patches
    assert [each.card for each in patch.changes] == ["story"]


def test_a_recording_that_grows_too_large_goes_on_with_the_ends_of_steps_alone():
    async def within() -> None:
        page = Pages(one="x" * 100)
        recording = recorder(page, chars_max=100)
        async with asyncio.timeout(30):
            await recording.run()
        page.written["one"] = "y"
        recording.moment("DOUGH_MADE")
        made = recording.recording()
        assert len(made.patches) == 2
        assert rebuilt(made, made.moments[0].at_ms) == [{"one": "y"}]

    asyncio.run(within())


def test_a_recording_only_looks():
    async def within() -> None:
        quiet = Quiet()
        here = StagedHere(quiet)
        assert not here.may_act
        for do in ("kill", "cut", "stage-open", "stage-do", "grant", "down"):
            with pytest.raises(ControlRefused, match="only looks"):
                await here.ask(do)
        await here.ask("status", look=False)
        assert quiet.asked == ["status"]

    asyncio.run(within())


def test_whoever_looks_at_the_stage_waits_for_what_changes():
    async def within() -> None:
        here = StagedHere(Quiet())
        assert await here.ask("stage", after=0, wait_ms=0) == {
            "view": None,
            "revision": 0,
            "flows": [],
        }
        assert (await here.ask("stage", after=0, wait_ms=1))["view"] is None

        async def open_world(run_id: str) -> Any:
            raise AssertionError(run_id)

        stage = Stage(flow, open_world, pace=Pace(), on_change=here.show)
        looking = asyncio.create_task(here.ask("stage", after=0, wait_ms=30_000))
        stage.do(Action.PLAY)
        async with asyncio.timeout(30):
            seen = await looking
        assert seen["view"]["flow"] == "t"
        assert seen["revision"] == stage.view.revision

    asyncio.run(within())

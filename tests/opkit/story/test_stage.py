"""A stage tells one flow as its presenter leads it, each telling in a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from opkit.story import BlobProof, Evidence, Flow, State, expect
from opkit.story.lead import OVER
from opkit.story.pace import Pace
from opkit.story.stage import Action, Mode, Stage, StageRefused, StageView

PINNED = ("DOUGH_MADE", "THIEF_REFUSED", "BREAD_BAKED")
LIMIT_S = 100
AT_ONCE = Pace(factor=0.0)


class Theatre:
    """A stage that runs, with every view it has shown."""

    def __init__(self, flow, make, *, pace: Pace = AT_ONCE, open_world=None) -> None:
        self.worlds = []
        self.views: list[StageView] = []
        self._changed = asyncio.Event()

        async def open_tiny(run_id):
            world = make()
            world.run_id = run_id
            self.worlds.append(world)
            return world

        self.stage = Stage(flow, open_world or open_tiny, pace=pace, on_change=self._keep)

    def _keep(self, view: StageView) -> None:
        self.views.append(view)
        self._changed.set()

    async def until(self, holds: Callable[[StageView], bool]) -> StageView:
        """Wait for a view that holds, beginning with the one that stands."""
        async with asyncio.timeout(LIMIT_S):
            while not holds(self.stage.view):
                self._changed.clear()
                await self._changed.wait()
        return self.stage.view

    async def mode(self, mode: Mode, *, told: int | None = None) -> StageView:
        return await self.until(
            lambda view: view.mode is mode and (told is None or view.told == told)
        )


def play(
    flow, make, act: Callable[[Theatre], Awaitable[None]], **more
) -> tuple[Theatre, StageView]:
    """Run a stage while `act` leads it, then stop it."""

    async def go() -> Theatre:
        theatre = Theatre(flow, make, **more)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
            group.create_task(theatre.stage.run())
            await act(theatre)
            theatre.stage.do(Action.STOP)
        return theatre

    theatre = asyncio.run(go())
    return theatre, theatre.stage.view


def test_it_opens_sets_up_and_waits_before_the_first_step(bakery, tiny_world):
    async def act(theatre):
        assert theatre.stage.view.mode is Mode.OPENING
        view = await theatre.mode(Mode.WAITING)
        assert (view.told, view.shown) == (0, 0)
        assert [step.sentence for step in view.setup] == ["The oven is hot."]
        assert {step.state for step in view.steps} == {State.WAITING}

    theatre, view = play(bakery, tiny_world, act)

    assert view.mode is Mode.STOPPED
    assert view.stopped.at == "DOUGH_MADE"
    assert view.stopped.why == "the presenter ended it"
    assert [world.closed for world in theatre.worlds] == [1]


def test_next_tells_one_step_and_its_record_is_in_the_view(bakery, tiny_world):
    async def act(theatre):
        await theatre.mode(Mode.WAITING)
        theatre.stage.do(Action.NEXT)
        view = await theatre.mode(Mode.WAITING, told=1)
        assert view.shown == 0
        assert view.steps[0].state is State.DONE
        assert view.steps[0].record.evidence == {"loaves": 3}
        assert view.steps[1].state is State.WAITING
        theatre.stage.do(Action.NEXT)
        view = await theatre.mode(Mode.WAITING, told=2)
        assert view.steps[1].state is State.REFUSED
        assert view.shown == 1

    theatre, _ = play(bakery, tiny_world, act)

    running = [view for view in theatre.views if view.steps[1].state is State.RUNNING]
    assert running
    assert all(view.shown == 1 and view.told == 1 for view in running)


def test_revisions_grow_with_every_change(bakery, tiny_world):
    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        await theatre.mode(Mode.ENDED)
        theatre.stage.do(Action.AGAIN)
        await theatre.mode(Mode.WAITING)

    theatre, _ = play(bakery, tiny_world, act)

    revisions = [view.revision for view in theatre.views]
    assert revisions == sorted(set(revisions))


def test_played_to_the_end_it_is_told_whole(bakery, tiny_world):
    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        view = await theatre.mode(Mode.ENDED)
        assert view.told == 3
        assert view.stopped is None
        report = theatre.stage.report()
        assert report.ok
        assert report.shown == PINNED
        with pytest.raises(StageRefused, match="over"):
            theatre.stage.do(Action.NEXT)

    _, view = play(bakery, tiny_world, act)

    assert view.mode is Mode.ENDED
    assert view.stopped is None


def test_a_story_that_is_over_lets_go_of_the_network_and_another_telling_has_it_again(
    bakery, tiny_world
):
    async def act(theatre):
        await theatre.mode(Mode.WAITING)
        assert theatre.stage.view.held
        theatre.stage.do(Action.PLAY)
        over = await theatre.until(lambda view: not view.held)
        assert (over.mode, theatre.worlds[0].closed) == (Mode.ENDED, 1)
        theatre.stage.do(Action.BACK)
        assert not theatre.stage.view.held
        theatre.stage.do(Action.AGAIN)
        assert theatre.stage.view.held
        await theatre.mode(Mode.WAITING)

    theatre, last = play(bakery, tiny_world, act)

    assert all(view.held for view in theatre.views if view.mode not in OVER)
    assert not last.held


def test_every_telling_has_a_run_id_and_a_world_of_its_own(bakery, tiny_world):
    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        first = await theatre.mode(Mode.ENDED)
        theatre.stage.do(Action.BACK)
        theatre.stage.do(Action.REPEAT)
        assert theatre.stage.view.mode is Mode.OPENING
        assert {step.state for step in theatre.stage.view.steps} == {State.WAITING}
        second = await theatre.mode(Mode.WAITING, told=2)
        assert second.shown == 1
        assert second.run_id != first.run_id
        theatre.stage.do(Action.AGAIN)
        third = await theatre.mode(Mode.WAITING, told=0)
        assert third.run_id not in {first.run_id, second.run_id}

    theatre, view = play(bakery, tiny_world, act)

    assert len({world.run_id for world in theatre.worlds}) == 3
    assert view.run_id == theatre.worlds[-1].run_id
    assert [world.closed for world in theatre.worlds] == [1, 1, 1]


def gated() -> tuple[Flow, asyncio.Event]:
    """Make a flow whose second step waits for the event."""
    flow = Flow(name="g", title="Gate", story="A gate.", memory=dict)
    gate = asyncio.Event()

    @flow.step("CAME_NEAR")
    async def near(world, memory) -> Evidence:
        """Ana comes near."""
        return expect(True, proofs=[BlobProof(b"dust")])

    @flow.step("GATE_PASSED", say="Now she must wait.")
    async def through(world, memory) -> Evidence:
        """Ana waits at the gate."""
        await gate.wait()
        return expect(True)

    @flow.step("CAME_HOME")
    async def home(world, memory) -> Evidence:
        """Ana comes home."""
        return expect(True)

    return flow, gate


async def at_the_gate(theatre: Theatre) -> None:
    """Lead the gated flow to where its second step is being told."""
    theatre.stage.do(Action.PLAY)
    await theatre.until(lambda view: view.steps[1].state is State.RUNNING)


def test_pause_lets_the_running_step_end_and_then_waits(tiny_world):
    flow, gate = gated()

    async def act(theatre):
        await at_the_gate(theatre)
        theatre.stage.do(Action.PAUSE)
        gate.set()
        view = await theatre.mode(Mode.WAITING, told=2)
        assert view.steps[2].state is State.WAITING

    theatre, _ = play(flow, tiny_world, act)

    assert theatre.stage.view.told == 2
    assert list(theatre.stage.blobs.values()) == [b"dust"]


def test_stop_breaks_off_a_running_step_which_has_then_neither_been_shown_nor_failed(tiny_world):
    flow, _ = gated()

    theatre, view = play(flow, tiny_world, at_the_gate)

    assert view.mode is Mode.STOPPED
    assert [step.state for step in view.steps] == [State.DONE, State.WAITING, State.WAITING]
    assert view.steps[1].record is None
    assert view.stopped.at == "GATE_PASSED"
    assert theatre.worlds[0].closed == 1
    with pytest.raises(StageRefused, match="closed"):
        theatre.stage.do(Action.NEXT)


@pytest.mark.parametrize(("action", "told", "shown"), [(Action.AGAIN, 0, 0), (Action.REPEAT, 2, 1)])
def test_a_new_telling_breaks_off_the_running_step_of_the_old(tiny_world, action, told, shown):
    flow, gate = gated()

    async def act(theatre):
        await at_the_gate(theatre)
        first = theatre.stage.view.run_id
        theatre.stage.do(action)
        gate.set()
        view = await theatre.mode(Mode.WAITING, told=told)
        assert view.shown == shown
        assert view.run_id != first
        assert view.stopped is None

    theatre, _ = play(flow, tiny_world, act)

    assert [world.closed for world in theatre.worlds] == [1, 1]
    assert all(step.state is not State.FAILED for view in theatre.views for step in view.steps)


def test_next_is_refused_while_a_step_is_told_and_back_only_looks(tiny_world):
    flow, gate = gated()

    async def act(theatre):
        await at_the_gate(theatre)
        assert theatre.stage.busy
        with pytest.raises(StageRefused, match="being told"):
            theatre.stage.do(Action.NEXT)
        theatre.stage.do(Action.BACK)
        assert theatre.stage.view.shown == 0
        gate.set()
        view = await theatre.mode(Mode.WAITING, told=2)
        assert view.shown == 0
        assert not theatre.stage.busy

    play(flow, tiny_world, act)


def test_skipping_tells_what_lies_between_and_waits_before_the_marker(bakery, tiny_world):
    async def act(theatre):
        await theatre.mode(Mode.WAITING)
        with pytest.raises(StageRefused, match="no step 'NOWHERE'"):
            theatre.stage.do(Action.SKIP_TO, "NOWHERE")
        theatre.stage.do(Action.SKIP_TO, "BREAD_BAKED")
        assert theatre.stage.view.mode is Mode.SKIPPING
        view = await theatre.mode(Mode.WAITING, told=2)
        assert view.shown == 2
        assert view.steps[2].state is State.WAITING
        theatre.stage.do(Action.SKIP_TO, "DOUGH_MADE")
        assert (theatre.stage.view.shown, theatre.stage.view.told) == (0, 2)

    play(bakery, tiny_world, act)


def test_playing_from_behind_shows_what_was_told_before_it_tells_more(bakery, tiny_world):
    async def act(theatre):
        await theatre.mode(Mode.WAITING)
        theatre.stage.do(Action.SKIP_TO, "BREAD_BAKED")
        await theatre.mode(Mode.WAITING, told=2)
        theatre.stage.do(Action.SKIP_TO, "DOUGH_MADE")
        theatre.stage.do(Action.PLAY)
        await theatre.mode(Mode.ENDED)

    theatre, _ = play(bakery, tiny_world, act)

    assert (1, 2) in [(view.shown, view.told) for view in theatre.views if not view.stopped]


@pytest.mark.parametrize("lost", PINNED)
def test_a_step_that_is_not_shown_stops_the_telling_and_again_tries_anew(bakery, tiny_world, lost):
    broken = {lost}

    def make():
        return tiny_world(*broken)

    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        view = await theatre.mode(Mode.STOPPED)
        index = PINNED.index(lost)
        assert view.stopped.at == lost
        assert "as promised" in view.stopped.why
        assert view.steps[index].state is State.FAILED
        assert (view.shown, view.told) == (index, index + 1)
        assert not theatre.stage.report().ok
        broken.clear()
        theatre.stage.do(Action.REPEAT)
        await theatre.until(lambda again: again.told == index + 1 and not again.stopped)

    theatre, _ = play(bakery, make, act)

    assert len(theatre.worlds) == 2


def test_a_set_up_that_fails_stops_it_before_the_first_step(bakery, tiny_world):
    async def act(theatre):
        view = await theatre.mode(Mode.STOPPED)
        assert "cold" in view.stopped.why
        assert not view.setup[0].ok
        assert view.told == 0

    theatre, _ = play(bakery, lambda: tiny_world("oven"), act)

    assert theatre.worlds[0].closed == 1


class Silent(Exception):
    """A network that does not open."""

    hint = "start it"


def test_a_network_that_does_not_open_is_shown_and_may_be_tried_again(bakery, tiny_world):
    doors = [Silent("it is stopped"), None]
    opened = []

    async def open_world(run_id):
        if (no := doors.pop(0)) is not None:
            raise no
        opened.append(tiny_world(run_id=run_id))
        return opened[0]

    async def act(theatre):
        with pytest.raises(StageRefused, match="nothing has been told"):
            theatre.stage.report()
        view = await theatre.mode(Mode.STOPPED)
        assert view.stopped.why == "it is stopped; start it"
        with pytest.raises(StageRefused, match="over"):
            theatre.stage.do(Action.NEXT)
        theatre.stage.do(Action.AGAIN)
        await theatre.mode(Mode.WAITING)

    play(bakery, tiny_world, act, open_world=open_world)

    assert opened[0].closed == 1


def test_an_error_of_any_other_kind_is_shown_and_logged(bakery, tiny_world, caplog):
    async def open_world(run_id):
        raise KeyError("socket")

    async def act(theatre):
        view = await theatre.mode(Mode.STOPPED)
        assert view.stopped.why == "KeyError: 'socket'"

    play(bakery, tiny_world, act, open_world=open_world)

    assert "broke off" in caplog.text


def test_a_flow_that_does_not_apply_says_what_is_missing(tiny_world):
    flow, _ = gated()

    async def act(theatre):
        view = await theatre.mode(Mode.STOPPED)
        assert view.stopped.why.startswith("flow g needs the profile three")

    theatre, _ = play(flow, lambda: tiny_world(profile="other"), act)

    assert theatre.worlds[0].closed == 1


def test_a_world_that_cannot_be_let_go_of_is_shown(bakery, tiny_world):
    async def stuck() -> None:
        raise Silent("a liar is still there")

    def make():
        world = tiny_world()
        world.close = stuck
        return world

    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        view = await theatre.mode(Mode.STOPPED)
        assert view.stopped.why.startswith("a liar is still there")
        assert view.told == 3

    play(bakery, make, act)


def test_a_stage_whose_task_is_cancelled_closes_its_world_and_says_so(tiny_world):
    flow, _ = gated()

    async def go() -> Theatre:
        theatre = Theatre(flow, tiny_world)
        task = asyncio.create_task(theatre.stage.run())
        await at_the_gate(theatre)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return theatre

    theatre = asyncio.run(asyncio.wait_for(go(), LIMIT_S))

    view = theatre.stage.view
    assert view.mode is Mode.STOPPED
    assert view.stopped.why == "it was broken off"
    assert view.steps[1].state is State.WAITING
    assert theatre.worlds[0].closed == 1


def test_the_pace_is_of_what_is_shown_and_playing_waits_for_it(tiny_world):
    """Nothing is measured against a clock: at the slowest pace it is still waiting."""
    flow, gate = gated()
    gate.set()

    async def act(theatre):
        view = await theatre.mode(Mode.WAITING)
        theatre.stage.do(Action.PLAY)
        view = await theatre.mode(Mode.PLAYING, told=1)
        assert view.pace_ms == 25_000
        assert not theatre.stage.busy
        theatre.stage.do(Action.NEXT)
        view = await theatre.mode(Mode.PLAYING, told=2)
        assert view.steps[1].say == "Now she must wait."

    _, view = play(flow, tiny_world, act, pace=Pace(factor=10.0))

    assert view.told == 2


def test_a_view_survives_json(bakery, tiny_world):
    async def act(theatre):
        theatre.stage.do(Action.PLAY)
        await theatre.mode(Mode.ENDED)

    theatre, _ = play(bakery, tiny_world, act)

    for view in theatre.views:
        assert StageView.model_validate_json(view.model_dump_json()) == view

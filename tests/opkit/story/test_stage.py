"""A stage tells one flow as its presenter leads it, each telling in a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from opkit.story import State
from opkit.story.pace import Pace
from opkit.story.stage import Action, Mode, Stage, StageRefused, StageView

PINNED = ("DOUGH_MADE", "THIEF_REFUSED", "BREAD_BAKED")
LIMIT_S = 30
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

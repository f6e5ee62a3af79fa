"""A story is ok only if it was told whole, in order, each marker with evidence."""

from __future__ import annotations

import asyncio

import pytest

from opkit.story import Flow, NotApplicable, NotShown, State, expect
from opkit.story.report import CheckRecord, Report
from opkit.wire.compute import ExecutorUnavailable

PINNED = ("DOUGH_MADE", "THIEF_REFUSED", "BREAD_BAKED")


def test_a_story_told_whole_is_ok_and_counts_its_set_up(bakery, tiny_world):
    report = asyncio.run(bakery.tell(tiny_world()).run())

    assert report.ok
    assert report.shown == PINNED
    assert [marker.kind for marker in report.markers] == ["shown", "refused", "shown"]
    assert [step.sentence for step in report.setup] == ["The oven is hot."]
    assert report.markers[2].sentence == "Ana bakes the bread."
    assert report.verdict == "FLOW_OK t 3/3, 1 set-up"


@pytest.mark.parametrize("lost", PINNED)
def test_a_broken_step_stops_the_story_at_exactly_its_marker(bakery, tiny_world, lost):
    report = asyncio.run(bakery.tell(tiny_world(lost)).run())

    assert not report.ok
    assert report.shown == PINNED[: PINNED.index(lost)]
    assert report.markers[-1].name == lost
    assert report.markers[-1].state is State.FAILED
    assert report.stopped is not None
    assert report.stopped.at == lost
    assert report.consistent
    assert report.verdict.startswith(f"FLOW_FAILED t {len(report.shown)}/3")


def test_a_failed_set_up_stops_before_the_first_marker(bakery, tiny_world):
    report = asyncio.run(bakery.tell(tiny_world("oven")).run())

    assert not report.ok
    assert report.shown == ()
    assert not report.setup[0].ok
    assert "cold" in report.setup[0].problem


def test_a_story_that_stops_early_is_not_ok(bakery, tiny_world):
    async def only_two() -> Report:
        telling = bakery.tell(tiny_world())
        await telling.step("DOUGH_MADE")
        await telling.step("THIEF_REFUSED")
        return telling.report()

    report = asyncio.run(only_two())

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == "BREAD_BAKED"


def test_a_marker_out_of_order_stops_the_story_for_good(bakery, tiny_world):
    async def skip() -> Report:
        telling = bakery.tell(tiny_world())
        with pytest.raises(NotShown, match="next is DOUGH_MADE"):
            await telling.step("THIEF_REFUSED")
        with pytest.raises(NotShown, match="stopped at THIEF_REFUSED"):
            await telling.step("DOUGH_MADE")
        return telling.report()

    report = asyncio.run(skip())

    assert not report.ok
    assert report.shown == ()


def test_a_marker_cannot_be_told_twice(bakery, tiny_world):
    async def twice() -> None:
        telling = bakery.tell(tiny_world())
        await telling.step("DOUGH_MADE")
        with pytest.raises(NotShown, match="out of order"):
            await telling.step("DOUGH_MADE")

    asyncio.run(twice())


def test_a_step_past_its_deadline_fails(tiny_world):
    flow = Flow(name="s", title="Slow", story="", memory=dict, step_deadline_ms=20)

    @flow.step("NEVER_SHOWN")
    async def wait(world, memory):
        """Nothing ever happens."""
        await asyncio.Event().wait()

    report = asyncio.run(flow.tell(tiny_world()).run())

    assert report.stopped is not None
    assert report.stopped.why == "it took too long"


def test_an_error_of_any_kind_fails_the_step_and_says_what(tiny_world):
    flow = Flow(name="e", title="Error", story="", memory=dict)

    @flow.step("NEVER_SHOWN")
    async def stumble(world, memory):
        """Somebody stumbles."""
        raise KeyError("lathe")

    report = asyncio.run(flow.tell(tiny_world()).run())

    assert report.markers[0].problem == "KeyError: 'lathe'"


def test_a_refusal_that_nobody_expected_is_said_in_words_and_by_its_code(tiny_world):
    flow = Flow(name="r", title="Refused", story="", memory=dict)

    @flow.step("NEVER_SHOWN")
    async def ask(world, memory):
        """Somebody asks in vain."""
        raise ExecutorUnavailable(executor="did:key:z6Mk")

    report = asyncio.run(flow.tell(tiny_world()).run())

    why = report.markers[0].problem
    assert why.startswith("The named executor is not connected")
    assert "executor-unavailable: executor='did:key:z6Mk' (hint: try again" in why


def test_a_cancelled_step_is_recorded_and_stays_cancelled(tiny_world):
    flow = Flow(name="c", title="Cancelled", story="", memory=dict)
    began = asyncio.Event()

    @flow.step("NEVER_SHOWN")
    async def wait(world, memory):
        """Somebody waits."""
        began.set()
        await asyncio.Event().wait()

    async def cancel() -> Report:
        telling = flow.tell(tiny_world(), on_told=lambda told: None)
        task = asyncio.create_task(telling.run())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return telling.report()

    report = asyncio.run(asyncio.wait_for(cancel(), 120))

    assert not report.ok
    assert report.markers[0].problem.startswith("CancelledError")


def test_a_flow_without_steps_is_never_ok(tiny_world):
    flow = Flow(name="n", title="Nothing", story="", memory=dict)

    assert not asyncio.run(flow.tell(tiny_world()).run()).ok


def test_a_world_that_lacks_a_capability_is_not_applicable(tiny_world):
    flow = Flow(name="k", title="Kill", story="", memory=dict, needs=frozenset({"kill"}))

    with pytest.raises(NotApplicable, match="kill"):
        flow.tell(tiny_world())
    with pytest.raises(NotApplicable, match="profile"):
        flow.tell(tiny_world(profile="one"))
    assert flow.tell(tiny_world(capabilities=frozenset({"kill"})))


def test_progress_tells_when_a_step_begins_and_how_it_ends(bakery, tiny_world):
    told = []

    asyncio.run(bakery.tell(tiny_world("BREAD_BAKED"), on_told=told.append).run())

    assert [(each.marker, each.state.value) for each in told] == [
        ("DOUGH_MADE", "running"),
        ("DOUGH_MADE", "done"),
        ("THIEF_REFUSED", "running"),
        ("THIEF_REFUSED", "refused"),
        ("BREAD_BAKED", "running"),
        ("BREAD_BAKED", "failed"),
    ]


def test_a_report_survives_json(bakery, tiny_world):
    report = asyncio.run(bakery.tell(tiny_world()).run())

    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_report_whose_ok_does_not_follow_is_not_consistent(bakery, tiny_world):
    report = asyncio.run(bakery.tell(tiny_world("DOUGH_MADE")).run())

    assert not report.model_copy(update={"ok": True}).consistent


@pytest.mark.parametrize("checks", [(), (CheckRecord(name="x", ok=False, expected="", actual=""),)])
def test_a_marker_rests_on_checks_that_hold_whatever_it_says_of_itself(bakery, tiny_world, checks):
    report = asyncio.run(bakery.tell(tiny_world()).run())
    assert report.ok
    assert report.markers[0].evidence or report.markers[0].checks

    first = report.markers[0].model_copy(update={"checks": checks, "evidence": {"loaves": 3}})
    claimed = report.model_copy(update={"markers": (first, *report.markers[1:])})

    assert claimed.ok
    assert not claimed.consistent


def test_two_steps_never_share_a_marker_and_each_has_a_sentence(bakery):
    async def mute(world, memory):
        return expect(True)

    with pytest.raises(AssertionError, match="no sentence"):
        bakery.step("MUTE_STEP")(mute)
    mute.__doc__ = "Somebody speaks."
    with pytest.raises(AssertionError, match="share"):
        bakery.step("DOUGH_MADE")(mute)

"""Flow B on the real nodes in one process: told again and again, and every marker can be lost."""

from __future__ import annotations

import asyncio
import importlib
import re
from types import ModuleType

import pytest

from devnet.inprocess import inprocess_world
from flows import FLOWS
from flows.a import flow as flow_a
from flows.b import flow
from flows.b_say import SAY
from opkit.story import Report

PINNED = (
    "NAME_REGISTERED",
    "NAME_PROPAGATED",
    "SERVICE_DISCOVERED",
    "AUTHENTICATED_CALL",
    "UNSIGNED_IGNORED",
    "FORGED_IGNORED",
    "STALE_IGNORED",
    "NO_TOKEN_REFUSED",
    "BAD_TOKEN_REFUSED",
    "RIVAL_REFUSED",
    "FOREIGN_WITHDRAWAL_REFUSED",
    "RELAYED_CHALLENGE_REFUSED",
    "NAME_WITHDRAWN",
)
ADVERSARIAL = PINNED[4:12]
DEADLINE_S = 240

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def sabotage_b(sabotage: ModuleType) -> ModuleType:
    """Return the module with the table of broken rules of flow B, which lies beside flow A's."""
    assert sabotage.SABOTAGE, "its folder is on the path"
    return importlib.import_module("sabotage_b")


def tell(times: int = 1) -> list[Report]:
    """Tell the flow on one fresh network, so many times in a row."""

    async def go() -> list[Report]:
        reports = []
        async with inprocess_world("three", seed=7) as world:
            for place in range(times):
                world.run_id = f"telling-{place}"
                reports.append(await flow.tell(world).run())
        return reports

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_the_markers_are_the_ones_that_were_promised() -> None:
    assert flow.markers == PINNED
    assert tuple(step.marker for step in flow.steps if step.kind == "refused") == ADVERSARIAL
    assert FLOWS["b"] is flow
    assert list(FLOWS)[:2] == ["a", "b"], "in the order of telling"


def test_every_sentence_is_short_and_names_somebody() -> None:
    names = ("Mara", "Rosa", "Theo", "River City", "BrightWorks", "stranger", "relay")
    for step in flow.steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(name in step.sentence for name in names), step.sentence


def test_every_step_has_its_narration_for_the_ear() -> None:
    """Long enough to say something, short enough to be said in half a minute; no identifiers."""
    assert tuple(SAY) == PINNED
    for step in flow.steps:
        assert step.say == SAY[step.marker]
        assert 15 <= len(step.say.split()) <= 60, step.marker
        assert not re.search(r"[_`{}]|[A-Z]{3}", step.say), step.say


def test_it_stops_and_starts_a_node_and_says_which() -> None:
    assert flow.disturbs == {"node:brightworks-cooperative"}
    assert not flow_a.disturbs, "so a run tells flow A before it"


@pytest.mark.slow
def test_it_is_told_three_times_in_a_row_on_one_network() -> None:
    reports = tell(times=3)

    for report in reports:
        assert report.ok, report.stopped
        assert report.shown == PINNED
        assert len(report.setup) == 2
        assert [each["what"] for each in report.disturbances[-2:]] == ["kill", "restart"]
    assert len({report.markers[0].evidence["held"]["name"] for report in reports}) == 3


@pytest.mark.slow
def test_it_is_told_after_flow_a_and_before_it_on_one_network() -> None:
    async def go() -> list[Report]:
        async with inprocess_world("three", seed=7) as world:
            reports = []
            for place, each in enumerate((flow_a, flow, flow_a)):
                world.run_id = f"telling-{place}"
                reports.append(await each.tell(world).run())
            return reports

    for report in asyncio.run(asyncio.wait_for(go(), DEADLINE_S)):
        assert report.ok, report.stopped


def test_every_marker_has_its_sabotage(sabotage_b: ModuleType) -> None:
    assert tuple(sabotage_b.SABOTAGE_B) == PINNED


@pytest.mark.slow
@pytest.mark.parametrize("lost", PINNED)
def test_a_broken_rule_stops_the_flow_at_exactly_its_marker(
    monkeypatch: pytest.MonkeyPatch, sabotage_b: ModuleType, lost: str
) -> None:
    """And because the flow looked, not because the sabotage broke the node."""
    break_rule, missed = sabotage_b.SABOTAGE_B[lost]
    break_rule(monkeypatch)

    (report,) = tell()

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == lost, report.stopped
    assert re.search(missed, report.stopped.why), report.stopped.why
    assert report.shown == PINNED[: PINNED.index(lost)]

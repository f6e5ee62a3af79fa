"""Flow A on the real nodes in one process: told again and again, and every marker can be lost."""

from __future__ import annotations

import asyncio
import re
from types import ModuleType

import pytest

from devnet.hostile_providers import Provider
from devnet.inprocess import inprocess_world
from flows import FLOWS
from flows.a import flow
from flows.a_say import SAY
from opkit.story import Report
from opkit.wire.base import Did
from opkit.wire.peer import BlobOffer, HaveBlob

PINNED = (
    "MODULE_DEPLOYED",
    "MODULE_LISTED",
    "TASK_SUBMITTED",
    "MODULE_FETCHED",
    "TASK_COMPLETED",
    "RECEIPT_VERIFIED",
    "UNKNOWN_HASH_REFUSED",
    "BAD_HASH_REFUSED",
    "OVERSIZE_REFUSED",
    "TAMPERED_MODULE_REFUSED",
    "LOOP_STOPPED",
    "MEMORY_BOUNDED",
    "UNAUTHENTICATED_REFUSED",
    "SCOPE_REFUSED",
)
ADVERSARIAL = PINNED[6:]
DEADLINE_S = 240


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


def test_the_markers_are_the_ones_that_were_promised():
    assert flow.markers == PINNED
    assert tuple(step.marker for step in flow.steps if step.kind == "refused") == ADVERSARIAL
    assert FLOWS["a"] is flow


def test_every_sentence_is_short_and_names_somebody():
    names = ("Mara", "Hugo", "River City", "BrightWorks", "Harbor", "stranger", "We")
    for step in flow.steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(name in step.sentence for name in names), step.sentence


def test_every_step_has_its_narration_for_the_ear():
    """Long enough to say something, short enough to be said in half a minute; no identifiers."""
    assert tuple(SAY) == PINNED
    for step in flow.steps:
        assert step.say == SAY[step.marker]
        assert 15 <= len(step.say.split()) <= 60, step.marker
        assert not re.search(r"[_`{}]|[A-Z]{3}", step.say), step.say


@pytest.mark.slow
def test_it_is_told_three_times_in_a_row_on_one_network():
    reports = tell(times=3)

    for report in reports:
        assert report.ok, report.stopped
        assert report.shown == PINNED
        assert len(report.setup) == 1
    hashes = {report.markers[0].evidence["module"]["wasm_hash"] for report in reports}
    assert len(hashes) == 3


def test_a_liar_that_offers_its_bytes_too_late_is_asked_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer, late = Provider.claim, ["the first time"]

    async def offer_late(liar: Provider, peer: Did, ask: HaveBlob) -> BlobOffer:
        if late:
            late.pop()
            await asyncio.Event().wait()
        return await offer(liar, peer, ask)

    monkeypatch.setattr(Provider, "claim", offer_late)
    (report,) = tell()
    assert report.ok, report.stopped
    assert not late


def test_every_marker_has_its_sabotage(sabotage: ModuleType) -> None:
    assert tuple(sabotage.SABOTAGE) == PINNED


@pytest.mark.parametrize("lost", PINNED)
def test_a_broken_rule_stops_the_flow_at_exactly_its_marker(
    monkeypatch: pytest.MonkeyPatch, sabotage: ModuleType, lost: str
) -> None:
    """And because the flow looked, not because the sabotage broke the node."""
    break_rule, missed = sabotage.SABOTAGE[lost]
    break_rule(monkeypatch)

    (report,) = tell()

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == lost, report.stopped
    assert re.search(missed, report.stopped.why)
    assert report.shown == PINNED[: PINNED.index(lost)]

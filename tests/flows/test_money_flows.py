"""Flows 1, 2 and C on the real nodes in one process: told again and again, every marker losable."""

from __future__ import annotations

import asyncio
import importlib
import re
from types import ModuleType
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from devnet.seed import history
from devnet.spec import ProfileName, load_world
from flows import FLOWS, c_say, one, one_say, two_acts, two_say
from flows.money import said
from opkit.proof.genesis import GenesisView
from opkit.story import Flow, Report
from opkit.story.proving import proof_checks
from opkit.story.report import BlobRecord, DecisionRecord, OmissionRecord, ReceiptRecord
from opkit.views.money import amount_text

PINNED = {
    "1": (
        "PROPOSAL_OPENED",
        "VOTES_CAST",
        "DOUBLE_VOTE_REFUSED",
        "OUTSIDER_REFUSED",
        "EARLY_CLOSE_REFUSED",
        "VOTE_CLOSED",
        "OMITTED_VOTE_EXPOSED",
        "DECISION_PROVED",
        "HASTY_SPEND_REFUSED",
        "SPEND_EXECUTED",
        "UNDECIDED_SPEND_REFUSED",
        "REPLAYED_SPEND_REFUSED",
    ),
    "2": (
        "HISTORY_READ",
        "POSITION_READ",
        "DISTRIBUTION_DECIDED",
        "ALLOCATIONS_COMPUTED",
        "ALLOCATIONS_SETTLED",
        "POSITIONS_MATCH",
        "DOUBLE_SETTLE_REFUSED",
        "OVERDRAFT_REFUSED",
        "SCOPE_REFUSED",
        "WHY_ANSWERED",
    ),
    "c": (
        "SPEND_DECIDED",
        "NONCE_SPENT",
        "POSITION_MOVED_ONCE",
        "USED_NONCE_REFUSED",
        "REJECTED_NONCE_REFUSED",
        "FUTURE_NONCE_REFUSED",
        "ALTERED_AMOUNT_REFUSED",
    ),
}
NARRATED = {"1": one_say.SAY, "2": two_say.SAY, "c": c_say.SAY}
PEOPLE = {
    "1": ("Rosa", "Felix", "Nadia", "Kofi", "Mara", "The decision"),
    "2": ("Leila", "Gwen", "BrightWorks"),
    "c": ("Rosa", "Felix"),
}
EXPOSED = "OMITTED_VOTE_EXPOSED"
DEADLINE_S = 240

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broken(sabotage: ModuleType) -> dict[str, Any]:
    """Return the tables of broken rules of these flows, which lie beside flow A's."""
    assert sabotage.SABOTAGE, "its folder is on the path"
    tables: dict[str, Any] = importlib.import_module("sabotage_money").SABOTAGE_MONEY
    return tables


def tell(
    *flows: Flow[Any], times: int = 1, profile: ProfileName = "three"
) -> dict[str, list[Report]]:
    """Tell flows on one fresh network, each so many times in a row."""

    async def go() -> dict[str, list[Report]]:
        reports: dict[str, list[Report]] = {flow.name: [] for flow in flows}
        async with inprocess_world(profile, seed=7) as world:
            for flow in flows:
                for place in range(times):
                    world.run_id = f"telling-{flow.name}-{place}"
                    reports[flow.name].append(await flow.tell(world).run())
        return reports

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


@pytest.mark.parametrize("name", PINNED)
def test_the_markers_are_the_ones_that_were_promised(name: str) -> None:
    flow = FLOWS[name]
    assert flow.markers == PINNED[name]
    for step in flow.steps:
        attacks = step.marker.endswith("_REFUSED") or step.marker == EXPOSED
        assert (step.kind == "refused") == attacks, step.marker
    assert flow.disturbs == {"clock"}
    assert list(FLOWS)[:5] == ["a", "b", "1", "2", "c"], "in the order of telling"


@pytest.mark.parametrize("name", PINNED)
def test_every_sentence_is_short_and_names_somebody(name: str) -> None:
    for step in FLOWS[name].steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(who in step.sentence for who in (*PEOPLE[name], "Kofi", "Harbor")), step.sentence


@pytest.mark.parametrize("name", PINNED)
def test_every_step_has_its_narration_for_the_ear(name: str) -> None:
    """Long enough to say something, short enough to be said in half a minute; no identifiers."""
    assert tuple(NARRATED[name]) == PINNED[name]
    for step in FLOWS[name].steps:
        assert step.say == NARRATED[name][step.marker]
        assert 15 <= len(step.say.split()) <= 60, step.marker
        assert not re.search(r"[_`{}]|[A-Z]{3}", step.say), step.say


@pytest.mark.parametrize("unit", ["usd-cents", "commons-credits", "patronage-credits", "bricks"])
@pytest.mark.parametrize("amount", [0, 1, -1, 99, 100, -12_345_678])
def test_money_reads_as_it_does_on_every_page(amount: int, unit: str) -> None:
    assert said(amount, unit) == amount_text(amount, unit)


def test_the_stories_begin_with_the_figures_of_the_demo_world() -> None:
    world = load_world()
    bright, harbor = (world.organisations[org] for org in (two_acts.BRIGHT, one.HARBOR))
    assert {f"{bright.id}/{each.id}": each.q1_hours for each in bright.members} == two_acts.HOURS
    assert tuple(two_acts.SHARES.values()) == bright.figures.allocations
    assert bright.figures.surplus_credits == two_acts.SURPLUS == sum(two_acts.SHARES.values())
    assert harbor.figures.reserve_usd_cents == one.RESERVE
    assert harbor.figures.roof_quote_usd_cents == one.QUOTE
    assert harbor.figures.reserve_after_usd_cents == one.LEFT
    seeded = {
        (entry.entry_id, entry.effective_on, posting.account, posting.unit, posting.amount)
        for entry in history("federation")
        for posting in entry.postings
    }
    expected = {
        (line.entry_id, line.day, line.account, line.unit, line.amount) for line in two_acts.HISTORY
    }
    assert expected <= seeded


@pytest.mark.slow
def test_they_are_told_three_times_in_a_row_on_one_network() -> None:
    told = tell(*(FLOWS[name] for name in PINNED), times=3, profile="federation")

    for name, reports in told.items():
        assert len(reports) == 3
        for report in reports:
            assert report.ok, report.stopped
            assert report.shown == PINNED[name]
            assert len(report.setup) == 1
            assert [each["what"] for each in report.disturbances[-2:]] == ["pass-time"] * 2


@pytest.mark.slow
def test_what_their_markers_rest_on_is_verified_again_and_a_changed_proof_is_found_out() -> None:
    async def go() -> tuple[Report, GenesisView]:
        async with inprocess_world("three", seed=7, run_id="once") as world:
            return await FLOWS["1"].tell(world).run(), world.genesis

    report, genesis = asyncio.run(asyncio.wait_for(go(), DEADLINE_S))
    assert report.ok, report.stopped
    kinds = set()
    for marker in report.markers:
        for proof in marker.proofs:
            assert not isinstance(proof, BlobRecord | ReceiptRecord)
            kinds.add(proof.kind)
            for anchor in (genesis, None):
                assert all(check.ok for check in proof_checks(proof, genesis=anchor)), marker.name
            if isinstance(proof, DecisionRecord):
                less = proof.file.model_copy(update={"ballots": proof.file.ballots[1:]})
                spoiled = proof.model_copy(update={"file": less})
                assert not all(each.ok for each in proof_checks(spoiled, genesis=genesis))
            if isinstance(proof, OmissionRecord):
                other = proof.model_copy(update={"ballot": proof.receipt})
                assert not all(each.ok for each in proof_checks(other, genesis=genesis))
    assert kinds == {"decision", "omission", "entry"}


@pytest.mark.parametrize("name", PINNED)
def test_every_marker_has_its_sabotage(broken: dict[str, Any], name: str) -> None:
    assert tuple(broken[name]) == PINNED[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        pytest.param(name, marker, id=marker)
        for name, markers in PINNED.items()
        for marker in markers
    ],
)
def test_a_broken_rule_stops_the_flow_at_exactly_its_marker(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], name: str, lost: str
) -> None:
    """And because the flow looked, not because the sabotage broke the node."""
    break_rule, missed = broken[name][lost]
    break_rule(monkeypatch)

    (report,) = tell(FLOWS[name])[name]

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == lost, report.stopped
    assert re.search(missed, report.stopped.why), report.stopped.why
    assert report.shown == PINNED[name][: PINNED[name].index(lost)]

"""Flow 3 on the real nodes in one process: told again and again, every marker losable."""

from __future__ import annotations

import asyncio
import importlib
import re
from types import ModuleType
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from devnet.spec import load_world
from flows import FLOWS, three_acts
from flows.three import flow
from flows.three_say import SAY
from opkit.proof.genesis import GenesisView
from opkit.story import Report
from opkit.story.proving import proof_checks
from opkit.story.report import AgreementRecord, DecisionRecord, ExchangeRecord
from opkit.wire.terms import ClearingTerms

MARKERS = (
    "BOTH_DECIDED",
    "AGREEMENT_SIGNED",
    "AGREEMENT_REPLICATED",
    "SURVIVES_FACILITATOR",
    "EXCHANGE_RECORDED",
    "IMBALANCE_REFUSED",
    "TAMPERED_AGREEMENT_REFUSED",
    "UNILATERAL_CHANGE_REFUSED",
    "PERIOD_SETTLED",
)
DEADLINE_S = 240

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broken(sabotage: ModuleType) -> dict[str, Any]:
    """Return the table of broken rules, which lies beside flow A's."""
    assert sabotage.SABOTAGE, "its folder is on the path"
    table: dict[str, Any] = importlib.import_module("sabotage_federation").SABOTAGE_3
    return table


def tell(times: int = 1) -> tuple[list[Report], GenesisView]:
    """Tell the flow on one fresh network, so many times in a row."""

    async def go() -> tuple[list[Report], GenesisView]:
        reports = []
        async with inprocess_world("federation", seed=7) as world:
            for place in range(times):
                world.run_id = f"telling-{place}"
                reports.append(await flow.tell(world).run())
            return reports, world.genesis

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


def test_the_markers_are_the_ones_that_were_promised() -> None:
    assert FLOWS["3"] is flow
    assert flow.markers == MARKERS
    assert list(FLOWS) == ["a", "b", "1", "2", "c", "3", "4"], "in the order of telling"
    assert flow.profiles == ("federation",), "who facilitates has a node of their own"
    assert flow.disturbs == {"clock", f"node:{three_acts.CDN}"}
    for step in flow.steps:
        assert (step.kind == "refused") == step.marker.endswith("_REFUSED")


def test_every_sentence_is_short_and_names_somebody() -> None:
    for step in flow.steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(
            who in step.sentence for who in ("River City", "BrightWorks", "Finger Lakes", "copy")
        )


def test_every_step_has_its_narration_for_the_ear() -> None:
    """Long enough to say something, short enough to be said in half a minute; no identifiers."""
    assert tuple(SAY) == MARKERS
    for step in flow.steps:
        assert step.say == SAY[step.marker]
        assert 15 <= len(step.say.split()) <= 60, step.marker
        assert not re.search(r"[_`{}]|[A-Z]{3}", step.say), step.say


def test_the_story_begins_with_the_terms_and_people_of_the_demo_world() -> None:
    world = load_world()
    agreed = world.agreement
    assert agreed.parties == three_acts.PARTIES
    assert (agreed.facilitator, agreed.arbiter) == (three_acts.CDN, three_acts.CDN)
    assert (agreed.title, agreed.provisions) == (three_acts.TITLE, three_acts.PROVISIONS)
    assert (agreed.term_days, agreed.notice_days) == (three_acts.TERM_DAYS, three_acts.NOTICE_DAYS)
    assert agreed.renewable
    assert agreed.clearing == ClearingTerms(
        unit=three_acts.UNIT, imbalance_max=three_acts.IMBALANCE_MAX, settled="monthly"
    )
    for coop, voters in three_acts.VOTERS.items():
        org = world.organisations[coop]
        members = {org.member_id(member): member for member in org.members}
        assert set(voters) <= set(members)
        assert "officer" in members[three_acts.SPEAKERS[coop]].roles


@pytest.mark.slow
def test_it_is_told_three_times_in_a_row_on_one_network() -> None:
    reports, _ = tell(times=3)
    for report in reports:
        assert report.ok, report.stopped
        assert report.shown == MARKERS
        done = [each["what"] for each in report.disturbances]
        assert done[-6:] == ["pass-time"] * 4 + ["kill", "restart"]


@pytest.mark.slow
def test_what_its_markers_rest_on_is_verified_again_and_a_changed_proof_is_found_out() -> None:
    (report,), genesis = tell()
    assert report.ok, report.stopped
    kinds = []
    for marker in report.markers:
        for proof in marker.proofs:
            assert isinstance(proof, AgreementRecord | DecisionRecord | ExchangeRecord)
            kinds.append(proof.kind)
            for anchor in (genesis, None):
                assert all(check.ok for check in proof_checks(proof, genesis=anchor)), marker.name
            spoiled = _spoiled(proof)
            assert not all(check.ok for check in proof_checks(spoiled, genesis=genesis))
    assert kinds == ["decision", "decision", "agreement", "exchange", "exchange"]


def _spoiled(
    proof: AgreementRecord | DecisionRecord | ExchangeRecord,
) -> AgreementRecord | DecisionRecord | ExchangeRecord:
    """Return a proof in which one thing is missing, or other than it was."""
    if isinstance(proof, AgreementRecord):
        less = proof.file.model_copy(update={"signatures": proof.file.signatures[1:]})
        return proof.model_copy(update={"file": less})
    if isinstance(proof, DecisionRecord):
        less_votes = proof.file.model_copy(update={"ballots": proof.file.ballots[1:]})
        return proof.model_copy(update={"file": less_votes})
    half = proof.halves[0]
    first = half.entry.postings[0]
    changed = first.model_copy(update={"amount": first.amount + 1})
    entry = half.entry.model_copy(update={"postings": (changed, *half.entry.postings[1:])})
    other = half.model_copy(update={"entry": entry})
    return proof.model_copy(update={"halves": (other, *proof.halves[1:])})


def test_every_marker_has_its_sabotage(broken: dict[str, Any]) -> None:
    assert tuple(broken) == MARKERS


@pytest.mark.slow
@pytest.mark.parametrize("lost", MARKERS)
def test_a_broken_rule_stops_the_flow_at_exactly_its_marker(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], lost: str
) -> None:
    """And because the flow looked, not because the sabotage broke the node."""
    break_rule, missed = broken[lost]
    break_rule(monkeypatch)

    (report,), _ = tell()

    assert not report.ok
    assert report.stopped is not None
    assert report.stopped.at == lost, report.stopped
    assert re.search(missed, report.stopped.why), report.stopped.why
    assert report.shown == MARKERS[: MARKERS.index(lost)]


@pytest.mark.slow
def test_a_node_that_is_only_said_to_be_killed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says that a node is dead, and lets it run, loses what was shown without it."""

    def only_said(what: str) -> Any:
        async def disturb(world: InProcessWorld, org: str) -> None:
            world._note(what, org=org)

        return disturb

    for what in ("kill", "restart"):
        monkeypatch.setattr(InProcessWorld, what, only_said(what))

    (report,), _ = tell()

    assert report.stopped is not None
    assert report.stopped.at == "SURVIVES_FACILITATOR", report.stopped
    assert "Finger Lakes: expected 'silent', got 'it answers'" in report.stopped.why
    assert report.shown == MARKERS[: MARKERS.index("SURVIVES_FACILITATOR")]

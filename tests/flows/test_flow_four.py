"""Flow 4 on the real nodes in one process: told again and again, every marker losable."""

from __future__ import annotations

import asyncio
import csv
import importlib
import io
import re
from types import ModuleType
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from devnet.spec import load_world
from flows import FLOWS, four_acts
from flows.four import flow
from flows.four_say import SAY
from opkit.proof.audited import examine_audit
from opkit.proof.figures import figures_csv, figures_of
from opkit.proof.genesis import GenesisView
from opkit.story import Report
from opkit.story.proving import proof_checks
from opkit.story.report import AuditRecord
from opkit.views.audit import audit_html
from opkit.wire.endpoint import ENDPOINTS, Scope
from opkit.wire.ledger import Entry

MARKERS = (
    "EVIDENCE_GATHERED",
    "CHAINS_VERIFIED",
    "GAP_REPORTED",
    "FIGURES_LINKED",
    "AUDITOR_WRITE_REFUSED",
)
DEADLINE_S = 240

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broken(sabotage: ModuleType) -> dict[str, Any]:
    """Return the table of broken rules, which lies beside flow A's."""
    assert sabotage.SABOTAGE, "its folder is on the path"
    table: dict[str, Any] = importlib.import_module("sabotage_audit").SABOTAGE_4
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
    assert FLOWS["4"] is flow
    assert flow.markers == MARKERS
    assert flow.profiles == ("federation",), "who audits has a node of their own"
    for step in flow.steps:
        assert (step.kind == "refused") == step.marker.endswith("_REFUSED")


def test_every_sentence_is_short_and_names_somebody() -> None:
    for step in flow.steps:
        assert len(step.sentence) <= 100, step.sentence
        assert any(who in step.sentence for who in ("Zuri", "Theo")), step.sentence


def test_every_step_has_its_narration_for_the_ear() -> None:
    """Long enough to say something, short enough to be said in half a minute; no identifiers."""
    assert tuple(SAY) == MARKERS
    for step in flow.steps:
        assert step.say == SAY[step.marker]
        assert 15 <= len(step.say.split()) <= 60, step.marker
        assert not re.search(r"[_`{}]|[A-Z]{3}", step.say), step.say


def test_the_story_begins_with_the_people_and_figures_of_the_demo_world() -> None:
    world = load_world()
    orgs = world.orgs("federation")
    members = {org.member_id(member): member for org in orgs for member in org.members}
    assert members[four_acts.ZURI].roles == ("member", "auditor"), "who audits keeps no books"
    for coop, keeper in four_acts.KEEPERS.items():
        assert keeper.startswith(f"{coop}/") and "officer" in members[keeper].roles
        audited_by = world.organisations[coop].audited_by
        assert audited_by == (() if coop == four_acts.CDN else (four_acts.CDN,))
    harbor, bright = (world.organisations[org] for org in (four_acts.HARBOR, four_acts.BRIGHT))
    assert (
        harbor.figures.reserve_usd_cents,
        harbor.figures.roof_quote_usd_cents,
    ) == (four_acts.RESERVE, four_acts.QUOTE)
    assert bright.figures.surplus_credits == four_acts.SURPLUS
    assert {who: members[who].q1_hours for who in four_acts.HOURS} == four_acts.HOURS
    assert [org.id for org in orgs] == list(four_acts.NODES)


@pytest.mark.slow
def test_it_is_told_three_times_in_a_row_on_one_network() -> None:
    reports, _ = tell(times=3)
    for report in reports:
        assert report.ok, report.stopped
        assert report.shown == MARKERS
        assert len(report.setup) == 3


@pytest.mark.slow
def test_its_report_is_made_again_from_its_evidence_and_a_changed_proof_is_found_out() -> None:
    (report,), genesis = tell()
    assert report.ok, report.stopped
    (proof,) = (each for marker in report.markers for each in marker.proofs)
    assert isinstance(proof, AuditRecord)
    for anchor in (genesis, None):
        assert all(check.ok for check in proof_checks(proof, genesis=anchor))
    view = examine_audit(proof.file, genesis=genesis)
    rows = list(csv.DictReader(io.StringIO(figures_csv(figures_of(view)).decode())))
    said = next(each for each in report.markers if each.name == "FIGURES_LINKED").evidence
    assert [int(row["amount"]) for row in rows] == [each["amount"] for each in said["figures"]]
    page = audit_html(view, genesis=genesis, file="audit.json")
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r'id="([^"]+)"', page)), "each figure's link leads somewhere"
    rests_on = {ref for figure in figures_of(view) for ref in figure.rests_on}
    assert {f"{ref.kind}-{ref.hash}" for ref in rests_on} <= links
    check_every_entry_counts(proof, genesis)


def check_every_entry_counts(proof: AuditRecord, genesis: GenesisView) -> None:
    """Whichever entry is changed by one, the first or the last, whoever verifies finds out."""
    for place, coop in enumerate(proof.file.coops):
        for number in (0, -1):
            entries: list[Entry] = list(coop.entries)
            entries[number] = four_acts.forged(entries[number])
            changed = coop.model_copy(update={"entries": tuple(entries)})
            coops = (*proof.file.coops[:place], changed, *proof.file.coops[place + 1 :])
            spoiled = AuditRecord(file=proof.file.model_copy(update={"coops": coops}))
            assert not all(each.ok for each in proof_checks(spoiled, genesis=genesis))


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
@pytest.mark.parametrize("short", ["has", "charged", "paid", "unproven", "decisions", "none"])
def test_figures_that_leave_something_out_are_found_whichever_they_are(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], short: str
) -> None:
    """Also those that are right of what they name. Told twice, there are two entries to each."""
    assert broken, "its folder is on the path"
    table = importlib.import_module("sabotage_audit").SHORT
    assert short in table
    assert len(table) == 6
    break_rule, begins = table[short]
    break_rule(monkeypatch, begins)

    (_, report), _ = tell(times=2)

    assert report.stopped is not None
    assert report.stopped.at == "FIGURES_LINKED", report.stopped
    assert re.search(rf"made again here: expected.*{begins}", report.stopped.why)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scope", [Scope.GOVERNANCE_VOTE, Scope.CLEARING_WRITE, Scope.NAMES_WRITE, Scope.CLOCK_WRITE]
)
def test_whichever_write_a_node_lets_readers_do_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], scope: Scope
) -> None:
    assert broken, "its folder is on the path"
    importlib.import_module("sabotage_audit").lets_readers_write(monkeypatch, scope)

    (report,), _ = tell()

    assert report.stopped is not None
    assert report.stopped.at == "AUDITOR_WRITE_REFUSED", report.stopped
    assert "promised the refusal 'scope-missing', but got" in report.stopped.why
    assert report.shown == MARKERS[:-1]


@pytest.mark.slow
def test_which_tokens_the_auditor_has_and_what_others_of_hers_may_do_is_told() -> None:
    """At home she is a member as any other: only her tokens to read change nothing there."""
    (report,), _ = tell()
    said = report.markers[-1].evidence
    unread = {each.name for each in ENDPOINTS.values() if each.changes and each.scope}
    assert unread <= set(said["asked_at_each_node"])
    assert "grants.revoke" in said["asked_at_each_node"], "a DELETE is a write as well"
    others = said["other_tokens_of_hers_may_also"]
    assert Scope.GOVERNANCE_VOTE in others[four_acts.CDN]
    assert {org for org in four_acts.NODES if others[org]} == {four_acts.CDN}
    assert said["her_tokens"]["unaffiliated"] == [each.value for each in four_acts.ONLY_HERE]

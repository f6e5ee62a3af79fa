"""An audit finds every link that does not hold, and names every one that is not there."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from flows.four import flow
from flows.four_acts import BRIGHT, COOPS, HARBOR, RIVER, forged, of, with_
from opkit.proof import jws
from opkit.proof.audited import AuditView, examine_audit
from opkit.proof.audited_coop import NO_GENESIS
from opkit.proof.figures import FIGURE_COLUMNS, coops_of, figures_csv, figures_of, resolves
from opkit.proof.genesis import GenesisView
from opkit.story.report import AuditRecord
from opkit.views.audit import REASONS, audit_html
from opkit.wire.audit import AuditFile, EvidenceRef, Figure, Gap
from opkit.wire.compute import ReceiptBundle

DEADLINE_S = 120

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def told() -> tuple[AuditFile, GenesisView]:
    """Return what an auditor gathered of four coops of a network in this process."""

    async def go() -> tuple[AuditFile, GenesisView]:
        async with inprocess_world("federation", seed=7, run_id="audited") as world:
            report = await flow.tell(world).run()
            assert report.ok, report.stopped
            (proof,) = (each for marker in report.markers for each in marker.proofs)
            assert isinstance(proof, AuditRecord)
            return proof.file, world.genesis

    return asyncio.run(asyncio.wait_for(go(), DEADLINE_S))


@pytest.fixture
def file(told: tuple[AuditFile, GenesisView]) -> AuditFile:
    """What was gathered."""
    return told[0]


@pytest.fixture
def genesis(told: tuple[AuditFile, GenesisView]) -> GenesisView:
    """The network's genesis."""
    return told[1]


def failed(view: AuditView) -> set[str]:
    """Return the names of the checks that do not hold."""
    return {check.name for check in view.verdict.failures}


def standing(view: AuditView, coop: str, name: str) -> str:
    """Return how the figure stands whose name begins so."""
    found = [each for each in figures_of(view) if each.coop == coop and each.name.startswith(name)]
    return found[0].standing if found else "none"


def test_what_was_shown_verifies_and_its_one_gap_is_the_receipt(
    file: AuditFile, genesis: GenesisView
) -> None:
    view = examine_audit(file, genesis=genesis)
    assert view.verdict.status == "verified", failed(view)
    assert [(gap.coop, gap.kind, gap.why) for gap in view.gaps] == [(RIVER, "receipt", "not-shown")]
    figures = figures_of(view)
    assert coops_of(figures) == COOPS
    assert {each.standing for each in figures} == {"verified", "attested", "gap"}
    for figure in figures:
        assert all(resolves(ref, view) for ref in figure.rests_on)
        assert (figure.standing == "gap") == bool(figure.lacks)


def test_without_a_genesis_it_adds_up_and_nobody_is_vouched_for(file: AuditFile) -> None:
    view = examine_audit(file, genesis=None)
    assert view.verdict.ok and view.verdict.status == "consistent, signer unknown"
    assert {gap.why for gap in view.gaps if gap.kind == "exchange"} == {NO_GENESIS}
    assert "nobody knows whose homes" in audit_html(view, genesis=None, file="audit.json")


@pytest.mark.parametrize("coop", [RIVER, BRIGHT, HARBOR])
@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("last left out", "announced-place"),
        ("first left out", "chain"),
        ("last changed", "chain"),
        ("first changed", "chain"),
        ("two changed places", "chain"),
        ("another home", "home"),
        ("another journal", "announced-coop"),
    ],
)
def test_whatever_is_changed_is_found_out_and_every_figure_of_that_ledger_falls(
    file: AuditFile, genesis: GenesisView, coop: str, change: str, check: str
) -> None:
    mine, other = of(file, coop), of(file, RIVER if coop == BRIGHT else BRIGHT)
    first, *middle, last = mine.entries
    changes: dict[str, Any] = {
        "last left out": {"entries": (first, *middle)},
        "first left out": {"entries": (*middle, last)},
        "last changed": {"entries": (first, *middle, forged(last))},
        "first changed": {"entries": (forged(first), *middle, last)},
        "two changed places": {"entries": (last, *middle, first)},
        "another home": {"home": other.home},
        "another journal": {"tie": other.tie},
    }[change]
    view = examine_audit(with_(file, coop, **changes), genesis=genesis)
    assert f"{coop}, {check}" in failed(view)
    assert view.verdict.status == "failed"
    if change != "another home":
        assert standing(view, coop, "entries") == "refuted"


def test_what_is_withheld_is_a_gap_and_only_in_balances_that_say_so(
    file: AuditFile, genesis: GenesisView
) -> None:
    decided = [each for each in of(file, HARBOR).entries if each.kind == "decided"]
    view = examine_audit(with_(file, HARBOR, decisions=()), genesis=genesis)
    assert view.verdict.ok, failed(view)
    assert {gap.cited_by for gap in view.gaps if gap.coop == HARBOR} == {
        each.hash for each in decided
    }
    assert standing(view, HARBOR, "paid-by-decision") == "none"
    assert standing(view, HARBOR, "unproven/decision") == "gap"
    assert standing(view, HARBOR, "has/reserve") == "gap"

    view = examine_audit(with_(file, BRIGHT, exchanges=()), genesis=genesis)
    assert {gap.kind for gap in view.gaps if gap.coop == BRIGHT} == {"exchange"}
    assert standing(view, RIVER, f"charged-by/{BRIGHT}") == "gap", "half of it is not proven"

    view = examine_audit(with_(file, RIVER, tie=None), genesis=genesis)
    assert standing(view, RIVER, "entries") == "gap"
    passed = [each for each in figures_of(view) if each.name.startswith("charged")]
    halves = [each for each in passed if RIVER in (each.coop, each.name.split("/")[1])]
    assert len(halves) > 2 and {each.standing for each in halves} == {"gap"}


def test_half_of_what_passed_without_the_other_half_is_a_gap(
    file: AuditFile, genesis: GenesisView
) -> None:
    refused = Gap(coop=BRIGHT, kind="ledger", named="", cited_by=None, why="role-insufficient")
    hidden = with_(
        file, BRIGHT, entries=(), exchanges=(), decisions=(), tie=None, unshown=(refused,)
    )
    view = examine_audit(hidden, genesis=genesis)
    assert view.verdict.ok
    assert standing(view, BRIGHT, "entries") == "gap"
    between = [each for each in figures_of(view) if each.name.startswith(f"charged-by/{BRIGHT}")]
    assert between and all("not-mirrored" in {gap.why for gap in each.lacks} for each in between)
    page = audit_html(view, genesis=genesis, file="audit.json")
    assert "refused: role-insufficient" in page and REASONS["not-mirrored"] in page.replace(
        "&#x27;", "'"
    )


def test_a_coop_that_is_left_out_or_blank_is_a_gap(file: AuditFile, genesis: GenesisView) -> None:
    others = tuple(each for each in file.coops if each.coop != HARBOR)
    without = file.model_copy(update={"coops": others})
    view = examine_audit(without, genesis=genesis)
    assert view.verdict.ok, failed(view)
    kinds = [(gap.kind, gap.why) for gap in view.gaps if gap.coop == HARBOR]
    assert kinds == [("ledger", "not-shown"), ("decision", "not-shown")]
    assert {each.standing for each in figures_of(view) if each.coop == HARBOR} == {"gap"}
    assert HARBOR not in examine_audit(without, genesis=None).coops, "who is there, a genesis says"
    page = audit_html(view, genesis=genesis, file="audit.json")
    assert f"what {len(others)} coops showed" in page
    assert page.count("Asked on ") == len(others)

    nothing = dict.fromkeys(("entries", "decisions", "agreements", "exchanges", "changes"), ())
    blank = with_(file, HARBOR, **nothing, tie=None, unshown=())
    view = examine_audit(blank, genesis=genesis)
    assert [gap.kind for gap in view.gaps if gap.coop == HARBOR] == ["journal"]
    assert standing(view, HARBOR, "entries") == "gap"


def test_what_passed_rests_on_the_agreement_that_gave_the_right(
    file: AuditFile, genesis: GenesisView
) -> None:
    (agreement,) = {each.agreement for each in of(file, BRIGHT).agreements}

    figures = figures_of(examine_audit(file, genesis=genesis))
    (figure,) = [
        each
        for each in figures
        if each.coop == BRIGHT and each.name.startswith(f"charged-to/{RIVER}/")
    ]
    assert EvidenceRef(kind="agreement", coop=BRIGHT, hash=agreement) in figure.rests_on
    view = examine_audit(with_(file, BRIGHT, agreements=()), genesis=genesis)
    assert view.verdict.ok
    assert {(gap.kind, gap.named) for gap in view.gaps if gap.coop == BRIGHT} == {
        ("agreement", agreement)
    }
    charged = [each for each in figures_of(view) if each.name == figure.name]
    apart = {each.name: each for each in figures_of(view) if each.coop == BRIGHT}
    assert sum(each.amount for each in charged if each.coop == BRIGHT) < figure.amount
    assert apart[f"unproven/agreement/{figure.unit}"].standing == "gap"
    assert standing(view, RIVER, f"charged-by/{BRIGHT}") == "gap"


def test_what_cites_a_false_decision_does_not_verify(file: AuditFile, genesis: GenesisView) -> None:
    mine = of(file, HARBOR)
    decided = {each.cause.id for each in mine.entries if each.kind == "decided" and each.cause}
    view = examine_audit(file, genesis=genesis)
    false = tuple(
        each.model_copy(update={"commitments": ()})
        for each, said in zip(mine.decisions, view.coops[HARBOR].decisions.values(), strict=True)
        if said.decision in decided
    )
    view = examine_audit(with_(file, HARBOR, decisions=false), genesis=genesis)
    assert f"{HARBOR}, " in " ".join(failed(view))
    for name in ("paid-by-decision", "decisions-accepted"):
        assert standing(view, HARBOR, name) == "refuted"
    for figure in figures_of(view):
        assert all(resolves(ref, view) for ref in figure.rests_on)


def test_another_coops_decision_and_another_networks_audit_are_not_believed(
    file: AuditFile, genesis: GenesisView
) -> None:
    foreign = with_(file, HARBOR, decisions=of(file, BRIGHT).decisions)
    names = failed(examine_audit(foreign, genesis=genesis))
    assert any(name.endswith("of this coop") for name in names), names

    elsewhere = file.model_copy(update={"network": "b" * 26})
    assert "network" in failed(examine_audit(elsewhere, genesis=genesis))

    twice = file.model_copy(update={"coops": (*file.coops, file.coops[0])})
    assert "coops-once" in failed(examine_audit(twice, genesis=genesis))


def test_what_was_signed_of_an_exchange_refutes_an_entry_that_says_otherwise(
    file: AuditFile, genesis: GenesisView
) -> None:
    """What another exchange says is signed, too: it is held against the entry that cites it."""
    mine = of(file, BRIGHT)
    (first, *_) = mine.exchanges
    place = next(
        number
        for number, each in enumerate(mine.entries)
        if each.cause is not None and each.cause.id == jws.record_id(first.offer)
    )
    entries = list(mine.entries)
    entries[place] = forged(entries[place])
    view = examine_audit(with_(file, BRIGHT, entries=tuple(entries)), genesis=genesis)
    sequence = entries[place].sequence
    assert f"{BRIGHT}, entry {sequence}, half of an exchange" in failed(view)
    assert standing(view, BRIGHT, f"charged-to/{RIVER}") == "refuted"
    assert standing(view, RIVER, f"charged-by/{BRIGHT}") == "refuted", "it rests on that half"


def test_what_is_no_signed_object_at_all_fails_and_breaks_nothing(
    file: AuditFile, genesis: GenesisView
) -> None:
    mine, bill = of(file, BRIGHT), of(file, RIVER)
    exchange = mine.exchanges[0].model_copy(update={"offer": "x"})
    decision = mine.decisions[0].model_copy(update={"attested": "x..x"})
    receipt = ReceiptBundle.model_construct(receipt="x", manifest="x")
    bad = with_(file, BRIGHT, exchanges=(exchange,), decisions=(decision,))
    bad = with_(bad, RIVER, receipts=(receipt,), entries=bill.entries)
    for anchor in (genesis, None):
        names = failed(examine_audit(bad, genesis=anchor))
        assert {f"{BRIGHT}, exchange 1", f"{RIVER}, receipt 1"} <= names
        assert any(each.startswith(f"{BRIGHT}, a decision") for each in names)


def test_a_table_of_figures_is_no_program_for_a_spreadsheet() -> None:
    ref = EvidenceRef(kind="ledger", coop="yard", hash="5" * 64)
    gap = Gap(coop="yard", kind="receipt", named="x", cited_by=None, why="not-shown")
    figure = Figure(
        coop="yard",
        name="entries",
        label='=HYPERLINK("http://x")',
        unit="-",
        amount=-3,
        standing="gap",
        rests_on=(ref,),
        lacks=(gap,),
    )
    (row,) = csv.DictReader(io.StringIO(figures_csv([figure]).decode()))
    assert tuple(row) == FIGURE_COLUMNS
    assert row["label"] == "'" + figure.label
    assert row["unit"] == "-" and row["amount"] == "-3", "a number stays one"
    assert row["evidence"] == f"ledger:{'5' * 64}" and row["missing"] == "receipt:x"


def test_what_others_wrote_is_text_on_the_page(file: AuditFile, genesis: GenesisView) -> None:
    hostile = '<img src=x onerror="alert(1)">'
    first, *rest = of(file, HARBOR).entries
    changed = with_(
        file, HARBOR, entries=(first.model_copy(update={"memo": hostile}), *rest)
    ).model_copy(update={"auditor": "fingerlakes-cdn/zuri"})
    view = examine_audit(changed, genesis=genesis)
    page = audit_html(view, genesis=genesis, file='a"><script>.json')
    assert hostile not in page and "&lt;img src=x" in page
    assert '"><script>.json' not in page
    assert "does not verify" in page and "something does not verify" in page

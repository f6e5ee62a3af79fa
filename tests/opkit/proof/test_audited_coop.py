"""What was gathered of one coop: what verifies is there by its hash, and the rest is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opkit.proof.agreement import examine_agreement, read_agreement_file
from opkit.proof.audited_coop import AuditedCoop, read_coop
from opkit.proof.checks import Check
from opkit.proof.decision import examine_attested
from opkit.proof.genesis import GenesisView
from opkit.proof.jws import record_id
from opkit.proof.receipt import verify_receipt
from opkit.wire.audit import CoopEvidence
from tests.opkit.proof import pacts
from tests.opkit.proof.assemblies import TOOLS
from tests.opkit.proof.audits import (
    NO_HASH,
    evidence,
    evidence_of,
    failures,
    gap,
    named,
    numbered,
    unsigned,
)
from tests.opkit.proof.test_audit import Books
from tests.opkit.proof.test_clearing import AGREED, AGREEMENT, SAID, Said, offer_of
from tests.simulation import town

EXCHANGE = f"exchange {SAID.name[:8]}"


def read(genesis: GenesisView, coop: str, **shown: Any) -> AuditedCoop:
    """Return what a coop showed beside its entries, read."""
    return read_coop(evidence_of(genesis, coop, Books(), **shown), genesis=genesis)


def test_a_coop_is_shown_by_its_home_if_a_genesis_says_who_that_is() -> None:
    apple, cedar = town.key_of("apple").did, town.key_of("cedar").did
    for coop, home, should in (
        ("apple", apple, apple),
        ("apple", cedar, apple),
        ("elder", cedar, "no such coop"),
    ):
        shown = CoopEvidence(coop=coop, home=home)
        check = Check(name="home", ok=home == should, expected=should, actual=home)
        assert read_coop(shown, genesis=town.GENESIS) == AuditedCoop(
            evidence=shown,
            checks=[check],
            decisions={},
            agreements={},
            exchanges={},
            receipts={},
            gaps={},
            refuted=set(),
            failed=set(),
            unread=set(),
            skipped=(),
            untied=None,
            whole=True,
        )
        assert read_coop(shown, genesis=None) == AuditedCoop(evidence=shown)
        assert AuditedCoop(evidence=shown).coop == coop


def test_what_is_missing_is_told_once_whoever_says_so() -> None:
    """First what ties the ledger, then what entries cite, then holes, then what else is unshown."""
    untied, cited_one = (
        gap("ledger", why="role-insufficient"),
        gap("receipt", "r1", cited_by=NO_HASH),
    )
    hole, other = gap("decision", "number 1"), gap("exchange", "x1", why="unreachable")
    unshown = (other, gap("receipt", "r1", why="unreachable"), untied)
    evidence = CoopEvidence(coop="apple", home=town.key_of("apple").did, unshown=unshown)
    seen = AuditedCoop(evidence=evidence, gaps={NO_HASH: cited_one}, skipped=(hole,), untied=untied)
    assert seen.missing == (untied, cited_one, hole, other)
    seen = AuditedCoop(evidence=evidence)
    assert seen.missing == unshown


def test_why_something_is_missing_is_what_its_home_said_of_it_or_of_all_of_its_kind() -> None:
    one, all_of_them = gap("receipt", "r1", why="unreachable"), gap("receipt", why="not-yours")
    agreement = gap("agreement", "r1", why="unreachable")
    for unshown, why in (
        ((), "not-shown"),
        ((one,), "unreachable"),
        ((all_of_them,), "not-yours"),
        ((one, all_of_them), "unreachable"),
        ((gap("receipt", "r2", why="unreachable"), agreement), "not-shown"),
    ):
        seen = read(town.GENESIS, "apple", unshown=unshown)
        for cited_by in (NO_HASH, None):
            assert seen.gap("receipt", "r1", cited_by=cited_by) == gap(
                "receipt", "r1", cited_by=cited_by, why=why
            )
    unread = AuditedCoop(evidence=seen.evidence, unread={SAID.name})
    assert unread.gap("exchange", SAID.name, cited_by=None).why == "no-genesis"


def test_what_is_no_exchange_is_named_by_its_place_or_its_offer() -> None:
    """Those after it are read all the same; without a genesis nobody can read any."""
    other = Said(offer_of(exchange_id="x2"))
    second = evidence(
        offer=other.token,
        acceptances=(other.acceptance(),),
        outcome=other.commit(acceptances=(record_id(other.acceptance()),)),
        ruling=other.ruling(),
    )
    shown = (evidence(offer="x"), evidence(offer="y"), evidence(), second)
    seen = read(town.GENESIS, "apple", exchanges=shown)
    assert failures(seen).keys() == {"exchange 1", "exchange 2"}
    assert {said: told.hash for said, told in seen.exchanges.items()} == {
        SAID.name: SAID.name,
        other.name: other.name,
        record_id(other.ruling()): other.name,
    }
    assert not seen.failed and not seen.unread
    apple = evidence_of(town.GENESIS, "apple", Books(), exchanges=shown)
    nobody = read_coop(apple, genesis=None)
    assert [check.name for check in nobody.checks] == ["exchange 1", "exchange 2"]
    assert nobody.unread == {SAID.name, other.name} and not nobody.exchanges


def test_an_exchange_that_does_not_verify_proves_nothing() -> None:
    forged = evidence(outcome=SAID.commit(key="birch"))
    seen = read(town.GENESIS, "apple", exchanges=(forged,))
    assert not named(seen, EXCHANGE).ok and not seen.exchanges
    assert seen.failed == {("exchange", SAID.name)}
    both = read(town.GENESIS, "apple", exchanges=(forged, evidence()))
    assert both.exchanges.keys() == {SAID.name}
    contradicted = f"{EXCHANGE}, decisions that contradict"
    for rival, count in ((None, "0"), (SAID.abort(), "1")):
        seen = read(town.GENESIS, "apple", exchanges=(evidence(rival=rival),))
        assert seen.checks[1:] == [
            Check(name=EXCHANGE, ok=True, expected="verifies", actual="verifies"),
            Check(name=contradicted, ok=count == "0", expected="0", actual=count),
        ]


def test_an_agreement_is_there_if_all_have_signed_it() -> None:
    file = read_agreement_file(pacts.file_of())
    bad, alone = unsigned(file), file.model_copy(update={"signatures": file.signatures[:1]})
    genesis, other = pacts.genesis_of(), AGREEMENT
    for shown, verifies in (
        ((file, other), True),
        ((bad, other), False),
        ((alone, other), False),
        ((other, file), True),
    ):
        seen = read(genesis, "mill", agreements=shown)
        assert seen.agreements == ({file.agreement: file} if verifies else {})
        bad_ones = {AGREED} if verifies else {AGREED, file.agreement}
        assert seen.failed == {("agreement", each) for each in bad_ones}
        assert [check for check in seen.checks if check.name.startswith("agreement ")] == [
            replace(check, name=f"agreement {each.agreement[:8]}, {check.name}")
            for each in shown
            for check in examine_agreement(each, genesis=genesis)[0].checks
        ]


def test_a_receipt_is_there_if_it_verifies(network: Any) -> None:
    bundle = network.bundle()
    receipt = record_id(bundle.receipt)
    other = bundle.model_copy(update={"manifest": network.manifest(task_id="1" * 32)})
    none = bundle.model_copy(update={"receipt": "x"})
    for shown, verifies in ((bundle, True), (other, False)):
        seen = read(network.view, TOOLS, receipts=(none, none, shown))
        assert seen.receipts == ({receipt: shown} if verifies else {})
        assert seen.failed == (set() if verifies else {("receipt", receipt)})
        assert {"receipt 1", "receipt 2"} <= failures(seen).keys()
        verdict = verify_receipt(shown, genesis=network.view)
        about = f"receipt {receipt[:8]}, "
        assert [check for check in seen.checks if check.name.startswith(about)] == [
            replace(check, name=f"{about}{check.name}") for check in verdict.checks
        ]


def test_a_decision_that_is_left_out_among_others_is_a_gap_though_nothing_cites_it(
    assembly: Any,
) -> None:
    for numbers, holes in (
        ((1, 2), []),
        ((2, 1), []),
        ((2,), ["number 1"]),
        ((1, 5, 7), ["number 2 to 4", "number 6"]),
        ((8, 1), ["number 2 to 7"]),
    ):
        shown = numbered(assembly, *numbers)
        seen = read(assembly.network.view, TOOLS, decisions=shown)
        assert seen.skipped == tuple(gap("decision", hole, coop=TOOLS) for hole in holes)
        assert not failures(seen) and len(seen.decisions) == len(numbers)


def test_decisions_are_of_this_coop_and_verify(assembly: Any) -> None:
    """What another coop decided is no reason to miss anything of this one."""
    genesis = assembly.network.view
    good_one, forged = numbered(assembly, 1, 2)
    forged = forged.model_copy(update={"commitments": ()})
    none = good_one.model_copy(update={"attested": "x"})
    seen = read(genesis, TOOLS, decisions=(none, forged, good_one))
    verified, said = examine_attested(good_one, genesis=genesis)
    assert said is not None
    refuted, false = examine_attested(forged, genesis=genesis)
    assert false is not None
    nothing, _ = examine_attested(none, genesis=genesis)
    assert seen.decisions == {said.decision: said}
    assert seen.failed == {("decision", ""), ("decision", false.decision)}
    own = Check(name="", ok=True, expected=TOOLS, actual=TOOLS)
    assert seen.checks[1:] == [
        *(replace(each, name=f"a decision, {each.name}") for each in nothing.checks),
        *(replace(each, name=f"decision 2, {each.name}") for each in refuted.checks),
        replace(own, name="decision 2, of this coop"),
        *(replace(each, name=f"decision 1, {each.name}") for each in verified.checks),
        replace(own, name="decision 1, of this coop"),
    ]
    assert seen.skipped == ()

    foreign = read(genesis, "building-yard", decisions=numbered(assembly, 3))
    assert failures(foreign) == {"decision 3, of this coop": TOOLS}
    assert named(foreign, "decision 3, of this coop").expected == "building-yard"
    assert not foreign.decisions and len(foreign.failed) == 1 and foreign.skipped == ()

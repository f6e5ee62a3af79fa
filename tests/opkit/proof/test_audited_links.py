"""Each link of an audit by itself: what an entry cites is held against it, or is a gap."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof.agreement import read_agreement_file
from opkit.proof.audited import AuditedCoop, AuditView, examine_audit
from opkit.proof.checks import Verdict
from opkit.proof.clearing import postings_of
from opkit.proof.figures import figures_of
from opkit.proof.genesis import GenesisView
from opkit.proof.jws import record_id
from opkit.wire.audit import GAPS_MAX, AuditFile, ChangeAfter, CoopEvidence
from opkit.wire.clearing import Evidence, Leg
from opkit.wire.journal import EntryProof
from opkit.wire.ledger import AccountConfigured, Cause, Posting
from opkit.wire.votes import AccountChange, ConfigurationEffect
from tests.opkit.proof import pacts
from tests.opkit.proof.agreement_cases import tampered
from tests.opkit.proof.assemblies import TOOLS, good
from tests.opkit.proof.exchanges import (
    AGREED,
    AGREEMENT,
    SAID,
    Said,
    agreed,
    offer_of,
    terms_of,
)
from tests.opkit.proof.test_audit import NETWORK, Books
from tests.simulation import town

OFFER = offer_of()
RULING = SAID.ruling()
TILL, UNIT = f"{TOOLS}:till", "usd-cents"


def audited(genesis: GenesisView, coop: str, books: Books, **shown: Any) -> AuditedCoop:
    """Return the evidence of one coop, verified; nothing ties its ledger to a journal."""
    charter = genesis.charter(coop)
    assert charter is not None
    evidence = CoopEvidence(
        coop=coop, home=charter.home_node, entries=tuple(books.entries), **shown
    )
    file = AuditFile(network=NETWORK, auditor=f"{coop}/zuri", gathered_ms=1, coops=(evidence,))
    return examine_audit(file, genesis=genesis).coops[coop]


def failures(of: AuditedCoop) -> dict[str, str]:
    return {check.name: check.actual for check in of.checks if not check.ok}


def cited(of: AuditedCoop) -> list[str]:
    """Return what kinds of proofs entries and changes rest on that are not there."""
    return [gap.kind for gap in of.gaps.values()]


# Exchanges.


def evidence(**changes: Any) -> Evidence:
    said = {"offer": SAID.token, "acceptances": (SAID.acceptance(),), "outcome": SAID.commit()}
    return Evidence(**{**said, **changes})


def half(coop: str = "apple", *, back: bool = False, of: str = "apple") -> dict[str, Any]:
    """Return what an entry says that posts a coop's half of the exchange, or takes it back."""
    cause = Cause(kind="ruling", id=record_id(RULING)) if back else None
    return {
        "coop": coop,
        "kind": "bound",
        "postings": postings_of(OFFER, of, back=back),
        "cause": cause or Cause(kind="exchange", id=SAID.name),
    }


def exchanged(books: Books, shown: Evidence, coop: str = "apple") -> AuditedCoop:
    return audited(town.GENESIS, coop, books, exchanges=(shown,), agreements=(AGREEMENT,))


@pytest.mark.parametrize(
    ("coop", "of", "shown", "why"),
    [
        ("apple", "apple", evidence(), None),
        ("apple", "apple", evidence(ruling=SAID.ruling(ending="committed")), None),
        ("apple", "apple", evidence(outcome=None), "nothing says that it was committed"),
        ("apple", "apple", evidence(outcome=SAID.abort()), "nothing says that it was committed"),
        ("cedar", "apple", evidence(), "cedar takes no part in it"),
        ("apple", "birch", evidence(), "it posts something else than was offered"),
    ],
)
def test_an_entry_is_its_coops_half_of_what_was_committed_or_refuted(
    coop: str, of: str, shown: Evidence, why: str | None
) -> None:
    books = Books()
    entry = books.post(**half(coop, of=of))
    seen = exchanged(books, shown, coop)
    assert failures(seen).get("entry 1, half of an exchange") == why
    assert seen.refuted == (set() if why is None else {entry.hash})
    assert cited(seen) == []


@pytest.mark.parametrize("right", [True, False])
def test_what_a_ruling_turned_round_corrects_what_was_posted(right: bool) -> None:
    books = Books()
    first = books.post(**half())
    back = {**half(back=True), "kind": "correction"}
    entry = books.post(**back, corrects=first.hash if right else "5" * 64)
    seen = exchanged(books, evidence(ruling=RULING))
    assert seen.refuted == set() and cited(seen) == []
    assert ("corrections" in failures(seen)) is not right
    # Without the ruling nothing says that it may be taken back.
    unruled = exchanged(books, evidence())
    assert list(unruled.gaps) == [entry.hash] and cited(unruled) == ["exchange"]


def test_an_exchange_a_ruling_and_an_id_stand_for_one_entry_each() -> None:
    books = Books()
    books.post(**half())
    second = books.post(**half())
    assert exchanged(books, evidence()).refuted == {second.hash}

    books = Books()
    first = books.post(**half())
    back = {**half(back=True), "kind": "correction", "corrects": first.hash}
    turned, again = books.post(**back), books.post(**back)
    seen = exchanged(books, evidence(ruling=RULING))
    assert seen.refuted == {again.hash} and turned.hash not in seen.gaps

    books = Books()
    ordinary = {"coop": "apple", "postings": half()["postings"], "entry_id": "x"}
    books.post(**ordinary)
    same = books.post(**ordinary)
    seen = exchanged(books, evidence())
    assert seen.refuted == {same.hash}
    assert failures(seen)["once"] == "entry 2: an entry before it has id x"


def test_an_exchange_that_does_not_verify_proves_nothing() -> None:
    books = Books()
    books.post(**half())
    seen = exchanged(books, evidence(outcome=SAID.commit(key="birch")))
    assert f"exchange {SAID.name[:8]}" in failures(seen)
    assert seen.refuted == {books.entries[0].hash} and not seen.exchanges and not seen.gaps
    twice = exchanged(books, evidence(rival=SAID.abort()))
    assert f"exchange {SAID.name[:8]}, decisions that contradict" in failures(twice)


def test_an_exchange_rests_on_the_agreement_of_each_own_leg() -> None:
    books = Books()
    entry = books.post(**half())
    bare = audited(town.GENESIS, "apple", books, exchanges=(evidence(),))
    assert [(gap.kind, gap.named) for gap in bare.gaps.values()] == [("agreement", AGREED)]
    first, second = AGREEMENT.signatures
    forged = first.model_copy(update={"signature": tampered(first.signature)})
    bad = AGREEMENT.model_copy(update={"signatures": (forged, second)})
    seen = audited(town.GENESIS, "apple", books, exchanges=(evidence(),), agreements=(bad,))
    assert seen.refuted == {entry.hash} and not seen.gaps


def test_what_an_arbiter_of_the_proposers_own_choice_rules_is_refuted() -> None:
    offer = offer_of(arbiter="cedar")
    said = Said(offer)
    shown = Evidence(offer=said.token, acceptances=(said.acceptance(),), outcome=said.commit())
    books = Books()
    cause = Cause(kind="exchange", id=said.name)
    entry = books.post(**{**half(), "cause": cause})
    seen = exchanged(books, shown)
    assert seen.refuted == {entry.hash}
    assert "arbiter is umpire" in failures(seen)["entry 1, half of an exchange"]


# A netting has legs between others: their agreements are for their own books to show.


def test_only_the_agreements_of_own_legs_are_asked_for() -> None:
    others = agreed(terms_of("birch", "cedar"))
    own = [agreed(terms_of(*pair)) for pair in (("apple", "birch"), ("apple", "cedar"))]
    legs = [
        Leg(agreement=file.agreement, payer=payer, payee=payee, amount=5)
        for file, payer, payee in zip(
            (own[0], others, own[1]),
            ("birch", "cedar", "apple"),
            ("apple", "birch", "cedar"),
            strict=True,
        )
    ]
    offer = offer_of(*legs, kind="netting")
    said = Said(offer)
    accepted = tuple(said.acceptance(key=coop, coop=coop) for coop in ("birch", "cedar"))
    commit = said.commit(acceptances=tuple(record_id(each) for each in accepted))
    shown = Evidence(offer=said.token, acceptances=accepted, outcome=commit)
    books = Books()
    books.post(
        coop="apple",
        kind="bound",
        postings=postings_of(offer, "apple"),
        cause=Cause(kind="exchange", id=said.name),
    )
    seen = audited(town.GENESIS, "apple", books, exchanges=(shown,), agreements=tuple(own))
    assert not seen.gaps and not seen.refuted
    seen = audited(town.GENESIS, "apple", books, exchanges=(shown,), agreements=(others, own[1]))
    assert [gap.named for gap in seen.gaps.values()] == [own[0].agreement]


# Agreements and receipts.


def test_an_entry_under_an_agreement_rests_on_one_that_verifies() -> None:
    file = read_agreement_file(pacts.file_of())
    first, *rest = file.signatures
    forged = first.model_copy(update={"signature": tampered(first.signature)})
    bad = file.model_copy(update={"signatures": (forged, *rest)})
    books = Books()
    cause = Cause(kind="agreement", id=file.agreement)
    postings = tuple(
        Posting(account=f"mill:{path}", unit=UNIT, amount=amount)
        for path, amount in (("equity/opening", -5), ("till", 5))
    )
    books.post(coop="mill", postings=postings, cause=cause)
    for shown, refuted in ((file, 0), (bad, 1)):
        seen = audited(pacts.genesis_of(), "mill", books, agreements=(shown,))
        assert cited(seen) == [] and len(seen.refuted) == refuted
        about = f"agreement {file.agreement[:8]}, "
        assert any(name.startswith(about) for name in failures(seen)) is bool(refuted)
    assert cited(audited(pacts.genesis_of(), "mill", books)) == ["agreement"]


def test_an_entry_for_work_rests_on_a_receipt_that_verifies(network: Any) -> None:
    bundle = network.bundle()
    books = Books()
    cause = Cause(kind="receipt", id=record_id(bundle.receipt))
    books.post(coop=TOOLS, postings=moved("equity/opening", "till"), cause=cause)
    other = bundle.model_copy(update={"manifest": network.manifest(task_id="1" * 32)})
    for shown, refuted in ((bundle, 0), (other, 1)):
        seen = audited(network.view, TOOLS, books, receipts=(shown,))
        assert cited(seen) == [] and len(seen.refuted) == refuted
        assert bool(failures(seen).keys() - {"floors"}) is bool(refuted)
    assert cited(audited(network.view, TOOLS, books)) == ["receipt"]


def test_however_much_is_missing_the_figures_name_all_of_it(network: Any) -> None:
    books = Books()
    for number in range(GAPS_MAX + 1):
        cause = Cause(kind="receipt", id=f"{number:064x}")
        books.post(coop=TOOLS, postings=moved("equity/opening", "till"), cause=cause)
    seen = audited(network.view, TOOLS, books)
    view = AuditView(
        file=AuditFile(network=NETWORK, auditor=f"{TOOLS}/zuri", gathered_ms=1, coops=()),
        verdict=Verdict(subject="", checks=(), anchored=True),
        coops={TOOLS: seen},
    )
    lacks = {each.name: len(each.lacks) for each in figures_of(view)}
    # And the journal that nobody tied it to.
    assert lacks["unproven/receipt/usd-cents"] == GAPS_MAX + 2


# Decisions.


def moved(payer: str, payee: str, amount: int = 5) -> tuple[Posting, ...]:
    return (
        Posting(account=f"{TOOLS}:{payer}", unit=UNIT, amount=-amount),
        Posting(account=f"{TOOLS}:{payee}", unit=UNIT, amount=amount),
    )


@pytest.mark.parametrize(("said", "refuted"), [("yyny-", False), ("nnny-", True)])
def test_what_was_voted_down_gives_the_right_to_nothing(
    assembly: Any, said: str, refuted: bool
) -> None:
    shown = assembly.attested(good(assembly, said))
    decision = record_id(good(assembly, said).decision)
    books = Books()
    entry = books.post(
        coop=TOOLS,
        postings=moved("reserve", "vendor/roofer", 1_200_000),
        kind="decided",
        cause=Cause(kind="decision", id=decision),
    )
    seen = audited(assembly.network.view, TOOLS, books, decisions=(shown,))
    assert (entry.hash in seen.refuted) is refuted
    assert ("decision 1 was rejected" in failures(seen).get("decisions", "")) is refuted
    assert cited(seen) == []


def paid_twice(assembly: Any) -> tuple[Books, Any]:
    """Return books in which one decision is paid twice, and that decision."""
    file = good(assembly, "yyny-")
    books = Books()
    books.post(coop=TOOLS, postings=moved("income", "reserve", 4_800_000))
    for _ in range(2):
        books.post(
            coop=TOOLS,
            postings=moved("reserve", "vendor/roofer", 1_200_000),
            kind="decided",
            cause=Cause(kind="decision", id=record_id(file.decision)),
        )
    return books, assembly.attested(file)


@pytest.mark.parametrize("shown", [True, False])
def test_a_decision_pays_once_whether_it_is_shown_or_not(assembly: Any, shown: bool) -> None:
    books, decision = paid_twice(assembly)
    seen = audited(assembly.network.view, TOOLS, books, decisions=(decision,) if shown else ())
    assert seen.refuted == {books.entries[2].hash}
    assert "entry 3: an entry before it has decision " in failures(seen)["once"]


def numbered(assembly: Any, *numbers: int) -> AuditedCoop:
    """Audit a coop of whose decisions those with these numbers are shown."""
    files = [good(assembly, "yyny-", sequence=number) for number in numbers]
    shown = tuple(assembly.attested(file) for file in files)
    return audited(assembly.network.view, TOOLS, Books(), decisions=shown)


def test_a_decision_that_is_left_out_among_others_is_a_gap_though_nothing_cites_it(
    assembly: Any,
) -> None:
    for numbers, holes in (
        ((1, 2), []),
        ((2, 1), []),
        ((2,), ["number 1"]),
        ((1, 5, 7), ["number 2 to 4", "number 6"]),
    ):
        seen = numbered(assembly, *numbers)
        assert [gap.named for gap in seen.missing if gap.kind == "decision"] == holes
        assert not failures(seen)


def test_what_cites_a_decision_that_was_shown_and_is_false_is_refuted(assembly: Any) -> None:
    file = good(assembly, "yyny-")
    shown = assembly.attested(file)
    false = shown.model_copy(update={"commitments": shown.commitments[1:]})
    books, _ = paid_twice(assembly)
    seen = audited(assembly.network.view, TOOLS, books, decisions=(false,))
    assert seen.refuted == {each.hash for each in books.entries[1:]} and not seen.gaps


def closing(assembly: Any, said: str = "yyny-") -> tuple[Any, str]:
    """Return the decision that closes the till, as it left the coop, and its hash."""
    effect = ConfigurationEffect(
        accounts=(AccountChange(account=TILL, unit=UNIT, floor=None, closed=True),)
    )
    proposal = assembly.proposal(effect=effect, treasury_nonce=None)
    file = good(assembly, said, proposal=proposal)
    return assembly.attested(file), record_id(file.decision)


def closed(
    assembly: Any, *, after: int, said: str = "yyny-", false: bool = False, **changes: Any
) -> AuditedCoop:
    """Audit a ledger whose second entry pays into the till, closed after so many entries."""
    shown, decision = closing(assembly, said)
    if false:
        shown = shown.model_copy(update={"commitments": ()})
    books = Books()
    for number in (1, 2):
        books.post(coop=TOOLS, postings=moved("equity/opening", "till", number))
    account = {"coop": TOOLS, "account": TILL, "unit": UNIT, "floor": 0, "closed": True}
    configured = AccountConfigured(**{**account, "decision": decision, **changes})
    change = ChangeAfter(after=after, said=configured)
    view = assembly.network.view
    return audited(view, TOOLS, books, decisions=(shown,), changes=(change,))


def test_a_change_of_an_account_counts_from_where_it_came(assembly: Any) -> None:
    before, behind = closed(assembly, after=1), closed(assembly, after=2)
    assert any("closed" in why for why in failures(before).values())
    assert not any("closed" in why for why in failures(behind).values())
    assert cited(before) == cited(behind) == []


def test_a_change_that_nobody_decided_changes_nothing(assembly: Any) -> None:
    unknown = closed(assembly, after=1, decision="5" * 64)
    assert cited(unknown) == ["decision"]
    other = closed(assembly, after=1, account=f"{TOOLS}:safe")
    assert "is not about" in failures(other)["decisions"]
    rejected = closed(assembly, after=1, said="nnny-")
    false = closed(assembly, after=1, false=True)
    assert "that it cites does not verify" in failures(false)["decisions"] and not cited(false)
    for seen in (unknown, other, rejected, false):
        assert not any("is closed" in why for why in failures(seen).values())


# What ties a ledger to a journal.


def test_a_ledger_without_a_tie_has_a_gap_though_empty_and_a_tie_that_is_none_fails() -> None:
    empty = audited(town.GENESIS, "apple", Books())
    assert [(gap.kind, gap.named) for gap in empty.missing] == [("journal", "")] and empty.whole
    books = Books()
    books.post(**half())
    untied = exchanged(books, evidence())
    assert [(gap.kind, gap.named) for gap in untied.missing] == [("journal", "")]
    other: dict[str, Any] = {"head": "x", "entry": None, "path": None}
    nothing = EntryProof.model_construct(**other)
    seen = audited(town.GENESIS, "apple", books, exchanges=(evidence(),), tie=nothing)
    assert "journal-head" in failures(seen) and not seen.whole

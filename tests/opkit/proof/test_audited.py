"""Each link of an audit by itself: what an entry cites is held against it, or is a gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opkit.proof.audit import LedgerAudit
from opkit.proof.audited import AuditView
from opkit.proof.audited_coop import read_coop
from opkit.proof.checks import Check, Verdict
from opkit.proof.decision import examine_attested
from opkit.proof.jws import record_id
from opkit.wire.agreements import AgreementFile
from opkit.wire.audit import AuditFile, ChangeAfter, CoopEvidence
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.clearing import Evidence
from opkit.wire.ledger import AccountConfigured, Cause, Posting
from tests.opkit.proof.assemblies import TOOLS, good
from tests.opkit.proof.audits import (
    HALVES,
    NO_HASH,
    OTHER_TIES,
    OTHERS,
    OWN,
    RULING,
    TILL,
    UNIT,
    audited,
    cited,
    closed,
    evidence,
    evidence_of,
    exchanged,
    failures,
    floored,
    gap,
    half,
    is_so,
    moved,
    named,
    netted,
    numbered,
    tied,
    told,
    unsigned,
    view_of,
)
from tests.opkit.proof.test_audit import NETWORK, Books
from tests.opkit.proof.test_clearing import (
    AGREED,
    AGREEMENT,
    SAID,
    Said,
    offer_of,
)
from tests.simulation import town

# All of it.


def test_every_link_of_all_coops_is_told_in_its_order() -> None:
    """A coop's checks are those of what it showed, of its entries one by one, and of its ledger."""
    genesis, home = town.GENESIS, town.key_of("apple")
    books = Books()
    entry = books.post(**half())
    shown = {"exchanges": (evidence(),), "agreements": (AGREEMENT,)}
    apple = evidence_of(genesis, "apple", books, tie=tied(books, home), **shown)
    view = view_of(apple, genesis=genesis)

    ledger = LedgerAudit(network=NETWORK, coop="apple")
    ledger.floors["apple:equity/exchanges", "commons-credits"] = -1_000_000
    ledger.floors["apple:due/birch", "commons-credits"] = -1_000
    ledger.add(entry)
    gathered = read_coop(apple, genesis=genesis)
    once = Check(
        name="once",
        ok=True,
        expected="no id, decision, exchange or ruling stands for two entries",
        actual="so in all 1",
    )
    expected = [
        *gathered.checks,
        is_so("entry 1, half of an exchange", "what was signed of it"),
        once,
        *ledger.checks(),
        is_so("journal-head", "verifies"),
        is_so("journal-of-home", home.did),
        is_so("tied-to-journal", "verifies"),
        is_so("announced", "ledger.entry-posted"),
        is_so("announced-coop", "apple"),
        is_so("announced-place", "1"),
        is_so("announced-hash", entry.hash),
    ]
    assert view.coops["apple"] == replace(gathered, checks=expected)
    others = []
    for coop in ("birch", "cedar", town.ARBITER):
        nothing = replace(is_so("sum-zero", "nothing posted"), expected="0 in each unit")
        others += [is_so(f"{coop}, home", town.key_of(coop).did)]
        others += [replace(nothing, name=f"{coop}, sum-zero")]
    assert view == AuditView(
        file=AuditFile(network=NETWORK, auditor="apple/zuri", gathered_ms=1, coops=(apple,)),
        verdict=Verdict(
            subject="audit of 1 coops by apple/zuri",
            checks=(
                *(replace(each, name=f"apple, {each.name}") for each in expected),
                *others,
                is_so("coops-once", "['apple']"),
                is_so("network", NETWORK),
            ),
            anchored=True,
        ),
        coops=view.coops,
    )


def test_of_each_chartered_coop_that_is_left_out_nothing_was_shown() -> None:
    genesis = town.GENESIS
    birch = CoopEvidence(coop="birch", home=town.key_of("birch").did)
    view = view_of(birch, genesis=genesis)
    assert list(view.coops) == ["birch", "apple", "cedar", town.ARBITER]
    for coop in ("apple", "cedar", town.ARBITER):
        gaps = (gap("ledger", coop=coop), gap("decision", coop=coop))
        home = town.key_of(coop).did
        assert view.coops[coop].evidence == CoopEvidence(coop=coop, home=home, unshown=gaps)
        assert view.coops[coop].missing == gaps
    assert view.gaps == (
        gap("journal", coop="birch"),
        *(each for coop in list(view.coops)[1:] for each in view.coops[coop].missing),
    )
    alone = view_of(birch, genesis=None)
    assert list(alone.coops) == ["birch"] and not alone.verdict.anchored


def test_coops_are_of_the_network_each_once_and_at_their_homes() -> None:
    def said(name: str, home: str) -> CoopEvidence:
        return CoopEvidence(coop=name, home=town.key_of(home).did)

    shown = (said("birch", "birch"), said("apple", "apple"), said("birch", "cedar"))
    view = view_of(*shown, said("elder", "cedar"), genesis=town.GENESIS, network="b" * 26)
    birch, cedar = town.key_of("birch").did, town.key_of("cedar").did
    assert {(each.name, each.expected, each.actual) for each in view.verdict.failures} == {
        ("birch, home", birch, cedar),
        ("elder, home", "no such coop", cedar),
        (
            "coops-once",
            "['apple', 'birch', 'elder']",
            "['apple', 'birch', 'birch', 'elder']",
        ),
        ("network", NETWORK, "b" * 26),
    }
    unknown = view_of(said("birch", "birch"), genesis=None, network="b" * 26)
    assert [each.name for each in unknown.verdict.checks] == ["birch, sum-zero", "coops-once"]


def test_without_a_genesis_what_was_shown_adds_up_and_no_exchange_is_read() -> None:
    """How far an account may go down a charter says: without one nothing is too far."""
    books = Books()
    books.post(**half())
    books.post(coop="apple", postings=moved("till", "rent", SAFE_INT_MAX, coop="apple"))
    shown = {"exchanges": (evidence(),), "agreements": (AGREEMENT,)}
    other = Said(offer_of(exchange_id="x2"))
    exchanges = (*shown["exchanges"], evidence(offer=other.token))
    apple = evidence_of(town.GENESIS, "apple", books, **{**shown, "exchanges": exchanges})
    seen = view_of(apple, genesis=None).coops["apple"]
    assert failures(seen) == {} and seen.whole
    assert seen.unread == {SAID.name, other.name} and not seen.exchanges
    assert seen.agreements.keys() == {AGREED}
    assert seen.gaps == {
        books.entries[0].hash: gap(
            "exchange", SAID.name, cited_by=books.entries[0].hash, why="no-genesis"
        )
    }
    anchored = audited(town.GENESIS, "apple", books, **shown)
    assert failures(anchored) == {
        "floors": f"entry 2: apple:till has -{SAFE_INT_MAX} {UNIT}, its floor is 0"
    }


@pytest.mark.parametrize(("below", "ok"), [(1_000, True), (1_001, False)])
@pytest.mark.parametrize("prefix", ["", "apple:"])
def test_floors_are_those_of_the_charter_however_it_names_the_account(
    prefix: str, below: int, ok: bool
) -> None:
    genesis = floored(prefix)
    unit, books = "commons-credits", Books()
    books.post(
        coop="apple",
        postings=(
            Posting(account="apple:due/birch", unit=unit, amount=-below),
            Posting(account="apple:rent", unit=unit, amount=below),
        ),
    )
    assert ("floors" not in failures(audited(genesis, "apple", books))) is ok


# Exchanges.


@pytest.mark.parametrize(("posted", "shown", "why"), HALVES)
def test_an_entry_is_its_coops_half_of_what_was_signed_or_refuted(
    posted: dict[str, Any], shown: Evidence, why: str | None
) -> None:
    books = Books()
    entry = books.post(**{"kind": "correction", **posted, "corrects": NO_HASH})
    seen = exchanged(books, shown, posted["coop"])
    expected = "what was signed of it"
    assert named(seen, "entry 1, half of an exchange") == Check(
        name="entry 1, half of an exchange",
        ok=why is None,
        expected=expected,
        actual=why or expected,
    )
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


@pytest.mark.parametrize(
    ("kind", "once"),
    [
        ("decision", True),
        ("exchange", True),
        ("ruling", True),
        ("receipt", False),
        ("agreement", False),
        ("hold", False),
    ],
)
def test_some_things_are_posted_once_whether_they_are_shown_or_not(kind: str, once: bool) -> None:
    books = Books()
    nothing = moved("till", "rent", 0, coop="apple")
    cause = Cause.model_validate({"kind": kind, "id": NO_HASH})
    entries = [books.post(coop="apple", postings=nothing, cause=cause) for _ in range(2)]
    entries.append(books.post(coop="apple", postings=nothing, cause=cause, entry_id="e2"))
    books.post(coop="apple", postings=nothing, cause=Cause(kind="receipt", id="7" * 64))
    seen = audited(town.GENESIS, "apple", books)
    _, second, third = (entry.hash for entry in entries)
    assert seen.refuted == ({second, third} if once else {third})
    about = f"{kind} {NO_HASH}"
    if once:
        found = (
            f"entry 2: an entry before it has {about};"
            f" entry 3: an entry before it has id e2 and {about}"
        )
    else:
        found = "entry 3: an entry before it has id e2"
    assert named(seen, "once").actual == found


def test_one_exchange_is_refuted_the_second_time_and_so_is_its_ruling() -> None:
    books = Books()
    first, second = books.post(**half()), books.post(**half())
    back = {**half(back=True), "kind": "correction", "corrects": first.hash}
    turned, again = books.post(**back), books.post(**back)
    seen = exchanged(books, evidence(ruling=RULING))
    assert seen.refuted == {second.hash, again.hash} and turned.hash not in seen.gaps
    assert seen.exchanges.keys() == {SAID.name, record_id(RULING)}


def test_what_an_arbiter_of_the_proposers_own_choice_rules_is_refuted() -> None:
    said = Said(offer_of(arbiter="cedar"))
    shown = Evidence(offer=said.token, acceptances=(said.acceptance(),), outcome=said.commit())
    books = Books()
    entry = books.post(**{**half(), "cause": Cause(kind="exchange", id=said.name)})
    seen = exchanged(books, shown)
    assert seen.refuted == {entry.hash}
    why = "the agreement's arbiter is umpire, the offer's cedar"
    assert failures(seen)["entry 1, half of an exchange"] == why


# A netting has legs between others: their agreements are for their own books to show.


@pytest.mark.parametrize(
    ("agreements", "missing", "false"),
    [
        (OWN, None, False),
        ([OTHERS, OWN[1]], OWN[0], False),
        ([OTHERS, OWN[0]], OWN[1], False),
        ([unsigned(OWN[0]), OWN[1]], None, True),
        ([OWN[0], unsigned(OWN[1])], None, True),
        ([unsigned(OWN[1])], OWN[0], True),
        ([unsigned(OWN[0])], None, True),
        # What was shown twice, and once verifies, is there.
        ([unsigned(OWN[0]), *OWN], None, False),
    ],
)
def test_an_exchange_rests_on_the_agreement_of_each_own_leg(
    agreements: list[AgreementFile], missing: AgreementFile | None, false: bool
) -> None:
    seen, entry = netted(*agreements)
    assert seen.refuted == ({entry} if false else set())
    why = failures(seen).get("entry 1, half of an exchange")
    assert why == ("its agreement does not verify" if false else None)
    if missing is None:
        assert seen.gaps == {}
    else:
        assert seen.gaps == {entry: gap("agreement", missing.agreement, cited_by=entry)}


# Agreements and receipts.


@pytest.mark.parametrize(
    ("kind", "cites"),
    [
        ("decision", SAID.name),
        ("decision", AGREED),
        ("receipt", SAID.name),
        ("receipt", AGREED),
        ("agreement", SAID.name),
        ("exchange", AGREED),
    ],
)
def test_what_is_cited_as_another_kind_than_it_is_is_not_there(kind: str, cites: str) -> None:
    books = Books()
    cause = Cause.model_validate({"kind": kind, "id": cites})
    entry = books.post(coop="apple", postings=half()["postings"], cause=cause)
    seen = exchanged(books, evidence())
    assert seen.gaps == {entry.hash: gap(kind, cites, cited_by=entry.hash)}
    assert not seen.refuted


@pytest.mark.parametrize(
    ("agreements", "refuted", "missing"),
    [
        ([AGREEMENT], False, False),
        ([unsigned(AGREEMENT)], True, False),
        ([unsigned(AGREEMENT), AGREEMENT], False, False),
        ([], False, True),
    ],
)
def test_what_is_posted_under_an_agreement_rests_on_one_that_verifies(
    agreements: list[AgreementFile], refuted: bool, missing: bool
) -> None:
    books = Books()
    cause = Cause(kind="agreement", id=AGREED)
    entry = books.post(coop="apple", postings=half()["postings"], cause=cause)
    seen = audited(town.GENESIS, "apple", books, agreements=tuple(agreements))
    assert seen.refuted == ({entry.hash} if refuted else set())
    assert cited(seen) == ["agreement"] * missing


def test_an_entry_for_work_rests_on_a_receipt_that_verifies(network: Any) -> None:
    bundle = network.bundle()
    books = Books()
    cause = Cause(kind="receipt", id=record_id(bundle.receipt))
    entry = books.post(coop=TOOLS, postings=moved("till", "rent", 0), cause=cause)
    other = bundle.model_copy(update={"manifest": network.manifest(task_id="1" * 32)})
    for receipts, refuted, missing in (((bundle,), False, 0), ((other,), True, 0), ((), False, 1)):
        seen = audited(network.view, TOOLS, books, receipts=receipts)
        assert seen.refuted == ({entry.hash} if refuted else set())
        assert cited(seen) == ["receipt"] * missing


# Decisions.


def test_a_decision_that_is_shown_twice_and_once_verifies_gives_its_right(assembly: Any) -> None:
    genesis = assembly.network.view
    (shown,) = numbered(assembly, 1)
    forged = shown.model_copy(update={"commitments": ()})
    books = Books()
    _, said = examine_attested(shown, genesis=genesis)
    assert said is not None
    books.post(
        coop=TOOLS,
        postings=moved("reserve", "vendor/roofer", 1_200_000),
        kind="decided",
        cause=Cause(kind="decision", id=said.decision),
    )
    cause = Cause(kind="receipt", id=said.decision)
    books.post(coop=TOOLS, postings=moved("till", "rent", 0), cause=cause)
    safe = {"coop": TOOLS, "account": "x:safe", "unit": UNIT, "floor": 0, "closed": False}
    change = ChangeAfter(after=2, said=AccountConfigured(**safe, decision=said.decision))
    seen = audited(genesis, TOOLS, books, decisions=(forged, shown), changes=(change,))
    assert not seen.refuted and cited(seen) == ["receipt"], "a decision is no receipt"
    assert failures(seen)["decisions"] == "entry 2: the decision is not about x:safe"


@pytest.mark.parametrize(
    ("said", "amount", "false", "why"),
    [
        ("yyny-", 1_200_000, False, ""),
        ("nnny-", 1_200_000, False, "decision 1 was rejected"),
        ("yyny-", 1_200_001, False, "the entry posts something else than was decided"),
        ("yyny-", 1_200_000, True, "the decision that it cites does not verify"),
    ],
)
def test_an_entry_posts_what_was_decided_or_is_refuted(
    assembly: Any, said: str, amount: int, false: bool, why: str
) -> None:
    file = good(assembly, said)
    shown = assembly.attested(file)
    if false:
        shown = shown.model_copy(update={"commitments": ()})
    books = Books()
    books.post(coop=TOOLS, postings=moved("income", "reserve", 2_000_000), by=f"{TOOLS}/mira")
    entry = books.post(
        coop=TOOLS,
        postings=moved("reserve", "vendor/roofer", amount),
        kind="decided",
        cause=Cause(kind="decision", id=record_id(file.decision)),
    )
    seen = audited(assembly.network.view, TOOLS, books, decisions=(shown,))
    assert seen.refuted == ({entry.hash} if why else set()) and not seen.gaps
    found = f"entry 2: {why}" if why and not false else None
    assert failures(seen).get("decisions") == found


def test_a_change_of_an_account_counts_from_where_it_came(assembly: Any) -> None:
    before, behind, _ = closed(assembly)
    assert told(before) == (None, True) and told(behind) == (None, False)
    for seen in (before, behind):
        assert seen.gaps == {} and named(seen, "decisions").actual == "so in all 1"


def test_a_change_that_nobody_decided_changes_nothing(assembly: Any) -> None:
    for changes, why in (
        ({"account": f"{TOOLS}:safe"}, f"the decision is not about {TOOLS}:safe"),
        ({"closed": False}, f"the decision says something else of {TILL}"),
        ({"said": "nnny-"}, "decision 1 was rejected"),
        ({"false": True}, "the decision that it cites does not verify"),
    ):
        before, behind, _ = closed(assembly, **changes)
        assert told(before) == (f"entry 1: {why}", False)
        assert told(behind) == (f"entry 3: {why}", False)
        assert not before.gaps and not before.whole
    unknown, _, _ = closed(assembly, decision="6" * 64)
    assert unknown.gaps == {"6" * 64: gap("decision", "6" * 64, coop=TOOLS)}
    assert told(unknown) == (None, False)


# What ties a ledger to a journal.


def test_a_ledger_that_nothing_ties_has_a_gap_also_without_entries() -> None:
    genesis, empty = town.GENESIS, Books()
    books = Books()
    books.post(**half())
    tie = tied(books, town.key_of("apple"))
    hidden = gap("ledger", why="role-insufficient")
    for some, shown, untied in (
        (empty, {}, gap("journal")),
        (books, {}, gap("journal")),
        (
            books,
            {"unshown": (gap("journal", why="unreachable"),)},
            gap("journal", why="unreachable"),
        ),
        (books, {"unshown": (gap("exchange", "x"), hidden)}, hidden),
        (books, {"tie": tie, "unshown": (hidden,)}, hidden),
        (books, {"tie": tie}, None),
    ):
        seen = audited(genesis, "apple", some, **shown)
        assert seen.untied == untied and seen.whole
        assert bool({"journal-head"} & {check.name for check in seen.checks}) is (untied is None)


@pytest.mark.parametrize(("changes", "name", "should_be", "is_"), OTHER_TIES)
def test_a_tie_is_to_the_journal_of_the_home_and_to_the_last_entry(
    changes: dict[str, Any], name: str, should_be: str, is_: str
) -> None:
    books = Books()
    books.post(**half())
    said = {"home": town.key_of("apple"), **changes}
    shown = {"exchanges": (evidence(),), "agreements": (AGREEMENT,)}
    seen = audited(town.GENESIS, "apple", books, tie=tied(books, **said), **shown)
    assert failures(seen).keys() == {name} and not seen.whole and seen.untied is None
    assert named(seen, name) == Check(name=name, ok=False, expected=should_be, actual=is_)


def test_whose_network_a_journal_is_of_a_genesis_says() -> None:
    books = Books()
    books.post(**half())
    tie = tied(books, town.key_of("apple"), network="b" * 26)
    apple = evidence_of(town.GENESIS, "apple", books, tie=tie)
    assert not failures(view_of(apple, genesis=None).coops["apple"])

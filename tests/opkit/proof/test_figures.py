"""The figures of a report: each a sum of entries, all that it rests on, and how well it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opkit.proof.audited_coop import AuditedCoop
from opkit.proof.decision import examine_attested
from opkit.proof.figures import FIGURE_COLUMNS, coops_of, figures_csv, figures_of, resolves
from opkit.proof.jws import record_id
from opkit.wire.audit import GAPS_MAX, Gap
from opkit.wire.compute import ReceiptBundle
from tests.opkit.proof.assemblies import good
from tests.opkit.proof.audits import NO_HASH, RULING, gap
from tests.opkit.proof.figured import (
    APPLE,
    BIRCH,
    CENTS,
    CREDITS,
    DECISION,
    EXCHANGES,
    RECEIPT,
    by_name,
    cause,
    coop_of,
    exchanged,
    figure,
    ledger,
    post,
    ref,
    view_of,
)
from tests.opkit.proof.test_audit import Books
from tests.opkit.proof.test_clearing import AGREED, AGREEMENT, SAID


def audited_of(assembly: Any) -> tuple[AuditedCoop, AuditedCoop]:
    """Return apple and birch, verified: only a receipt that apple's last entry cites is missing."""
    shown = assembly.attested(good(assembly))
    _, decision = examine_attested(shown, genesis=assembly.network.view)
    assert decision is not None
    rejected = decision.model_copy(update={"outcome": "rejected"})
    apple, birch = exchanged()
    post(apple, APPLE, ("equity", CENTS, -900), ("reserve/roof", CENTS, 900))
    by_vote = {"kind": "decided", "cause": cause("decision", DECISION)}
    two = ("vendor", CENTS, 30), ("tax", CENTS, 20)
    post(apple, APPLE, ("reserve", CENTS, -50), *two, **by_vote)
    post(apple, APPLE, ("reserve", CENTS, -7), ("vendor", CENTS, 7), **by_vote)
    post(apple, APPLE, ("reserved", CENTS, 3), ("surplus", CREDITS, 0), ("x", CENTS, -3))
    work = cause("receipt", RECEIPT)
    last = post(apple, APPLE, ("vendor", CENTS, 11), ("reserve", CENTS, -11), cause=work)
    gaps = {last.hash: gap("receipt", RECEIPT, cited_by=last.hash)}
    decisions = {DECISION: decision, NO_HASH: rejected}
    mine = coop_of(APPLE, apple, decisions=decisions, gaps=gaps, **EXCHANGES)
    return mine, coop_of(BIRCH, birch, **EXCHANGES)


def test_each_figure_is_a_sum_and_names_all_that_it_rests_on(assembly: Any) -> None:
    mine, theirs = audited_of(assembly)
    first, lathe, drill, opening, *paid, other, unproven = mine.evidence.entries
    (missing,) = mine.gaps.values()
    their_lathe, their_first, their_drill = theirs.evidence.entries
    rights = [ref("exchange", SAID.name), ref("agreement", AGREED)]
    cited = ref("decision", DECISION)
    of_apple = (
        figure("entries", "Entries in the books", 8, "verified", ref("journal", unproven.hash)),
        figure("decisions-accepted", "Decisions accepted", 1, "attested", cited),
        figure(f"has/surplus/{CREDITS}", "In the surplus", 0, "verified", *ledger(other)),
        figure(
            f"charged-to/birch/{CREDITS}",
            "Charged to birch",
            40,
            "verified",
            *ledger(first),
            *rights,
            *ledger(their_first, coop=BIRCH),
        ),
        figure(
            f"charged-by/birch/{CREDITS}",
            "Charged by birch",
            6,
            "verified",
            *ledger(lathe, drill),
            *ledger(their_lathe, their_drill, coop=BIRCH),
        ),
        figure(
            f"paid-by-decision/{CENTS}",
            "Paid by decision",
            57,
            "attested",
            *ledger(paid[0]),
            cited,
            *ledger(paid[1]),
        ),
        figure(
            f"has/reserve/{CENTS}",
            "In the reserve",
            832,
            "gap",
            *ledger(opening, paid[0]),
            cited,
            *ledger(paid[1], unproven),
            lacks=(missing,),
        ),
        figure(
            f"unproven/receipt/{CENTS}",
            "Posted for work with a receipt that was not shown",
            11,
            "gap",
            *ledger(unproven),
            lacks=(missing,),
        ),
    )
    view = view_of(mine, theirs)
    figures = figures_of(view)
    assert figures[: len(of_apple)] == of_apple
    of_birch = figures[len(of_apple) :]
    assert [(each.name, each.amount) for each in of_birch] == [
        ("entries", 3),
        ("decisions-accepted", 0),
        (f"charged-to/apple/{CREDITS}", 6),
        (f"charged-by/apple/{CREDITS}", 40),
    ]
    assert coops_of(figures) == (APPLE, BIRCH)
    assert all(resolves(each, view) for figure in figures for each in figure.rests_on)


def test_units_and_kinds_of_what_is_unproven_are_told_in_order_each_with_its_sum() -> None:
    books, gaps = Books(), {}
    for number, kind in enumerate(("receipt", "decision", "exchange", "agreement"), 1):
        cents = ("rent", CENTS, number), ("till", CENTS, -number)
        shares = ("rent", CREDITS, 10 * number), ("till", CREDITS, -10 * number)
        entry = post(books, APPLE, *cents, *shares, cause=cause(kind, NO_HASH))
        gaps[entry.hash] = gap(kind, NO_HASH, cited_by=entry.hash)
    figures = figures_of(view_of(coop_of(APPLE, books, gaps=gaps)))
    named = {
        "agreement": ("an agreement", 4),
        "decision": ("a decision", 2),
        "exchange": ("an exchange", 3),
        "receipt": ("work with a receipt", 1),
    }
    assert [(each.name, each.label, each.amount) for each in figures[2:]] == [
        (f"unproven/{kind}/{unit}", f"Posted for {claim} that was not shown", times * number)
        for unit, times in ((CREDITS, 10), (CENTS, 1))
        for kind, (claim, number) in named.items()
    ]


def test_units_are_told_in_their_order() -> None:
    units, books = ["shells", CENTS, "kwh", CREDITS, "hours", "eggs", "tokens"], Books()
    for unit in units:
        post(books, APPLE, ("reserve", unit, 5), ("till", unit, -5))
    figures = figures_of(view_of(coop_of(APPLE, books)))
    assert [each.name for each in figures[2:]] == [f"has/reserve/{unit}" for unit in sorted(units)]


def test_what_a_proof_is_missing_for_is_in_no_sum_but_a_balance() -> None:
    books = Books()
    decided = {"kind": "decided", "cause": cause("decision", DECISION)}
    accounts = ("reserve", CENTS, -50), ("due/birch", CENTS, 50)
    entry = post(books, APPLE, *accounts, **decided)
    missing = gap("decision", DECISION, cited_by=entry.hash)
    mine = coop_of(APPLE, books, gaps={entry.hash: missing})
    assert by_name(mine, coop_of(BIRCH, Books())).keys() == {
        "entries",
        "decisions-accepted",
        f"has/reserve/{CENTS}",
        f"unproven/decision/{CENTS}",
    }


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ({}, "verified"),
        ({"untied": gap("journal")}, "gap"),
        ({"whole": False}, "refuted"),
        ({"whole": False, "untied": gap("journal")}, "refuted"),
    ],
)
def test_the_number_of_entries_stands_as_the_ledger_does(found: Any, standing: str) -> None:
    books, _ = exchanged()
    last, untied = books.entries[-1], found.get("untied")
    lacks = () if untied is None else (untied,)
    for is_tied in (True, False):
        refs = [ref("journal", last.hash)] if is_tied else []
        said = by_name(coop_of(APPLE, books, is_tied=is_tied, **found))["entries"]
        label = "Entries in the books"
        assert said == figure("entries", label, 3, standing, *refs, lacks=lacks)


def test_a_tie_of_a_ledger_that_is_not_there_is_no_evidence_and_breaks_nothing(
    assembly: Any,
) -> None:
    books, _ = exchanged()
    shown = assembly.attested(good(assembly))
    _, decision = examine_attested(shown, genesis=assembly.network.view)
    some = coop_of(APPLE, books, decisions={DECISION: decision})
    evidence = some.evidence.model_copy(update={"entries": ()})
    view = view_of(replace(some, evidence=evidence, whole=False))
    entries, decisions = figures_of(view)
    assert (entries.amount, entries.standing, entries.rests_on) == (0, "refuted", ())
    assert all(resolves(each, view) for each in decisions.rests_on)
    assert not resolves(ref("journal", books.entries[-1].hash), view)


@pytest.mark.parametrize(
    ("failed", "missing", "standing"),
    [
        (set(), (), "attested"),
        ({("exchange", NO_HASH)}, (gap("receipt", "r"),), "attested"),
        (set(), (gap("decision", "number 1"),), "gap"),
        ({("decision", NO_HASH), ("receipt", "r")}, (gap("decision", "number 1"),), "refuted"),
    ],
)
def test_the_number_of_decisions_stands_as_what_was_shown_of_them(
    failed: Any, missing: tuple[Gap, ...], standing: str
) -> None:
    mine = coop_of(APPLE, Books(), failed=failed, skipped=missing)
    lacks = tuple(each for each in missing if each.kind == "decision")
    said = by_name(mine)["decisions-accepted"]
    assert said == figure("decisions-accepted", "Decisions accepted", 0, standing, lacks=lacks)


# How what was posted stands.


@pytest.mark.parametrize(
    ("kind", "found", "standing"),
    [
        ("receipt", {}, "verified"),
        ("decision", {}, "attested"),
        ("decision", {"untied": gap("journal")}, "gap"),
        ("receipt", {"untied": gap("journal")}, "gap"),
        ("receipt", {"gaps": True}, "gap"),
        ("decision", {"refuted": True}, "refuted"),
        ("receipt", {"gaps": True, "refuted": True}, "refuted"),
        ("receipt", {"whole": False}, "refuted"),
    ],
)
def test_a_figure_stands_as_the_weakest_of_its_entries(
    kind: str, found: dict[str, Any], standing: str
) -> None:
    """The other entry is verified, whatever is found of this one."""
    books = Books()
    post(books, APPLE, ("reserve", CENTS, 5), ("till", CENTS, -5))
    reserve = ("reserve", CENTS, 5), ("till", CENTS, -5)
    entry = post(books, APPLE, *reserve, cause=cause(kind, RECEIPT))
    missing = gap(kind, RECEIPT, cited_by=entry.hash)
    said = {
        **found,
        "gaps": {entry.hash: missing} if found.get("gaps") else {},
        "refuted": {entry.hash} if found.get("refuted") else set(),
    }
    has = by_name(coop_of(APPLE, books, **said))[f"has/reserve/{CENTS}"]
    assert (has.standing, has.amount) == (standing, 10)
    untied = [found["untied"]] if "untied" in found else []
    assert list(has.lacks) == untied + ([missing] if found.get("gaps") else [])


@pytest.mark.parametrize(
    ("kind", "named", "refs"),
    [
        ("", "", []),
        ("hold", SAID.name, []),
        ("decision", DECISION, []),
        ("receipt", RECEIPT, [("receipt", RECEIPT)]),
        ("agreement", AGREED, [("agreement", AGREED)]),
        ("agreement", SAID.name, []),
        ("exchange", SAID.name, [("exchange", SAID.name), ("agreement", AGREED)]),
        ("ruling", record_id(RULING), [("exchange", record_id(RULING)), ("agreement", AGREED)]),
        ("receipt", SAID.name, []),
    ],
)
def test_an_entry_rests_on_what_it_cites_if_that_verified(
    kind: str, named: str, refs: list[tuple[str, str]]
) -> None:
    books = Books()
    reserve = ("reserve", CENTS, 5), ("till", CENTS, -5)
    entry = post(books, APPLE, *reserve, cause=cause(kind, named) if kind else None)
    told = SAID.read(ruling=RULING)
    bundle = ReceiptBundle.model_construct(receipt="x", manifest="x")
    exchanges = {SAID.name: told, record_id(RULING): told}
    found = {"exchanges": exchanges, "receipts": {RECEIPT: bundle}}
    for agreements in ({AGREED: AGREEMENT}, {}):
        has = by_name(coop_of(APPLE, books, **found, agreements=agreements))
        assert list(has[f"has/reserve/{CENTS}"].rests_on) == [
            *ledger(entry),
            *(ref(*each) for each in refs if each != ("agreement", AGREED) or agreements),
        ]


# What passed between two coops.


def test_a_half_that_is_missing_is_a_gap_and_the_others_are_held_against_theirs() -> None:
    apple, birch = exchanged()
    birch.entries.pop(0)
    found = by_name(coop_of(APPLE, apple, **EXCHANGES), coop_of(BIRCH, birch, **EXCHANGES))
    charged = found[f"charged-by/birch/{CREDITS}"]
    _, lathe, drill = apple.entries
    assert charged == figure(
        charged.name,
        "Charged by birch",
        6,
        "gap",
        *ledger(lathe, drill),
        *ledger(birch.entries[-1], coop=BIRCH),
        lacks=(gap("ledger", "lathe", coop=BIRCH, cited_by=lathe.hash, why="not-mirrored"),),
    )
    assert found[f"charged-to/birch/{CREDITS}"].standing == "verified"


@pytest.mark.parametrize(
    ("half", "standing"),
    [
        ((("due/apple", CREDITS, -40), ("rent", CREDITS, 40)), "verified"),
        ((("due/apple", CREDITS, -39), ("rent", CREDITS, 39)), "refuted"),
        ((("due/apple", CREDITS, 40), ("rent", CREDITS, -40)), "refuted"),
        ((("due/apple", CENTS, -40), ("rent", CENTS, 40)), "refuted"),
        ((("due/cedar", CREDITS, -40), ("rent", CREDITS, 40)), "refuted"),
    ],
)
def test_halves_that_differ_refute_each_other(half: Any, standing: str) -> None:
    apple, birch = Books(), Books()
    shared = {"kind": "bound", "cause": cause("exchange", SAID.name)}
    post(apple, APPLE, ("due/birch", CREDITS, 40), ("income", CREDITS, -40), **shared)
    post(birch, BIRCH, *half, **shared)
    found = by_name(coop_of(APPLE, apple), coop_of(BIRCH, birch))
    assert found[f"charged-to/birch/{CREDITS}"].standing == standing


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        ({"refuted": True}, "refuted"),
        ({"gaps": True}, "gap"),
        ({"untied": gap("journal", coop=BIRCH)}, "gap"),
        ({"whole": False}, "refuted"),
    ],
)
def test_what_passed_stands_as_the_weaker_half(found: dict[str, Any], standing: str) -> None:
    apple, birch = exchanged()
    theirs = birch.entries[1].hash
    missing = gap("exchange", SAID.name, coop=BIRCH, cited_by=theirs)
    said = {
        **found,
        "gaps": {theirs: missing} if found.get("gaps") else {},
        "refuted": {theirs} if found.get("refuted") else set(),
    }
    charged = by_name(coop_of(APPLE, apple), coop_of(BIRCH, birch, **said))
    assert charged[f"charged-to/birch/{CREDITS}"].standing == standing


@pytest.mark.parametrize(
    ("mine", "theirs", "standing"),
    [
        (("exchange", "x", "a"), ("exchange", "x", "b"), "verified"),
        (("ruling", "x", "a"), ("ruling", "x", "b"), "verified"),
        (("exchange", "x", "a"), ("ruling", "x", "a"), "gap"),
        (("exchange", "x", "a"), ("exchange", "y", "a"), "gap"),
        (("receipt", "x", "a"), ("receipt", "x", "b"), "gap"),
        (("receipt", "x", "a"), ("agreement", "y", "a"), "verified"),
        (None, ("receipt", "y", "e1"), "verified"),
        (("exchange", "x", "a"), ("receipt", "y", "exchange:x"), "gap"),
    ],
)
def test_halves_are_known_by_what_they_are_for_or_by_their_id(
    mine: tuple[str, str, str] | None, theirs: tuple[str, str, str], standing: str
) -> None:
    def said(of: tuple[str, str, str] | None) -> dict[str, Any]:
        return {} if of is None else {"cause": cause(of[0], of[1]), "entry_id": of[2]}

    apple, birch = Books(), Books()
    post(apple, APPLE, ("due/birch", CENTS, -4), ("rent", CENTS, 4), **said(mine))
    post(birch, BIRCH, ("due/apple", CENTS, 4), ("income", CENTS, -4), **said(theirs))
    found = by_name(coop_of(APPLE, apple), coop_of(BIRCH, birch))
    assert found[f"charged-by/birch/{CENTS}"].standing == standing


def test_however_much_is_missing_the_figures_name_all_of_it() -> None:
    books, gaps = Books(), {}
    for number in range(GAPS_MAX + 1):
        rent = ("rent", CENTS, 1), ("till", CENTS, -1)
        entry = post(books, APPLE, *rent, cause=cause("receipt", f"{number:064x}"))
        gaps[entry.hash] = gap("receipt", f"{number:064x}", cited_by=entry.hash)
    untied = gap("journal")
    found = by_name(coop_of(APPLE, books, gaps=gaps, untied=untied))
    assert found[f"unproven/receipt/{CENTS}"].lacks == (untied, *gaps.values())


# What a figure names, and the table.


def test_evidence_is_there_by_its_kind_its_coop_and_its_hash() -> None:
    apple, birch = exchanged()
    bundle = ReceiptBundle.model_construct(receipt="x", manifest="x")
    found = {**EXCHANGES, "decisions": {DECISION: object()}, "receipts": {RECEIPT: bundle}}
    view = view_of(coop_of(APPLE, apple, **found), coop_of(BIRCH, birch, is_tied=False))
    first, _, last = (entry.hash for entry in apple.entries)
    there = {
        ("ledger", first),
        ("ledger", last),
        ("journal", last),
        ("decision", DECISION),
        ("agreement", AGREED),
        ("exchange", SAID.name),
        ("receipt", RECEIPT),
    }
    hashes = {hash_ for _, hash_ in there}
    for kind in ("ledger", "journal", "decision", "agreement", "exchange", "receipt"):
        for hash_ in hashes:
            assert resolves(ref(kind, hash_), view) is ((kind, hash_) in there)
            assert not resolves(ref(kind, hash_, BIRCH), view)
            assert not resolves(ref(kind, hash_, "cedar"), view)
    assert not resolves(ref("journal", birch.entries[-1].hash, BIRCH), view), "it is not tied"


def test_the_table_has_one_spelling() -> None:
    figures = [
        figure("entries", "Entries, in the books", 3, "verified"),
        figure(
            f"has/reserve/{CENTS}",
            'In "the" reserve',
            -5,
            "gap",
            ref("ledger", NO_HASH),
            ref("decision", DECISION),
            lacks=(gap("receipt", "r1"), gap("journal")),
        ),
    ]
    header = "coop,figure,label,unit,amount,standing,evidence,missing"
    assert ",".join(FIGURE_COLUMNS) == header
    rest = f"usd-cents,-5,gap,ledger:{NO_HASH} decision:{DECISION},receipt:r1 journal:"
    lines = (
        header,
        'apple,entries,"Entries, in the books",-,3,verified,,',
        f'apple,has/reserve/usd-cents,"In ""the"" reserve",{rest}',
    )
    assert figures_csv(figures) == "".join(f"{line}\r\n" for line in lines).encode()
    assert figures_csv([]) == f"{header}\r\n".encode()


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("-", "-"),
        ("", ""),
        ("a=1", "a=1"),
        ("Übertrag", "Übertrag"),
    ],
)
def test_no_text_is_a_formula_for_a_spreadsheet(label: str, told: str) -> None:
    line = figures_csv([figure("entries", label, -3, "gap")]).decode().splitlines()[1]
    assert line == f"apple,entries,{told},-,-3,gap,,"


def test_whose_figures_these_are_is_told_once_and_in_their_order() -> None:
    figures = [
        figure("entries", "", 1, "gap", coop=coop) for coop in (BIRCH, APPLE, BIRCH, "cedar")
    ]
    assert coops_of(figures) == (BIRCH, APPLE, "cedar")

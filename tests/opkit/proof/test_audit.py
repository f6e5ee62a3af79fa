"""An audit finds whatever is wrong with a ledger, and keeps nothing of it but balances."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from opkit.proof.audit import LedgerAudit
from opkit.proof.checks import Check
from opkit.proof.ledger import entry_hash
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.ledger import (
    FIRST_PREVIOUS,
    TREASURY,
    AccountConfigured,
    AccountView,
    Cause,
    Entry,
    EntryPosted,
    Posting,
)

NETWORK = "a" * 26
COOP = "yard"
UNIT = "usd-cents"
OPENING = ("yard:equity/opening", UNIT)
SOME_HASH = "5" * 64


class Books:
    """A ledger made by hand, entry after entry, right unless `changes` say otherwise."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def post(self, *postings: tuple[str, int], **changes: Any) -> Entry:
        before = self.entries[-1] if self.entries else None
        said: dict[str, Any] = {
            "network": NETWORK,
            "coop": COOP,
            "entry_id": f"e{len(self.entries) + 1}",
            "kind": "ordinary",
            "postings": tuple(
                Posting(account=f"{COOP}:{path}", unit=UNIT, amount=amount)
                for path, amount in postings
            ),
            "memo": "",
            "cause": None,
            "corrects": None,
            "effective_on": None,
            "sequence": len(self.entries) + 1,
            "recorded_ms": 1_000 + len(self.entries),
            "world_ms": 2_000 + len(self.entries),
            "by": "yard/ada",
            "previous": before.hash if before else FIRST_PREVIOUS,
            "hash": FIRST_PREVIOUS,
        }
        told = changes.pop("hash", None)
        entry = Entry(**said | changes)
        entry = entry.model_copy(update={"hash": told or entry_hash(entry)})
        self.entries.append(entry)
        return entry


@pytest.fixture
def books() -> Books:
    """A ledger in which Ada and Bo have something, and so has the reserve."""
    made = Books()
    made.post(("equity/opening", -1_000), ("member/ada", 600), ("member/bo", 400))
    made.post(("equity/opening", -5_000), ("reserve", 5_000))
    made.post(("member/ada", -100), ("member/bo", 100))
    return made


def audited(books: Books) -> LedgerAudit:
    audit = LedgerAudit(network=NETWORK, coop=COOP)
    audit.floors[OPENING] = -1_000_000
    for entry in books.entries:
        audit.add(entry)
    return audit


def wrong(audit: LedgerAudit) -> dict[str, str]:
    """Return what an audit found, by the check that found it."""
    return {check.name: check.actual for check in audit.checks() if not check.ok}


def posting(path: str, amount: int, *, unit: str = UNIT, coop: str = COOP) -> Posting:
    return Posting(account=f"{coop}:{path}", unit=unit, amount=amount)


def cause(kind: str) -> Cause | None:
    return Cause.model_validate({"kind": kind, "id": SOME_HASH}) if kind else None


def said_of(entry: Entry, **changes: Any) -> EntryPosted:
    """Return what the journal says of an entry, but for the `changes`."""
    return EntryPosted(
        **{name: getattr(entry, name) for name in EntryPosted.model_fields} | changes
    )


def view(account: str = "member/ada", balance: int = 500, *, sequence: int = 3) -> AccountView:
    return AccountView(
        account=f"{COOP}:{account}",
        unit=UNIT,
        balance=balance,
        held=0,
        available=balance,
        floor=0,
        closed=False,
        decision=None,
        sequence=sequence,
    )


def configured(**changes: Any) -> AccountConfigured:
    said = {"coop": COOP, "account": "yard:member/ada", "unit": UNIT, "floor": 0}
    return AccountConfigured(**said | {"closed": False, "decision": SOME_HASH} | changes)


def test_a_ledger_that_is_right_passes_every_check(books: Books) -> None:
    books.post(("reserve", -5_000), ("vendor/roof", 5_000), kind="decided", cause=cause("decision"))
    hold = Cause(kind="hold", id="h1")
    books.post(("member/bo", -50), ("member/ada", 50), kind="bound", cause=hold)
    corrects = {"kind": "correction", "corrects": books.entries[2].hash}
    last = books.post(("member/bo", 100), ("member/ada", -100), **corrects)
    audit = audited(books)
    assert (audit.sequence, audit.hash) == (6, last.hash)
    assert audit.balances["yard:member/bo", UNIT] == 550
    total = audit.totals()[UNIT]
    assert (total.accounts, total.positive, total.negative, total.sum) == (5, 6_000, -6_000, 0)

    audit.decided(4)
    audit.corrected(last, books.entries[2])
    audit.announced(said_of(last), last)
    audit.shown(view("member/bo", 550))
    assert audit.checks() == tuple(
        Check(name=name, ok=True, expected=expected, actual=actual)
        for name, expected, actual in (
            (
                "chain",
                "each entry cites the one before, and its hash is that of what it says",
                "so in all 6",
            ),
            ("balanced", "the postings of each entry sum to zero in each unit", "so in all 6"),
            (
                "well-formed",
                "each posting is of this coop's accounts, of a known unit, and once",
                "so in all 6",
            ),
            ("times", "no entry is recorded before an earlier one", "so in all 6"),
            (
                "rights",
                (
                    "a treasury is debited by decision,"
                    " a member's account by the member or by decision"
                ),
                "so in all 5",
            ),
            (
                "floors",
                "no debit takes an account below its floor, and nothing is posted to a closed one",
                "so in all 13",
            ),
            ("bounds", "no balance is beyond 2^53 - 1", "so in all 13"),
            (
                "causes",
                "each decided, bound or correcting entry cites what it is for",
                "so in all 6",
            ),
            ("decisions", "each cited decision verifies and says exactly this", "so in all 1"),
            ("corrections", "each corrected entry is there", "so in all 1"),
            ("journal", "the journal has each entry with this very hash", "so in all 1"),
            ("accounts", "each account has what its entries make", "so in all 1"),
            ("sum-zero", "0 in each unit", "usd-cents 0"),
        )
    )


def test_a_ledger_without_entries_has_nothing_to_look_at() -> None:
    audit = LedgerAudit(network=NETWORK, coop=COOP)
    nothing = Check(name="sum-zero", ok=True, expected="0 in each unit", actual="nothing posted")
    assert audit.checks() == (nothing,) and audit.totals() == {}
    first = Books().post(("member/ada", 0), ("rent", 0), recorded_ms=0, world_ms=0)
    audit.add(first)
    assert "times" not in wrong(audit), "time begins at 0"


ELSEWHERE = "b" * 26


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {}),
        ({"network": ELSEWHERE}, {"chain": f"entry 4: it is of yard in network {ELSEWHERE}"}),
        (
            {"coop": "shed", "by": "shed/ada"},
            {"chain": f"entry 4: it is of shed in network {NETWORK}"},
        ),
        ({"sequence": 3}, {"chain": "entry 3: it comes after 3"}),
        ({"sequence": 5}, {"chain": "entry 5: it comes after 3"}),
        ({"previous": SOME_HASH}, {"chain": "entry 4: it does not cite the one before"}),
        ({"hash": SOME_HASH}, {"chain": "entry 4: its hash is not that of what it says"}),
        # Of several lies about the chain the first is told.
        (
            {"network": ELSEWHERE, "sequence": 5, "previous": SOME_HASH, "hash": SOME_HASH},
            {"chain": f"entry 5: it is of yard in network {ELSEWHERE}"},
        ),
        (
            {"sequence": 5, "previous": SOME_HASH, "hash": SOME_HASH},
            {"chain": "entry 5: it comes after 3"},
        ),
        (
            {"previous": SOME_HASH, "hash": SOME_HASH},
            {"chain": "entry 4: it does not cite the one before"},
        ),
        ({"recorded_ms": 1_002, "world_ms": 2_002}, {}),
        ({"recorded_ms": 1_001}, {"times": "entry 4: it was recorded before the one before"}),
        ({"world_ms": 2_001}, {"times": "entry 4: it was recorded before the one before"}),
    ],
)
def test_each_lie_about_an_entry_is_found(books: Books, changes: Any, found: Any) -> None:
    books.post(("member/ada", -10), ("member/bo", 10), **changes)
    assert wrong(audited(books)) == found


CAUSES = ("", "decision", "hold", "receipt", "agreement", "exchange", "ruling")
MAY_CITE = {
    "decided": {"decision"},
    "bound": {"hold", "receipt", "agreement", "exchange"},
    "ordinary": {"", "receipt", "agreement"},
    "correction": set(CAUSES),
}


@pytest.mark.parametrize("kind", MAY_CITE)
def test_each_kind_of_entry_cites_what_it_may_be_for(books: Books, kind: str) -> None:
    corrects = books.entries[2].hash if kind == "correction" else None
    for named in CAUSES:
        changes: Any = {"kind": kind, "cause": cause(named), "corrects": corrects}
        books.post(("member/ada", -10), ("member/bo", 10), **changes)
        found = f"entry 4: {kind}, for {named or 'nothing'}"
        assert wrong(audited(books)) == ({} if named in MAY_CITE[kind] else {"causes": found})
        books.entries.pop()


def test_a_correction_and_nothing_that_is_posted_for_its_own_sake_corrects(books: Books) -> None:
    books.post(("member/ada", -10), ("member/bo", 10), kind="correction")
    books.post(("member/ada", -10), ("member/bo", 10), corrects=SOME_HASH, cause=cause("receipt"))
    assert wrong(audited(books)) == {
        "causes": "entry 4: correction, for nothing; entry 5: ordinary, for receipt"
    }


@pytest.mark.parametrize(
    ("account", "kind", "by", "may"),
    [
        ("member/ada", "ordinary", "yard/ada", True),
        ("member/ada/savings", "ordinary", "yard/ada", True),
        ("member/ada", "ordinary", "yard/bo", False),
        ("member/ada/savings", "ordinary", "yard/bo", False),
        ("member/adam", "ordinary", "yard/ada", False),
        ("member/ada", "ordinary", "shed/ada", False),
        ("member/ada", "ordinary", "-", False),
        ("member/ada", "bound", "yard/bo", True),
        ("member/ada", "decided", "-", True),
        ("income", "ordinary", "yard/bo", True),
        ("reserved", "ordinary", "yard/bo", True),
        *((root, kind, "yard/ada", False) for root in TREASURY for kind in ("ordinary", "bound")),
        *((f"{root}/2026", "ordinary", "yard/ada", False) for root in TREASURY),
        *((root, "decided", "yard/ada", True) for root in TREASURY),
    ],
)
def test_who_may_debit_an_account(account: str, kind: str, by: str, may: bool) -> None:
    cited = {"decided": "decision", "bound": "agreement"}.get(kind, "")
    books = Books()
    books.post((account, -1), ("equity/opening", 1), kind=kind, by=by, cause=cause(cited))
    audit = LedgerAudit(network=NETWORK, coop=COOP)
    audit.floors[f"{COOP}:{account}", UNIT] = -1
    audit.add(books.entries[0])
    found = {"rights": f"entry 1: {by} debits yard:{account}"}
    assert wrong(audit) == ({} if may else found)


@pytest.mark.parametrize(
    ("postings", "found"),
    [
        (
            [posting("member/ada", -10), posting("member/bo", 11)],
            {"balanced": "entry 4: usd-cents 1", "sum-zero": "usd-cents 1"},
        ),
        (
            [
                posting("equity/opening", -2, unit="commons-credits"),
                posting("equity/opening", 3),
                posting("member/bo", 5),
            ],
            {
                "balanced": "entry 4: commons-credits -2, usd-cents 8",
                "floors": "entry 4: yard:equity/opening has -2 commons-credits, its floor is 0",
                "sum-zero": "commons-credits -2, usd-cents 8",
            },
        ),
        (
            [posting("income", 5, coop="shed"), posting("equity/opening", -5)],
            {"well-formed": "entry 4: account shed:income"},
        ),
        (
            [posting("income", 0, coop="yardstick"), posting("member/ada", 0)],
            {"well-formed": "entry 4: nothing, or twice, for yard:member/ada"},
        ),
        (
            [posting("member/ada", 0), posting("income", 0, unit="shells", coop="shed")],
            {"well-formed": "entry 4: unit shells"},
        ),
        (
            [posting("member/ada", -5), posting("member/ada", -5), posting("member/bo", 10)],
            {"well-formed": "entry 4: nothing, or twice, for yard:member/ada"},
        ),
        # Nothing is no debit, whoever's it is.
        (
            [posting("reserve", 0), posting("member/bo", 0)],
            {"well-formed": "entry 4: nothing, or twice, for yard:member/bo"},
        ),
        ([posting("member/ada", -500), posting("member/bo", 500)], {}),
        (
            [posting("member/ada", -501), posting("member/bo", 501)],
            {"floors": "entry 4: yard:member/ada has -1 usd-cents, its floor is 0"},
        ),
    ],
)
def test_each_wrong_posting_is_found(books: Books, postings: Any, found: Any) -> None:
    books.post(postings=tuple(postings))
    assert wrong(audited(books)) == found


@pytest.mark.parametrize("sign", [1, -1])
def test_no_balance_is_beyond_what_every_reader_of_json_has(sign: int) -> None:
    books, audit = Books(), LedgerAudit(network=NETWORK, coop=COOP)
    audit.floors |= dict.fromkeys([OPENING, ("yard:income", UNIT)], -2 * SAFE_INT_MAX)
    for amount in (SAFE_INT_MAX, 1):
        assert wrong(audit) == {}
        audit.add(books.post(("equity/opening", -sign * amount), ("income", sign * amount)))
    assert wrong(audit) == {
        "bounds": f"entry 2: yard:equity/opening has {-sign * (SAFE_INT_MAX + 1)};"
        f" entry 2: yard:income has {sign * (SAFE_INT_MAX + 1)}"
    }


def test_each_unit_is_added_up_by_itself_and_told_in_order() -> None:
    units = ["shells", "usd-cents", "commons-credits", "hours", "kwh", "eggs", "tokens"]
    books = Books()
    for number, unit in enumerate(units, 1):
        books.post(
            postings=(
                posting("equity/opening", -number, unit=unit),
                posting("income", number + (unit == "hours"), unit=unit),
                posting("rent", 0, unit=unit),
            )
        )
    totals = audited(books).totals()
    assert list(totals) == sorted(units)
    assert (totals["kwh"].accounts, totals["kwh"].positive, totals["kwh"].negative) == (3, 5, -5)
    assert [unit for unit, total in totals.items() if total.sum] == ["hours"]
    assert wrong(audited(books))["sum-zero"] == (
        "commons-credits 0, eggs 0, hours 1, kwh 0, shells 0, tokens 0, usd-cents 0"
    )


def test_an_entry_left_out_or_two_in_another_order_are_found(books: Books) -> None:
    first, second, third = books.entries
    for entries, found in (
        ([first, third], "entry 3: it comes after 1"),
        ([first, third, second], "entry 3: it comes after 1; entry 2: it comes after 3"),
        ([second, third], "entry 2: it comes after 0"),
    ):
        books.entries = entries
        assert wrong(audited(books))["chain"] == found


def test_floors_and_closings_count_from_where_they_were_decided(books: Books) -> None:
    audit = audited(books)
    audit.configured(configured(floor=-100))
    audit.add(books.post(("member/ada", -600), ("member/bo", 600)))
    audit.configured(configured())
    audit.add(books.post(("member/ada", 10), ("member/bo", -10), by="yard/bo"))
    assert wrong(audit) == {}, "it might owe 100, and what is below a raised floor may be paid in"
    audit.add(books.post(("member/ada", 0), ("member/bo", 0)))
    assert "floors" not in wrong(audit), "nothing is no debit"
    audit.add(books.post(("member/ada", -1), ("member/bo", 1)))
    below = "entry 7: yard:member/ada has -91 usd-cents, its floor is 0"
    assert wrong(audit)["floors"] == below
    audit.configured(configured(closed=True))
    audit.add(books.post(("member/ada", -10), ("member/bo", 10)))
    assert wrong(audit)["floors"] == f"{below}; entry 8: yard:member/ada is closed"
    audit.configured(configured(floor=-200))
    audit.add(books.post(("member/ada", 10), ("member/bo", -10), by="yard/bo"))
    assert wrong(audit)["floors"].endswith("entry 8: yard:member/ada is closed"), "no longer"


def test_what_the_journal_says_is_compared(books: Books) -> None:
    first, second, third = books.entries
    for changes in ({"hash": SOME_HASH}, {"sequence": 2}, {"postings": third.postings}):
        audit = audited(books)
        audit.announced(said_of(first), first)
        assert wrong(audit) == {}
        audit.announced(
            said_of(second, **{"sequence": 1} if "sequence" in changes else changes), second
        )
        assert wrong(audit) == {"journal": "entry 2: the journal has another entry"}
    audit = audited(books)
    audit.unannounced(2)
    audit.missing(4)
    assert wrong(audit) == {
        "journal": "entry 2: the journal does not have it;"
        " entry 4: the journal has it, and the ledger does not"
    }


def test_an_account_is_compared_unless_a_later_entry_touched_it(books: Books) -> None:
    audit = audited(books)
    audit.shown(view(balance=700, sequence=4))
    audit.shown(view(balance=500))
    audit.shown(view("rent", 0))
    assert wrong(audit) == {}, "entry 4 is not in the audited part"
    audit.shown(view(balance=700, sequence=3))
    audit.shown(view("rent", 5))
    audit.not_shown("yard:member/bo", UNIT)
    assert wrong(audit) == {
        "accounts": "yard:member/ada usd-cents: the node says 700, its entries 500;"
        " yard:rent usd-cents: the node says 5, its entries 0;"
        " yard:member/bo usd-cents: the node does not show it"
    }


def test_what_a_decision_gives_the_right_to_the_caller_found_out(books: Books) -> None:
    audit = audited(books)
    audit.decided(1)
    assert wrong(audit) == {}
    audit.decided(2, why_not="it was rejected")
    assert wrong(audit) == {"decisions": "entry 2: it was rejected"}


def test_what_is_corrected_is_there_as_it_was_and_came_earlier(books: Books) -> None:
    first, second, third = books.entries
    last = books.post(("member/ada", 1), ("member/bo", -1), corrects=second.hash)

    def at(entry: Entry, **changes: Any) -> Entry:
        return entry.model_copy(update=changes)

    not_there = "entry 4: what it corrects is not there"
    later = "what it corrects came later"
    for entry, other, why in (
        (last, second, ""),
        (last, None, not_there),
        (last, first, not_there),
        (last, at(second, memo="another"), not_there),
        (at(second, corrects=third.hash), third, f"entry 2: {later}"),
        (at(third, corrects=third.hash), third, f"entry 3: {later}"),
        (at(last, corrects=third.hash), third, ""),
    ):
        audit = audited(books)
        audit.corrected(entry, other)
        assert wrong(audit).get("corrections", "") == why


def test_memory_does_not_grow_with_the_entries() -> None:
    def peak(count: int) -> int:
        books, audit = Books(), LedgerAudit(network=NETWORK, coop=COOP)
        audit.floors[OPENING] = -SAFE_INT_MAX
        tracemalloc.start()
        try:
            for number in range(count):
                postings = (("equity/opening", -1), (f"member/m{number % 10}", 1))
                audit.add(books.post(*postings, sequence=number + 1, entry_id=f"e{number}"))
                del books.entries[:-1]
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert audit.sequence == count and wrong(audit) == {}
        return most

    assert peak(3_000) < peak(200) + 200_000

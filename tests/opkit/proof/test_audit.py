"""An audit finds whatever is wrong with a ledger, and keeps nothing of it but balances."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from opkit.proof.audit import LedgerAudit
from opkit.proof.findings import SHOWN_MAX
from opkit.proof.ledger import entry_hash
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.ledger import (
    FIRST_PREVIOUS,
    AccountConfigured,
    AccountView,
    Cause,
    Entry,
    EntryPosted,
    Posting,
)

NETWORK = "a" * 26
COOP = "yard"
OPENING = ("yard:equity/opening", "usd-cents")
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
                Posting(account=f"{COOP}:{path}", unit="usd-cents", amount=amount)
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


def test_a_ledger_that_is_right_passes_every_check(books: Books) -> None:
    decision = Cause(kind="decision", id=SOME_HASH)
    books.post(("reserve", -5_000), ("vendor/roof", 5_000), kind="decided", cause=decision)
    hold = Cause(kind="hold", id="h1")
    books.post(("member/bo", -50), ("member/ada", 50), kind="bound", cause=hold)
    books.post(
        ("member/bo", 100),
        ("member/ada", -100),
        kind="correction",
        corrects=books.entries[2].hash,
    )
    audit = audited(books)
    assert wrong(audit) == {}
    assert {check.name for check in audit.checks()} >= {"chain", "balanced", "floors", "sum-zero"}
    assert (audit.sequence, audit.hash) == (6, books.entries[-1].hash)
    assert audit.balances["yard:member/bo", "usd-cents"] == 550
    total = audit.totals()["usd-cents"]
    assert (total.accounts, total.positive, total.negative, total.sum) == (5, 6_000, -6_000, 0)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"network": "b" * 26}, "chain"),
        ({"coop": "shed"}, "chain"),
        ({"sequence": 5}, "chain"),
        ({"previous": SOME_HASH}, "chain"),
        ({"hash": SOME_HASH}, "chain"),
        ({"recorded_ms": 999}, "times"),
        ({"world_ms": 1_999}, "times"),
        ({"kind": "decided"}, "causes"),
        ({"kind": "bound"}, "causes"),
        ({"kind": "correction"}, "causes"),
        ({"corrects": SOME_HASH}, "causes"),
        ({"cause": Cause(kind="decision", id=SOME_HASH)}, "causes"),
        ({"by": "yard/bo"}, "rights"),
        ({"by": "-"}, "rights"),
    ],
)
def test_each_lie_about_an_entry_is_found(books: Books, changes: Any, name: str) -> None:
    books.post(("member/ada", -10), ("member/bo", 10), **changes)
    found = wrong(audited(books))
    assert name in found
    assert f"entry {changes.get('sequence', 4)}: " in found[name]


@pytest.mark.parametrize(
    ("postings", "name"),
    [
        ((("member/ada", -10), ("member/bo", 11)), "balanced"),
        ((("member/ada", -501), ("member/bo", 501)), "floors"),
        ((("reserve", -1), ("member/bo", 1)), "rights"),
        ((("surplus/2026", -1), ("member/bo", 1)), "rights"),
        ((("member/ada", -5), ("member/ada", -5), ("member/bo", 10)), "well-formed"),
        ((("member/ada", 0), ("member/bo", 0)), "well-formed"),
        ((("member/ada", SAFE_INT_MAX), ("equity/opening", -SAFE_INT_MAX)), "bounds"),
    ],
)
def test_each_wrong_posting_is_found(books: Books, postings: Any, name: str) -> None:
    books.post(*postings)
    assert name in wrong(audited(books))


def test_accounts_of_others_and_unknown_units_are_found(books: Books) -> None:
    books.post(
        postings=(
            Posting(account="shed:income", unit="usd-cents", amount=5),
            Posting(account="yard:equity/opening", unit="usd-cents", amount=-5),
        )
    )
    assert "account shed:income" in wrong(audited(books))["well-formed"]
    books.entries.pop()
    books.post(
        postings=(
            Posting(account="yard:income", unit="shells", amount=5),
            Posting(account="yard:equity/opening", unit="shells", amount=-5),
        )
    )
    assert "unit shells" in wrong(audited(books))["well-formed"]


def test_an_entry_left_out_or_two_in_another_order_are_found(books: Books) -> None:
    left_out = Books()
    left_out.entries = [books.entries[0], books.entries[2]]
    assert "it comes after 1" in wrong(audited(left_out))["chain"]
    swapped = Books()
    swapped.entries = [books.entries[0], books.entries[2], books.entries[1]]
    assert "chain" in wrong(audited(swapped))


def test_floors_and_closings_count_from_where_they_were_decided(books: Books) -> None:
    def configured(**changes: Any) -> AccountConfigured:
        said = {"coop": COOP, "account": "yard:member/ada", "unit": "usd-cents", "floor": 0}
        return AccountConfigured(**said | {"closed": False, "decision": SOME_HASH} | changes)

    audit = audited(books)
    audit.configured(configured(floor=-100))
    audit.add(books.post(("member/ada", -600), ("member/bo", 600)))
    assert wrong(audit) == {}, "it may owe 100 now"
    audit.configured(configured())
    audit.add(books.post(("member/ada", 10), ("member/bo", -10), by="yard/bo"))
    assert wrong(audit) == {}, "what is below a raised floor may be paid in"
    audit.configured(configured(closed=True))
    audit.add(books.post(("member/ada", 10), ("member/bo", -10), by="yard/bo"))
    assert "yard:member/ada is closed" in wrong(audit)["floors"]


def test_what_the_journal_says_is_compared(books: Books) -> None:
    def said(entry: Entry, **changes: Any) -> EntryPosted:
        fields = {name: getattr(entry, name) for name in EntryPosted.model_fields}
        return EntryPosted(**fields | changes)

    audit, (first, *_) = audited(books), books.entries
    audit.announced(said(first), first)
    assert wrong(audit) == {}
    for changes in ({"hash": SOME_HASH}, {"sequence": 2}, {"postings": books.entries[2].postings}):
        audit.announced(said(first, **changes), first)
    audit.unannounced(2)
    audit.missing(4)
    found = wrong(audit)["journal"]
    assert "another entry" in found and "does not have it" in found and "entry 4" in found


def test_an_account_is_compared_unless_a_later_entry_touched_it(books: Books) -> None:
    shown = AccountView(
        account="yard:member/ada",
        unit="usd-cents",
        balance=700,
        held=0,
        available=700,
        floor=0,
        closed=False,
        decision=None,
        sequence=4,
    )
    audit = audited(books)
    audit.shown(shown)
    assert wrong(audit) == {}, "entry 4 is not in the audited part"
    audit.shown(shown.model_copy(update={"sequence": 3}))
    assert wrong(audit) == {
        "accounts": "yard:member/ada usd-cents: the node says 700, its entries 500"
    }
    audit.not_shown("yard:member/bo", "usd-cents")
    assert wrong(audit)["accounts"].endswith("the node does not show it")


def test_decisions_and_corrected_entries_are_what_the_caller_found(books: Books) -> None:
    audit, first = audited(books), books.entries[0]
    audit.decided(1)
    correction = books.post(("member/ada", 1), ("member/bo", -1), corrects=first.hash)
    audit.corrected(correction, first)
    assert wrong(audit) == {}
    audit.decided(2, why_not="it was rejected")
    audit.corrected(correction, None)
    audit.corrected(first, correction)
    forged = first.model_copy(update={"memo": "another"})
    audit.corrected(correction, forged)
    found = wrong(audit)
    assert "it was rejected" in found["decisions"]
    assert found["corrections"].count("not there") == 3


def test_what_is_corrected_came_earlier(books: Books) -> None:
    audit, later = audited(books), books.entries[2]
    audit.corrected(books.entries[1].model_copy(update={"corrects": later.hash}), later)
    assert "came later" in wrong(audit)["corrections"]


def test_many_findings_are_counted_and_a_few_told(books: Books) -> None:
    for _ in range(20):
        books.post(("member/ada", -1), ("member/bo", 2))
    found = wrong(audited(books))["balanced"]
    assert found.count("entry ") == SHOWN_MAX and f"and {20 - SHOWN_MAX} more" in found


def test_memory_does_not_grow_with_the_entries() -> None:
    def peak(count: int) -> int:
        books, audit = Books(), LedgerAudit(network=NETWORK, coop=COOP)
        audit.floors[OPENING] = -SAFE_INT_MAX
        tracemalloc.start()
        for number in range(count):
            postings = (("equity/opening", -1), (f"member/m{number % 10}", 1))
            audit.add(books.post(*postings, sequence=number + 1, entry_id=f"e{number}"))
            del books.entries[:-1]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert audit.sequence == count and wrong(audit) == {}
        return most

    assert peak(4_000) < peak(200) + 200_000

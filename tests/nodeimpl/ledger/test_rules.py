"""Who may post what, what an entry must be like, what an account bears: boundaries and order."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nodeimpl.ledger import rules
from nodeimpl.ledger.rules import Account, Draft, Limits, Right
from opkit.wire import ledger as wire
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.errors import Refusal
from tests.nodeimpl.judged import refused

COOP = "yard"
OFFICER = Right(by="yard/cleo", kind="coop")
MEMBER = Right(by="yard/ada", kind="own")
DECIDED = Right(by="-", kind="decision")
HELD = Right(by="yard/ada", kind="hold")
BY_THE_NODE = (DECIDED, HELD, Right(by="-", kind="exchange"))


def posting(path: str, amount: int, unit: str = "usd-cents") -> wire.Posting:
    account = path if ":" in path else f"{COOP}:{path}"
    return wire.Posting(account=account, unit=unit, amount=amount)


def draft(*postings: wire.Posting, **changes: Any) -> Draft:
    fine = (posting("expense/roof", -5), posting("vendor/roofer", 5))
    plain = Draft(
        coop=COOP,
        entry_id="e1",
        kind="ordinary",
        postings=postings or fine,
        memo="",
        cause=None,
        corrects=None,
        effective_on=None,
    )
    return replace(plain, **changes)


def judge(one: Draft, right: Right = OFFICER) -> None:
    rules.judge_form(one, right)
    rules.judge_right(COOP, one.postings, right)


def account(**changes: Any) -> Account:
    plain = Account(
        number=1,
        path="member/ada",
        unit="usd-cents",
        balance=100,
        held=0,
        floor=0,
        closed=False,
        decision=None,
        sequence=1,
    )
    return replace(plain, **changes)


WRONG: dict[type[Refusal], tuple[dict[str, Any], tuple[wire.Posting, ...]]] = {
    wire.UnitUnknown: (
        {"unit": "shells"},
        (posting("expense/a", -1, "shells"), posting("expense/b", 1, "shells")),
    ),
    wire.AccountForeign: (
        {"account": "mill:expense/c"},
        (posting("mill:expense/c", -1), posting("expense/d", 1)),
    ),
    wire.Unbalanced: (
        {"unit": "commons-credits", "sum": "7"},
        (posting("expense/e", 7, "commons-credits"),),
    ),
    wire.EntryMalformed: ({"why": "a posting of 0"}, (posting("expense/f", 0),)),
    wire.DecisionRequired: (
        {"account": "yard:reserve/2026"},
        (posting("reserve/2026", -1), posting("expense/g", 1)),
    ),
    wire.AccountNotYours: (
        {"account": "yard:member/bo", "member_id": "yard/cleo"},
        (posting("member/bo", -1), posting("expense/h", 1)),
    ),
}
"""Postings that are refused, and the refusals' fields, in order of precedence."""


@pytest.mark.parametrize("leaf", WRONG)
def test_each_wrong_entry_has_its_own_refusal(leaf: type[Refusal]) -> None:
    details, rows = WRONG[leaf]
    with refused(leaf, **details):
        judge(draft(posting("expense/y", -1), posting("expense/z", 1), *rows))


@pytest.mark.parametrize(("first", "second"), list(combinations(WRONG, 2)))
def test_of_two_refusals_the_first_is_given(first: type[Refusal], second: type[Refusal]) -> None:
    details, rows = WRONG[first]
    others = WRONG[second][1]
    for both in ((*rows, *others), (*others, *rows)):
        with refused(first, **details):
            judge(draft(*both))


def test_what_posts_nothing_is_no_entry_whoever_posts_it() -> None:
    for right in (OFFICER, MEMBER, *BY_THE_NODE):
        for rows in ((), (posting("expense/a", 0),)):
            with refused(wire.EntryMalformed, why="fewer than two postings"):
                judge(replace(draft(), postings=rows), right)


@pytest.mark.parametrize("path", ["reserve", "reserve/2026-q1", "surplus", "surplus/2026-q1/7"])
def test_a_treasury_is_debited_by_decision_only(path: str) -> None:
    spend = draft(posting(path, -5), posting("vendor/roofer", 5))
    for right in (OFFICER, MEMBER):
        with pytest.raises(wire.DecisionRequired):
            judge(spend, right)
    judge(spend, DECIDED)
    # Anybody may pay into it; what takes nothing is no debit.
    judge(draft(posting(path, 5), posting("income/dues", -5)), OFFICER)
    rules.judge_right(COOP, (posting(path, 0),), OFFICER)


@pytest.mark.parametrize("path", ["reserved", "reserve-fund/a", "surpluses"])
def test_what_only_begins_like_a_treasury_is_none(path: str) -> None:
    judge(draft(posting(path, -5), posting("vendor/roofer", 5)), OFFICER)


def test_a_member_debits_their_own_account_and_no_other() -> None:
    own = (posting("member/ada", -5), posting("vendor/roofer", 5))
    under = (posting("member/ada/savings", -5), posting("member/ada", 5))
    judge(draft(*own), MEMBER)
    judge(draft(*under), MEMBER)
    for right in (OFFICER, replace(MEMBER, by="yard/ad"), replace(MEMBER, by="mill/ada")):
        with pytest.raises(wire.AccountNotYours):
            judge(draft(*own), right)
    with pytest.raises(wire.AccountNotYours):
        judge(draft(posting("expense/roof", -5), posting("member/ada", 5)), MEMBER)
    with pytest.raises(wire.AccountNotYours):
        judge(draft(posting("member", -5), posting("member/ada", 5)), MEMBER)
    for right in BY_THE_NODE:
        judge(draft(*own), right)


def test_ids_and_causes_of_decisions_and_holds_are_theirs() -> None:
    for entry_id in ("hold:h1", "decision:abc", "exchange:abc"):
        with refused(
            wire.EntryMalformed, why="ids that begin so are of holds, decisions and exchanges"
        ):
            judge(draft(entry_id=entry_id))
    for kind in ("decision", "hold", "exchange", "ruling"):
        cause = wire.Cause(kind=kind, id="ab" * 32)
        with refused(wire.EntryMalformed, why=f"an entry for a {kind} is not posted by hand"):
            judge(draft(cause=cause))
        for right in BY_THE_NODE:
            judge(draft(entry_id=f"{kind}:abc", cause=cause), right)
    judge(draft(cause=wire.Cause(kind="receipt", id="ab" * 32)))
    judge(draft(cause=wire.Cause(kind="agreement", id="tools-2026")))


def test_an_account_has_one_posting_in_each_unit() -> None:
    with pytest.raises(wire.EntryMalformed, match="two postings"):
        judge(draft(posting("expense/a", -5), posting("expense/a", 2), posting("vendor/b", 3)))
    judge(
        draft(
            *(posting("expense/a", -5, unit) for unit in wire.UNITS),
            *(posting("vendor/b", 5, unit) for unit in wire.UNITS),
        )
    )


@pytest.mark.parametrize("amount", [2**53, -(2**53), 2**63, -(2**63), 2**64, 1.0, "5", True])
def test_an_amount_that_is_no_safe_whole_number_is_no_posting(amount: Any) -> None:
    with pytest.raises(ValidationError):
        wire.Posting.model_validate(
            {"account": "yard:member/ada", "unit": "usd-cents", "amount": amount}
        )


@pytest.mark.parametrize("amount", [SAFE_INT_MAX, -SAFE_INT_MAX])
def test_the_greatest_amounts_are_taken_whole(amount: int) -> None:
    text = wire.Posting(account="yard:a", unit="usd-cents", amount=amount).model_dump_json()
    assert wire.Posting.model_validate_json(text).amount == amount


def test_what_is_given_stops_at_the_floor_and_at_what_is_held() -> None:
    rules.judge_funds(account(), -100, coop=COOP)
    rules.judge_funds(account(held=30), -70, coop=COOP)
    rules.judge_funds(account(floor=-50, held=30), -120, coop=COOP)
    for short, amount in (
        (account(), -101),
        (account(held=30), -71),
        (account(floor=-50, held=30), -121),
        (account(floor=1), -100),
    ):
        with pytest.raises(wire.Overdrawn) as no:
            rules.judge_funds(short, amount, coop=COOP)
        assert no.value.details() == {
            "account": "yard:member/ada",
            "unit": "usd-cents",
            "balance": short.balance,
            "held": short.held,
            "floor": short.floor,
            "amount": amount,
        }


def test_an_account_below_its_floor_takes_what_it_gets() -> None:
    rules.judge_funds(account(balance=-10), 1, coop=COOP)
    with pytest.raises(wire.Overdrawn):
        rules.judge_funds(account(balance=-10), -1, coop=COOP)


@given(
    balance=st.integers(-SAFE_INT_MAX, SAFE_INT_MAX),
    amount=st.integers(-SAFE_INT_MAX, SAFE_INT_MAX),
    held=st.integers(0, SAFE_INT_MAX),
    floor=st.integers(-SAFE_INT_MAX, SAFE_INT_MAX),
)
def test_no_debit_that_is_taken_leaves_an_account_below_its_floor_or_what_is_held(
    balance: int, amount: int, held: int, floor: int
) -> None:
    one = account(balance=balance, held=held, floor=floor)
    try:
        rules.judge_funds(one, amount, coop=COOP)
        rules.judge_bounds(one, amount, coop=COOP)
    except (wire.Overdrawn, wire.BalanceOutOfBounds):
        fits = amount >= 0 or balance + amount - held >= floor
        assert not (fits and abs(balance + amount) <= SAFE_INT_MAX)
        return
    assert amount >= 0 or balance + amount >= floor + held
    assert abs(balance + amount) <= SAFE_INT_MAX


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["expense/a", "expense/b", "vendor/c", "member/ada"]),
            st.sampled_from(wire.UNITS),
            st.integers(-SAFE_INT_MAX, SAFE_INT_MAX),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_only_what_sums_to_zero_in_each_unit_is_an_entry(
    rows: list[tuple[str, str, int]],
) -> None:
    one = draft(*(posting(path, amount, unit) for path, unit, amount in rows))
    sums = {unit: sum(a for _, u, a in rows if u == unit) for _, unit, _ in rows}
    said = refusal_of(one)
    if isinstance(said, wire.Unbalanced):
        assert sums[said.unit] == int(said.sum) != 0
        return
    assert not any(sums.values())
    malformed = len({row[:2] for row in rows}) < len(rows) or any(not a for _, _, a in rows)
    assert malformed == isinstance(said, wire.EntryMalformed)


def refusal_of(one: Draft) -> Refusal | None:
    try:
        rules.judge_form(one, DECIDED)
    except Refusal as no:
        return no
    return None


def test_balances_and_totals_stay_within_what_every_reader_keeps() -> None:
    full, empty = account(balance=SAFE_INT_MAX - 1), account(balance=1 - SAFE_INT_MAX)
    beyond = {"account": "yard:member/ada", "unit": "usd-cents"}
    for one, amount in ((full, 1), (empty, -1)):
        rules.judge_bounds(one, amount, coop=COOP)
        with refused(wire.BalanceOutOfBounds, **beyond):
            rules.judge_bounds(one, 2 * amount, coop=COOP)
    rules.judge_total(SAFE_INT_MAX, coop=COOP, unit="usd-cents")
    with refused(wire.BalanceOutOfBounds, account="yard:", unit="usd-cents"):
        rules.judge_total(SAFE_INT_MAX + 1, coop=COOP, unit="usd-cents")


def test_a_closed_account_takes_and_gives_nothing() -> None:
    rules.judge_open(account(), coop=COOP)
    with refused(wire.AccountClosed, account="yard:member/ada", unit="usd-cents"):
        rules.judge_open(account(closed=True), coop=COOP)


def test_there_is_room_up_to_the_limits() -> None:
    limits = Limits(accounts_max=3, accounts_per_member_max=2)
    rules.judge_room(accounts=2, of_member=1, limits=limits)
    with pytest.raises(wire.AccountsFull) as no:
        rules.judge_room(accounts=3, of_member=0, limits=limits)
    assert no.value.limit == 3
    with pytest.raises(wire.AccountsFull) as no:
        rules.judge_room(accounts=0, of_member=2, limits=limits)
    assert no.value.limit == 2


def test_who_reads_what() -> None:
    rules.judge_reader(COOP, "yard/ada", whole=True, asks_own=False)
    rules.judge_reader(COOP, "yard/ada", whole=False, asks_own=True)
    rules.judge_reader(COOP, "-/auditor", whole=True, asks_own=False)
    with refused(wire.LedgerOwnOnly, member_id="yard/ada"):
        rules.judge_reader(COOP, "yard/ada", whole=False, asks_own=False)
    for asks_own in (True, False):
        with refused(wire.LedgerNotYours, coop=COOP, member_id="mill/ada"):
            rules.judge_reader(COOP, "mill/ada", whole=asks_own, asks_own=asks_own)


def test_who_audits_a_ledger_reads_it_with_a_token_for_the_whole() -> None:
    mill = frozenset({"mill"})
    rules.judge_reader(COOP, "mill/ada", whole=True, asks_own=False, auditors=mill)
    for member_id, whole in (("mill/ada", False), ("dairy/ada", True)):
        with refused(wire.LedgerNotYours, coop=COOP, member_id=member_id):
            rules.judge_reader(COOP, member_id, whole=whole, asks_own=True, auditors=mill)


def test_members_post_to_their_own_coops_ledger() -> None:
    rules.judge_poster(COOP, "yard/ada")
    for stranger in ("mill/ada", "-/operator"):
        with refused(wire.LedgerNotYours, coop=COOP, member_id=stranger):
            rules.judge_poster(COOP, stranger)


def test_what_belongs_to_an_account() -> None:
    own = rules.member_path("yard/ada")
    assert (own, rules.path_of("yard:member/ada")) == ("member/ada", "member/ada")
    for path in ("member/ada", "member/ada/savings"):
        assert rules.is_under(path, own)
    for path in ("member", "member/ad", "member/adamo", "member/bo/ada", "x/member/ada"):
        assert not rules.is_under(path, own)


ENTRY = wire.Entry(
    network="a" * 26,
    coop=COOP,
    entry_id="e1",
    kind="ordinary",
    postings=draft().postings,
    memo="",
    cause=None,
    corrects=None,
    effective_on=None,
    sequence=1,
    recorded_ms=1,
    world_ms=1,
    by="yard/cleo",
    previous=wire.FIRST_PREVIOUS,
    hash="ab" * 32,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "correction"},
        {"postings": draft().postings[::-1]},
        {"memo": "again"},
        {"cause": wire.Cause(kind="agreement", id="tools-2026")},
        {"corrects": "cd" * 32},
        {"effective_on": "2026-01-15"},
    ],
)
def test_an_entry_is_posted_again_only_by_what_says_the_same(changes: dict[str, Any]) -> None:
    assert draft().says(ENTRY)
    assert draft().says(ENTRY.model_copy(update={"by": "yard/ada"})), "whoever posted it"
    assert not draft(**changes).says(ENTRY)
    assert draft(**changes).says(ENTRY.model_copy(update=changes))


@pytest.mark.parametrize(
    ("right", "may"),
    [
        ("own", {"ordinary", "correction"}),
        ("coop", {"ordinary", "correction"}),
        ("decision", {"decided"}),
        ("hold", {"bound"}),
        ("exchange", {"bound", "correction"}),
    ],
)
def test_each_right_posts_its_own_kinds_of_entries(right: Any, may: set[str]) -> None:
    for kind in get_args(wire.EntryKind):
        with nullcontext() if kind in may else pytest.raises(AssertionError, match="posts no"):
            rules.check_judged_so_far(draft(kind=kind), Right(by="-", kind=right))


@pytest.mark.parametrize(
    "path", ["", "/", "a//b", "a/", "/a", "A", "a/b/c/d/e", "a b", "é", "a/" + "x" * 64, "a:b"]
)
def test_what_is_no_account_is_none(path: str) -> None:
    with pytest.raises(ValidationError):
        posting(f"{COOP}:{path}", 1)


@pytest.mark.parametrize("day", ["2026-02-29", "2026-13-01", "2026-1-1", "yesterday"])
def test_a_day_is_one_of_the_calendar(day: str) -> None:
    with pytest.raises(ValidationError):
        wire.PostEntry(
            coop=COOP,
            entry_id="e",
            postings=(posting("a", 1), posting("b", -1)),
            effective_on=day,
        )

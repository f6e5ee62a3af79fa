"""What a home node decides about holds: every refusal, their order, and that each ends once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.ledger import holds_rules as rules
from nodeimpl.ledger.rules import Account, Right
from opkit.proof.holds import hold_hash
from opkit.wire import holds as wire
from opkit.wire.base import SAFE_INT_MAX
from opkit.wire.errors import Refusal
from opkit.wire.holds import CreateHold, Hold
from opkit.wire.ledger import (
    AccountClosed,
    AccountForeign,
    AccountNotYours,
    DecisionRequired,
    Overdrawn,
    UnitUnknown,
)

NOW_MS = 1_800_000_000_000
ADA, BO = Right(by="yard/ada", kind="own"), Right(by="yard/bo", kind="own")
OFFICER = Right(by="yard/cleo", kind="coop")
LIMITS = rules.Limits(open_per_account_max=3)


def account(path: str, **changes: Any) -> Account:
    made = Account(
        number=1,
        path=path,
        unit="usd-cents",
        balance=100,
        held=0,
        floor=0,
        closed=False,
        decision=None,
        sequence=1,
    )
    return replace(made, **changes)


def ask(**changes: Any) -> CreateHold:
    said = {
        "coop": "yard",
        "hold_id": "h1",
        "from_account": "yard:member/ada",
        "to_account": "yard:member/bo",
        "unit": "usd-cents",
        "amount": 80,
        "lapses_at_ms": NOW_MS + 1_000,
    }
    return CreateHold(**said | changes)


def made(asked: CreateHold | None = None, *, by: str = "yard/ada", **changes: Any) -> Hold:
    said = (asked or ask()).model_dump() | {"network": "a" * 26, "by": by}
    said |= {"made_world_ms": NOW_MS, "made_ms": NOW_MS, "sequence": 1, "state": "held"}
    hold = Hold(**said | {"hash": "0" * 64} | changes)
    return hold.model_copy(update={"hash": hold_hash(hold)})


def create(asked: CreateHold | None = None, **changes: Any) -> bool:
    given: dict[str, Any] = {
        "right": ADA,
        "standing": None,
        "payer": account("member/ada"),
        "payee": account("member/bo"),
        "open_holds": 0,
        "world_ms": NOW_MS,
        "limits": LIMITS,
    }
    return rules.judge_create(asked or ask(), **given | changes)


def test_a_hold_is_made_once_and_the_very_same_ask_makes_none() -> None:
    assert create() is True
    assert create(payee=None) is True
    assert create(standing=made()) is False
    for other in (ask(amount=81), ask(memo="x"), ask(to_account="yard:income")):
        with pytest.raises(wire.HoldConflict):
            create(other, standing=made())
    with pytest.raises(wire.HoldConflict):
        create(standing=made(by="yard/bo"))
    assert create(standing=made(state="lapsed")) is False, "it is answered as it stands"


WRONG: list[tuple[type[Refusal], dict[str, Any]]] = [
    (UnitUnknown, {"asked": {"unit": "shells"}}),
    (AccountForeign, {"asked": {"to_account": "shed:income"}}),
    (wire.HoldMalformed, {"asked": {"to_account": "yard:member/ada"}}),
    (wire.HoldTermWrong, {"asked": {"lapses_at_ms": NOW_MS}}),
    (DecisionRequired, {"asked": {"from_account": "yard:reserve"}}),
    (AccountNotYours, {"right": BO}),
    (AccountClosed, {"payer": account("member/ada", closed=True)}),
    (Overdrawn, {"payer": account("member/ada", held=21)}),
    (wire.HoldsExhausted, {"open_holds": 3}),
]
"""Each refusal of a new hold, in the order in which they are declared, and what leads to it."""


def wronged(*which: int) -> None:
    """Ask for a hold with several things wrong."""
    asked: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for index in which:
        more = dict(WRONG[index][1])
        asked |= more.pop("asked", {})
        changes |= more
    create(ask(**asked), **changes)


@pytest.mark.parametrize("index", range(len(WRONG)))
def test_each_refusal_of_a_new_hold(index: int) -> None:
    with pytest.raises(WRONG[index][0]):
        wronged(index)


SAME_FIELD = {(1, 2), (2, 4), (6, 7)}
"""Pairs that cannot both be so: they are about one field."""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (first, second)
        for first in range(len(WRONG))
        for second in range(first + 1, len(WRONG))
        if (first, second) not in SAME_FIELD
    ],
)
def test_of_two_refusals_the_first_is_given(first: int, second: int) -> None:
    with pytest.raises(WRONG[first][0]):
        wronged(first, second)


def test_refusals_stand_in_the_endpoint_in_this_order() -> None:
    declared = [kind for kind in wire.CREATE_HOLD.refuses if kind in {kind for kind, _ in WRONG}]
    assert declared == [kind for kind, _ in WRONG]


def test_a_term_is_bounded_and_both_accounts_have_to_be_open() -> None:
    assert create(ask(lapses_at_ms=NOW_MS + wire.HOLD_TERM_MS_MAX))
    with pytest.raises(wire.HoldTermWrong):
        create(ask(lapses_at_ms=NOW_MS + wire.HOLD_TERM_MS_MAX + 1))
    with pytest.raises(AccountClosed) as closed:
        create(payee=account("member/bo", closed=True))
    assert closed.value.account == "yard:member/bo"


@pytest.mark.parametrize(
    ("balance", "held", "floor", "amount", "passes"),
    [
        (100, 0, 0, 100, True),
        (100, 0, 0, 101, False),
        (100, 30, 0, 70, True),
        (100, 30, 0, 71, False),
        (0, 0, -50, 50, True),
        (0, 0, -50, 51, False),
        (SAFE_INT_MAX, 0, 0, SAFE_INT_MAX, True),
        (10, 20, 0, 1, False),
    ],
)
def test_what_can_be_held_is_what_is_available(
    balance: int, held: int, floor: int, amount: int, *, passes: bool
) -> None:
    payer = account("member/ada", balance=balance, held=held, floor=floor)
    if passes:
        assert create(ask(amount=amount), payer=payer)
    else:
        with pytest.raises(Overdrawn):
            create(ask(amount=amount), payer=payer)


def test_a_hold_is_posted_in_part_or_whole_by_who_may_spend_the_money() -> None:
    hold = made()
    post = rules.judge_post
    assert post(hold, amount=None, right=ADA, world_ms=NOW_MS) == 80
    assert post(hold, amount=30, right=ADA, world_ms=NOW_MS + 999) == 30
    with pytest.raises(wire.HoldExceeded):
        post(hold, amount=81, right=ADA, world_ms=NOW_MS)
    for other in (BO, OFFICER):
        with pytest.raises(wire.HoldNotYours):
            post(hold, amount=None, right=other, world_ms=NOW_MS)
    of_coop = made(ask(from_account="yard:income"), by="yard/cleo")
    assert post(of_coop, amount=None, right=OFFICER, world_ms=NOW_MS) == 80


def test_a_hold_is_voided_by_either_side() -> None:
    for right in (ADA, BO):
        assert rules.judge_void(made(), right=right, world_ms=NOW_MS)
    with pytest.raises(wire.HoldNotYours):
        rules.judge_void(made(), right=OFFICER, world_ms=NOW_MS)


def test_a_hold_ends_once() -> None:
    posted, voided = made(state="posted", posted=30), made(state="voided")
    lapsed, over = made(state="lapsed"), {"world_ms": NOW_MS + 1_000}
    assert rules.judge_post(posted, amount=30, right=ADA, world_ms=NOW_MS) is None
    assert rules.judge_void(voided, right=ADA, world_ms=NOW_MS) is False
    now = {"world_ms": NOW_MS}
    for hold, amount, at, refusal in [
        (posted, 31, now, wire.HoldEnded),
        (posted, None, now, wire.HoldEnded),
        (voided, 30, now, wire.HoldEnded),
        (lapsed, 30, now, wire.HoldLapsed),
        (made(), 30, over, wire.HoldLapsed),
    ]:
        with pytest.raises(refusal):
            rules.judge_post(hold, amount=amount, right=ADA, **at)
    for hold, at, refusal in [
        (posted, now, wire.HoldEnded),
        (lapsed, now, wire.HoldLapsed),
        (made(), over, wire.HoldLapsed),
    ]:
        with pytest.raises(refusal):
            rules.judge_void(hold, right=ADA, **at)


@given(st.integers(-2_000, 2_000))
def test_a_hold_has_lapsed_from_its_moment_on(off_ms: int) -> None:
    hold = made()
    at_ms = hold.lapses_at_ms + off_ms
    assert rules.has_lapsed(hold, at_ms) == (off_ms >= 0)
    assert not rules.has_lapsed(made(state="posted"), at_ms)


def test_the_hash_covers_what_was_agreed_and_nothing_that_came_after() -> None:
    hold = made()
    ended = hold.model_copy(update={"state": "posted", "posted": 30, "ended_world_ms": NOW_MS})
    assert hold_hash(ended) == hold.hash
    for change in ({"amount": 79}, {"by": "yard/bo"}, {"memo": "x"}, {"network": "b" * 26}):
        assert hold_hash(hold.model_copy(update=change)) != hold.hash

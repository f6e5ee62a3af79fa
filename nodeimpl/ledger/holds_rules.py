"""What becomes of holds: pure judgements over a hold, who asks, and world time.

A hold ends exactly once. World time that has reached its moment ends it, whoever looks first: the
timer that is set for it, or somebody who asks. Source: ADR 0040.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.ledger.rules import Account, Right, judge_funds, judge_open, judge_right
from opkit.wire.base import Slug, TimeMs
from opkit.wire.holds import (
    HOLD_TERM_MS_MAX,
    CreateHold,
    Hold,
    HoldConflict,
    HoldEnded,
    HoldExceeded,
    HoldLapsed,
    HoldMalformed,
    HoldNotYours,
    HoldsExhausted,
    HoldTermWrong,
)
from opkit.wire.ledger import (
    UNITS,
    AccountForeign,
    AccountId,
    AccountNotYours,
    DecisionRequired,
    Posting,
    UnitUnknown,
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a ledger keeps of holds at most.

    Attributes:
        open_per_account_max: holds from one account in one unit that have not ended.
    """

    open_per_account_max: int = 1_000


def judge_create(
    ask: CreateHold,
    *,
    right: Right,
    standing: Hold | None,
    payer: Account,
    payee: Account | None,
    open_holds: int,
    world_ms: TimeMs,
    limits: Limits,
) -> bool:
    """Return whether to make a hold: not if the very same was made before.

    Args:
        standing: the hold of this id, if there is one.
        payer: the account from which it is held.
        payee: the account to which it would be paid; None if nothing was ever posted to it.
        open_holds: how many from this account in this unit have not ended.

    Refuses, in this order:
        HoldConflict: there is one of this id about something else, or of somebody else.
        UnitUnknown: nothing is counted in that unit.
        AccountForeign: an account is another coop's.
        HoldMalformed: it is from an account to itself.
        HoldTermWrong: it would lapse at once, or too late.
        DecisionRequired: nothing but a decision debits the account.
        AccountNotYours: who asks may not debit it.
        AccountClosed: one of the two is closed.
        Overdrawn: the account has not so much to set aside.
        HoldsExhausted: too many are open already.

    Between the last two comes what has to be found out by doing it: AccountsFull, if an account
    that may owe is used for the first time and there is no room for it.
    """
    if standing is not None:
        if standing.by != right.by or not _same(ask, standing):
            raise HoldConflict(hold_id=ask.hold_id)
        return False
    _judge_shape(ask, world_ms)
    _judge_debit(ask.coop, ask.from_account, right)
    judge_open(payer, coop=ask.coop)
    if payee is not None:
        judge_open(payee, coop=ask.coop)
    judge_funds(payer, -ask.amount, coop=ask.coop)
    if open_holds >= limits.open_per_account_max:
        raise HoldsExhausted(account=ask.from_account, limit=limits.open_per_account_max)
    return True


def judge_post(hold: Hold, *, amount: int | None, right: Right, world_ms: TimeMs) -> int | None:
    """Return how much to pay; None if exactly that was paid before.

    Args:
        amount: what is to be paid; None for all of it.

    Refuses, in this order:
        HoldNotYours: who asks may not debit the account.
        HoldEnded: it was voided, or posted with another amount.
        HoldLapsed: its time is over.
        HoldExceeded: it is more than is held.
    """
    if not may_debit(hold.coop, hold.from_account, right):
        raise HoldNotYours(hold_id=hold.hold_id)
    wanted = hold.amount if amount is None else amount
    if hold.state == "posted" and hold.posted == wanted:
        return None
    _judge_open(hold, world_ms)
    if wanted > hold.amount:
        raise HoldExceeded(hold_id=hold.hold_id, held=hold.amount, amount=wanted)
    return wanted


def judge_void(hold: Hold, *, right: Right, world_ms: TimeMs) -> bool:
    """Return whether to release what is held: not if it was before.

    Refuses, in this order:
        HoldNotYours: who asks may debit neither account.
        HoldEnded: it was posted.
        HoldLapsed: its time is over.
    """
    accounts = (hold.from_account, hold.to_account)
    if not any(may_debit(hold.coop, account, right) for account in accounts):
        raise HoldNotYours(hold_id=hold.hold_id)
    if hold.state == "voided":
        return False
    _judge_open(hold, world_ms)
    return True


def has_lapsed(hold: Hold, world_ms: TimeMs) -> bool:
    """Return whether a hold that has not ended otherwise is over at this moment."""
    return hold.state == "held" and world_ms >= hold.lapses_at_ms


def may_debit(coop: Slug, account: AccountId, right: Right) -> bool:
    """Return whether somebody may debit an account."""
    try:
        _judge_debit(coop, account, right)
    except (DecisionRequired, AccountNotYours):
        return False
    return True


def _judge_debit(coop: Slug, account: AccountId, right: Right) -> None:
    """Return if somebody may debit an account. Refuses: DecisionRequired, AccountNotYours."""
    judge_right(coop, (Posting(account=account, unit=UNITS[0], amount=-1),), right)


def _judge_shape(ask: CreateHold, world_ms: TimeMs) -> None:
    if ask.unit not in UNITS:
        raise UnitUnknown(unit=ask.unit)
    for account in (ask.from_account, ask.to_account):
        if account.partition(":")[0] != ask.coop:
            raise AccountForeign(account=account)
    if ask.from_account == ask.to_account:
        raise HoldMalformed(why=f"it is from {ask.from_account} to itself")
    if not world_ms < ask.lapses_at_ms <= world_ms + HOLD_TERM_MS_MAX:
        raise HoldTermWrong(
            lapses_at_ms=ask.lapses_at_ms, world_ms=world_ms, term_ms_max=HOLD_TERM_MS_MAX
        )


def _judge_open(hold: Hold, world_ms: TimeMs) -> None:
    if hold.state in {"posted", "voided"}:
        raise HoldEnded(hold_id=hold.hold_id, state=hold.state, posted=hold.posted)
    if hold.state == "lapsed" or has_lapsed(hold, world_ms):
        raise HoldLapsed(hold_id=hold.hold_id, lapses_at_ms=hold.lapses_at_ms)


def _same(ask: CreateHold, hold: Hold) -> bool:
    return all(getattr(hold, name) == getattr(ask, name) for name in type(ask).model_fields)

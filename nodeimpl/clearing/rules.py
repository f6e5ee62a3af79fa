"""Whether a coop takes part in an exchange: pure judgements over terms, positions and doubt.

Both sides judge the same offer by what each knows, so that neither owes more than it agreed to,
also if the other did not look. Source: ADR 0046.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opkit.proof.checks import ProofError
from opkit.proof.clearing import changes_of, check_offer
from opkit.proof.record import SKEW_MS
from opkit.wire.base import RecordId, Slug, TimeMs
from opkit.wire.clearing import (
    ArbiterDiffers,
    Ending,
    ExchangeMalformed,
    ExchangesExhausted,
    Imbalance,
    InDoubt,
    Leg,
    NettingExcessive,
    NothingToSettle,
    NotParty,
    Offer,
    OfferLapsed,
    OfferRejected,
    PeriodWrong,
    RulingEarly,
    SettlementDone,
    UnitMismatch,
)
from opkit.wire.ledger import UNITS, UnitUnknown
from opkit.wire.terms import Terms

DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of clearing, and its patience; all times are real.

    Attributes:
        doubt_per_side_max: exchanges with one other coop that are in doubt.
        skew_ms: by how much another node's clock may be ahead of this one's.
        grace_ms: how long after an offer's end its proposer waits for an acceptance on its way.
        ask_after_ms: how long after its acceptance a side asks how it ended.
        rule_after_ms: how long after an offer's end the arbiter may rule, and is asked to; for as
            long again it waits for a proposer that answers and has not decided.
        rulings_per_day_max: exchanges on which the arbiter rules for one coop in a day.
        retry_ms_min: after how long a silent node is tried again, at first.
        retry_ms_max: and after however many times.
        send_ms: how long a node has to answer.
        at_once_max: how much is said to one node in one round.
    """

    doubt_per_side_max: int = 256
    skew_ms: int = SKEW_MS
    grace_ms: int = 2_000
    ask_after_ms: int = 2_000
    rule_after_ms: int = 600_000
    rulings_per_day_max: int = 1_024
    retry_ms_min: int = 250
    retry_ms_max: int = 30_000
    send_ms: int = 4_000
    at_once_max: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How a coop stands with another under an agreement, in one unit.

    Attributes:
        balance: what the other owes; below zero: what is owed to the other.
        doubt_in: by how much it rises at most, by what is in doubt; `doubt_out`: falls.
        exchanges: how many moved it.
        doubtful: the hash of an exchange in doubt, if there is one; `settling`: of a settlement.
        done: the hash of the settlement of the period that is asked about, if there was one.
    """

    balance: int = 0
    doubt_in: int = 0
    doubt_out: int = 0
    exchanges: int = 0
    doubtful: RecordId | None = None
    settling: RecordId | None = None
    done: RecordId | None = None


Stands = Mapping[tuple[Slug, RecordId], Stand]
"""By the other side and the agreement."""


def judge_shape(offer: Offer) -> None:
    """Return if an offer is one at all.

    Refuses, in this order:
        ExchangeMalformed, UnitUnknown.
    """
    try:
        check_offer(offer)
    except ProofError as bad:
        raise ExchangeMalformed(why=bad.why) from bad
    if offer.unit not in UNITS:
        raise UnitUnknown(unit=offer.unit)


def own_legs(offer: Offer, coop: Slug) -> tuple[Leg, ...]:
    """Return the legs of an offer that a coop takes part in."""
    return tuple(leg for leg in offer.legs if coop in (leg.payer, leg.payee))


def judge_terms(offer: Offer, coop: Slug, terms: Mapping[RecordId, Terms]) -> None:
    """Return if a coop's agreements provide for an offer.

    Args:
        offer: whose shape was judged.
        coop: a party of it.
        terms: of the agreements of its own legs.

    Refuses, in this order:
        NotParty, UnitMismatch, ArbiterDiffers, PeriodWrong.
    """
    legs = own_legs(offer, coop)
    for leg in legs:
        for party in (coop, leg.payer, leg.payee):
            if party not in terms[leg.agreement].parties:
                raise NotParty(agreement=leg.agreement, coop=party)
    for leg in legs:
        clearing = terms[leg.agreement].clearing
        agreed = "" if clearing is None else clearing.unit
        if agreed != offer.unit:
            raise UnitMismatch(agreement=leg.agreement, unit=offer.unit, agreed=agreed)
    for leg in legs:
        arbiter = terms[leg.agreement].arbiter
        if arbiter != offer.arbiter:
            raise ArbiterDiffers(arbiter=offer.arbiter, agreed=arbiter)
    for leg in legs:
        clearing = terms[leg.agreement].clearing
        assert clearing is not None, "the unit was judged"
        if offer.period is not None:
            judge_period(offer.period, settled=clearing.settled)


def judge_stands(
    offer: Offer,
    coop: Slug,
    *,
    terms: Mapping[RecordId, Terms],
    stands: Stands,
    open_with: Mapping[Slug, int],
    limits: Limits,
) -> None:
    """Return if a coop stands with the others so that it may take part.

    Args:
        offer: whose terms were judged.
        coop: a party of it.
        terms: of the agreements of its own legs.
        stands: how it stands with the others under those.
        open_with: how many exchanges with each other coop are in doubt.
        limits: the bounds.

    Refuses, in this order:
        SettlementDone, InDoubt, NothingToSettle, NettingExcessive, Imbalance, ExchangesExhausted.
    """
    sides = [
        _Side(other=other, agreement=agreement, change=change, stand=stands[other, agreement])
        for (other, agreement), change in changes_of(offer.legs, coop).items()
    ]
    if offer.kind == "settlement":
        _judge_not_done(offer, sides)
    for each in sides:
        blocked = each.stand.doubtful if offer.kind == "settlement" else each.stand.settling
        if blocked is not None:
            raise InDoubt(agreement=each.agreement, exchange=blocked)
    for each in sides:
        if offer.kind == "settlement":
            _judge_zero(each)
        elif offer.kind == "netting":
            _judge_net(each, coop)
        else:
            _judge_balance(each, coop, unit=offer.unit, terms=terms[each.agreement])
    for each in sides:
        if open_with.get(each.other, 0) >= limits.doubt_per_side_max:
            raise ExchangesExhausted(other=each.other, limit=limits.doubt_per_side_max)


def judge_period(period: str, *, settled: str) -> None:
    """Return if a period is one by which an agreement settles. Refuses: PeriodWrong."""
    if ("Q" in period) != (settled == "quarterly"):
        raise PeriodWrong(period=period, settled=settled)


def judge_settling(stand: Stand, *, agreement: RecordId, period: str) -> None:
    """Return if there is something to settle between two, and nothing under way.

    Refuses, in this order:
        SettlementDone, InDoubt, NothingToSettle.
    """
    if stand.done is not None:
        raise SettlementDone(agreement=agreement, period=period, exchange=stand.done)
    if stand.doubtful is not None:
        raise InDoubt(agreement=agreement, exchange=stand.doubtful)
    if stand.balance == 0:
        raise NothingToSettle(agreement=agreement, balance=0)


def judge_time(offer: Offer, *, now_ms: TimeMs, limits: Limits) -> None:
    """Return if an offer may be accepted now.

    Who accepts is bound until the arbiter may rule, which follows from the offer's end: so that end
    has to be near.

    Refuses, in this order:
        OfferRejected: it was made in the future; OfferLapsed: its time is over.
    """
    if offer.offered_ms > now_ms + limits.skew_ms:
        raise OfferRejected(why=f"it is of {offer.offered_ms}, and here it is {now_ms}")
    if now_ms >= offer.expires_ms:
        raise OfferLapsed(expires_ms=offer.expires_ms, now_ms=now_ms)


def judge_ruling(
    offer: Offer, *, endings: frozenset[Ending], now_ms: TimeMs, limits: Limits
) -> Ending:
    """Return what the arbiter rules on an exchange whose proposer is silent.

    A commit that was seen with all acceptances stands: somebody may have posted by it. Otherwise
    nothing comes of the exchange, and a proposer that had committed unseen takes it back.

    Args:
        offer: the exchange's.
        endings: what the proposer was seen to have decided.
        now_ms: real time.
        limits: the patience.

    Refuses:
        RulingEarly: the proposer may still decide.
    """
    until_ms = offer.expires_ms + limits.rule_after_ms
    if now_ms < until_ms:
        raise RulingEarly(until_ms=until_ms)
    return "committed" if "committed" in endings else "aborted"


def judge_asker(given: int, *, now_ms: TimeMs, limits: Limits) -> None:
    """Return if the arbiter rules for a coop once more today.

    Coops whose agreement names it may come to an end by themselves as often as they like: what they
    have it keep is bounded.

    Args:
        given: on how many exchanges it ruled for that coop today.
        now_ms: real time.
        limits: the bounds.

    Refuses:
        RulingEarly: tomorrow it does.
    """
    if given >= limits.rulings_per_day_max:
        raise RulingEarly(until_ms=(day_of(now_ms) + 1) * DAY_MS)


def day_of(now_ms: TimeMs) -> int:
    """Return which day it is."""
    return now_ms // DAY_MS


def judge_undecided(offer: Offer, *, now_ms: TimeMs, limits: Limits) -> None:
    """Return if the arbiter waits no longer for a proposer that answers and does not decide.

    An honest one decides soon after the offer's end; one that only says that it is there must not
    keep the others in doubt for ever.

    Refuses:
        RulingEarly: it may still decide.
    """
    last_ms = offer.expires_ms + 2 * limits.rule_after_ms
    if now_ms < last_ms:
        raise RulingEarly(until_ms=min(now_ms + limits.grace_ms, last_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the others, and by how much the balance with it changes: by one at least."""

    other: Slug
    agreement: RecordId
    change: int
    stand: Stand

    @property
    def rises(self) -> bool:
        """Whether the coop gives, so that more is owed to it or it owes less."""
        return self.change > 0


def _judge_not_done(offer: Offer, sides: list[_Side]) -> None:
    """Refuses: SettlementDone."""
    assert offer.period is not None, "a settlement has a period"
    for each in sides:
        if each.stand.done is not None:
            raise SettlementDone(
                agreement=each.agreement, period=offer.period, exchange=each.stand.done
            )


def _judge_zero(side: _Side) -> None:
    """Refuses: NothingToSettle."""
    if side.stand.balance + side.change != 0:
        raise NothingToSettle(agreement=side.agreement, balance=side.stand.balance)


def _judge_net(side: _Side, coop: Slug) -> None:
    """Refuses: NettingExcessive."""
    stand, amount = side.stand, abs(side.change)
    # All that is in doubt may yet go against it.
    sure = -stand.balance - stand.doubt_in if side.rises else stand.balance - stand.doubt_out
    if amount > sure:
        raise NettingExcessive(
            agreement=side.agreement, coop=coop, balance=stand.balance, amount=amount
        )


def _judge_balance(side: _Side, coop: Slug, *, unit: str, terms: Terms) -> None:
    """Return if a balance stays within what the agreement lets it be, whatever doubt becomes.

    Refuses:
        Imbalance: it might not.
    """
    assert terms.clearing is not None, "the unit was judged"
    most, stand, change = terms.clearing.imbalance_max, side.stand, side.change
    doubt = stand.doubt_in if side.rises else stand.doubt_out
    far = doubt + (stand.balance + change if side.rises else -stand.balance - change)
    if far > most:
        raise Imbalance(
            agreement=side.agreement,
            coop=coop,
            unit=unit,
            balance=stand.balance,
            doubt=doubt,
            amount=abs(change),
            imbalance_max=most,
        )

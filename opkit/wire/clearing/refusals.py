"""Why an exchange is refused, and in which order of precedence."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.agreements import AgreementInactive, AgreementUnknown
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed, Missing, Refusal
from opkit.wire.ledger import AccountClosed, AccountsFull, Overdrawn, UnitUnknown


@dataclass(eq=False, kw_only=True)
class ClearingNotYours(Denied):
    """The caller's coop is not at home here, or takes no part in the exchange."""

    code = "clearing-not-yours"
    hint = "a party's own officers propose, at their coop's home node"
    member_id: str


@dataclass(eq=False, kw_only=True)
class ExchangeConflict(Conflict):
    """There is an exchange of this id by this proposer, and it is about something else."""

    code = "exchange-conflict"
    hint = "an id names one exchange for good: use a fresh one"
    exchange_id: str
    standing: str


@dataclass(eq=False, kw_only=True)
class ExchangeMalformed(Invalid):
    """The exchange is none: with oneself, of parties that are not those of its legs, and so on."""

    code = "exchange-malformed"
    hint = (
        "payer and payee are two parties of the agreement; in a netting each pays what it gets; "
        "who is owed settles"
    )
    why: str


@dataclass(eq=False, kw_only=True)
class OfferRejected(Denied):
    """What was sent is not signed by the node whose word it would be, or says something else."""

    code = "offer-rejected"
    hint = "a coop's home node signs for it"
    why: str


@dataclass(eq=False, kw_only=True)
class OfferLapsed(Lapsed):
    """The offer's time is over."""

    code = "offer-lapsed"
    hint = "make another offer"
    expires_ms: int
    now_ms: int


@dataclass(eq=False, kw_only=True)
class ExchangeEnded(Conflict):
    """The exchange has ended before it was accepted here."""

    code = "exchange-ended"
    hint = "make another offer"
    exchange: str
    state: str


@dataclass(eq=False, kw_only=True)
class NotParty(Denied):
    """The coop is no party of the agreement."""

    code = "not-party"
    hint = "`opkit agreement show` names the parties"
    agreement: str
    coop: str


@dataclass(eq=False, kw_only=True)
class UnitMismatch(Invalid):
    """The agreement clears in another unit, or not at all."""

    code = "unit-mismatch"
    hint = "use the unit that the terms name"
    agreement: str
    unit: str
    agreed: str


@dataclass(eq=False, kw_only=True)
class ArbiterDiffers(Invalid):
    """The agreements name different arbiters, or the offer another than they do."""

    code = "arbiter-differs"
    hint = "net under agreements that name the same arbiter"
    arbiter: str
    agreed: str


@dataclass(eq=False, kw_only=True)
class PeriodWrong(Invalid):
    """The agreement settles by months and this is a quarter, or the other way round."""

    code = "period-wrong"
    hint = "2026-03 is a month, 2026-Q1 a quarter"
    period: str
    settled: str


@dataclass(eq=False, kw_only=True)
class SettlementDone(Conflict):
    """The period was settled before."""

    code = "settlement-done"
    hint = "a period is settled once"
    agreement: str
    period: str
    exchange: str


@dataclass(eq=False, kw_only=True)
class InDoubt(Conflict):
    """Something is under way between the two that a settlement must wait for, or is a settlement.

    Attributes:
        exchange: the hash of one that is in doubt.
    """

    code = "in-doubt"
    hint = "ask again when it has ended: `opkit exchange list --doubt`"
    agreement: str
    exchange: str


@dataclass(eq=False, kw_only=True)
class NothingToSettle(Conflict):
    """The position is zero, or not what the settlement says."""

    code = "nothing-to-settle"
    hint = "`opkit clearing positions` shows how both stand"
    agreement: str
    balance: int


@dataclass(eq=False, kw_only=True)
class NettingExcessive(Conflict):
    """A leg is more than what is owed, doubt considered: netting takes debts out, makes none."""

    code = "netting-excessive"
    hint = "net at most what each owes the next"
    agreement: str
    coop: str
    balance: int
    amount: int


@dataclass(eq=False, kw_only=True)
class Imbalance(Conflict):
    """The two would be further apart than their agreement lets them, doubt included.

    Attributes:
        coop: whose position it is.
        doubt: how much of it is in doubt, in the direction of the exchange.
    """

    code = "imbalance"
    hint = "settle first, or let the other side give something"
    agreement: str
    coop: str
    unit: str
    balance: int
    doubt: int
    amount: int
    imbalance_max: int


@dataclass(eq=False, kw_only=True)
class ExchangesExhausted(Exhausted):
    """As many exchanges with the other side are in doubt as may be."""

    code = "exchanges-exhausted"
    hint = "wait until some have ended"
    other: str
    limit: int


@dataclass(eq=False, kw_only=True)
class ExchangeUnknown(Missing):
    """This node knows of no such exchange."""

    code = "exchange-unknown"
    hint = "`opkit exchange list` shows what there is"
    exchange: str


@dataclass(eq=False, kw_only=True)
class ArbiterElsewhere(Denied):
    """This node is not that of the arbiter whom the agreement names."""

    code = "arbiter-elsewhere"
    hint = "ask the arbiter's node"
    arbiter: str


@dataclass(eq=False, kw_only=True)
class RulingEarly(Conflict):
    """The proposer may still say how it ends."""

    code = "ruling-early"
    hint = "ask again later"
    until_ms: int


WRITE_REFUSALS: tuple[type[Refusal], ...] = (
    ClearingNotYours,
    ExchangeConflict,
)
"""What proposing is refused with before the exchange itself is judged."""

JUDGED_REFUSALS: tuple[type[Refusal], ...] = (
    ExchangeMalformed,
    UnitUnknown,
    AgreementUnknown,
    AgreementInactive,
    NotParty,
    UnitMismatch,
    ArbiterDiffers,
    PeriodWrong,
    SettlementDone,
    InDoubt,
    NothingToSettle,
    NettingExcessive,
    Imbalance,
    ExchangesExhausted,
    AccountClosed,
    Overdrawn,
    AccountsFull,
)
"""What either side refuses an exchange with, by what it knows, in order of precedence."""

TAKEN_REFUSALS: tuple[type[Refusal], ...] = (
    OfferRejected,
    ExchangeEnded,
    ExchangeConflict,
    OfferLapsed,
    *JUDGED_REFUSALS,
)
"""What another party refuses an offer with."""

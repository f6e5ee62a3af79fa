"""What an exchange between coops consists of, who signs what of it, and what is asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    Jws,
    NetworkId,
    RecordId,
    Slug,
    TimeMs,
    Wire,
)
from opkit.wire.ledger import Balance, Unit
from opkit.wire.terms import PARTIES_MAX

OFFER_TYP = "opkit-offer+jws"
ACCEPTANCE_TYP = "opkit-acceptance+jws"
COMMIT_TYP = "opkit-commit+jws"
ABORT_TYP = "opkit-abort+jws"
RULING_TYP = "opkit-ruling+jws"

LEGS_MAX = 16

OFFER_TTL_MS_MIN = 1_000
OFFER_TTL_MS_MAX = 600_000
"""For how long an offer may be taken up, in real time."""

OFFER_CHARACTERS_MAX = 12_288
"""The longest signed offer."""

SIGNED_CHARACTERS_MAX = 4_096
"""The longest acceptance, commit, abort or ruling."""

EXCHANGES_PER_PAGE_MAX = 500

POSITIONS_MAX = 1_000

EXCHANGE_ENTRY_PREFIX = "exchange:"
"""How the id of an entry begins that posts an exchange; nobody else may give an entry such an id
(`opkit.wire.ledger.RESERVED_IDS`)."""

ExchangeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
"""What its proposer names an exchange by, for ever: asking again with it does nothing twice."""

ExchangeText = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
"""What somebody asks for as an exchange, by its hash or its id; one that is none is not found."""

AgreementText = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]
"""What somebody asks for as an agreement; empty for all."""

Period = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-(?:Q[1-4]|0[1-9]|1[0-2])(?:/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)?$"
    ),
]
"""What is settled at once: a month, a quarter, or a part of one (`2026-03`, `2026-Q1/run-7`)."""

What = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]
"""What is exchanged, for people."""

Why = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9-]*$")]
"""Why an exchange was aborted: the code of a refusal, or `lapsed`."""

Step = Annotated[int, Field(strict=True, ge=1, le=SAFE_INT_MAX)]
"""An amount that passes, in the unit's smallest step."""

ExchangeKind = Literal["exchange", "settlement", "netting"]
"""What an exchange is for: something that was given; to bring a position to zero; to take debts
that go around in a circle out of all positions at once."""

ExchangeState = Literal["offered", "accepted", "committed", "aborted"]
"""How a side stands: the first two are doubt, the others may only be changed by a ruling."""

Ending = Literal["committed", "aborted"]

Role = Literal["proposer", "responder"]


class Leg(Wire):
    """What one coop owes another from then on, under an agreement of both.

    Attributes:
        payer: who gets what is exchanged, and owes for it: its position falls by the amount.
        payee: who gives it: its position rises by the amount.
    """

    agreement: RecordId
    payer: Slug
    payee: Slug
    amount: Step


Legs = Annotated[tuple[Leg, ...], Field(min_length=1, max_length=LEGS_MAX)]

Parties = Annotated[tuple[Slug, ...], Field(min_length=2, max_length=PARTIES_MAX)]
"""Who takes part, each once, in order; the proposer among them."""


class Offer(Wire):
    """An exchange as it is proposed (`opkit-offer+jws`, by the home node of its proposer).

    Its record id names the exchange everywhere; the entries of all sides have it as their cause.

    Attributes:
        did: the home node that signs.
        coop: the proposer, who decides by signing a commit or an abort.
        parties: for whom it is: the coops of all legs, in order.
        period: which period a settlement settles; None for anything else.
        arbiter: whom all agreements of the legs name, for when a side is silent.
        sequence: which exchange of the proposer's it is; higher than that of any before.
        expires_ms: from this moment of real time on nobody accepts it any more.
    """

    network: NetworkId
    did: Did
    coop: Slug
    parties: Parties
    exchange_id: ExchangeId
    kind: ExchangeKind
    unit: Unit
    legs: Legs
    what: What
    period: Period | None
    arbiter: Slug
    sequence: Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
    offered_ms: TimeMs
    expires_ms: TimeMs


class Acceptance(Wire):
    """A party's word that it will post an exchange if that is committed (`opkit-acceptance+jws`).

    Attributes:
        did: the home node of `coop`, which signs.
        aud: the proposer.
        offer: the record id of the offer.
    """

    network: NetworkId
    did: Did
    coop: Slug
    aud: Slug
    offer: RecordId
    accepted_ms: TimeMs


class Commit(Wire):
    """The proposer's decision to post an exchange that all accepted (`opkit-commit+jws`).

    Attributes:
        acceptances: the record ids of all acceptances, by the coops that gave them, in order.
    """

    network: NetworkId
    did: Did
    coop: Slug
    offer: RecordId
    acceptances: Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=PARTIES_MAX - 1)]
    decided_ms: TimeMs


class Abort(Wire):
    """The proposer's decision that nothing comes of an offer (`opkit-abort+jws`)."""

    network: NetworkId
    did: Did
    coop: Slug
    offer: RecordId
    why: Why
    decided_ms: TimeMs


class Ruling(Wire):
    """The arbiter's word on an exchange whose proposer is silent (`opkit-ruling+jws`), given once.

    Attributes:
        did: the node of `coop`, the arbiter.
        ending: what stands from then on, whatever a side did before.
    """

    network: NetworkId
    did: Did
    coop: Slug
    offer: RecordId
    ending: Ending
    ruled_ms: TimeMs


SignedOffer = Annotated[Jws, StringConstraints(max_length=OFFER_CHARACTERS_MAX)]

SignedWord = Annotated[Jws, StringConstraints(max_length=SIGNED_CHARACTERS_MAX)]

Acceptances = Annotated[tuple[SignedWord, ...], Field(max_length=PARTIES_MAX - 1)]
"""By the coops that gave them, in order."""


class Evidence(Wire):
    """All that was signed of an exchange, as one side has it.

    Attributes:
        outcome: the proposer's commit or abort.
        rival: a second one that contradicts it: the proposer lied to somebody.
    """

    offer: SignedOffer
    acceptances: Acceptances = ()
    outcome: SignedWord | None = None
    rival: SignedWord | None = None
    ruling: SignedWord | None = None


class Exchange(Wire):
    """An exchange as one side of it stands.

    Attributes:
        coop: which side.
        hash: the record id of its offer.
        sequence: which exchange of this side it is, counted from 1.
        in_doubt: whether this side does not know yet what becomes of it, or could not post it yet;
            what is in doubt counts against the greatest imbalance.
        untold: how many sides were not heard to know how it ended.
        why: why it was aborted, or what keeps it from being posted; empty for nothing.
        entry: the hash of the entry that posted it in this side's ledger.
        correction: the hash of the entry that took it back, or posted it, because of a ruling.
        ended_ms: when this side knew how it ends.
    """

    coop: Slug
    hash: RecordId
    exchange_id: ExchangeId
    proposer: Slug
    role: Role
    kind: ExchangeKind
    unit: Unit
    legs: Legs
    what: What
    period: Period | None
    state: ExchangeState
    in_doubt: bool
    ruled: bool
    untold: Count
    why: Why
    entry: RecordId | None
    correction: RecordId | None
    sequence: Count
    offered_ms: TimeMs
    expires_ms: TimeMs
    ended_ms: TimeMs | None


class ExchangeAnswer(Wire):
    """An exchange and the proofs of it (`opkit.proof.clearing`)."""

    exchange: Exchange
    evidence: Evidence


class ExchangePage(Wire):
    """Exchanges, newest first; `next_before` is 0 on the last page."""

    exchanges: Annotated[tuple[Exchange, ...], Field(max_length=EXCHANGES_PER_PAGE_MAX)]
    next_before: Count


class ClearingPosition(Wire):
    """How a coop stands with another under an agreement, in one unit; the other's is the mirror.

    Attributes:
        balance: what the other owes; below zero: what is owed to the other.
        doubt_in: by how much it rises at most, by what is in doubt.
        doubt_out: by how much it falls at most.
        imbalance_max: how far from zero the agreement lets it be, doubt included.
        exchanges: how many moved it.
        settled: the period that was settled last; None if none was.
    """

    coop: Slug
    other: Slug
    agreement: RecordId
    unit: Unit
    balance: Balance
    doubt_in: Count
    doubt_out: Count
    imbalance_max: Count
    exchanges: Count
    settled: Period | None
    changed_ms: TimeMs


class PostOffer(Wire):
    """Ask to exchange something with another party of an agreement; one's own coop proposes.

    The answer tells how far it came; if the other side is silent it goes on by itself. Asked again
    with the same id and content, it is answered as it stands.

    Attributes:
        ttl_ms: for how long the other side may accept.
    """

    agreement: RecordId
    exchange_id: ExchangeId
    payer: Slug
    payee: Slug
    unit: Unit
    amount: Step
    what: What = ""
    ttl_ms: Annotated[int, Field(ge=OFFER_TTL_MS_MIN, le=OFFER_TTL_MS_MAX)] = 30_000


class SettlePeriod(Wire):
    """Ask to bring a position to zero on both sides, for a period, once; who is owed settles.

    Attributes:
        other: the other party, if the agreement has more than two.
    """

    agreement: RecordId
    period: Period
    other: Slug | None = None
    what: What = ""
    ttl_ms: Annotated[int, Field(ge=OFFER_TTL_MS_MIN, le=OFFER_TTL_MS_MAX)] = 30_000


class NetDebts(Wire):
    """Ask to take debts that go around in a circle out of all positions at once, all or none.

    Each leg lowers a debt: its payee is who owes, its payer whom that is owed to; what each coop
    pays in all legs is what it is paid. `opkit.proof.circles.circle_of` finds such legs.
    """

    exchange_id: ExchangeId
    unit: Unit
    legs: Legs
    what: What = ""
    ttl_ms: Annotated[int, Field(ge=OFFER_TTL_MS_MIN, le=OFFER_TTL_MS_MAX)] = 30_000


class AskClearing(Wire):
    """Ask for one exchange by its hash, or the newest of an id.

    Attributes:
        coop: which side, on a node that is the home of several; empty for any.
    """

    exchange: ExchangeText
    coop: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)] = ""


class ListExchanges(Wire):
    """Ask for exchanges, newest first; all filters that are given have to fit.

    Attributes:
        agreement: those with a leg under it.
        doubt: only those that are in doubt.
        before: `next_before` of the page before; 0 for the first page.
    """

    agreement: AgreementText = ""
    coop: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)] = ""
    doubt: bool = False
    before: Count = 0
    exchanges_max: Annotated[int, Field(ge=1, le=EXCHANGES_PER_PAGE_MAX)] = 100


class ListPositions(Wire):
    """Ask for the positions of the coops whose home this is."""

    agreement: AgreementText = ""
    coop: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)] = ""
    other: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)] = ""


class PositionList(Wire):
    """Positions by coop, other side, agreement and unit."""

    positions: Annotated[tuple[ClearingPosition, ...], Field(max_length=POSITIONS_MAX)]


class OfferExchange(Wire):
    """Between nodes: a party is offered an exchange."""

    offer: SignedOffer
    coop: Slug


class OfferAccepted(Wire):
    """The party's acceptance; it is journalled, and so is what it sets aside."""

    acceptance: SignedWord


class TellOutcome(Wire):
    """Between nodes: how an exchange ended, to a party of it, or to its proposer (a ruling)."""

    coop: Slug
    evidence: Evidence


class OutcomeTaken(Wire):
    """How an exchange stands with the one who was told or asked, who may know of a ruling."""

    state: ExchangeState
    evidence: Evidence


class AskOutcome(Wire):
    """Between nodes: how an exchange ended that this node accepted, or is asked to rule on."""

    coop: Slug
    offer: SignedOffer


class AskRuling(Wire):
    """Between nodes: the arbiter is asked to rule, with all that the asking side has."""

    coop: Slug
    evidence: Evidence


class Ruled(Wire):
    """What the arbiter has of an exchange by now: its ruling, or the proposer's own word."""

    evidence: Evidence

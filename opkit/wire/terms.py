"""The terms of an agreement between coops, and the effect by which a coop adopts or ends them.

Terms are data and text, and their hash names the agreement: whoever votes, signs or cites it does
so for exactly these. They stand apart from what is signed about them, so that a proposal can carry
them. Source: ADR 0045.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import PLAIN, SAFE_INT_MAX, NetworkId, RecordId, Slug, TimeMs, Wire
from opkit.wire.ledger import Unit

TERMS_CHARACTERS_MAX = 3_500
"""The longest terms, as canonical JSON."""

PARTIES_MAX = 8
"""The most coops that make one agreement."""

PROVISIONS_MAX = 24
"""The most things that one agreement provides for."""

Action = Literal["adopt", "end"]
"""What a coop decides about an agreement: to make it, or to give notice."""

Days = Annotated[int, Field(strict=True, ge=1, le=36_500)]
NoticeDays = Annotated[int, Field(strict=True, ge=0, le=3_650)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=SAFE_INT_MAX)]

Period = Literal["day", "week", "month", "quarter", "year", "term"]
"""In what time a quantity is given."""


class Provision(Wire):
    """What one party gives another.

    Attributes:
        what: in words: `maintenance hours`.
        quantity: how many of it; None if it is not counted.
        per: in what time; None for once, or for all of the term.
    """

    by: Slug
    to: Slug
    what: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]
    quantity: Quantity | None = None
    per: Period | None = None


class ClearingTerms(Wire):
    """How what is exchanged under an agreement is counted and settled.

    Attributes:
        imbalance_max: how much one party may owe another at most, exchanges in doubt included.
        settled: how often what one owes another is brought to zero.
    """

    unit: Unit
    imbalance_max: Quantity
    settled: Literal["monthly", "quarterly"]


class Terms(Wire):
    """What coops agree on; `opkit.proof.agreement.agreement_id` of it names the agreement.

    Attributes:
        parties: the coops that make it, in order; each must sign.
        facilitator: the organisation whose node keeps a copy too; None if there is none.
        arbiter: the organisation whose node rules on an exchange in doubt; no party.
        starts_ms: from this moment of world time it is in force, once all have signed.
        term_days: for how long.
        renewable: whether a new term follows of itself, until a party gives notice.
        notice_days: how long it stays in force after a party gave notice.
        clearing: None if nothing is exchanged on account.
        amends: the agreement that this one takes the place of.
    """

    network: NetworkId
    parties: Annotated[tuple[Slug, ...], Field(min_length=2, max_length=PARTIES_MAX)]
    facilitator: Slug | None
    arbiter: Slug
    title: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)]
    text: Annotated[str, StringConstraints(max_length=1_600, pattern=PLAIN)]
    provisions: Annotated[tuple[Provision, ...], Field(max_length=PROVISIONS_MAX)] = ()
    starts_ms: TimeMs
    term_days: Days
    renewable: bool
    notice_days: NoticeDays
    clearing: ClearingTerms | None = None
    amends: RecordId | None = None


class AgreementEffect(Wire):
    """The coop signs an agreement, or gives notice that it ends it.

    Attributes:
        agreement: its id: the hash of its terms.
        terms: those that are adopted; None of a notice.
    """

    kind: Literal["agreement"] = "agreement"
    action: Action
    agreement: RecordId
    terms: Terms | None = None

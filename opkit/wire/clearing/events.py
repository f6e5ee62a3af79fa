"""What is journalled of exchanges."""

from __future__ import annotations

from opkit.wire.base import RecordId, Slug
from opkit.wire.clearing.types import (
    Ending,
    ExchangeId,
    ExchangeKind,
    Legs,
    Period,
    Role,
    Why,
)
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event
from opkit.wire.ledger import Unit


class ExchangeOffered(Event):
    """A coop whose home this is proposed an exchange; what it may owe is set aside."""

    type = "clearing.offered"
    scope = Scope.CLEARING_READ

    coop: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    kind: ExchangeKind
    unit: Unit
    legs: Legs
    period: Period | None


class ExchangeAccepted(Event):
    """A coop whose home this is accepted an exchange; what it may owe is set aside."""

    type = "clearing.accepted"
    scope = Scope.CLEARING_READ

    coop: Slug
    proposer: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    kind: ExchangeKind
    unit: Unit
    legs: Legs
    period: Period | None


class ExchangeCommitted(Event):
    """An exchange is posted in this coop's ledger.

    Attributes:
        entry: the hash of the entry.
    """

    type = "clearing.committed"
    scope = Scope.CLEARING_READ

    coop: Slug
    role: Role
    exchange: RecordId
    exchange_id: ExchangeId
    kind: ExchangeKind
    unit: Unit
    legs: Legs
    period: Period | None
    entry: RecordId


class ExchangeAborted(Event):
    """Nothing comes of an exchange; what was set aside for it is free again."""

    type = "clearing.aborted"
    scope = Scope.CLEARING_READ

    coop: Slug
    role: Role
    exchange: RecordId
    exchange_id: ExchangeId
    kind: ExchangeKind
    why: Why


class ExchangeRuled(Event):
    """The arbiter's ruling stands for a side of an exchange.

    Attributes:
        correction: the hash of the entry by which this side put right what it had done otherwise.
    """

    type = "clearing.ruled"
    scope = Scope.CLEARING_READ

    coop: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    arbiter: Slug
    ending: Ending
    ruling: RecordId
    correction: RecordId | None


class ExchangeStuck(Event):
    """A side knows how an exchange ended, and its ledger does not take it for now."""

    type = "clearing.stuck"
    scope = Scope.CLEARING_READ

    coop: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    why: Why


class OutcomesContradict(Event):
    """A proposer signed both a commit and an abort of one exchange, or an arbiter two rulings."""

    type = "clearing.contradicted"
    scope = Scope.CLEARING_READ

    coop: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    by: Slug
    first: Ending
    second: Ending


class RulingGiven(Event):
    """This node ruled on an exchange of others."""

    type = "clearing.ruling-given"
    scope = Scope.CLEARING_READ

    coop: Slug
    exchange: RecordId
    exchange_id: ExchangeId
    ending: Ending
    ruling: RecordId

"""Agent cards as a node's members use them: publish, update, revoke, resolve.

A card is published by a record that its agent signed; whoever brings it is of no importance. It is
found through the distributed hash table, and believed because of two signatures of one key: that of
the record and that of the card. Source: ADR 0036.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opkit.wire.agents import CardSequence
from opkit.wire.base import Cid, Count, Did, TimeMs, Wire
from opkit.wire.compute import StorageFull
from opkit.wire.dht import LookupsFull
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Busy, Conflict, Invalid, Lapsed, Missing, Oversize
from opkit.wire.events import Event
from opkit.wire.records import (
    Carried,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    Sequence,
    SignedRecordRejected,
)


class PublishCard(Wire):
    """Ask the node to have an agent's card found in the network, or taken back.

    Attributes:
        carried: the record in the namespace `card`, signed by the agent; a tombstone revokes.
        card: the card that the record names, if it is too large to stand in it.
    """

    carried: Carried
    card: dict[str, Any] | None = None


class PublishedCard(Wire):
    """The record is here, and with so many others; `cid` is None if it takes a card back."""

    did: Did
    cid: Cid | None
    sequence: Sequence
    lapses_at_ms: TimeMs
    holders: Count


class AskCard(Wire):
    """Ask for the card of an agent, wherever it is kept."""

    did: Did


class ResolvedCard(Wire):
    """A card that verifies, with the record that led to it, so that whoever reads it can tell.

    Attributes:
        sequence: that of the record; `card_sequence` is that of the card.
        cached: it was resolved here a moment ago, and nobody was asked.
        hops: after how many the nearest node that answered was heard of.
    """

    did: Did
    cid: Cid
    sequence: Sequence
    card_sequence: CardSequence
    lapses_at_ms: TimeMs
    card: dict[str, Any]
    record: Carried
    cached: bool
    hops: Count


@dataclass(eq=False, kw_only=True)
class CardUnknown(Missing):
    """Nobody who was asked knows a card of this agent."""

    code = "card-unknown"
    hint = "the agent publishes its card with `opkit card publish`; one that is not renewed lapses"
    did: str


@dataclass(eq=False, kw_only=True)
class CardRevoked(Lapsed):
    """The agent took its card back."""

    code = "card-revoked"
    hint = "the agent can publish another one"
    did: str
    revoked_at_ms: int


@dataclass(eq=False, kw_only=True)
class CardUnfetched(Busy):
    """The record names a card that is too large to stand in it, and nobody gave it."""

    code = "card-unfetched"
    hint = "ask again: whoever keeps the card is not reached now"
    did: str
    cid: str


@dataclass(eq=False, kw_only=True)
class CardRejected(Invalid):
    """The card does not verify, or is not the one that the record names."""

    code = "card-rejected"
    hint = "the agent signs its own card, for this network; `opkit card verify` says what is wrong"
    why: str


@dataclass(eq=False, kw_only=True)
class CardOversize(Oversize):
    """The card is larger than a card may be."""

    code = "card-oversize"
    hint = "say less in it, or link to it"
    size_bytes: int
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class CardStale(Conflict):
    """A card of this agent with a higher sequence stands, or another one with the same."""

    code = "card-stale"
    hint = "read what stands, then sign a card with a higher sequence"
    standing_sequence: int


class CardPublished(Event):
    """An agent's card was published here."""

    type = "cards.published"
    scope = Scope.CARDS_READ
    did: Did
    cid: Cid
    sequence: Sequence


class CardTakenBack(Event):
    """An agent's card was revoked here."""

    type = "cards.revoked"
    scope = Scope.CARDS_READ
    did: Did
    sequence: Sequence


PUBLISH_CARD = Endpoint(
    name="cards.publish",
    method="POST",
    path="/v1/cards",
    ask=PublishCard,
    answer=PublishedCard,
    scope=Scope.CARDS_WRITE,
    changes=True,
    refuses=(
        SignedRecordRejected,
        RecordNotOwners,
        RecordLapsed,
        CardOversize,
        CardRejected,
        CardStale,
        StorageFull,
        RecordOutdated,
        RecordsExhausted,
        LookupsFull,
    ),
)

RESOLVE_CARD = Endpoint(
    name="cards.resolve",
    method="GET",
    path="/v1/cards/{did}",
    ask=AskCard,
    answer=ResolvedCard,
    scope=Scope.CARDS_READ,
    refuses=(LookupsFull, CardUnknown, CardRevoked, CardUnfetched, CardRejected),
)

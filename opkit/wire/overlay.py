"""The overlay as a node's own members use it: find and publish records, provide blobs, look inside.

What nodes say to each other about records stands in `opkit.wire.dht`, `gossip` and `reconcile`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opkit.wire.base import (
    B64,
    SAFE_INT_MAX,
    Cid,
    CidText,
    Count,
    Did,
    Jws,
    RecordId,
    Slug,
    Text,
    TimeMs,
    Wire,
)
from opkit.wire.compute import BlobUnknown, HashMalformed
from opkit.wire.dht import CONTACTS_MAX, ContactText, LookupsFull
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.events import Event
from opkit.wire.reconcile import ID_BYTES, Prefix, ReconciledNamespace
from opkit.wire.records import (
    RECORD_CHARACTERS_MAX,
    Carried,
    Namespace,
    RecordLapsed,
    RecordName,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    Sequence,
    SignedRecordRejected,
)

FOUND_MAX = 20
"""The most records that stand under one name: of each owner one."""

LINKS_MAX = 1_024
"""The most peers that one answer lists."""

LEFT_OUT_MAX = 16
"""Of how many types of events one says how many were left out."""

BELOW_IDS_MAX = 1_024
"""The most ids that one answer lists."""

FINGERPRINT_MAX = 24
"""How many bytes a fingerprint has."""


class AskRecords(Wire):
    """Ask for what stands under a name, wherever it is kept."""

    namespace: Namespace
    name: RecordName


class FoundRecords(Wire):
    """What was found, each record to be verified by its reader, and what it took.

    Attributes:
        hops: after how many the nearest node that answered was heard of.
        asked: how many nodes were asked; `silent` of them did not answer.
    """

    records: Annotated[tuple[Carried, ...], Field(max_length=FOUND_MAX)]
    hops: Count
    asked: Count
    silent: Count
    took_ms: Count


class AskRoute(Wire):
    """Ask which nodes are nearest to a name."""

    namespace: Namespace
    name: RecordName


class Route(Wire):
    """The nodes that answered, the nearest first, and what it took to find them."""

    contacts: Annotated[tuple[ContactText, ...], Field(max_length=CONTACTS_MAX)]
    hops: Count
    asked: Count
    silent: Count
    took_ms: Count


class PublishRecord(Wire):
    """Ask the node to have a record kept by the nodes nearest to its name, and announced."""

    carried: Carried


class Published(Wire):
    """The record is here, and with so many others."""

    record: RecordId
    holders: Count


class ProvideBlob(Wire):
    """Ask the node to say in the network that it keeps a blob, for as long as it does."""

    cid: CidText


class Provided(Wire):
    """So many other nodes keep the word that the blob is here."""

    cid: Cid
    holders: Count


class AskOverlay(Wire):
    """Ask what the node knows of the network around it."""


class MeshLink(Wire):
    """A peer in gossip: whether messages are pushed to it, and its score in thousandths."""

    topic: Slug
    did: Did
    in_mesh: bool
    score_milli: Annotated[int, Field(ge=-SAFE_INT_MAX, le=SAFE_INT_MAX)]
    slow: bool


class Room(Wire):
    """What a sponsor's owners take of the room that the node gives; None: those without one."""

    sponsor: Slug | None
    records: Count
    bytes: Count


class Counted(Wire):
    """How many there are of something, or how often it happened."""

    name: Text
    count: Count


class KeptSet(Wire):
    """The records of one namespace that the node compares with others.

    Attributes:
        fingerprint: equal on two nodes that keep the same.
    """

    namespace: ReconciledNamespace
    records: Count
    fingerprint: Annotated[B64, Field(max_length=FINGERPRINT_MAX)]


class AskBelow(Wire):
    """Ask which records of a namespace are here whose ids begin with some digits."""

    namespace: ReconciledNamespace
    prefix: Prefix = ""


class Branch(Wire):
    """What is below a prefix that is one digit longer."""

    records: Count
    fingerprint: Annotated[B64, Field(max_length=FINGERPRINT_MAX)]


class KeptBelow(Wire):
    """What is here below a prefix: few are told by their ids, many by sixteen fingerprints.

    Attributes:
        ids: in order, each of 16 bytes, one after another; None if there are too many.
        branches: by the digit that follows the prefix; none if the ids are told.
    """

    records: Count
    ids: Annotated[B64, Field(max_length=BELOW_IDS_MAX * ID_BYTES)] | None = None
    branches: Annotated[tuple[Branch, ...], Field(max_length=16)] = ()


class Overlay(Wire):
    """What the node knows of the network around it.

    Attributes:
        contacts: how many nodes its table holds.
        records: how many records it keeps, by namespace.
        banned: of whom nothing is taken now.
        counts: how often what happened since the node started, by name.
        sets: what it compares with others.
        repaired_ms: when comparing last brought a record here or to a peer; None: not since the
            start.
    """

    contacts: Count
    records: tuple[Counted, ...]
    rooms: tuple[Room, ...]
    mesh: Annotated[tuple[MeshLink, ...], Field(max_length=LINKS_MAX)]
    banned: Annotated[tuple[Did, ...], Field(max_length=LINKS_MAX)]
    counts: tuple[Counted, ...]
    sets: tuple[KeptSet, ...] = ()
    repaired_ms: TimeMs | None = None


class RecordPublished(Event):
    """A member had a record published here."""

    type = "overlay.record-published"
    scope = Scope.NODE_READ
    record: RecordId
    namespace: Namespace
    name: Text
    owner: Did


class OwnerEquivocated(Event):
    """An owner signed two records of one sequence: both are here, so that anybody can verify it.

    Attributes:
        first: the one that stands.
    """

    type = "overlay.owner-equivocated"
    scope = Scope.NODE_READ
    owner: Did
    namespace: Namespace
    name: RecordName
    sequence: Sequence
    first: Annotated[Jws, Field(max_length=RECORD_CHARACTERS_MAX)]
    second: Annotated[Jws, Field(max_length=RECORD_CHARACTERS_MAX)]


class PeerBanned(Event):
    """Announcements of a peer were such that nothing is taken of it for a while."""

    type = "overlay.peer-banned"
    scope = Scope.NODE_READ
    peer: Did
    why: Text


class PeerLied(Event):
    """A peer said what no honest one says when records were compared; it is left alone a while.

    Attributes:
        strikes: how often it did so of late.
    """

    type = "overlay.peer-lied"
    scope = Scope.NODE_READ
    peer: Did
    why: Text
    strikes: Count


class RecordsRepaired(Event):
    """Comparing with a peer brought records here (`kept`) or there (`pushed`) that were missing."""

    type = "overlay.records-repaired"
    scope = Scope.NODE_READ
    peer: Did
    kept: Count
    pushed: Count


class EventsLeftOut(Event):
    """So many events of these types were more than the journal is given; they are in no entry."""

    type = "overlay.events-left-out"
    scope = Scope.NODE_READ
    counts: Annotated[tuple[Counted, ...], Field(max_length=LEFT_OUT_MAX)]


RECORDS = Endpoint(
    name="overlay.records",
    method="GET",
    path="/v1/records",
    ask=AskRecords,
    answer=FoundRecords,
    scope=Scope.NODE_READ,
    refuses=(LookupsFull,),
)

ROUTE = Endpoint(
    name="overlay.route",
    method="GET",
    path="/v1/overlay/route",
    ask=AskRoute,
    answer=Route,
    scope=Scope.NODE_READ,
    refuses=(LookupsFull,),
)

BELOW = Endpoint(
    name="overlay.below",
    method="GET",
    path="/v1/overlay/below",
    ask=AskBelow,
    answer=KeptBelow,
    scope=Scope.NODE_READ,
)

OVERLAY = Endpoint(
    name="overlay.state",
    method="GET",
    path="/v1/overlay",
    ask=AskOverlay,
    answer=Overlay,
    scope=Scope.NODE_READ,
)

PUBLISH = Endpoint(
    name="overlay.publish",
    method="POST",
    path="/v1/records",
    ask=PublishRecord,
    answer=Published,
    scope=Scope.RECORDS_WRITE,
    changes=True,
    refuses=(
        SignedRecordRejected,
        RecordNotOwners,
        RecordLapsed,
        RecordOutdated,
        RecordsExhausted,
        LookupsFull,
    ),
)

PROVIDE = Endpoint(
    name="overlay.provide",
    method="POST",
    path="/v1/overlay/provide",
    ask=ProvideBlob,
    answer=Provided,
    scope=Scope.RECORDS_WRITE,
    changes=True,
    refuses=(HashMalformed, BlobUnknown, RecordsExhausted, LookupsFull),
)

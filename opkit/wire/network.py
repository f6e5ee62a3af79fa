"""A node as others see it: who it is, whom it is connected to, how it feels, what time it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from opkit.wire.base import Count, Did, Jws, NetworkId, Slug, Text, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Busy, Conflict, Denied, Invalid
from opkit.wire.events import Cursor, Event

CLOCK_TYP = "opkit-clock+jws"


Permille = Annotated[int, Field(ge=0, le=1_000)]


class EngineId(Wire):
    """What ran a module: outputs and fuel are compared only under equal engine ids."""

    name: Text
    version: Text
    settings: Text


LinkAmiss = Literal["loss", "delay"]
"""What is wrong with a link: too much that is sent is lost, or it takes far longer than it did."""


class PeerLink(Wire):
    """One connected peer, in figures that the transport itself reports.

    Attributes:
        lost_packets: how many of `sent_packets` were lost on the way; the peer counts its own.
        lost_permille: which share of them was lost in the last seconds.
        amiss: what has been wrong with the link for seconds; None if nothing.
    """

    did: Did
    org: Slug | None
    round_trip_us: Count
    sent_bytes: Count
    received_bytes: Count
    since_ms: TimeMs
    sent_packets: Count = 0
    lost_packets: Count = 0
    lost_permille: Permille = 0
    amiss: LinkAmiss | None = None


class AskNode(Wire):
    """Ask a node who it is."""


class NodeInfo(Wire):
    """Who a node is. `started_ms` changes with every start, `generation` with every new history."""

    did: Did
    org: Slug | None
    network: NetworkId
    version: Text
    engine: EngineId
    generation: Count
    started_ms: TimeMs
    now_ms: TimeMs
    world_ms: TimeMs


class AskPeers(Wire):
    """Ask whom the node is connected to, and what it keeps."""


class Peers(Wire):
    """Connected peers by DID, what is kept here, and where the journal ends now."""

    links: tuple[PeerLink, ...]
    blobs: Count
    blob_bytes: Count
    journal: Cursor


class AskHealth(Wire):
    """Ask whether the node lives, or is ready."""


class Health(Wire):
    """`status` is `ok`, or `not-ready` with the parts that are not.

    `degraded` says what is amiss although the node answers, in words for its operator: that it
    stops, that its disk is full, that a quota is reached.
    """

    status: Literal["ok", "not-ready"]
    waiting_for: tuple[Text, ...] = ()
    degraded: tuple[Text, ...] = ()


class ClockRecord(Wire):
    """The operator's signed word that world time runs `offset_ms` ahead of real time.

    Only in a devnet; only forwards. `sequence` counts the operator's records.
    """

    network: NetworkId
    aud: Literal["clock"]
    sequence: Annotated[int, Field(ge=1)]
    offset_ms: Count
    issued_at_ms: TimeMs


class MoveClock(Wire):
    """Ask the node to adopt a clock record."""

    record: Jws


class ClockMovedAnswer(Wire):
    """The world time that stands now."""

    sequence: Count
    offset_ms: Count


class NodeStarted(Event):
    """The node came up."""

    type = "node.started"
    scope = Scope.NODE_READ
    version: Text
    generation: Count


class PeerConnected(Event):
    """A peer and this node authenticated each other."""

    type = "network.peer-connected"
    scope = Scope.NODE_READ
    peer: Did
    org: Slug | None


class PeerLost(Event):
    """The connection to a peer ended."""

    type = "network.peer-lost"
    scope = Scope.NODE_READ
    peer: Did
    why: Text


class LinkWorsened(Event):
    """A link loses too much, or takes far longer than at its best, and has done so for seconds.

    Attributes:
        best_round_trip_us: the shortest round trip since the link stands.
    """

    type = "network.link-worsened"
    scope = Scope.NODE_READ
    peer: Did
    org: Slug | None
    amiss: LinkAmiss
    lost_permille: Permille
    round_trip_us: Count
    best_round_trip_us: Count


class LinkRecovered(Event):
    """A link that was bad for `bad_ms` is good again."""

    type = "network.link-recovered"
    scope = Scope.NODE_READ
    peer: Did
    org: Slug | None
    bad_ms: Count
    lost_permille: Permille
    round_trip_us: Count


class ProviderLied(Event):
    """A peer sent bytes that do not hash to the name they were asked by; it is not asked again."""

    type = "network.provider-lied"
    scope = Scope.NODE_READ
    peer: Did
    cid: Text
    received_bytes: Count


class ClockMoved(Event):
    """World time was moved ahead by the operator's record."""

    type = "network.clock-moved"
    scope = Scope.NODE_READ
    offset_ms: Count


@dataclass(eq=False, kw_only=True)
class NotReady(Busy):
    """The node lives but cannot serve yet."""

    code = "not-ready"
    hint = "wait; `opkit devnet status` shows what is missing"
    waiting_for: list[str]


@dataclass(eq=False, kw_only=True)
class ClockFixed(Denied):
    """This network's genesis does not call it a devnet: its time cannot be moved."""

    code = "clock-fixed"
    hint = "only a devnet's operator can move world time"


@dataclass(eq=False, kw_only=True)
class ClockRecordRejected(Invalid):
    """The clock record does not verify against the operator of this network."""

    code = "clock-record-rejected"
    hint = "a clock record is signed by the devnet's operator"
    why: str


@dataclass(eq=False, kw_only=True)
class ClockBackwards(Conflict):
    """World time only moves forward."""

    code = "clock-backwards"
    hint = "offset and sequence must both grow"
    standing_offset_ms: int
    standing_sequence: int


NODE = Endpoint(
    name="network.node",
    method="GET",
    path="/v1/node",
    ask=AskNode,
    answer=NodeInfo,
    scope=None,
)

PEERS = Endpoint(
    name="network.peers",
    method="GET",
    path="/v1/peers",
    ask=AskPeers,
    answer=Peers,
    scope=Scope.NODE_READ,
)

LIVE = Endpoint(
    name="network.live",
    method="GET",
    path="/v1/health/live",
    ask=AskHealth,
    answer=Health,
    scope=None,
)

READY = Endpoint(
    name="network.ready",
    method="GET",
    path="/v1/health/ready",
    ask=AskHealth,
    answer=Health,
    scope=None,
    refuses=(NotReady,),
)

MOVE_CLOCK = Endpoint(
    name="network.move-clock",
    method="POST",
    path="/v1/clock",
    ask=MoveClock,
    answer=ClockMovedAnswer,
    scope=Scope.CLOCK_WRITE,
    changes=True,
    refuses=(ClockFixed, ClockRecordRejected, ClockBackwards),
)

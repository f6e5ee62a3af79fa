"""Signed records: what nodes keep and hand on for each other, believed because of its signature.

A record says something under a name in a namespace, for a while. It belongs to whoever signed it;
a later one of the same owner under the same name replaces it, and a tombstone takes it back. Who
hands a record on is of no importance. Source: ADR 0028, ADR 0029.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opkit.wire.agents import CardValue
from opkit.wire.base import (
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    Jws,
    NetworkId,
    RecordId,
    TimeMs,
    Wire,
)
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed
from opkit.wire.names import NameValue
from opkit.wire.standing import MemberValue, StandingValue
from opkit.wire.witness import ForkValue, HeadValue

RECORD_TYP = "opkit-record+jws"

RECORD_CHARACTERS_MAX = 12_288
"""The longest signed record of any namespace; most allow less."""

NODE_TERM_MS_MAX = 24 * 3_600_000
"""The longest term of what a node says of itself."""

PROOF_MAX = 8
"""The most membership records that travel with a record to name its sponsor."""

PROOF_CHARACTERS_MAX = 4_096
"""The longest membership record that travels with a record."""

ADDRESSES_MAX = 8
"""The most addresses that a record names."""

ENDPOINTS_MAX = 4
"""The most front doors that a node names."""

Namespace = Literal["node", "blob", "note", "head", "fork", "member", "standing", "name", "card"]
"""What it is about: a node and its addresses; who keeps a blob; an owner's own words; a head of a
node's journal that the owner has seen; the proof that a node has two histories; a link of a
member's chain; what a coop's home says of its members; a name under a coop, as its home
countersigned a member's claim; an agent's card."""

NAMESPACES: tuple[Namespace, ...] = (
    "node",
    "blob",
    "note",
    "head",
    "fork",
    "member",
    "standing",
    "name",
    "card",
)

RecordName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=PLAIN)]
"""What in the namespace a record is about."""

Sequence = Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
"""A record's place among those of its owner under its name."""


class RecordBody(Wire):
    """What the owner signs.

    Attributes:
        aud: the namespace: a record of one is none of another.
        sequence: the higher one counts; at most `issued_at_ms`, so that nobody can take the last
            number there is and keep a name for ever.
        lapses_at_ms: from then on nobody keeps it or believes it. A tombstone lapses as late as a
            record of its namespace may, so that it outlives all that was issued before it.
        value: what the namespace says it is; None takes back what was said before (a tombstone).
    """

    network: NetworkId
    aud: Namespace
    name: RecordName
    owner: Did
    sequence: Sequence
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    value: dict[str, Any] | None


Address = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=PLAIN)]
"""Where somebody can be dialled, in the words of the transport."""

Addresses = Annotated[tuple[Address, ...], Field(max_length=ADDRESSES_MAX)]
"""Where somebody says that they can be dialled: hearsay until the transport found the key there."""


class HttpEndpoint(Wire):
    """Where a node's front door is, in the node's own words.

    Attributes:
        url: scheme, host and port, nothing else. Plain HTTP is on loopback only.
        tls_key_hash: SHA-256 of the key that the door shows (its SubjectPublicKeyInfo in DER): who
            dials takes no other, whatever the certificate says; None where there is no TLS.
    """

    url: Annotated[str, StringConstraints(max_length=256, pattern=r"^https?://[^/?#@\\\s\x00]+$")]
    tls_key_hash: RecordId | None = None


class NodeValue(Wire):
    """What a node says of itself in the namespace `node`: where peers and where clients dial it."""

    addresses: Addresses = ()
    endpoints: Annotated[tuple[HttpEndpoint, ...], Field(max_length=ENDPOINTS_MAX)] = ()


class BlobValue(Wire):
    """What somebody says who keeps a blob, in the namespace `blob`."""

    size_bytes: Count | None = None
    addresses: Addresses = ()


class NoteValue(Wire):
    """What an owner says in the namespace `note`."""

    text: Annotated[str, StringConstraints(max_length=4_096, pattern=PLAIN)]


VALUES: dict[Namespace, type[Wire]] = {
    "node": NodeValue,
    "blob": BlobValue,
    "note": NoteValue,
    "head": HeadValue,
    "fork": ForkValue,
    "member": MemberValue,
    "standing": StandingValue,
    "name": NameValue,
    "card": CardValue,
}
"""What the value of a record is, if it is no tombstone, by its namespace."""


class Carried(Wire):
    """A record on its way, with what shows who vouches for its owner.

    `proof` is the owner's chain of membership records; empty for nodes and founders, whom genesis
    names, and for whoever has no sponsor.
    """

    jws: Annotated[Jws, Field(max_length=RECORD_CHARACTERS_MAX)]
    proof: Annotated[
        tuple[Annotated[Jws, Field(max_length=PROOF_CHARACTERS_MAX)], ...],
        Field(max_length=PROOF_MAX),
    ] = ()


@dataclass(eq=False, kw_only=True)
class SignedRecordRejected(Invalid):
    """The record does not verify, or is not what its namespace takes."""

    code = "signed-record-rejected"
    hint = "a record is signed by its owner, for this network and its namespace"
    why: str


@dataclass(eq=False, kw_only=True)
class RecordLapsed(Lapsed):
    """The record's time is over."""

    code = "record-lapsed"
    hint = "the owner issues a new one"
    lapsed_at_ms: int


@dataclass(eq=False, kw_only=True)
class RecordNotOwners(Denied):
    """The namespace gives this name to somebody else."""

    code = "record-not-owners"
    hint = "only the owner writes under a name of their own"
    name: str


@dataclass(eq=False, kw_only=True)
class RecordOutdated(Conflict):
    """A record with this or a higher sequence stands."""

    code = "record-outdated"
    hint = "read what stands, then write with a higher sequence"
    standing_sequence: int


@dataclass(eq=False, kw_only=True)
class RecordsExhausted(Exhausted):
    """The owner's sponsor, the namespace or the name has no room for one more."""

    code = "records-exhausted"
    hint = "take records back, or let them lapse; members of a coop have room of their own"
    limit: int

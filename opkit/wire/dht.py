"""How nodes ask each other for records: a distributed hash table, `dht.*` (`docs/protocol.md`).

Whoever serves says so by sending a contact of its own with each question; it is believed only if it
names the very key that asks. Who sends none only asks, and nobody sends questions its way.
Source: ADR 0030; Maymounkov, Mazieres: Kademlia (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.wire.base import Did, Wire
from opkit.wire.errors import Busy
from opkit.wire.peer import PeerMethod
from opkit.wire.records import (
    Carried,
    Namespace,
    RecordLapsed,
    RecordName,
    RecordNotOwners,
    RecordOutdated,
    RecordsExhausted,
    SignedRecordRejected,
)

CONTACTS_MAX = 20
"""The most contacts in an answer: what one bucket holds."""

ADDRESSES_MAX = 4
"""The most addresses of a contact."""

RECORDS_MAX = 20
"""The most records in an answer: with all proofs at their longest they fit one frame."""

Place = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A place in the overlay: 256 bits in hex."""

ADDRESS_PATTERN = r"^[!#-\[\]-~]{1,64}$"

Address = Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN)]
"""Where a transport can dial: printable ASCII that JSON need not escape."""


class ContactText(Wire):
    """A node that serves, and where it says it may be dialled: hearsay until it answers."""

    did: Did
    addresses: Annotated[tuple[Address, ...], Field(max_length=ADDRESSES_MAX)] = ()


class Ping(Wire):
    """Ask whether the peer lives and serves."""

    sender: ContactText | None = None


class Pong(Wire):
    """The peer's own contact, so that whoever was dialled by it knows where to dial."""

    contact: ContactText


class FindNodes(Wire):
    """Ask for the contacts that the peer knows nearest to a place."""

    sender: ContactText | None = None
    target: Place


class NodesFound(Wire):
    """Contacts, the nearest first."""

    contacts: Annotated[tuple[ContactText, ...], Field(max_length=CONTACTS_MAX)]


class FindRecords(Wire):
    """Ask for the records under a name, and for the contacts nearest to its place."""

    sender: ContactText | None = None
    namespace: Namespace
    name: RecordName


class RecordsFound(Wire):
    """What the peer keeps under the name, to be verified, and contacts, the nearest first."""

    records: Annotated[tuple[Carried, ...], Field(max_length=RECORDS_MAX)]
    contacts: Annotated[tuple[ContactText, ...], Field(max_length=CONTACTS_MAX)]


class PutRecord(Wire):
    """Ask the peer to keep a record."""

    sender: ContactText | None = None
    record: Carried


class RecordTaken(Wire):
    """The peer keeps the record; `new` says whether it did not before."""

    new: bool


@dataclass(eq=False, kw_only=True)
class LookupsFull(Busy):
    """As many searches wait for their turn as may."""

    code = "lookups-full"
    hint = "ask again in a second"
    limit: int


PING = PeerMethod(name="dht.ping", ask=Ping, answer=Pong, deadline_ms=2_000)

FIND = PeerMethod(name="dht.find", ask=FindNodes, answer=NodesFound, deadline_ms=2_000)

GET = PeerMethod(name="dht.get", ask=FindRecords, answer=RecordsFound, deadline_ms=2_000)

PUT = PeerMethod(
    name="dht.put",
    ask=PutRecord,
    answer=RecordTaken,
    refuses=(
        SignedRecordRejected,
        RecordNotOwners,
        RecordLapsed,
        RecordOutdated,
        RecordsExhausted,
    ),
    deadline_ms=2_000,
)

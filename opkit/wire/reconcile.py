"""What nodes ask each other to keep the same records: `reconcile.*` (`docs/protocol.md`).

Both keep a tree of fingerprints over the ids of each namespace. The asker walks down where the
fingerprints differ, fetches what it lacks and pushes what the peer lacks; the answerer keeps
nothing between two questions. Ids travel cut to `ID_BYTES`. Source: ADR 0029.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import B64, Count, Wire
from opkit.wire.peer import PeerMethod
from opkit.wire.records import Carried, RecordNotOwners, SignedRecordRejected

ID_BYTES = 16
"""How much of an id travels."""

DEPTH_MAX = 2 * ID_BYTES
"""The longest prefix: as many hexadecimal digits as an id on the wire has."""

PREFIXES_MAX = 256
"""The most prefixes in a question."""

ROOTS_MAX = 16
"""Of how many namespaces a question has the root."""

RANGE_IDS_MIN = 32
"""A prefix with at most so many ids is always answered with them."""

RANGE_IDS_MAX = 1_024
"""The most ids of one prefix in an answer."""

IDS_MAX = 16_384
"""The most ids of all prefixes in an answer."""

FETCHED_MAX = 128
"""The most records that are asked for at once."""

PUSHED_MAX = 64
"""The most records that are pushed at once."""

CHARACTERS_MAX = 262_144
"""How many characters the records of a message have, unless a single one has more."""

ReconciledNamespace = Literal["node", "note", "head", "fork", "member", "standing", "name"]
"""The namespaces that two nodes compare."""

Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,32}$")]
"""The first hexadecimal digits of ids; the empty one stands for all of them."""

Place = Annotated[int, Field(ge=0, le=PUSHED_MAX - 1)]


class Root(Wire):
    """What all ids of a namespace look like from afar; 24 bytes."""

    namespace: ReconciledNamespace
    fingerprint: Annotated[B64, Field(max_length=24)]


class Compare(Wire):
    """Ask what the peer has below each prefix.

    Attributes:
        roots: other namespaces as they are here: the answer says which of them look different.
        ids_max: a prefix with at most so many ids is answered with them, another one with the
            fingerprints of the sixteen prefixes that are one digit longer.
    """

    namespace: ReconciledNamespace
    prefixes: Annotated[tuple[Prefix, ...], Field(min_length=1, max_length=PREFIXES_MAX)]
    ids_max: Annotated[int, Field(ge=RANGE_IDS_MIN, le=RANGE_IDS_MAX)]
    roots: Annotated[tuple[Root, ...], Field(max_length=ROOTS_MAX)] = ()


class Range(Wire):
    """What the peer has below one prefix: exactly one of both is set.

    Attributes:
        children: sixteen fingerprints of 24 bytes, one after another.
        ids: ids in order, each of `ID_BYTES`, one after another.
    """

    children: Annotated[B64, Field(max_length=16 * 24)] | None = None
    ids: Annotated[B64, Field(max_length=RANGE_IDS_MAX * ID_BYTES)] | None = None


class Compared(Wire):
    """Answers to the first prefixes of the question: at least to one, perhaps not to all.

    Attributes:
        differ: which of the question's `roots` are not the same here; None says nothing of them.
    """

    ranges: Annotated[tuple[Range, ...], Field(max_length=PREFIXES_MAX)]
    differ: Annotated[tuple[ReconciledNamespace, ...], Field(max_length=ROOTS_MAX)] | None = None


class Fetch(Wire):
    """Ask for records by their ids, one after another."""

    namespace: ReconciledNamespace
    ids: Annotated[B64, Field(max_length=FETCHED_MAX * ID_BYTES)]


class RecordsGiven(Wire):
    """The records of the first `upto` ids of the question, without those that are gone."""

    records: Annotated[tuple[Carried, ...], Field(max_length=FETCHED_MAX)]
    upto: Annotated[int, Field(ge=0, le=FETCHED_MAX)]


class Push(Wire):
    """Offer records that the peer lacks."""

    namespace: ReconciledNamespace
    records: Annotated[tuple[Carried, ...], Field(min_length=1, max_length=PUSHED_MAX)]


class Pushed(Wire):
    """How many are new to the peer, and which ones it does not keep, counted from 0."""

    kept: Count
    declined: Annotated[tuple[Place, ...], Field(max_length=PUSHED_MAX)] = ()


COMPARE = PeerMethod(name="reconcile.compare", ask=Compare, answer=Compared)

FETCH = PeerMethod(name="reconcile.fetch", ask=Fetch, answer=RecordsGiven)

PUSH = PeerMethod(
    name="reconcile.push",
    ask=Push,
    answer=Pushed,
    refuses=(SignedRecordRejected, RecordNotOwners),
)

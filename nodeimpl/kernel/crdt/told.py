"""What two replicas say to each other while one pulls from the other."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.base import Jws, RecordId
from opkit.wire.operations import ObjectId

HAVES_MAX = 96
"""How many operations a frontier names at most, beside its heads."""

OPERATIONS_GIVEN_MAX = 256
"""How many operations one delta has at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What a replica has, told in few words: the peer answers with what is missing.

    Attributes:
        heads: what nothing follows here; haves: more of what is here, further and further back.
        after: the last operation of the page before; None for the first page.
    """

    aud: ObjectId
    epoch: int
    base: RecordId | None
    heads: tuple[RecordId, ...] = ()
    haves: tuple[RecordId, ...] = ()
    after: RecordId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Ask for operations by their ids: something that came cites them."""

    aud: ObjectId
    ids: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Operations that a frontier lacks, each after all that it follows; `more`: some are left."""

    operations: tuple[Jws, ...]
    more: bool

"""What a domain says of the objects that it shares, and what a node keeps of them at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from nodeimpl.kernel.crdt.fold import Permits, permit_all
from nodeimpl.kernel.crdt.limits import ReplicaLimits
from nodeimpl.kernel.store import Tx
from opkit.proof.operations import ReadOperation
from opkit.wire.base import Did
from opkit.wire.operations import ObjectId, ObjectKind

GIVEN_CHARACTERS_MAX = 786_432
"""How much one answer gives: with all that is around it, it fits into a frame."""

TOLD_BYTES_MAX = 786_432
"""How much one message introduces of objects: what is longest of one of them is far less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSpec:
    """What an object is, as its id, its opening and the genesis say: the same on every node.

    Attributes:
        founders: home nodes that may write to it from the beginning.
        readers: nodes that are told of it although they may not write.
        admissions_min, expulsions_min: how many authors' voices make and end an author.
        permits: what an author may say; anything else was never an operation on the object, and
            whoever hands it on has lied.
        of_author_max: how many operations each author has room for, and may cite none of others'
            then; None if all share one room. Of use where nothing that is said hangs on another's
            word: nobody can take the room of another, or have others wait for what they lack.
    """

    kind: ObjectKind
    founders: frozenset[Did]
    readers: frozenset[Did] = frozenset()
    admissions_min: int = 1
    expulsions_min: int = 1
    permits: Permits = permit_all
    of_author_max: int | None = None


Judge: TypeAlias = "Callable[[ObjectId, str], SharedSpec]"
"""Says what an object is, or refuses what it is said to be opened with (`OpeningRejected`)."""

Changed: TypeAlias = "Callable[[Tx, ObjectId, ReadOperation], None]"
"""Is told of an operation in the transaction that keeps it, whoever signed it, unless it counts for
nothing. It may read the object, say something of it, and announce. What it raises undoes the
operation here, and all that came with it: it should raise nothing, for somebody else's operation
would never be taken."""


CaughtUp: TypeAlias = "Callable[[Tx, ObjectId], None]"
"""Is told that all is here of an object that this node had said before a loss. It may say what it
put off meanwhile; as of `Changed`, it should raise nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingLimits:
    """What a node keeps, and how it spreads.

    Attributes:
        objects_max: objects of which it keeps a replica; of one peer, those that it told of.
        loaded_max: replicas in memory that nothing is being done with.
        replica: what one replica keeps.
        round_ms: how often a node tells its peers all heads although nothing changed.
        retry_ms: how long until a peer is told again that did not take it.
        patience_ms: how long it is waited for one peer before another is asked about the same.
        ban_ms: how long nothing is taken of a peer that lied; twice as long each time again, up to
            `ban_ms_max`.
    """

    objects_max: int = 4_096
    objects_of_peer_max: int = 1_024
    loaded_max: int = 256
    replica: ReplicaLimits = field(
        default_factory=lambda: ReplicaLimits(given_characters_max=GIVEN_CHARACTERS_MAX)
    )
    round_ms: int = 120_000
    retry_ms: int = 1_000
    patience_ms: int = 2_000
    ban_ms: int = 60_000
    ban_ms_max: int = 3_600_000

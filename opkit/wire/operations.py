"""Signed operations on what parties share: each is named by its hash and cites what it follows.

A replicated object is the set of operations that its authors signed, and nothing else: whoever has
the same set has the same state, byte by byte. An operation stands in its causal past, which is all
that it cites, directly and indirectly; by that alone is judged whether its author could sign it.
Checkpoints, signed by the members, end an epoch: the next one begins with their state.
Source: ADR 0043; Kleppmann: Making CRDTs Byzantine Fault Tolerant (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    PLAIN,
    SAFE_INT_MAX,
    Count,
    Did,
    NetworkId,
    RecordId,
    TimeMs,
    Wire,
)
from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed

OPERATION_TYP = "opkit-operation+jws"

CHECKPOINT_TYP = "opkit-checkpoint+jws"

OPERATION_CHARACTERS_MAX = 16_384
"""The longest signed operation."""

CHECKPOINT_CHARACTERS_MAX = 65_536
"""The longest signed checkpoint."""

PARENTS_MAX = 16
"""How many operations one cites at most."""

OVER_MAX = 64
"""How many earlier operations one takes back or replaces at most."""

AUTHORS_MAX = 256
"""How many authors an object has at most; also how many it may ever have expelled."""

TICK_MAX = 65_535
"""How often a hybrid clock counts within one millisecond."""

TOTAL_MAX = 2**40
"""The greatest total of one author in a counter: all authors' together stay exact in JSON."""

VALUE_CHARACTERS_MAX = 4_096

HEADS_MAX = 64
"""How many operations that nothing follows yet a checkpoint tells of."""

ObjectId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)?$"
    ),
]
"""Which object: `federation`, or `pool/tool-loans`."""

Value = Annotated[str, StringConstraints(max_length=VALUE_CHARACTERS_MAX, pattern=PLAIN)]
"""What is kept: text; what it means is for whoever keeps it."""

Key = Annotated[str, StringConstraints(max_length=256, pattern=PLAIN)]

Total = Annotated[int, Field(ge=0, le=TOTAL_MAX)]

Over = Annotated[tuple[RecordId, ...], Field(max_length=OVER_MAX)]


class ObjectKind(StrEnum):
    """What merges: which acts an object knows, and what they add up to."""

    G_COUNTER = "g-counter"
    PN_COUNTER = "pn-counter"
    OR_SET = "or-set"
    LWW_REGISTER = "lww-register"
    MV_REGISTER = "mv-register"
    LWW_MAP = "lww-map"


class CountAct(Wire):
    """The author's own totals are these now; a lower one than before says nothing."""

    kind: Literal["count"] = "count"
    up: Total
    down: Total = 0


class AddAct(Wire):
    """Add an element to a set, under the id of this operation."""

    kind: Literal["add"] = "add"
    element: Value


class RemoveAct(Wire):
    """Take back the additions that the author has seen; one that they have not seen stays."""

    kind: Literal["remove"] = "remove"
    over: Annotated[tuple[RecordId, ...], Field(min_length=1, max_length=OVER_MAX)]


class SetAct(Wire):
    """Set a register, or a key of a map: the latest stands. None empties it."""

    kind: Literal["set"] = "set"
    key: Key = ""
    value: Value | None


class AssignAct(Wire):
    """Assign a value in place of those that the author has seen; others stay beside it."""

    kind: Literal["assign"] = "assign"
    value: Value
    over: Over = ()


class AdmitAct(Wire):
    """Say that a key is to be an author."""

    kind: Literal["admit"] = "admit"
    did: Did


class ExpelAct(Wire):
    """Say that an author is to be none any more.

    Attributes:
        fork: two operations of theirs under one number, both in the causal past of this one: with
            them one voice is enough.
    """

    kind: Literal["expel"] = "expel"
    did: Did
    fork: Annotated[tuple[RecordId, ...], Field(min_length=2, max_length=2)] | None = None


Act = Annotated[
    CountAct | AddAct | RemoveAct | SetAct | AssignAct | AdmitAct | ExpelAct,
    Field(discriminator="kind"),
]


class Operation(Wire):
    """One operation (`opkit-operation+jws`, `did` is its author); its record id names it.

    Attributes:
        aud: the object.
        epoch: the number of the checkpoint that it stands on; 0 for the object's beginning.
        base: that checkpoint's id; None in epoch 0.
        sequence: the author's own, from 1 in each epoch.
        previous: the author's operation before it in the epoch; None for the first one.
        parents: what else it follows directly, in order; with `previous`, its causal past.
        time_ms: the author's hybrid clock: after all that it follows.
        tick: the same clock within the millisecond.
    """

    network: NetworkId
    aud: ObjectId
    did: Did
    epoch: Count
    base: RecordId | None
    sequence: Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
    previous: RecordId | None
    parents: Annotated[tuple[RecordId, ...], Field(max_length=PARENTS_MAX)] = ()
    time_ms: TimeMs
    tick: Annotated[int, Field(ge=0, le=TICK_MAX)]
    act: Act


class Checkpoint(Wire):
    """What a member signs to end an epoch (`opkit-checkpoint+jws`); its id leaves `did` out.

    Attributes:
        aud: the object.
        epoch: of which it is the beginning, from 1.
        base: the checkpoint before it; None for the first one.
        heads: what it covers: these operations and their causal past, in order.
        authors: who stands then, in order; expelled: whose keys never come back.
        state: SHA-256 of the snapshot, in hex.
        time_ms: the latest time that it covers: what follows has a later one.
    """

    network: NetworkId
    aud: ObjectId
    did: Did
    epoch: Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
    base: RecordId | None
    heads: Annotated[tuple[RecordId, ...], Field(max_length=HEADS_MAX)]
    authors: Annotated[tuple[Did, ...], Field(min_length=1, max_length=AUTHORS_MAX)]
    expelled: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)]
    state: RecordId
    time_ms: TimeMs


@dataclass(eq=False, kw_only=True)
class OperationRejected(Invalid):
    """The operation does not verify, or is none of this object's."""

    code = "operation-rejected"
    hint = "an author signs operations for one network and one object, in the order of their own"
    why: str


@dataclass(eq=False, kw_only=True)
class OperationClockAhead(Invalid):
    """The operation's time lies further ahead than clocks may differ; nobody adopts it."""

    code = "operation-clock-ahead"
    hint = "set the author's clock; the operation is taken once that time has come"
    time_ms: int
    now_ms: int
    skew_ms_max: int


@dataclass(eq=False, kw_only=True)
class OperationNotAuthors(Denied):
    """In the causal past of the operation, whoever signed it is no author of the object."""

    code = "operation-not-authors"
    hint = "an author is admitted by operations that the first own one follows"
    did: str


@dataclass(eq=False, kw_only=True)
class EpochOver(Lapsed):
    """The operation stands on another checkpoint than this replica does."""

    code = "epoch-over"
    hint = "rejoin with the latest checkpoint, and sign anew what it does not cover"
    epoch: int
    epoch_now: int


@dataclass(eq=False, kw_only=True)
class LogFull(Exhausted):
    """The object has as many operations since the last checkpoint as it may have."""

    code = "log-full"
    hint = "let the members sign a checkpoint"
    limit: int


@dataclass(eq=False, kw_only=True)
class CheckpointRejected(Conflict):
    """The checkpoint is not signed by enough members, or not what follows from the operations."""

    code = "checkpoint-rejected"
    hint = "more than half of those who stood at the last one sign the same state"
    why: str

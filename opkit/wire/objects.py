"""What nodes say to each other about the objects that they share, and what they notice of each.

An object is a set of signed operations (`opkit.wire.operations`); a node tells its peers the heads
of what it has, and pulls what it lacks. Nothing is believed for who brought it. Only who may have
an object hears of it: to anybody else it does not exist. Source: ADR 0044.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.wire.base import PLAIN, Count, Did, Jws, RecordId, Text, Wire
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Exhausted, Invalid, Missing
from opkit.wire.events import Event
from opkit.wire.gateway import StoreBusy
from opkit.wire.operations import (
    AUTHORS_MAX,
    HEADS_MAX,
    OPERATION_CHARACTERS_MAX,
    EpochOver,
    ObjectId,
    ObjectKind,
)
from opkit.wire.peer import PeerMethod

OPENING_CHARACTERS_MAX = 4_096
"""The longest text that an object is opened with."""

OBJECTS_TOLD_MAX = 64
"""Of how many objects one message tells the heads."""

HAVES_MAX = 96
"""How many operations a frontier names at most, beside its heads."""

GIVEN_MAX = 256
"""How many operations one answer has at most."""

Opening = Annotated[str, StringConstraints(max_length=OPENING_CHARACTERS_MAX, pattern=PLAIN)]
"""What an object is opened with: who may write, and on what, follows from it and the genesis."""

Heads = Annotated[tuple[RecordId, ...], Field(max_length=HEADS_MAX)]

SignedOperation = Annotated[Jws, Field(max_length=OPERATION_CHARACTERS_MAX)]


class ObjectHeads(Wire):
    """What a node has of an object, in short.

    Attributes:
        opening: what it was opened with; None unless the peer has said that it does not know it.
        base: the checkpoint that the epoch stands on; None in epoch 0.
        heads: operations that nothing follows yet, in order, as far as there is room.
        heads_hash: SHA-256 of all of them, in order, one behind the other; None if there was room.
    """

    aud: ObjectId
    opening: Opening | None = None
    epoch: Count
    base: RecordId | None
    heads: Heads
    heads_hash: RecordId | None = None


class TellHeads(Wire):
    """Tell a peer what one has of some objects that it may have, too."""

    objects: Annotated[tuple[ObjectHeads, ...], Field(max_length=OBJECTS_TOLD_MAX)]


class HeadsHeard(Wire):
    """The peer will pull what it lacks; `unknown`: it wants to be told how these are opened."""

    unknown: Annotated[tuple[ObjectId, ...], Field(max_length=OBJECTS_TOLD_MAX)] = ()


class AskLacking(Wire):
    """Ask for operations beyond what one has.

    Attributes:
        heads: what nothing follows here.
        haves: more of what is here, further and further back.
        after: the last operation of the page before; None for the first page.
    """

    aud: ObjectId
    epoch: Count
    base: RecordId | None
    heads: Heads = ()
    haves: Annotated[tuple[RecordId, ...], Field(max_length=HAVES_MAX)] = ()
    after: RecordId | None = None


class AskOperations(Wire):
    """Ask for operations by their ids: something that came cites them."""

    aud: ObjectId
    ids: Annotated[tuple[RecordId, ...], Field(max_length=GIVEN_MAX)]


class OperationsGiven(Wire):
    """Operations, each after all that it follows; `more`: there are others."""

    operations: Annotated[tuple[SignedOperation, ...], Field(max_length=GIVEN_MAX)]
    more: bool = False


@dataclass(eq=False, kw_only=True)
class ObjectUnknown(Missing):
    """There is no such object here, or none that the asker may have."""

    code = "object-unknown"
    hint = "an object is shared among those who may write to it"
    object_id: str


@dataclass(eq=False, kw_only=True)
class OpeningRejected(Invalid):
    """What the object was opened with is not what its id stands for."""

    code = "opening-rejected"
    hint = "an object is opened with exactly what its id names"
    object_id: str
    why: str


@dataclass(eq=False, kw_only=True)
class ObjectsFull(Exhausted):
    """This node keeps as many objects as it may."""

    code = "objects-full"
    hint = "the limit is the node's"
    limit: int


class ObjectOpened(Event):
    """A node keeps an object from now on.

    Attributes:
        peer: who told of it, once something came that is signed; None if it was opened here.
    """

    type = "objects.opened"
    scope = Scope.FEDERATION_READ

    object_id: ObjectId
    kind: ObjectKind
    founders: Annotated[tuple[Did, ...], Field(max_length=AUTHORS_MAX)]
    peer: Did | None = None


class ObjectMerged(Event):
    """Operations on an object that a node had not had.

    Attributes:
        operations: how many came, and counted or not.
        total: how many there are since the last checkpoint.
        peer: who gave them; None if they were signed here.
    """

    type = "objects.merged"
    scope = Scope.FEDERATION_READ

    object_id: ObjectId
    operations: Count
    total: Count
    peer: Did | None = None


class AuthorForked(Event):
    """It is proven that an author signed two operations under one number.

    Attributes:
        first, second: the operations' ids.
    """

    type = "objects.author-forked"
    scope = Scope.FEDERATION_READ

    object_id: ObjectId
    did: Did
    epoch: Count
    sequence: Count
    first: RecordId
    second: RecordId


class GiverLied(Event):
    """A peer gave what no honest one gives; nothing of it was believed, and the link was ended."""

    type = "objects.peer-lied"
    scope = Scope.FEDERATION_READ

    object_id: ObjectId
    peer: Did
    why: Text


TELL_HEADS = PeerMethod(
    name="objects.heads",
    ask=TellHeads,
    answer=HeadsHeard,
    refuses=(StoreBusy,),
)

LACKING = PeerMethod(
    name="objects.lacking",
    ask=AskLacking,
    answer=OperationsGiven,
    refuses=(ObjectUnknown, EpochOver, StoreBusy),
)

GIVE = PeerMethod(
    name="objects.give",
    ask=AskOperations,
    answer=OperationsGiven,
    refuses=(ObjectUnknown, StoreBusy),
)

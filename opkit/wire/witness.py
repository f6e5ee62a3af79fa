"""What nodes witness of each other's journals: heads, growth from one to the next, and forks.

A node asks its peers for the head of their journal and for proof that it grew from the heads that
it has seen (`journal.grow`). What it has seen it countersigns, in a record of the namespace `head`,
and passes on. Two heads that cannot be of one journal are passed on in the namespace `fork`.
Source: ADR 0032.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from opkit.wire.base import Count, Did, Jws, RecordId, Text, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict, Invalid
from opkit.wire.events import Event
from opkit.wire.journal import Path, ProvenEntry
from opkit.wire.peer import PeerMethod

SEEN_MAX = 4
"""How many heads one question tells of."""

OPENINGS_SHOWN_MAX = 8
"""How many opened generations an answer shows: the last ones."""

WITNESSES_MAX = 20
"""Of how many witnesses the countersigned heads of one node are kept."""

FORK_OWNERS_MAX = 4
"""How many owners' records of forks are kept of one node; each proves one by itself."""

FORKS_KEPT_MAX = 4
"""How many forks of one node a node keeps proof of; one is enough."""

NODES_SHOWN_MAX = 256
"""Of how many nodes one answer tells."""

FORK_PATH_MAX = 32
"""The most hashes in the proof of a fork: enough for trees of 2^31 entries."""

SignedHead = Annotated[Jws, Field(max_length=1_024)]
"""A head (`opkit-journal-head+jws`), as its node signed it."""


class HeadValue(Wire):
    """What a witness says of the node in the name, in the namespace `head`: it signed this head.

    The signature of the record is the countersignature.
    """

    head: SignedHead


class ForkValue(Wire):
    """Two heads that prove that the node in the name has two histories, in the namespace `fork`.

    Both are of one generation, `first` is not the longer one. If they are of one size, they differ
    in root or last hash, and nothing else is needed. Otherwise `path` leads, as a consistency proof
    does, from `root` to the root of `second`: so the first entries of `second` hash to `root`, and
    `first` has another one.
    """

    first: SignedHead
    second: SignedHead
    root: RecordId | None = None
    path: Annotated[tuple[RecordId, ...], Field(max_length=FORK_PATH_MAX)] = ()


class AskGrowth(Wire):
    """Ask for the journal's head and its growth from heads that the asked node signed before."""

    seen: Annotated[tuple[SignedHead, ...], Field(max_length=SEEN_MAX)] = ()


class Growth(Wire):
    """How the journal began: `root` is that of its first `size` entries, `path` leads to the head.

    The path is a consistency proof (RFC 9162, section 2.1.4.2); empty if the head is of that size.
    """

    size: Count
    root: RecordId
    path: Path


class OpeningShown(Wire):
    """The entry that opened a generation, and the path from it to the root of the head."""

    entry: ProvenEntry
    path: Path


class Grown(Wire):
    """The head of now, and the growth from each head of the question as far as it is in there.

    A head of an earlier generation may count entries that were lost when that one ended; then
    there is no growth from it, and `openings`, oldest first, say what the operator admitted.
    """

    head: SignedHead
    growths: Annotated[tuple[Growth, ...], Field(max_length=SEEN_MAX)] = ()
    openings: Annotated[tuple[OpeningShown, ...], Field(max_length=OPENINGS_SHOWN_MAX)] = ()


@dataclass(eq=False, kw_only=True)
class HeadRejected(Invalid):
    """What was said to be a head of the asked node is none."""

    code = "head-rejected"
    hint = "ask with heads that the asked node has signed, for this network"
    why: str


@dataclass(eq=False, kw_only=True)
class HistoryBehind(Conflict):
    """The node has signed for entries that its journal does not have: it signs nothing any more."""

    code = "history-behind"
    hint = "its operator has to put back the newest database, or to open a new generation"
    size: int


GROW = PeerMethod(
    name="journal.grow", ask=AskGrowth, answer=Grown, refuses=(HeadRejected, HistoryBehind)
)


class JournalWitnessed(Event):
    """This node has seen another one's journal grow, and countersigned its head.

    It is told once for each generation of the other one, and then once an hour at most.
    """

    type = "journal.witnessed"

    node: Did
    generation: Count
    size: Count
    root: RecordId


class JournalForkProven(Event):
    """It is proven that a node has two histories: it signed two heads that exclude each other.

    Attributes:
        size: how many entries the shorter one of both heads counts.
        first: the record id of that head.
        second: the record id of the other one.
    """

    type = "journal.fork-proven"

    node: Did
    generation: Count
    size: Count
    first: RecordId
    second: RecordId


class JournalGrowthUnproven(Event):
    """A node did not show that its journal grew from a head that it had signed.

    That proves nothing to others. It is told once an hour at most for each node.

    Attributes:
        generation: that of the head from which growth was asked for.
        size: how many entries that head counts.
    """

    type = "journal.growth-unproven"

    node: Did
    generation: Count
    size: Count
    why: Text


class AskWitnesses(Wire):
    """Ask who has seen whose journal: of all nodes in short, or of one with all that proves it."""

    node: Did | None = None


class WitnessedNode(Wire):
    """What is known here of one node's journal.

    Attributes:
        head: the longest head that is known here, countersigned or asked for by this node.
        asked_at_ms: when this node last saw it grow; None if it never did.
        witnesses: how many nodes of the genesis, other than itself, have countersigned a head of it
            that stands here.
        records: these countersigned heads (`opkit-record+jws`), if one node was asked for.
        forks: how many forks of it are proven here, up to `FORKS_KEPT_MAX`.
        fork_proofs: their proofs, if one node was asked for.
        unproven: why it did not show growth when it was last asked; None if it did.
    """

    node: Did
    head: SignedHead | None
    generation: Count
    size: Count
    asked_at_ms: TimeMs | None
    witnesses: Count
    records: Annotated[tuple[Jws, ...], Field(max_length=WITNESSES_MAX)] = ()
    forks: Count
    fork_proofs: Annotated[tuple[ForkValue, ...], Field(max_length=FORKS_KEPT_MAX)] = ()
    unproven: Text | None = None


class Witnesses(Wire):
    """What is known here of journals: nodes of the genesis first. `left_off` were too many."""

    nodes: Annotated[tuple[WitnessedNode, ...], Field(max_length=NODES_SHOWN_MAX)]
    left_off: Count = 0


WITNESSES = Endpoint(
    name="journal.witnesses",
    method="GET",
    path="/v1/journal/witnesses",
    ask=AskWitnesses,
    answer=Witnesses,
    scope=Scope.EVENTS_READ,
)

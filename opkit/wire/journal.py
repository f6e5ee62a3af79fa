"""Signed heads of a node's journal, and proofs about it that fit on a page.

The journal's stored bytes are the leaves of a Merkle tree (RFC 9162). A head is a node's signature
over its size and root: whoever keeps one can later ask for a proof that the journal only grew, and
whoever is shown one entry for a proof that it is in there. Entry `sequence` is leaf `sequence - 1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from opkit.wire.base import PLAIN, SAFE_INT_MAX, Count, Did, Jws, NetworkId, RecordId, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Invalid, Missing
from opkit.wire.events import Event

JOURNAL_HEAD_TYP = "opkit-journal-head+jws"

OPENINGS_MAX = 1_000
"""The most generations that one answer names: each is opened by hand."""

PATH_MAX = 64
"""The most hashes in a proof: a tree of 2^53 entries needs 54."""

Place = Annotated[int, Field(ge=1, le=SAFE_INT_MAX)]
"""A sequence number, or the number of entries of a tree that is not empty."""

Path = Annotated[tuple[RecordId, ...], Field(max_length=PATH_MAX)]
"""Hashes from the leaf, or the smaller tree, up. Source: RFC 9162, section 2.1."""


class JournalHead(Wire):
    """A node's signed word on its whole journal: so many entries, hashed to this root.

    `hash` is the last entry's own, as in a cursor; `issued_at_ms` is real time on that node.
    """

    network: NetworkId
    aud: Literal["journal"]
    node: Did
    generation: Count
    size: Count
    root: RecordId
    hash: RecordId
    issued_at_ms: TimeMs


class HistoryPlace(Wire):
    """A place in a node's history: the generation that stood there, and all up to it in two hashes.

    `root` is that of the tree over the first `size` entries, `hash` the last one's own.
    """

    generation: Count
    size: Count
    root: RecordId
    hash: RecordId


class GenerationOpened(Event):
    """The node goes on as another history, by its operator's order: the first entry of it.

    The entries before it stay, and so do their places in the tree.

    Attributes:
        generation: what the history is called from here on.
        after: where the database stood when it was opened.
        lost: the last place that the node knew to be its own and that the database does not have;
            None if nothing is known to be missing.
        reason: what the operator said.
    """

    type = "journal.generation-opened"

    generation: Count
    after: HistoryPlace
    lost: HistoryPlace | None = None
    reason: Annotated[str, Field(max_length=200, pattern=PLAIN)] = ""


class JournalCheckpointed(Event):
    """The node will remove its first `size` entries, and says what stands for them from then on.

    Attributes:
        hash: the hash of the last entry that goes: what the next one cites.
        peaks: the roots of the complete subtrees that the first `size` leaves consist of, the
            largest first: with them and the entries that stay, the whole tree can be hashed anew.
        head: a head that the node signed before, over at least `size` entries.
    """

    type = "journal.checkpointed"

    size: Place
    hash: RecordId
    peaks: Path
    head: Jws


class AskJournalOrigin(Wire):
    """Ask which histories this journal went through, and where what is readable begins."""


class JournalOrigin(Wire):
    """How the journal came to be what it is; generation 1 was opened by nobody.

    `openings` are the last ones, oldest first. `cut` is the last checkpoint: the entries up to it
    are gone, and reading begins after it.
    """

    generation: Count
    openings: Annotated[tuple[GenerationOpened, ...], Field(max_length=OPENINGS_MAX)]
    cut: JournalCheckpointed | None = None


class AskJournalHead(Wire):
    """Ask the node to sign where its journal stands."""


class SignedJournalHead(Wire):
    """The head of what is committed now, signed by the node."""

    head: Jws


class AskInclusion(Wire):
    """Ask for the proof that an entry is among the first `size`."""

    sequence: Place
    size: Place


class InclusionProof(Wire):
    """The path from the entry to the root of the tree over the first `size` entries."""

    generation: Count
    sequence: Place
    size: Place
    path: Path


class AskConsistency(Wire):
    """Ask for the proof that the first `first` entries begin the first `second`."""

    first: Place
    second: Place


class ConsistencyProof(Wire):
    """The path that leads to the roots of both trees."""

    generation: Count
    first: Place
    second: Place
    path: Path


class ProvenEntry(Wire):
    """What an entry's leaf holds: all that its hash covers, and nothing else."""

    sequence: Place
    type: str
    at_ms: TimeMs
    body: dict[str, Any]


class EntryProof(Wire):
    """One entry with all that shows that it is in a journal, to be kept and checked offline."""

    head: Jws
    entry: ProvenEntry
    path: Path


@dataclass(eq=False, kw_only=True)
class ProofMisplaced(Invalid):
    """What should be shown lies behind the tree that should show it."""

    code = "proof-misplaced"
    hint = "a tree of so many entries shows those up to it, and trees that are not larger"
    asked: int
    size: int


@dataclass(eq=False, kw_only=True)
class JournalShort(Missing):
    """The journal has not so many entries: it never had, or it is not the one that it was."""

    code = "journal-short"
    hint = "compare with the size and generation in the node's signed head"
    asked: int
    size: int


HEAD = Endpoint(
    name="journal.head",
    method="GET",
    path="/v1/journal/head",
    ask=AskJournalHead,
    answer=SignedJournalHead,
    scope=Scope.EVENTS_READ,
)

INCLUSION = Endpoint(
    name="journal.inclusion",
    method="GET",
    path="/v1/journal/inclusion",
    ask=AskInclusion,
    answer=InclusionProof,
    scope=Scope.EVENTS_READ,
    refuses=(ProofMisplaced, JournalShort),
)

CONSISTENCY = Endpoint(
    name="journal.consistency",
    method="GET",
    path="/v1/journal/consistency",
    ask=AskConsistency,
    answer=ConsistencyProof,
    scope=Scope.EVENTS_READ,
    refuses=(ProofMisplaced, JournalShort),
)

ORIGIN = Endpoint(
    name="journal.origin",
    method="GET",
    path="/v1/journal/origin",
    ask=AskJournalOrigin,
    answer=JournalOrigin,
    scope=Scope.EVENTS_READ,
)

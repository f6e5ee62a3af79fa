"""Events: what a node did, in the past tense, journalled in the transaction that did it.

Each type declares the scope that may read it; who lacks it sees that something passed, not what.
A cursor names a place in one node's journal by generation, sequence number and hash, so that a
journal that was replaced is noticed (`JournalDiverged`) and never silently resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from opkit.wire.base import Count, RecordId, TimeMs, Wire
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Conflict

EVENTS: dict[str, type[Event]] = {}
"""Every event type by its stable name; filled when the class is made."""

EVENTS_PER_PAGE_MAX = 1000

CursorText = Annotated[
    str, StringConstraints(pattern=r"^(?:[0-9]{1,10}\.[0-9]{1,16}\.[0-9a-f]{64})?$")
]
"""`generation.sequence.hash`, or empty for the beginning."""


class Event(Wire):
    """Something that happened on a node. Subclasses set `type` (`domain.happened`) and `scope`."""

    type: ClassVar[str] = ""
    scope: ClassVar[Scope] = Scope.EVENTS_READ

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register the event type under its name."""
        assert cls.type and cls.type not in EVENTS, f"event type {cls.type!r} is missing or taken"
        EVENTS[cls.type] = cls


class Cursor(Wire):
    """A place in one journal: after the entry with this sequence number and hash."""

    generation: Count
    sequence: Count
    hash: RecordId

    def __str__(self) -> str:
        """Return the cursor as the text that travels in a query."""
        return f"{self.generation}.{self.sequence}.{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that `text` spells.

        Raises:
            ValueError: not `generation.sequence.hash`.
        """
        generation, sequence, digest = text.split(".")
        return cls(generation=int(generation), sequence=int(sequence), hash=digest)


class JournalEntry(Wire):
    """One journalled event as a reader sees it.

    `hash` is SHA-256 over the previous entry's hash and the stored bytes (`docs/protocol.md`).
    """

    sequence: Count
    type: str
    at_ms: TimeMs
    body: dict[str, Any]
    previous: RecordId
    hash: RecordId


class ReadJournal(Wire):
    """Ask for the entries after a cursor. `wait_ms` holds the answer until there is one."""

    after: CursorText = ""
    entries_max: Annotated[int, Field(ge=1, le=EVENTS_PER_PAGE_MAX)] = 100
    wait_ms: Annotated[int, Field(ge=0, le=30_000)] = 0


class JournalPage(Wire):
    """Entries in order.

    `passed_through` counts those that the reader's scopes hide, and, when reading begins at the
    beginning, those that were removed.
    """

    entries: tuple[JournalEntry, ...]
    passed_through: Count
    cursor: Cursor


@dataclass(eq=False, kw_only=True)
class JournalDiverged(Conflict):
    """The cursor is not a place in this journal: it belongs to another history."""

    code = "journal-diverged"
    hint = "read from the beginning, and compare with what you kept"
    cursor: str
    head: str


@dataclass(eq=False, kw_only=True)
class JournalCut(JournalDiverged):
    """The cursor's place was removed: what follows it is not here any more up to `resume`.

    Who begins anew on a journal that diverged does the right thing on this one, too.
    """

    code = "journal-cut"
    hint = "go on after `resume`; what came before can be proved, not read"
    resume: str


READ_JOURNAL = Endpoint(
    name="events.read",
    method="GET",
    path="/v1/journal",
    ask=ReadJournal,
    answer=JournalPage,
    scope=Scope.EVENTS_READ,
    refuses=(JournalDiverged, JournalCut),
)

EVENTS_PATH = "/v1/events"
"""The WebSocket: `?after=CURSOR`, token in `Authorization`; sends one `JournalPage` a message."""


class StreamEnd(IntEnum):
    """Why the node ends a stream: the WebSocket's close code, beside a reason in words.

    Source: RFC 6455, section 7.4; those above 4000 are this contract's own.
    """

    REJECTED = 4401
    """The token expired, or it or its member was revoked."""
    DIVERGED = 4409
    """The place is not in this journal; the message before says why."""
    ONE_WAY = 1003
    """The reader sent something."""
    SLOW = 1008
    """The reader did not read for too long."""
    FAULT = 1011
    """The node is broken."""
    RESTART = 1012
    """The node, or its store, goes down."""

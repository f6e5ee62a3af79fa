"""The port to a database engine: how one is owned, opened, and read when it complains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

from nodeimpl.kernel.statements import EngineName

Row = tuple[Any, ...]


class Trouble(Enum):
    """What an exception says about the store."""

    NONE = "none"
    """Nothing: the work refused, or has a defect of its own."""

    BUSY = "busy"
    """The engine could not (full disk, lost connection, lock): nothing happened, ask again."""

    ENDED = "ended"
    """Nothing happened, and nothing will: damaged, or another's. The node must stop."""

    FAILED = "failed"
    """The engine is broken, or what a commit did is unknown: the node must stop."""


class Cursor(Protocol):
    """What both drivers give back."""

    @property
    def rowcount(self) -> int:
        """Rows touched."""

    def fetchone(self) -> Row | None:
        """Return the next row."""

    def fetchall(self) -> list[Row]:
        """Return all rows."""


class Statements(Protocol):
    """What a transaction asks of its session."""

    name: EngineName

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement inside the transaction."""

    def later(
        self, text: str, parameters: Mapping[str, Any], take: Callable[[Cursor], None]
    ) -> None:
        """Run one statement on whose outcome no other depends, until `release` at the latest.

        Args:
            take: gets the outcome; the transaction may yet be undone.
        """


class Session(Statements, Protocol):
    """One connection and the transaction on it. Not shared between threads."""

    def many(self, text: str, rows: Sequence[Row], *, own_work: bool) -> None:
        """Run one statement for each of several rows, whose outcome nobody waits for.

        Each must write one row: an update whose row is not there is the driver's error, by the end
        of the transaction at the latest.

        Args:
            rows: values in the order of their names in the text.
            own_work: whether they go with the savepoint if it is undone; otherwise they are from
                before it, and belong to the whole transaction unless it is set already.
        """

    def has_savepoint(self) -> bool:
        """Return whether what is written now would be undone with the savepoint."""

    def begin(self) -> None:
        """Begin a transaction, with a new connection if the old one was lost."""

    def savepoint(self) -> None:
        """Set the savepoint (there is at most one), or have the first change set it."""

    def release(self) -> None:
        """Keep what was done since the savepoint."""

    def rollback_to(self) -> None:
        """Undo what was done since the savepoint, and drop it."""

    def commit(self) -> None:
        """Return once the transaction is durable."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""

    def in_transaction(self) -> bool:
        """Return whether the transaction is still there, fit to go on or to undo a savepoint."""

    def trouble(self, error: BaseException, *, committing: bool) -> Trouble:
        """Return what `error` says about the store."""

    def close(self) -> None:
        """Close the connection."""


class Engine(Protocol):
    """One database that one process owns."""

    name: EngineName

    def own(self) -> None:
        """Become the only owner, or raise `StoreLocked`."""

    def disown(self) -> None:
        """Let another process own it."""

    def writer(self) -> Session:
        """Open the one session that writes."""

    def reader(self) -> Session:
        """Open a session that only reads, each transaction from one snapshot."""

    def settle(self, session: Session) -> None:
        """Make sure that nobody else's commits count from now on; the schema is there."""

    def table_names(self, session: Session) -> Sequence[str]:
        """Return the names of the tables that exist."""

"""A transaction as a domain sees it: statements, one instant, events, and what follows the commit.

A transaction function is plain and synchronous. It reads, judges, records and announces; it must
not wait, and must not keep the `Tx` after it returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Cursor, Row, Statements
from nodeimpl.kernel.group import Group
from nodeimpl.kernel.statements import Statement
from opkit.wire.events import Event

EVENTS_PER_TRANSACTION_MAX = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spelled:
    """An event to be journalled, as its canonical JSON."""

    kind: type[Event]
    body: bytes


class Tx:
    """One transaction. `now_ms` and `world_ms` are one instant for all of it.

    Attributes:
        group: what the functions of this commit share; only who writes has it.
    """

    __slots__ = (
        "_broken",
        "_group",
        "_live",
        "_session",
        "_sqlite",
        "_writes",
        "announced",
        "callbacks",
        "group",
        "now_ms",
        "world_ms",
    )

    def __init__(
        self, session: Statements, *, clock: Clock, writes: bool, group: Group | None = None
    ) -> None:
        """Begin a view on `session`'s transaction; the store does this.

        Args:
            group: what it shares with others of one commit, if it writes.
        """
        self.now_ms = clock.now_ms()
        self.world_ms = self.now_ms + clock.offset_ms
        self.announced: list[Event | Spelled] = []
        self.callbacks: list[Callable[[], None]] = []
        self._group = group
        if group is not None:
            self.group = group
        self._session = session
        self._sqlite = session.name == "sqlite"
        self._writes = writes
        self._live = True
        self._broken: Exception | None = None

    def run(self, statement: Statement, /, **parameters: Any) -> int:
        """Run a statement that changes something and return how many rows it touched."""
        assert self._writes, "this transaction only reads"
        return self._execute(statement, parameters, _touched)

    def one(self, statement: Statement, /, **parameters: Any) -> Row | None:
        """Return the first row, or None."""
        return self._execute(statement, parameters, _first)

    def one_behind(self, statement: Statement, /, **parameters: Any) -> Row | None:
        """Return the first row, or None, past the rows that wait to be written with others'.

        For whoever keeps account of those itself: having them written first would give away what
        writing them together saves.
        """
        return self._execute(statement, parameters, _first, behind=True)

    def all(self, statement: Statement, /, **parameters: Any) -> list[Row]:
        """Return all rows; the statement bounds how many there can be."""
        return self._execute(statement, parameters, _every)

    def later(
        self,
        statement: Statement,
        /,
        *,
        told: Callable[[Row | None], None] | None = None,
        **parameters: Any,
    ) -> None:
        """Run a statement that changes something, and on which nothing in here depends.

        Where answers travel, it goes with the next statement that is waited for, or with the end
        of the work; an error in it is raised there.

        Args:
            told: gets the first row that the statement returned, or None, before COMMIT, and not at
                all if the statement failed: use it `after_commit` only.
        """
        assert self._writes, "this transaction only reads"
        text, parameters = self._ready(statement, parameters)

        def take(cursor: Cursor) -> None:
            if told is not None:
                told(cursor.fetchone())

        try:
            self._session.later(text, parameters, take)
        except Exception as error:
            self._broken = error
            raise

    def all_behind(self, statement: Statement, /, **parameters: Any) -> list[Row]:
        """Return all rows, past those that wait to be written with others', as `one_behind`."""
        return self._execute(statement, parameters, _every, behind=True)

    def many(self, statement: Statement, rows: Sequence[Row]) -> None:
        """Write rows with those of others in this commit, before COMMIT at the latest.

        A row is its values in the order in which the statement names them: of an insert, that of
        the table's columns. By name each would be looked up for each row, some thousand times a
        second.

        A statement that touches their table finds them there. An error in writing them loses the
        whole group, also that a row to be changed is not there, so they must be such that only a
        broken database refuses them.
        """
        assert self._writes and self._live, "only a transaction that changes something writes"
        if self._broken is not None:
            raise self._broken
        self.group.add(statement, rows)

    def before_commit(self, callback: Callable[[Tx], None]) -> None:
        """Call `callback` once, on the writer's thread, before this group commits.

        However often it is asked for in one group, and also if whoever asked is undone. What it
        raises is a defect that must not be committed: nothing of the group happens, and the store
        takes no more changes.
        """
        self.group.closing[callback] = None

    def if_undone(self, callback: Callable[[], object]) -> None:
        """Call `callback`, on the writer's thread, if what this transaction did is undone.

        Alone, because it raised, or with its group, because that was lost: what is kept in memory
        beside the database is put back by this, the last change first.
        """
        self.group.on_undo(callback)

    def announce(self, event: Event) -> None:
        """Journal `event` in this transaction; it gets its sequence number only on success."""
        assert self._writes and self._live, "only a transaction that changes something announces"
        assert len(self.announced) < EVENTS_PER_TRANSACTION_MAX, "too many events at once"
        self.announced.append(event)

    def announce_spelled(self, kind: type[Event], body: bytes) -> None:
        """Journal an event whose canonical JSON is at hand, as `announce` does.

        For whoever announces thousands a second: spelling an event costs more than writing it. That
        `body` is what `announce` would spell is the caller's to see to, and to test.
        """
        assert self._writes and self._live, "only a transaction that changes something announces"
        assert len(self.announced) < EVENTS_PER_TRANSACTION_MAX, "too many events at once"
        self.announced.append(Spelled(kind, body))

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop once COMMIT has returned, before the caller goes on."""
        assert self._writes and self._live, "only a transaction that changes something is committed"
        self.callbacks.append(callback)

    @property
    def writes(self) -> bool:
        """Whether this transaction changes anything, and so runs on the writer."""
        return self._writes

    @property
    def cause(self) -> Exception | None:
        """The first error that the database gave in this transaction."""
        return self._broken

    def finish(self) -> None:
        """End the view, and raise the database's error if the function swallowed one.

        Raises:
            Exception: the driver's, unchanged.
        """
        self._live = False
        if self._broken is not None:
            raise self._broken

    def _execute(
        self,
        statement: Statement,
        parameters: dict[str, Any],
        take: Callable[[Cursor], T],
        *,
        behind: bool = False,
    ) -> T:
        text, parameters = self._ready(statement, parameters, behind=behind)
        try:
            return take(self._session.execute(text, parameters))
        except Exception as error:
            self._broken = error
            raise

    def _ready(
        self, statement: Statement, parameters: dict[str, Any], *, behind: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """Return the engine's text and all values, if the transaction is fit to go on.

        Args:
            behind: whether rows that wait for the same tables may go on waiting.
        """
        assert self._live, "the transaction is over"
        if self._broken is not None:
            # An error may have undone the whole transaction: another statement would then stand
            # alone and be kept.
            raise self._broken
        if self._group is not None and not behind and self._group.touches(statement):
            try:
                self._group.write(statement)
            except Exception as error:
                self._broken = error
                raise
        if statement.fixed:
            parameters = {**statement.fixed, **parameters}
        return (statement.sqlite if self._sqlite else statement.postgresql), parameters


def _touched(cursor: Cursor) -> int:
    return cursor.rowcount


def _first(cursor: Cursor) -> Row | None:
    return cursor.fetchone()


def _every(cursor: Cursor) -> list[Row]:
    return cursor.fetchall()

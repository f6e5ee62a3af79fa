"""What the functions of one commit share: rows that are written together, and how they are undone.

Writing a row by itself costs several times what it costs among others, so rows that nothing in a
function depends on wait for the end of the group. A statement that touches their table is preceded
by them, so nobody reads past what was written before. What one function added goes with it if it
is undone; if the whole group is lost, all of it does (ADR 0040).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from nodeimpl.kernel.engine import Row, Session
from nodeimpl.kernel.statements import Statement

if TYPE_CHECKING:
    from nodeimpl.kernel.tx import Tx

Rows = list[Row]

T = TypeVar("T")


class Group:
    """One group of the writer. Everything here runs on the writer's thread.

    Attributes:
        broken: the error that undid more than one function; the group is lost.
        closing: called in order before the rows are written and COMMIT is said.
    """

    def __init__(self, session: Session, lasting: dict[object, Any]) -> None:
        """Begin with nothing.

        Args:
            lasting: what stands from one group to the next.
        """
        self._lasting = lasting
        self.broken: Exception | None = None
        self.closing: dict[Callable[[Tx], None], None] = {}
        self._session = session
        self._is_sqlite = session.name == "sqlite"
        self._shared: dict[object, Any] = {}
        self._undos: list[Callable[[], object]] = []
        self._undo_mark = 0
        self._waiting: dict[Statement, Rows] = {}
        self._tables: dict[str, int] = {}
        self._marks: dict[Statement, int] = {}
        self._spilled: list[tuple[Statement, Rows]] = []

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """Return what stands under `key` for this group, made by the first that asks."""
        found: T | None = self._shared.get(key)
        if found is None:
            found = self._shared[key] = make()
        return found

    def lasting(self, key: object, make: Callable[[], T]) -> T:
        """Return what stands under `key` for all groups of this store, made by the first that asks.

        Whoever changes it puts it back if the change is undone (`on_undo`).
        """
        found: T | None = self._lasting.get(key)
        if found is None:
            found = self._lasting[key] = make()
        return found

    def add(self, statement: Statement, rows: Sequence[Row]) -> None:
        """Have rows written before COMMIT, by a statement on which nothing here depends.

        Args:
            rows: values by their places in the statement (`Tx.many`).
        """
        assert not statement.fixed, "rows carry all that differs between them"
        waiting = self._waiting.get(statement)
        if waiting is None:
            waiting = self._waiting[statement] = []
            for table in statement.tables:
                self._tables[table] = self._tables.get(table, 0) + 1
        if statement not in self._marks:
            self._marks[statement] = len(waiting)
        waiting.extend(rows)

    def on_undo(self, callback: Callable[[], object]) -> None:
        """Call `callback` if what this function did is undone, alone or with its group."""
        self._undos.append(callback)

    def touches(self, statement: Statement) -> bool:
        """Return whether rows wait that a statement could see or meet."""
        return not self._tables.keys().isdisjoint(statement.tables)

    def begin_work(self) -> None:
        """Begin a function: from here on is what it alone added."""
        self._undo_mark = len(self._undos)
        self._marks.clear()
        self._spilled.clear()

    def undo_work(self) -> None:
        """Take back what the function added."""
        self._undo_to(self._undo_mark)
        for statement, mark in self._marks.items():
            waiting = self._waiting.get(statement)
            if waiting is not None:
                del waiting[mark:]
        # What others had added went into the savepoint with it, and was undone there.
        for statement, rows in self._spilled:
            self._waiting_of(statement)[:0] = rows
        self._marks.clear()
        self._spilled.clear()

    def undo_all(self) -> None:
        """Take back all: the group is lost."""
        self._undo_to(0)

    def write(self, statement: Statement | None = None) -> None:
        """Write the rows that wait: those whose tables a statement touches, or all.

        Raises:
            Exception: the driver's. What was to be undone with others is lost with the group.
        """
        for each in list(self._waiting):
            if statement is None or not each.tables.isdisjoint(statement.tables):
                self._write(each)

    def _write(self, statement: Statement) -> None:
        rows = self._waiting.pop(statement)
        for table in statement.tables:
            self._tables[table] -= 1
            if not self._tables[table]:
                del self._tables[table]
        mark = self._marks.pop(statement, len(rows))
        others, own = rows[:mark], rows[mark:]
        text = statement.sqlite if self._is_sqlite else statement.postgresql
        if others and self._session.has_savepoint():
            self._spilled.append((statement, others))
        try:
            if others:
                self._session.many(text, others, own_work=False)
        except Exception as error:
            self.broken = error
            raise
        if own:
            self._session.many(text, own, own_work=True)

    def _waiting_of(self, statement: Statement) -> Rows:
        if statement not in self._waiting:
            self.add(statement, ())
        return self._waiting[statement]

    def _undo_to(self, mark: int) -> None:
        while len(self._undos) > mark:
            self._undos.pop()()

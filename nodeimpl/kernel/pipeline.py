"""Statements on their way to PostgreSQL: prepared at their second use, several by one round trip.

Each wait for an answer lets go of the interpreter, which a busy node's writer then has to win back
from the event loop; so it waits once for all that may travel together. What the driver's cursors do
beside, for any statement of anybody, costs three times as much as libpq itself (ADR 0027).
Source: https://www.postgresql.org/docs/15/libpq-pipeline-mode.html
"""

from __future__ import annotations

import functools
import itertools
import re
import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

from nodeimpl.kernel.engine import Row

QUEUE_MAX = 100
"""How many statements wait for company before they are sent without."""

PREPARED_MAX = 500
"""How many statements a session keeps prepared, more than a node has; the others are not."""

LOST = "the connection to the database is lost"

_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")

_INT8, _BYTEA, _BY_CONTEXT = 20, 17, 0
"""Types of parameters by their number. Source: PostgreSQL 15, src/include/catalog/pg_type.dat."""

_TEXT, _BINARY = 0, 1

_FINE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY})

Key: TypeAlias = "tuple[str, tuple[int, ...]]"


class Answer:
    """What came back for one statement."""

    __slots__ = ("_rows", "rowcount", "said")

    def __init__(self, *, rowcount: int, said: str, rows: Iterable[Row] = ()) -> None:
        """Keep it.

        Args:
            rowcount: rows touched or found; -1 where there are none to count.
            said: the server's word for what it did.
        """
        self.rowcount = rowcount
        self.said = said
        self._rows = iter(rows)

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        return list(self._rows)


@dataclass(slots=True)
class _Step:
    """One message to the server that it answers: a statement, or its preparation."""

    key: Key
    values: list[bytes | None]
    formats: list[int]
    take: Callable[[Answer], None]
    prepares: bool = False


class Pipeline:
    """What is to be sent over one connection. One thread uses it, and nobody else meanwhile."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Begin with nothing to send; `connection` may be used directly while that is so."""
        self.connection = connection
        self._server = connection.pgconn
        self._loader = Transformer(connection)
        self._encoding = connection.info.encoding
        self._inwards, self._both_ways = select.poll(), select.poll()
        self._inwards.register(self._server.socket, select.POLLIN)
        self._both_ways.register(self._server.socket, select.POLLIN | select.POLLOUT)
        self._names = itertools.count(1)
        self._prepared: dict[Key, bytes | None] = {}
        self._queue: list[_Step] = []
        self._left: list[_Step] = []

    def __len__(self) -> int:
        """Return how many statements wait to be sent."""
        return len(self._queue)

    def later(
        self, text: str, parameters: Mapping[str, Any], take: Callable[[Answer], None]
    ) -> None:
        """Send a statement with the next that is waited for.

        Args:
            text: with `%(name)s` for a parameter; those are text, bytes, whole numbers or None.
            take: gets the answer, once there is one and it is no error.

        Raises:
            psycopg.Error: a value cannot be sent, or so many waited that they were sent, and
                one of them failed.
        """
        _, names = _numbered(text)
        self._later(text, [parameters[name] for name in names], take)

    def write(self, text: str, row: Sequence[Any]) -> None:
        """Do as `later` with a statement that writes one row; that it writes none is an error.

        Args:
            row: the values, in the order in which the statement first names them.
        """
        self._later(text, row, _check_written)

    def _later(self, text: str, row: Sequence[Any], take: Callable[[Answer], None]) -> None:
        values: list[bytes | None] = []
        types, formats = [], []
        for each in row:
            value, kind, form = as_sent(each, self._encoding)
            values.append(value)
            types.append(kind)
            formats.append(form)
        self._queue.append(_Step((text, tuple(types)), values, formats, take))
        if len(self._queue) >= QUEUE_MAX:
            self.flush()

    def run(self, text: str, parameters: Mapping[str, Any]) -> Answer:
        """Send a statement with all that wait, and return its answer; raises as `flush`."""
        found: list[Answer] = []
        self.later(text, parameters, found.append)
        self.flush()
        return found[0]

    def leave(self, text: str) -> None:
        """Send a statement and wait for nothing; how it went is told with the next that is sent.

        Until then nobody uses the connection but through here.

        Raises:
            psycopg.Error: it could not be sent.
        """
        assert not self._queue and not self._left, "one statement is left at a time, and alone"
        self._server.enter_pipeline_mode()
        self._left = self._send(_Step((text, ()), [], [], _ignore))
        self._server.pipeline_sync()

    def drop(self) -> None:
        """Forget what waits."""
        self._queue.clear()

    def flush(self) -> None:
        """Send what waits and return once all of it was answered.

        Raises:
            psycopg.Error: the first that failed; what came after it was not done.
        """
        if not self._queue:
            return
        queue, self._queue = self._queue, []
        try:
            failed = self._exchange(queue)
        except BaseException:
            # Answers may still be on their way, and nobody could say whose they are.
            self.connection.close()
            raise
        if failed is not None:
            raise failed

    def _exchange(self, queue: list[_Step]) -> psycopg.Error | None:
        """Send and receive; return what the server, or a value of its, was wrong with."""
        left, self._left = self._left, []
        if not left:
            self._server.enter_pipeline_mode()
        sent = [one for step in queue for one in self._send(step)]
        self._server.pipeline_sync()
        if left and (broken := self._receive(left)) is not None:
            raise broken
        failed = self._receive(sent)
        self._server.exit_pipeline_mode()
        return failed

    def _send(self, step: _Step) -> list[_Step]:
        """Put a statement into the outgoing buffer; return what will be answered."""
        text, types = step.key
        query, _ = _numbered(text)
        if step.key not in self._prepared:
            if len(self._prepared) < PREPARED_MAX:
                self._prepared[step.key] = None
            self._server.send_query_params(query, step.values, types, step.formats)
            return [step]
        name, sent = self._prepared[step.key], [step]
        if name is None:
            name = self._prepared[step.key] = b"s%d" % next(self._names)
            self._server.send_prepare(name, query, types)
            sent.insert(0, _Step(step.key, [], [], _ignore, prepares=True))
        self._server.send_query_prepared(name, step.values, step.formats)
        return sent

    def _receive(self, sent: list[_Step]) -> psycopg.Error | None:
        """Give each its answer; return the first error of the server's.

        Raises:
            psycopg.Error: the connection is lost; what the server said before, if it did.
        """
        failed: psycopg.Error | None = None
        awaited = iter(sent)
        try:
            while (result := self._next()).status != ExecStatus.PIPELINE_SYNC:
                failed = self._take(next(awaited), result, failed)
        except psycopg.OperationalError as lost:
            if failed is None:
                raise
            raise failed from lost
        return failed

    def _next(self) -> PGresult:
        """Wait for the next result; the interpreter is let go of only if it is not there yet.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        while True:
            while self._server.is_busy():
                (self._both_ways if self._server.flush() else self._inwards).poll()
                self._server.consume_input()
            result = self._server.get_result()
            if result is not None:
                return result
            # Each statement's results end with none; so does a connection, again and again.
            if self._server.status != ConnStatus.OK:
                raise psycopg.OperationalError(LOST)

    def _take(
        self, step: _Step, result: PGresult, failed: psycopg.Error | None
    ) -> psycopg.Error | None:
        """Hand over one answer; return the first error so far."""
        if result.status not in _FINE:
            if step.prepares:
                self._prepared[step.key] = None
            skipped = result.status == ExecStatus.PIPELINE_ABORTED
            return failed if skipped else failed or error_from_result(result, self._encoding)
        try:
            step.take(self._answer(result))
        except psycopg.Error as unreadable:
            return failed or unreadable
        return failed

    def _answer(self, result: PGresult) -> Answer:
        rows: list[Row] = []
        if result.ntuples:
            self._loader.set_pgresult(result)
            rows = self._loader.load_rows(0, result.ntuples, tuple)
        touched = result.command_tuples
        said = (result.command_status or b"").decode("ascii")
        return Answer(rowcount=-1 if touched is None else touched, said=said, rows=rows)


def as_sent(value: Any, encoding: str) -> tuple[bytes | None, int, int]:
    """Return a value as it travels, its type and its format.

    Raises:
        psycopg.DataError: it is text that the server has no room for.
    """
    if isinstance(value, str):
        said = value.encode(encoding)
        if b"\0" in said:
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return said, _BY_CONTEXT, _TEXT
    if isinstance(value, int):
        return b"%d" % value, _INT8, _TEXT
    if value is None:
        return None, _BY_CONTEXT, _TEXT
    return bytes(memoryview(value)), _BYTEA, _BINARY


@functools.lru_cache(maxsize=2 * PREPARED_MAX)
def _numbered(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with its parameters by number, and their names in that order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(number, text).encode("utf-8"), tuple(names)


def _ignore(_: Answer) -> None:
    """Want nothing of an answer."""


def _check_written(answer: Answer) -> None:
    """Return if a row was written.

    Raises:
        psycopg.IntegrityError: it was to be changed, and is not there.
    """
    if answer.rowcount != 1:
        raise psycopg.IntegrityError("a row was not there")

"""PostgreSQL as the engine: an advisory lock while connected, and a fence checked at each commit.

A connection can be lost at any time. Before COMMIT that means that nothing happened. During COMMIT
it means nothing yet: the session connects again and reads from its fence row how many groups were
committed, which tells. Source: https://www.postgresql.org/docs/15/explicit-locking.html (ADR 0004).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from nodeimpl.kernel.engine import Cursor, Session, Trouble
from nodeimpl.kernel.errors import StoreLocked
from nodeimpl.kernel.statements import EngineName

CONNECT_S_MAX = 5
"""How long connecting may take."""

STATEMENT_MS_MAX = 10_000
"""How long a statement may take, waiting for locks included."""

OWNER_MS_MAX = 1_500
"""How long a new process waits for the lock: a server notices late that the last owner died."""

SUCCESSOR_MS_MAX = 5_000
"""How long a session that was lost may take to end before its successor gives up for now."""

LOCK_NAME = zlib.crc32(b"opkit store")
"""The advisory lock that the owner holds; the database is part of its identity already."""

_BUSY_CLASSES = ("08", "40", "53", "55", "57")
"""SQLSTATE classes after which the same work may succeed: connection, rollback, resources, lock,
operator. Source: https://www.postgresql.org/docs/15/errcodes-appendix.html"""


class Fenced(Exception):
    """Another process has become the owner, or the database is behind what was committed."""


class PostgresSession:
    """One connection, made anew at the next transaction if it was lost."""

    name: EngineName = "postgresql"

    def __init__(self, url: str, *, begin: str) -> None:
        """Connect.

        Raises:
            psycopg.OperationalError: there is no connection to be had.
        """
        self._url = url
        self._begin = begin
        self._in_doubt = False
        self._connection = self._connect()

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement inside the transaction."""
        return self._connection.execute(text.encode("utf-8"), parameters)

    def begin(self) -> None:
        """Begin a transaction, with a new connection if the old one was lost."""
        if self._lost():
            self._reconnect()
        self._connection.execute(self._begin.encode("ascii"))

    def savepoint(self) -> None:
        """Set the savepoint."""
        self._connection.execute("SAVEPOINT work")

    def release(self) -> None:
        """Keep what was done since the savepoint."""
        self._connection.execute("RELEASE SAVEPOINT work")

    def rollback_to(self) -> None:
        """Undo what was done since the savepoint, and drop it."""
        self._connection.execute("ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work")

    def commit(self) -> None:
        """Return once the transaction is durable."""
        done = self._connection.execute("COMMIT")
        if done.statusmessage != "COMMIT":
            raise psycopg.errors.TransactionRollback("COMMIT rolled the transaction back")

    def rollback(self) -> None:
        """Undo the transaction; a lost connection has done so already."""
        if self.in_transaction():
            self._connection.execute("ROLLBACK")

    def in_transaction(self) -> bool:
        """Return whether the transaction is still there."""
        if self._lost():
            return False
        status = self._connection.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def trouble(self, error: BaseException, *, committing: bool) -> Trouble:
        """Return what `error` says; only another owner, or a doubt about COMMIT, is the end."""
        if isinstance(error, Fenced):
            return Trouble.FAILED
        if not isinstance(error, psycopg.Error):
            return Trouble.NONE
        if self._in_doubt:
            return Trouble.FAILED
        if committing or self._lost() or (error.sqlstate or "")[:2] in _BUSY_CLASSES:
            return Trouble.BUSY
        return Trouble.NONE

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _lost(self) -> bool:
        return self._connection.closed or self._connection.broken

    def _reconnect(self) -> None:
        self._connection.close()
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_S_MAX,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}".encode("ascii"))
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET timezone = 'UTC'")
        return connection


class PostgresWriter(PostgresSession):
    """The session that writes: it holds the lock, and knows its fence."""

    def __init__(self, url: str) -> None:
        """Connect and take the advisory lock.

        Raises:
            StoreLocked: another process holds it.
        """
        super().__init__(url, begin="BEGIN ISOLATION LEVEL READ COMMITTED")
        self._fence: int | None = None
        self._commits = self._found_commits = 0
        if not self._take_lock(wait_ms=OWNER_MS_MAX):
            self._connection.close()
            raise StoreLocked("another process holds the lock of this database")

    def close(self) -> None:
        """Let go of the lock at once, then close: the server ends a session in its own time."""
        try:
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        except psycopg.OperationalError:
            # The connection is lost, and the lock with it.
            return
        finally:
            self._connection.close()

    def raise_fence(self) -> None:
        """Become the owner whom every later commit must name; the schema must exist."""
        row = self._connection.execute(
            "UPDATE store_writer SET fence = fence + 1 WHERE id = 1 RETURNING fence, commits"
        ).fetchone()
        assert row is not None, "every store has its writer's row"
        self._fence, self._commits = row

    def commit(self) -> None:
        """Return once the transaction is durable, and was this owner's to commit.

        Raises:
            Fenced: another process became the owner meanwhile.
        """
        if self._fence is None:
            super().commit()
            return
        touched = self._connection.execute(
            "UPDATE store_writer SET commits = %s WHERE id = 1 AND fence = %s",
            (self._commits + 1, self._fence),
        ).rowcount
        if touched != 1:
            raise Fenced("another process has become the owner of this database")
        self._in_doubt = True
        try:
            super().commit()
        except psycopg.Error:
            if self._lost():
                self._reconnect()
                if self._found_commits == self._commits + 1:
                    self._commits, self._in_doubt = self._found_commits, False
                    return
            self._in_doubt = False
            raise
        self._commits, self._in_doubt = self._commits + 1, False

    def _reconnect(self) -> None:
        """Connect again and become the owner again, unless somebody else was it meanwhile.

        Holding the lock means that the lost session has ended, so what the fence row says of its
        last commit is final.

        Raises:
            psycopg.Error: there is no connection, or no lock, to be had now.
            Fenced: the database is not this owner's any more.
        """
        super()._reconnect()
        has_lock = self._take_lock(wait_ms=SUCCESSOR_MS_MAX)
        self._check_fence()
        if not has_lock:
            self._connection.close()
            raise psycopg.errors.LockNotAvailable("the session that was lost has not ended yet")

    def _check_fence(self) -> None:
        row = self._connection.execute(
            "SELECT fence, commits FROM store_writer WHERE id = 1"
        ).fetchone()
        if row is None or row[0] != self._fence:
            raise Fenced("another process was the owner while the connection was lost")
        self._found_commits = int(row[1])
        known = {self._commits, self._commits + 1} if self._in_doubt else {self._commits}
        if self._found_commits not in known:
            raise Fenced(f"the database has {row[1]} commits, not the {self._commits} made here")

    def _take_lock(self, *, wait_ms: int) -> bool:
        """Return whether the lock is ours, after waiting for it at most so long."""
        self._connection.execute(f"SET lock_timeout = {wait_ms}".encode("ascii"))
        try:
            self._connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_NAME,))
        except psycopg.errors.LockNotAvailable:
            return False
        return True


class PostgresEngine:
    """One PostgreSQL database."""

    name: EngineName = "postgresql"

    def __init__(self, url: str) -> None:
        """Name the database; nothing is opened yet."""
        self._url = url

    def own(self) -> None:
        """Nothing yet: the session that writes takes the lock, for a lock lives in a session."""

    def disown(self) -> None:
        """Nothing: closing the session that writes let go of the lock."""

    def writer(self) -> Session:
        """Open the one session that writes, or raise `StoreLocked`."""
        return PostgresWriter(self._url)

    def reader(self) -> Session:
        """Open a session that only reads, each transaction from one snapshot."""
        return PostgresSession(self._url, begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def settle(self, session: Session) -> None:
        """Raise the fence, once the schema is there."""
        assert isinstance(session, PostgresWriter), "only the writer owns"
        session.raise_fence()

    def table_names(self, session: Session) -> Sequence[str]:
        """Return the names of the tables that exist."""
        text = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        return [row[0] for row in session.execute(text, {}).fetchall()]

"""PostgreSQL as the engine: an advisory lock while connected, and a fence checked at each commit.

A connection can be lost at any time, and the server behind it may be another afterwards. Before
COMMIT that means that nothing happened. During COMMIT it means nothing yet: the session connects
again and reads from its fence row how many groups were committed, which tells.
Source: https://www.postgresql.org/docs/15/explicit-locking.html (ADR 0004, ADR 0022).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import psycopg
import structlog
from psycopg.pq import TransactionStatus

from nodeimpl.config import masked_url
from nodeimpl.kernel.connecting import LOCK_MS_MAX, SETTINGS, how_to_connect
from nodeimpl.kernel.engine import Cursor, Row, Session, Trouble
from nodeimpl.kernel.errors import (
    StoreBehind,
    StoreFailed,
    StoreLocked,
    StoreSuperseded,
    StoreUnreachable,
)
from nodeimpl.kernel.pipeline import Pipeline
from nodeimpl.kernel.sqlstates import UNKNOWN, judge
from nodeimpl.kernel.statements import EngineName

OWNER_MS_MAX = 1_500
"""How long a new process waits for the lock: a server notices late that the last owner died."""

SUCCESSOR_MS_MAX = 5_000
"""How long a session that was lost may take to end before its successor gives up for now."""

AGAIN_MS = 200
"""How long after a failed attempt to connect the next is made: callers in between hear at once."""

DOUBT_MS_MAX = 30_000
"""How long a COMMIT without an answer is looked up: a restart or a failover is over by then."""

LOCK_NAME = zlib.crc32(b"opkit store")
"""The advisory lock that the owner holds; the database is part of its identity already."""

_COUNT = "UPDATE store_writer SET commits = %(commits)s WHERE id = 1 AND fence = %(fence)s"
"""Counts a group, if this is still the owner."""

AWAY = "there is no connection to the database now"
"""What callers are told."""

Saved = Literal["no", "wanted", "on its way", "set"]
"""How far the savepoint is that a piece of work would be undone to."""

_log = structlog.get_logger("store")


class PostgresSession:
    """One connection, made anew at the next transaction if it was lost."""

    name: EngineName = "postgresql"
    writes = False

    def __init__(self, url: str, *, begin: str) -> None:
        """Connect.

        Raises:
            psycopg.Error: there is no connection to be had.
        """
        self._how = how_to_connect(url)
        self._begin = begin
        self._again_at = 0.0
        self._away_since: float | None = None
        self._saved: Saved = "no"
        self._released = False
        self._connection = self._connect()
        self._pipeline = Pipeline(self._connection)

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement inside the transaction, after those that wait for company."""
        self._set_savepoint()
        return self._pipe.run(text, parameters)

    def later(
        self, text: str, parameters: Mapping[str, Any], take: Callable[[Cursor], None]
    ) -> None:
        """Run one statement by the next round trip; an error in it is raised there."""
        self._set_savepoint()
        self._pipe.later(text, parameters, take)

    def many(self, text: str, rows: Sequence[Row], *, own_work: bool) -> None:
        """Run one statement for each of several rows, by the round trips that come next."""
        if not rows:
            return
        if own_work:
            self._set_savepoint()
        for row in rows:
            self._pipe.write(text, row)

    def has_savepoint(self) -> bool:
        """Return whether what is written now would be undone with the savepoint."""
        return self._saved in ("on its way", "set")

    def begin(self) -> None:
        """Begin a transaction, with a new connection if the old one was lost."""
        self._saved, self._released = "no", False
        if not self._lost():
            try:
                self._pipe.run(self._begin, {})
            except psycopg.Error:
                if not self._lost():
                    raise
                # It was lost while nobody asked. Nothing had begun, so nothing is lost with it.
            else:
                return
        self._reconnect()
        self._pipe.run(self._begin, {})

    def savepoint(self) -> None:
        """Have the next statement's round trip set the savepoint, and keep what is before it."""
        self._saved = "wanted"

    def release(self) -> None:
        """Keep what was done since the savepoint, at the next one; a commit keeps it by itself.

        An error in this step is nobody's alone: it is told by the next step, to the whole group.

        Raises:
            psycopg.errors.InFailedSqlTransaction: the work has broken the transaction.
            psycopg.Error: what waited for company failed.
        """
        self._pipe.flush()
        if self._connection.info.transaction_status is not TransactionStatus.INTRANS:
            raise psycopg.errors.InFailedSqlTransaction("the transaction is broken")
        self._released = self._released or self._saved == "set"
        self._saved = "no"

    def rollback_to(self) -> None:
        """Undo what was done since the savepoint, and drop it."""
        is_set, self._saved = self._saved == "set", "no"
        self._pipe.drop()
        if is_set:
            self._connection.execute(b"ROLLBACK TO SAVEPOINT work; RELEASE SAVEPOINT work")
        elif self._connection.info.transaction_status is not TransactionStatus.INTRANS:
            raise psycopg.errors.InFailedSqlTransaction("the savepoint was never set")

    def commit(self) -> None:
        """Return once the transaction is durable."""
        if self._pipe.run("COMMIT", {}).said != "COMMIT":
            raise psycopg.errors.TransactionRollback("COMMIT rolled the transaction back")

    def rollback(self) -> None:
        """Undo the transaction; a lost connection has done so already."""
        self._pipe.drop()
        if self.in_transaction():
            try:
                self._pipe.run("ROLLBACK", {})
            except psycopg.Error:
                if not self._lost():
                    raise

    def in_transaction(self) -> bool:
        """Return whether the transaction is still there."""
        if self._lost():
            return False
        status = self._connection.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def trouble(self, error: BaseException, *, committing: bool) -> Trouble:
        """Return what `error` says. An answer to COMMIT that is an error says "no"."""
        if not isinstance(error, psycopg.Error):
            return Trouble.NONE
        if self._lost():
            return Trouble.BUSY
        said = judge(error.sqlstate, writes=self.writes)
        return Trouble.BUSY if committing and said is Trouble.NONE else said

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def _pipe(self) -> Pipeline:
        """What goes over the connection that there is now."""
        if self._pipeline.connection is not self._connection:
            self._pipeline = Pipeline(self._connection)
        return self._pipeline

    def _set_savepoint(self) -> None:
        """Send the savepoint with what is sent next, if it is wanted and not yet on its way."""
        if self._saved != "wanted":
            return
        self._saved = "on its way"
        if self._released:
            self._pipe.later("RELEASE SAVEPOINT work", {}, lambda _: None)
        self._pipe.later("SAVEPOINT work", {}, self._note_set)

    def _note_set(self, _: Cursor) -> None:
        self._saved, self._released = "set", False

    def _lost(self) -> bool:
        return self._connection.closed or self._connection.broken

    def _reconnect(self) -> None:
        """Connect again, unless that failed a moment ago: who waits in line is not kept waiting.

        Raises:
            psycopg.Error: there is no connection to be had now.
        """
        if time.monotonic() < self._again_at:
            raise psycopg.OperationalError(AWAY)
        self._connection.close()
        try:
            self._come_back()
        except psycopg.Error as away:
            self._connection.close()
            self._again_at = time.monotonic() + AGAIN_MS / 1000
            self._note_away(away)
            # Callers are told no names of servers and users: those stand in the log.
            raise psycopg.OperationalError(AWAY) from away
        if self._away_since is not None:
            away_ms = round((time.monotonic() - self._away_since) * 1000)
            self._away_since = None
            _log.info("the database is there again", away_ms=away_ms)

    def _note_away(self, why: psycopg.Error) -> None:
        """Log once that the server is away; `_reconnect` logs when it is back."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            _log.warning("the database is away", why=str(why))

    def _come_back(self) -> None:
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._how, autocommit=True)
        try:
            connection.execute(SETTINGS.encode("ascii"))
        except psycopg.Error:
            connection.close()
            raise
        return connection


class PostgresReader(PostgresSession):
    """A session that only reads, and waits for nothing but what it reads."""

    def __init__(self, url: str) -> None:
        """Connect; raises as every session."""
        self._fresh = False
        super().__init__(url, begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin(self) -> None:
        """Have the first statement's round trip begin a transaction."""
        if self._lost():
            self._reconnect()
        self._fresh = True
        self._pipe.later(self._begin, {}, lambda _: None)

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement; the first goes over a new connection if the old one was lost."""
        fresh, self._fresh = self._fresh, False
        try:
            return self._pipe.run(text, parameters)
        except psycopg.Error:
            if not (fresh and self._lost()):
                raise
            # It was lost while nobody asked: nothing was read from the transaction yet.
        self.begin()
        return self._pipe.run(text, parameters)

    def rollback(self) -> None:
        """End the transaction, if it has begun; that it has ended is heard by the next."""
        self._pipe.drop()
        if self.in_transaction():
            self._pipe.leave("ROLLBACK")


class PostgresWriter(PostgresSession):
    """The session that writes: it holds the lock, and knows its fence."""

    writes = True

    def __init__(self, url: str) -> None:
        """Connect and take the advisory lock.

        Raises:
            StoreLocked: another process holds it.
            psycopg.Error: there is no connection to be had.
        """
        self._fence: int | None = None
        self._fences: frozenset[int] = frozenset()
        self._commits = self._found_commits = 0
        self._in_doubt = self._warned = False
        super().__init__(url, begin="BEGIN ISOLATION LEVEL READ COMMITTED")
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

    def trouble(self, error: BaseException, *, committing: bool) -> Trouble:
        """Return what `error` says; a doubt about COMMIT is the end, and so is another owner."""
        if self._in_doubt:
            return Trouble.FAILED
        if isinstance(error, StoreFailed):
            return Trouble.ENDED
        return super().trouble(error, committing=committing)

    def raise_fence(self) -> None:
        """Become the owner whom every later commit must name; the schema must exist."""
        row = self._connection.execute(
            "UPDATE store_writer SET fence = fence + 1 WHERE id = 1 RETURNING fence, commits"
        ).fetchone()
        assert row is not None, "every store has its writer's row"
        self._fence, self._commits = row
        self._fences = frozenset({row[0]})

    def commit(self) -> None:
        """Return once the transaction is durable, and was this owner's to commit.

        Raises:
            StoreSuperseded: another process became the owner meanwhile; nothing was committed.
            StoreFailed: nobody could say in time what became of it.
            psycopg.Error: nothing was committed, unless `trouble` says that there is a doubt.
        """
        if self._fence is None:
            super().commit()
            return
        row = {"commits": self._commits + 1, "fence": self._fence}
        if self._pipe.run(_COUNT, row).rowcount != 1:
            raise StoreSuperseded("another process has become the owner of this database")
        self._in_doubt, self._warned = True, False
        try:
            super().commit()
        except psycopg.Error as error:
            happened = (self._lost() or error.sqlstate in UNKNOWN) and self._look_up()
            self._in_doubt = False
            if not happened:
                raise
        else:
            if self._warned and not self._look_up():
                raise StoreBehind("a commit that the server had confirmed is not there any more")
        self._commits, self._in_doubt = self._commits + 1, False

    def _look_up(self) -> bool:
        """Return whether the last commit happened, by a new connection and the fence row.

        Connecting makes a commit of its own, which waits for the standby as any does: what is
        found there is then as durable as if COMMIT had answered.

        Raises:
            StoreFailed: the server could not be asked in time, or the database is not this
                owner's any more.
        """
        self._connection.close()
        limit = time.monotonic() + DOUBT_MS_MAX / 1000
        while True:
            try:
                self._reconnect()
            except psycopg.Error as away:
                if time.monotonic() > limit:
                    why = f"nobody could say in {DOUBT_MS_MAX} ms what became of a COMMIT"
                    raise StoreFailed(why) from away
                time.sleep(AGAIN_MS / 1000)
            else:
                return self._found_commits == self._commits + 1

    def _connect(self) -> psycopg.Connection[Any]:
        connection = super()._connect()
        connection.add_notice_handler(self._hear)
        return connection

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        """Note a warning: in COMMIT it says that the standby was not waited for to the end.

        Source: https://www.postgresql.org/docs/15/warm-standby.html, section 27.2.8.
        """
        self._warned = self._warned or notice.severity_nonlocalized == "WARNING"

    def _come_back(self) -> None:
        """Connect again and become the owner again, unless somebody else was it meanwhile.

        Holding the lock means that the lost session has ended, so what the fence row says of its
        last commit is final. The fence is raised: a server that was left behind, and comes back
        later, is known by its lower one.

        Raises:
            psycopg.Error: there is no connection, or no lock, to be had now.
            StoreFailed: the database is not this owner's any more.
        """
        super()._come_back()
        if self._fence is None:
            raise psycopg.OperationalError("the connection was lost while the store was opened")
        has_lock = self._take_lock(wait_ms=SUCCESSOR_MS_MAX)
        found = self._check_fence()
        if not has_lock:
            raise psycopg.errors.LockNotAvailable("the session that was lost has not ended yet")
        self._fences, self._warned = frozenset({found, found + 1}), False
        self._connection.execute("UPDATE store_writer SET fence = %s WHERE id = 1", (found + 1,))
        if self._warned:
            self._connection.close()
            raise psycopg.OperationalError("the standby did not confirm what the server has")
        self._fence, self._fences = found + 1, frozenset({found + 1})

    def _check_fence(self) -> int:
        """Return the fence that stands; raise if it, or the count of commits, is not ours."""
        row = self._connection.execute(
            "SELECT fence, commits FROM store_writer WHERE id = 1"
        ).fetchone()
        fence, commits = row or (0, 0)
        if fence > max(self._fences):
            raise StoreSuperseded("another process was the owner while the connection was lost")
        known = {self._commits, self._commits + 1} if self._in_doubt else {self._commits}
        if fence not in self._fences or commits not in known:
            raise StoreBehind(
                f"the database has {commits} commits under owner {fence}, and {self._commits} "
                f"were made under {max(self._fences)}: it is another copy, or an older one"
            )
        self._found_commits = commits
        return int(fence)

    def _take_lock(self, *, wait_ms: int) -> bool:
        """Return whether the lock is ours, after waiting for it at most so long."""
        self._connection.execute(f"SET lock_timeout = {wait_ms}".encode("ascii"))
        try:
            self._connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_NAME,))
        except psycopg.errors.LockNotAvailable:
            return False
        self._connection.execute(f"SET lock_timeout = {LOCK_MS_MAX}".encode("ascii"))
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
        """Open the one session that writes.

        Raises:
            StoreLocked: another process holds the lock.
            StoreUnreachable: there is no connection to be had.
        """
        try:
            return PostgresWriter(self._url)
        except psycopg.Error as bad:
            raise self._unreachable(bad) from None

    def reader(self) -> Session:
        """Open a session that only reads, each transaction from one snapshot.

        Raises:
            StoreUnreachable: there is no connection to be had.
        """
        try:
            return PostgresReader(self._url)
        except psycopg.Error as bad:
            raise self._unreachable(bad) from None

    def settle(self, session: Session) -> None:
        """Raise the fence, once the schema is there."""
        assert isinstance(session, PostgresWriter), "only the writer owns"
        session.raise_fence()

    def table_names(self, session: Session) -> Sequence[str]:
        """Return the names of the tables that exist."""
        text = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        return [row[0] for row in session.execute(text, {}).fetchall()]

    def _unreachable(self, bad: psycopg.Error) -> StoreUnreachable:
        """Return what to say; the driver repeats parts of a URL that it cannot read."""
        why = "the URL cannot be read" if isinstance(bad, psycopg.ProgrammingError) else str(bad)
        return StoreUnreachable(f"{masked_url(self._url)}: {why}")

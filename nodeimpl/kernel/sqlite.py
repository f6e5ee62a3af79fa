"""SQLite as the engine: WAL, `synchronous=FULL`, a lock file beside the database.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/rescode.html (ADR 0004).
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nodeimpl.kernel.engine import Cursor, Row, Session, Trouble
from nodeimpl.kernel.errors import SchemaBroken, StoreLocked
from nodeimpl.kernel.folders import make_folder
from nodeimpl.kernel.statements import EngineName

WRITER_WAIT_MS = 2_000
"""How long the writer waits for a lock: only a foreign process (a backup) can hold one."""

READER_WAIT_MS = 100
"""How long a reader waits, on the event loop; in WAL mode it waits for next to nobody."""

_BUSY_CODES = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Primary result codes after which the same work may succeed later."""

_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What a file says that holds no database, or no whole one."""

_SICK_CODES = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Primary result codes after which nothing that this process knows about the file is certain."""

CHECKPOINT_STATEMENTS = 1_000
"""How many statements that may write are run between two checkpoints: at a page or two each, some
megabytes."""

ROWS_PER_STATEMENT = 8
"""How many rows that are written together count as one statement there: they share their pages, and
come to a tenth or a fifth of one each (of a ledger's groups of 500 and of 64 transfers)."""

_NAME = re.compile(r":(\w+)")

_SHARED_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
)


Saved = Literal["no", "wanted", "set"]
"""How far the savepoint is that a piece of work would be undone to."""


class SqliteSession:
    """One connection to an SQLite file."""

    name: EngineName = "sqlite"

    def __init__(
        self, connection: sqlite3.Connection, *, begin: str, checkpoints: bool = False
    ) -> None:
        """Take over `connection`, whose transactions start by the statement `begin`.

        Args:
            checkpoints: whether this is the session that does them.
        """
        self._connection = connection
        self._begin = begin
        self._checkpoints = checkpoints
        self._statements = 0
        self._saved: Saved = "no"

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement inside the transaction."""
        return self._run(text, parameters)

    def many(self, text: str, rows: Sequence[Row], *, own_work: bool) -> None:
        """Run one statement for each of several rows.

        Raises:
            sqlite3.Error: the engine could not, or a row that was to be changed is not there.
        """
        if not rows:
            return
        if own_work:
            self._set_savepoint()
        self._statements += 1 + len(rows) // ROWS_PER_STATEMENT
        written = self._connection.executemany(_by_place(text), rows).rowcount
        if written != len(rows):
            raise sqlite3.IntegrityError(f"{written} rows of {len(rows)} were there")

    def has_savepoint(self) -> bool:
        """Return whether what is written now would be undone with the savepoint."""
        return self._saved == "set"

    def later(
        self, text: str, parameters: Mapping[str, Any], take: Callable[[Cursor], None]
    ) -> None:
        """Run one statement, at once: nothing travels here."""
        take(self._run(text, parameters))

    def _run(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        if not text.startswith("SELECT"):
            self._set_savepoint()
            self._statements += 1
        return self._connection.execute(text, parameters)

    def begin(self) -> None:
        """Begin a transaction; now and then, move what was written from the log to its place."""
        if self._checkpoints and self._statements >= CHECKPOINT_STATEMENTS:
            self._checkpoint()
        self._saved = "no"
        self._connection.execute(self._begin)

    def savepoint(self) -> None:
        """Have the first statement that may change something set the savepoint."""
        self._saved = "wanted"

    def release(self) -> None:
        """Keep what was done since the savepoint."""
        is_set, self._saved = self._saved == "set", "no"
        if is_set:
            self._connection.execute("RELEASE work")

    def rollback_to(self) -> None:
        """Undo what was done since the savepoint, and drop it."""
        is_set, self._saved = self._saved == "set", "no"
        if is_set:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")

    def commit(self) -> None:
        """Return once the transaction is durable."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction; some errors have done so already."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def in_transaction(self) -> bool:
        """Return whether the transaction is still there."""
        return self._connection.in_transaction

    def _set_savepoint(self) -> None:
        if self._saved == "wanted":
            self._connection.execute("SAVEPOINT work")
            self._saved = "set"

    def _checkpoint(self) -> None:
        """Checkpoint, by this process's own hand: SQLite's automatic one tells no failed sync.

        Raises:
            sqlite3.Error: the disk is broken. A full one is no reason to stop: the log keeps all.
        """
        self._statements = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            if self.trouble(error, committing=False) is not Trouble.BUSY:
                raise

    def trouble(self, error: BaseException, *, committing: bool) -> Trouble:
        """Return what `error` says: an error at COMMIT that is not plainly "no" leaves a doubt."""
        if not isinstance(error, sqlite3.Error):
            return Trouble.NONE
        # The driver's own complaints (a missing parameter) carry no code.
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary in _BUSY_CODES:
            return Trouble.BUSY
        if primary in _SICK_CODES or committing:
            return Trouble.FAILED
        return Trouble.NONE

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteEngine:
    """One SQLite file and the lock beside it."""

    name: EngineName = "sqlite"

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self._path = path
        self._lock: int | None = None

    def own(self) -> None:
        """Take the lock file, or raise `StoreLocked` with the process id that it names."""
        make_folder(self._path.parent)
        lock_path = f"{self._path}.lock"
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode("ascii", errors="replace").strip() or "unknown"
            os.close(lock)
            raise StoreLocked(f"{self._path} is in use by process {owner}") from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode("ascii"))
        self._lock = lock

    def disown(self) -> None:
        """Let go of the lock file; it stays, for removing it would race with the next owner."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def writer(self) -> Session:
        """Open the one session that writes.

        Raises:
            SchemaBroken: the file is no database, or a damaged one.
        """
        connection = self._connect(wait_ms=WRITER_WAIT_MS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as bad:
            connection.close()
            if bad.sqlite_errorcode & 0xFF in _DAMAGE_CODES:
                raise SchemaBroken(f"{self._path} cannot be read: {bad}") from bad
            raise
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 33554432")
        connection.execute("PRAGMA cache_size = -8192")
        return SqliteSession(connection, begin="BEGIN IMMEDIATE", checkpoints=True)

    def reader(self) -> Session:
        """Open a session that only reads, each transaction from one snapshot."""
        connection = self._connect(wait_ms=READER_WAIT_MS)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")
        return SqliteSession(connection, begin="BEGIN DEFERRED")

    def settle(self, session: Session) -> None:
        """Nothing: the lock file is enough, for it ends with this process and not before."""

    def table_names(self, session: Session) -> Sequence[str]:
        """Return the names of the tables that exist."""
        text = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return [row[0] for row in session.execute(text, {}).fetchall()]

    def _connect(self, *, wait_ms: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=wait_ms / 1000,
        )
        for pragma in _SHARED_PRAGMAS:
            connection.execute(pragma)
        return connection


@functools.lru_cache(maxsize=256)
def _by_place(text: str) -> str:
    """Return a statement that takes its values by place.

    The driver looks up each name of each row anew, which costs a quarter of what writing it does.
    """
    return _NAME.sub("?", text)

"""Checks of a node's database, read without changing a byte of it, also while the node runs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from opkit.cli.doctor.cases import NodeCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

QUICK_S_MAX = 0.8
"""How long a database is read for damage unless all of it is asked for."""

CONNECT_S_MAX = 1
AHEAD_MS_MAX = 2_000
"""How far the journal's last entry may lie ahead of the clock."""

_BACKUP = "stop the node and restore a backup; keep the damaged file"
_GENERATION = "put the newest database back, or opkit node new-generation CONFIG"
_GENERATION_NOW = "SELECT value FROM store_meta WHERE name = 'generation'"
_LAST = "SELECT sequence, at_ms FROM journal ORDER BY sequence DESC LIMIT 1"
_VERSION = "SELECT version_num FROM alembic_version"


def state(node: NodeCase) -> Finding:
    """Open the database, compare its revision with this version's, look for damage."""
    url = node.config.store_url()
    if not url.startswith("sqlite:"):
        return _postgres(url)
    path = sqlite_path(url)
    if not path.exists():
        return note(f"{path} is not there yet", "the node's first start makes it")
    try:
        with reading(path, owned=_owner_of(path) is not None) as connection:
            return _sqlite(connection, path, thorough=node.thorough)
    except sqlite3.DatabaseError as bad:
        return wrong(f"{path}: {bad}", _BACKUP)


def _sqlite(connection: sqlite3.Connection, path: Path, *, thorough: bool) -> Finding:
    revision = judge_revision(connection.execute(_VERSION).fetchone())
    if revision is not None:
        return revision
    sequence, at_ms = connection.execute(_LAST).fetchone() or (0, 0)
    ahead = judge_ahead(at_ms)
    if ahead is not None:
        return ahead
    size = sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
    said = f"{size / 2**20:,.1f} MiB, journal up to {sequence}"
    damage = damage_of(connection, limit_s=None if thorough else QUICK_S_MAX)
    if damage is None:
        return well(f"{said}; too large to be read whole in a moment (--thorough does)")
    if damage:
        return wrong(f"{path} is damaged: {damage}", _BACKUP)
    return well(f"{said}, whole")


def judge_revision(row: tuple[object, ...] | None) -> Finding | None:
    """Return what is amiss with a database's revision; None if it is this version's."""
    from nodeimpl.kernel.birth import head_revision, revisions

    found = str(row[0]) if row else "none"
    if found == head_revision():
        return None
    if found in revisions():
        return note(
            f"its schema is {found}, this version's is {head_revision()}",
            "the next start migrates it: make a backup first",
        )
    return wrong(
        f"its schema is {found}, this version knows up to {head_revision()}",
        "run the newer version, or restore a backup made before the upgrade",
    )


def judge_ahead(at_ms: int) -> Finding | None:
    """Return what is amiss if the journal was written later than now; None if it was not."""
    ahead_ms = at_ms - time.time_ns() // 1_000_000
    if ahead_ms <= AHEAD_MS_MAX:
        return None
    return wrong(
        f"its last entry lies {ahead_ms / 1000:,.0f} s ahead of this machine's clock",
        "the clock was set back: set it right before the node signs more",
    )


def damage_of(connection: sqlite3.Connection, *, limit_s: float | None) -> str | None:
    """Return the first damage found, nothing if there is none, None if time ran out before."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(limit_s or 0, give_up)
    if limit_s is not None:
        timer.start()
    try:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        if late.is_set():
            return None
        raise
    finally:
        timer.cancel()
        if limit_s is not None:
            timer.join()
    if late.is_set():
        return None
    return "" if said == "ok" else said.replace("\n", " ")


@contextlib.contextmanager
def reading(path: Path, *, owned: bool) -> Iterator[sqlite3.Connection]:
    """Open a database to be read, so that its folder is afterwards as it was.

    A database in WAL mode wants its shared memory even from who only reads. Where nobody has it
    open and nothing waits in the log, the file alone is everything; it is then read as immutable.

    Args:
        path: the database's file.
        owned: whether a node has it open.
    """
    log = path.with_name(f"{path.name}-wal")
    rests = not owned and (not log.exists() or log.stat().st_size == 0)
    how = "immutable=1" if rests else "mode=ro"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{how}", uri=True, check_same_thread=False, timeout=0.2
    )
    try:
        yield connection
    finally:
        connection.close()


def history(node: NodeCase) -> Finding:
    """Compare the database with the mark beside it, which does not go back with a database.

    The node itself judges more exactly when it starts; while it runs the mark lags behind it.
    """
    from nodeimpl.history.mark import MarkFile
    from nodeimpl.kernel.errors import HistoryLost, SchemaNewer

    url = node.config.store_url()
    path = sqlite_path(url)
    if not url.startswith("sqlite:") or not path.exists():
        return well("the node compares it when it starts")
    try:
        mark = MarkFile(node.config.node.folder).read()
    except SchemaNewer as bad:
        return wrong(bad.args[0], SchemaNewer.hint)
    except HistoryLost as bad:
        return wrong(str(bad), _GENERATION)
    if mark is None:
        return note("there is no mark yet", "the node's next start makes it, or says why not")
    with reading(path, owned=_owner_of(path) is not None) as connection:
        sequence, _ = connection.execute(_LAST).fetchone() or (0, 0)
        row = connection.execute(_GENERATION_NOW).fetchone()
    stands = (int(row[0]) if row else 0, sequence)
    if stands < (mark.generation, mark.size):
        return wrong(
            f"it ends at {stands[1]} of generation {stands[0]}, and the node has signed up to "
            f"{mark.size} of {mark.generation}: this is an older database",
            _GENERATION,
        )
    return well(f"generation {stands[0]}, not behind its mark")


def owner(node: NodeCase) -> Finding:
    """Look who holds the lock beside the database, without touching it."""
    url = node.config.store_url()
    if not url.startswith("sqlite:"):
        return well("its lock is the server's")
    path = sqlite_path(url)
    lock = path.with_name(f"{path.name}.lock")
    holder = _owner_of(path)
    if holder is None:
        if node.pid is None:
            return well("nobody owns it")
        return wrong(
            f"process {node.pid} says that it is the node, and does not hold {lock.name}",
            "stop it: opkit devnet down, or its service; then start the node again",
        )
    if node.pid in (None, holder):
        return well(f"process {holder} owns it")
    return wrong(
        f"process {holder} owns it, and process {node.pid} says that it is the node",
        "one process per store: end one of them, give the other a folder of its own",
    )


def _owner_of(path: Path) -> int | None:
    lock = path.with_name(f"{path.name}.lock")
    if not lock.exists():
        return None
    return holder_of(lock, Path("/proc/locks").read_text("ascii"))


def holder_of(lock: Path, locks: str) -> int | None:
    """Return the process that holds a lock on this file, None if none does.

    Source: proc_locks(5). On some file systems the device there is another than stat's; there the
    process that wrote its id into the file must be the one that holds it.
    """
    at = lock.stat()
    device = f"{os.major(at.st_dev):02x}:{os.minor(at.st_dev):02x}"
    named = lock.read_text("ascii", "replace").strip()[:32]
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) < 6 or "->" in fields:
            continue
        pid, (where, _, inode) = fields[4], fields[5].rpartition(":")
        if inode == str(at.st_ino) and (where == device or pid == named):
            return int(pid)
    return None


def sqlite_path(url: str) -> Path:
    """Return the file of an SQLite URL."""
    return Path(unquote(urlsplit(url).path[1:]))


def _postgres(url: str) -> Finding:
    """Ask the server, in a transaction that may only read."""
    import psycopg

    shown = safe_url(url)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_S_MAX) as connection:
            connection.read_only = True
            connection.execute("SET LOCAL statement_timeout = 1000")
            row = connection.execute(
                "SELECT pg_is_in_recovery(), current_setting('fsync'),"
                " pg_database_size(current_database()), to_regclass('alembic_version') IS NULL"
            ).fetchone()
            assert row is not None, "such a query has one row"
            standby, fsync, size, empty = row
            amiss = []
            if standby:
                amiss.append(wrong("it is a standby", "point store.url at the primary"))
            if fsync != "on":
                amiss.append(wrong(f"fsync is {fsync}", "set fsync = on in postgresql.conf"))
            last = (0, 0)
            if empty:
                amiss.append(note("it is empty", "the node's first start makes its tables"))
            else:
                last = connection.execute(_LAST).fetchone() or last
                found = (
                    judge_revision(connection.execute(_VERSION).fetchone()),
                    judge_ahead(last[1]),
                )
                amiss += [each for each in found if each is not None]
    except psycopg.Error as bad:
        why = str(bad).strip().replace("\n", " ")
        return wrong(
            f"{shown}: {why}", "does the server run, and may this user in? pg_isready, psql"
        )
    return gathered(amiss, otherwise=f"{shown}: {size / 2**20:,.1f} MiB, journal up to {last[0]}")


def safe_url(url: str) -> str:
    """Return a database's address without what is secret in it."""
    parts = urlsplit(url)
    host = parts.hostname or "local socket"
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"

"""A backup of a node, made while it runs: database first, then the blobs that it refers to.

The database is copied by SQLite itself, from one snapshot, by another process than the node: a
reader in WAL mode waits for nobody and nobody waits for it. A blob is durable before the row that
refers to it, so what is copied after the database holds all that it refers to. A backup is whole
where it is: it gets its name last (ADR 0021).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nodeimpl.history.keeper import check
from nodeimpl.history.mark import MarkFile
from nodeimpl.kernel import birth, generations
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.folders import sync_folder
from nodeimpl.kernel.references import References
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.sqlite import SqliteSession
from nodeimpl.kernel.tx import Tx
from opkit.proof import jws
from opkit.proof.backup import BackupFile, BackupStatement, SignedBackup, sign_backup
from opkit.proof.cid import is_cid, sha256_of_cid
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.journal import JOURNAL_HEAD_TYP, HistoryPlace, JournalHead, SignedJournalHead

STATEMENT, HEAD, DATABASE, GENESIS = "backup.json", "head.json", "node.db", "genesis.jws"
BLOBS, BLOB_LIST = "blobs", "blobs.txt"
KEYSTORE, KEY_FILE = "keystore.json", "keystore.key"

PIECE_BYTES = 1 << 20
COPY_WAIT_S = 30
"""How long to wait for a lock that a node holds while it starts or ends."""


class BackupError(Exception):
    """A backup cannot be made, or not be used. `hint` says what would help."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Say why, and what to do."""
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Source:
    """The node that is backed up.

    Attributes:
        url: its database.
        folder: its own, with blobs and mark.
        genesis: the network's, as the node has it.
        key: keystore and key file, to be put into the backup; None to leave them out.
    """

    url: str
    folder: Path
    identity: Identity
    genesis: GenesisView
    version: str
    clock: Clock
    key: tuple[Path, Path] | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a backup holds."""

    head: JournalHead
    blobs: int
    size_bytes: int


def back_up(source: Source, to: Path) -> Made:
    """Write a backup of a node as the folder `to`, which is there only when it is whole.

    What the node acknowledged before this began is in it. Blocks until it is durable.

    Raises:
        BackupError: there is something at `to`, the database is not SQLite's or not of this
            version, or a blob is damaged or went away meanwhile.
        HistoryLost: the database is behind the node's mark.
        OSError: the disk is full or broken.
    """
    database, to = sqlite_path(source.url), to.absolute()
    if to.exists():
        raise BackupError(f"{to} is there already", hint="name a folder that is not there")
    if not database.exists():
        raise BackupError(f"there is no database at {database}", hint="has the node ever run?")
    with being_made(to) as made:
        mark = MarkFile(source.folder).read()
        before = _names(source.folder / BLOBS)
        _copy_database(database, made / DATABASE)
        head = _sign_head(source, made / DATABASE, mark)
        blobs, size_bytes = _copy_blobs(source, made, before=before)
        _write(made / HEAD, SignedJournalHead(head=head[1]).model_dump_json().encode() + b"\n")
        _write(made / GENESIS, source.genesis.token.encode("ascii"))
        if source.key is not None:
            for path, name in zip(source.key, (KEYSTORE, KEY_FILE), strict=True):
                _write(made / name, path.read_bytes())
        statement = _statement(source, made, head=head[1])
        token = sign_backup(statement, source.identity)
        _write(made / STATEMENT, SignedBackup(statement=token).model_dump_json().encode() + b"\n")
    kept = sum(each.size_bytes for each in statement.files)
    return Made(head=head[0], blobs=blobs, size_bytes=size_bytes + kept)


def sqlite_path(url: str) -> Path:
    """Return where the database is.

    Raises:
        BackupError: it is on a server that has its own means.
    """
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        raise BackupError(
            "the database is on PostgreSQL, which keeps its own backups",
            hint="pg_dump first, then a copy of the node's folder; once they are put back: "
            "opkit node new-generation CONFIG",
        )
    return Path(unquote(parts.path[1:]))


@contextlib.contextmanager
def being_made(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder`, and its name once all in it is durable; else nothing stays.

    Raises:
        OSError: the disk is full or broken.
    """
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    made.mkdir(mode=0o700)
    try:
        yield made
        for inner, _, _ in os.walk(made):
            sync_folder(Path(inner))
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made)
        raise
    sync_folder(folder.parent)


@contextlib.contextmanager
def reading(database: Path) -> Iterator[SqliteSession]:
    """Give a session on one snapshot of a database, which others may be changing."""
    connection = _connect(database, read_only=True)
    try:
        session = SqliteSession(connection, begin="BEGIN DEFERRED")
        session.begin()
        yield session
    finally:
        connection.close()


def digest_of(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file, read in pieces."""
    hashed, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            hashed.update(piece)
            size += len(piece)
    return size, hashed.hexdigest()


def copy_durably(path: Path, to: Path) -> None:
    """Copy a file for this user alone, and return once its bytes are durable."""
    shutil.copyfile(path, to)
    to.chmod(0o600)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _connect(database: Path, *, read_only: bool) -> sqlite3.Connection:
    uri = f"{database.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    return sqlite3.connect(uri, uri=True, timeout=COPY_WAIT_S, isolation_level=None)


def _copy_database(database: Path, to: Path) -> None:
    """Copy one snapshot, in one step: in several, each commit of the node would begin it anew."""
    with (
        contextlib.closing(_connect(database, read_only=True)) as source,
        contextlib.closing(_connect(to, read_only=False)) as copy,
    ):
        source.backup(copy, pages=-1)
        # One file, with nothing beside it that could be left behind.
        copy.execute("PRAGMA journal_mode = DELETE")
    to.chmod(0o600)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _sign_head(
    source: Source, database: Path, mark: HistoryPlace | None
) -> tuple[JournalHead, str]:
    """Return where the journal stands in the copy, and that signed.

    Raises:
        BackupError: the copy is of another version.
        HistoryLost: it is behind the node's mark, as it was before the copy.
    """
    with reading(database) as session:
        found = birth.found_revision(session)
        if found != birth.head_revision():
            raise BackupError(
                f"the database has schema {found}, not {birth.head_revision()}",
                hint="start the node once with this version, or use the version that wrote it",
            )
        tx = Tx(session, clock=source.clock, writes=False)
        check(tx, mark)
        place = generations.place(tx)
    head = JournalHead(
        network=source.genesis.network,
        aud="journal",
        node=source.identity.did,
        issued_at_ms=source.clock.now_ms(),
        **place.model_dump(),
    )
    return head, jws.sign(head, typ=JOURNAL_HEAD_TYP, identity=source.identity)


def _copy_blobs(source: Source, made: Path, *, before: set[str]) -> tuple[int, int]:
    """Copy every blob, checked against its name; return how many there are, and their bytes.

    The node may remove blobs meanwhile that nothing of its own names any more. One that the copied
    database names is missed.

    Args:
        before: which there were before the database was copied.

    Raises:
        BackupError: a blob is not what its name says, or one that is named went away.
    """
    folder, to = source.folder / BLOBS, made / BLOBS
    to.mkdir(mode=0o700)
    sizes: dict[str, int] = {}
    gone = []
    for name in sorted(before | _names(folder)):
        try:
            copy_durably(folder / name, to / name)
        except FileNotFoundError:
            gone.append(name)
        else:
            sizes[name] = _checked_size(to / name, folder / name)
    with reading(made / DATABASE) as session:
        tx, references = Tx(session, clock=source.clock, writes=False), References(metadata)
        missed = [name for name in gone if references.hold(tx, name)]
    if missed:
        raise BackupError(f"{missed[0]} went away meanwhile", hint="run it again")
    lines = [f"{name} {size}\n" for name, size in sizes.items()]
    _write(made / BLOB_LIST, "".join(lines).encode("ascii"))
    return len(sizes), sum(sizes.values())


def _names(folder: Path) -> set[str]:
    there = folder.iterdir() if folder.exists() else ()
    return {path.name for path in there if is_cid(path.name)}


def _checked_size(copy: Path, blob: Path) -> int:
    """Return the size of a copied blob.

    Raises:
        BackupError: it is not what its name says.
    """
    size, sha256 = digest_of(copy)
    if sha256 != sha256_of_cid(copy.name):
        raise BackupError(
            f"{blob} is damaged on this disk", hint="look after the disk; fetch the blob anew"
        )
    return size


def _statement(source: Source, made: Path, *, head: str) -> BackupStatement:
    """Return what is said of all files that are there."""
    files = []
    for path in sorted(made.iterdir()):
        if path.is_file():
            size_bytes, sha256 = digest_of(path)
            files.append(BackupFile(name=path.name, size_bytes=size_bytes, sha256=sha256))
    return BackupStatement(
        network=source.genesis.network,
        aud="backup",
        node=source.identity.did,
        version=source.version,
        revision=birth.head_revision(),
        head=head,
        files=tuple(files),
        created_at_ms=source.clock.now_ms(),
    )


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

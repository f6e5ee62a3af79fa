"""Looking a backup through, and putting it back: as another generation, for others saw the last.

Nothing is believed before all was hashed: every file against the signed statement, every blob
against its name, every journal entry up to the signed head. The restored folder gets its name
last, and what was there before is moved aside, not removed (ADR 0021).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from nodeimpl.history.backup import (
    BLOB_LIST,
    BLOBS,
    DATABASE,
    STATEMENT,
    BackupError,
    being_made,
    copy_durably,
    digest_of,
    reading,
)
from nodeimpl.history.mark import MarkFile
from nodeimpl.history.renewal import open_generation
from nodeimpl.kernel import birth, cutting, journal
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.sqlite import SqliteEngine, SqliteSession
from nodeimpl.kernel.tx import Tx
from opkit.proof.backup import BackupFile, BackupStatement, SignedBackup, check_file, examine_backup
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.cid import is_cid, sha256_of_cid
from opkit.proof.genesis import GenesisView
from opkit.proof.journal import JOURNAL_START, entry_hash
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.base import RecordId
from opkit.wire.events import EVENTS_PER_PAGE_MAX, Cursor
from opkit.wire.journal import GenerationOpened, JournalHead

STATEMENT_BYTES_MAX = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of it; `aside` is where the folder was moved that was there before."""

    opened: GenerationOpened
    aside: Path | None


def examine(
    backup: Path, *, genesis: GenesisView | None, clock: Clock
) -> tuple[BackupStatement | None, Verdict]:
    """Look a whole backup through; return what it says, if that is signed, and the verdict.

    Raises:
        BackupError: there is no backup here.
        OSError: it cannot be read.
    """
    token = read_statement(backup)
    statement, head, checks = examine_backup(token, genesis=genesis)
    subject = f"backup {backup}"
    if statement is not None and head is not None:
        made = datetime.fromtimestamp(statement.created_at_ms / 1000, UTC)
        subject = f"{subject} of {statement.node}, {made:%Y-%m-%d %H:%M:%S} UTC"
        checks += _check_files(backup, statement)
        if all(check.ok for check in checks):
            checks += _check_blobs(backup)
            checks += _check_database(backup / DATABASE, statement, head, clock)
    verdict = Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None)
    return statement, verdict


def restore(
    backup: Path, *, folder: Path, created_at_ms: int, clock: Clock, replace: bool
) -> Restored:
    """Put a backup that was looked through where a node keeps its things, as a new generation.

    A process that is killed leaves the folder that was there, or the restored one; in the moment
    between the two renames neither has the name, and both are whole beside it.

    Args:
        folder: the node's own.
        created_at_ms: when the backup was made, as it says itself.
        replace: move aside what is there, instead of refusing.

    Raises:
        BackupError: something is there and shall not be replaced.
        StoreError: the node runs, or the database cannot be used.
        OSError: the disk is full or broken.
    """
    folder = folder.absolute()
    standing = folder.exists() and any(folder.iterdir())
    if standing and not replace:
        raise BackupError(
            f"{folder} is not empty", hint="--replace moves it aside; it is not removed"
        )
    at = datetime.fromtimestamp(created_at_ms / 1000, UTC)
    reason = f"restored from the backup of {at:%Y-%m-%d %H:%M:%S} UTC"
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _not_running(folder), _moved_back(folder) as moved, being_made(folder) as made:
        copy_durably(backup / DATABASE, made / "node.db")
        (made / BLOBS).mkdir(mode=0o700)
        for blob in sorted((backup / BLOBS).iterdir()):
            copy_durably(blob, made / BLOBS / blob.name)
        if (mark := MarkFile(folder)).path.exists():
            # What this folder's node had come to: the opening says what of it is lost.
            copy_durably(mark.path, made / mark.path.name)
        url = f"sqlite:///{made / 'node.db'}"
        opened = asyncio.run(open_generation(url=url, folder=made, clock=clock, reason=reason))
        if standing:
            moved.append(
                folder.rename(folder.with_name(f"{folder.name}.before-{opened.generation}"))
            )
    return Restored(opened=opened, aside=moved[0] if moved else None)


@contextlib.contextmanager
def _moved_back(folder: Path) -> Iterator[list[Path]]:
    """Give a list for where `folder` was moved; what is in it is moved back if the rest fails."""
    moved: list[Path] = []
    try:
        yield moved
    except BaseException:
        if moved and not folder.exists():
            moved[0].rename(folder)
        raise


@contextlib.contextmanager
def _not_running(folder: Path) -> Iterator[None]:
    """Keep a node from starting in `folder`, if there is one.

    Raises:
        StoreLocked: one runs in it.
    """
    if not (folder / "node.db").exists():
        yield
        return
    engine = SqliteEngine(folder / "node.db")
    engine.own()
    try:
        yield
    finally:
        engine.disown()


def read_statement(backup: Path) -> str:
    """Return what the node signed over a backup, not yet verified.

    Raises:
        BackupError: there is no backup here.
        OSError: it cannot be read.
    """
    path = backup / STATEMENT
    hint = "`opkit node backup` makes one"
    if not path.is_file():
        raise BackupError(f"{backup} is no backup: there is no {STATEMENT}", hint=hint)
    with path.open("rb") as file:
        data = file.read(STATEMENT_BYTES_MAX)
    try:
        return SignedBackup.model_validate_json(data).statement
    except ValidationError as bad:
        raise BackupError(f"{path} is no statement of a backup", hint=hint) from bad


def _check_files(backup: Path, statement: BackupStatement) -> list[Check]:
    """Return a check for each file that the statement names, and that there is no other."""
    checks = [
        attempt(said.name, partial(_check_file, backup / said.name, said))[1]
        for said in statement.files
    ]
    expected = {STATEMENT, BLOBS, *(said.name for said in statement.files)}
    found = {path.name for path in backup.iterdir()}
    return [*checks, equal("files", expected=sorted(expected), actual=sorted(found))]


def _check_file(path: Path, said: BackupFile) -> None:
    if not path.is_file() or path.is_symlink():
        raise ProofError(f"there is no {said.name}")
    size_bytes, sha256 = digest_of(path)
    check_file(said, size_bytes=size_bytes, sha256=sha256)


def _check_blobs(backup: Path) -> list[Check]:
    """Return the checks that the blobs are those that are listed, each what its name says."""
    listed: dict[str, int] = {}
    for line in (backup / BLOB_LIST).read_text("ascii").splitlines():
        name, _, text = line.partition(" ")
        listed[name] = int(text) if text.isdecimal() else -1
    found = {path.name: path for path in (backup / BLOBS).iterdir()}
    checks = [
        equal(
            "blobs", expected=f"{len(listed)} as listed", actual=_compared(set(listed), set(found))
        )
    ]
    for name in sorted(found.keys() & listed.keys()):
        size, sha256 = digest_of(found[name])
        if not is_cid(name) or size != listed[name] or sha256 != sha256_of_cid(name):
            actual = f"{size} bytes, SHA-256 {sha256}"
            checks.append(Check(name=name, ok=False, expected="what it is called", actual=actual))
    return checks


def _compared(listed: set[str], found: set[str]) -> str:
    if listed == found:
        return f"{len(listed)} as listed"
    missing, more = sorted(listed - found), sorted(found - listed)
    return f"{len(missing)} missing {missing[:3]}, {len(more)} not listed {more[:3]}"


def _check_database(
    database: Path, statement: BackupStatement, head: JournalHead, clock: Clock
) -> list[Check]:
    """Return the checks that the database is whole, and its journal that of the head."""
    try:
        with reading(database) as session:
            whole = session.execute("PRAGMA quick_check(1)", {}).fetchall()
            checks = [equal("database", expected="ok", actual=whole[0][0])]
            revision = birth.found_revision(session)
            checks.append(equal("schema", expected=statement.revision, actual=revision))
            known = ", ".join(birth.revisions())
            checks.append(
                Check(
                    name="schema-known",
                    ok=revision in birth.revisions(),
                    expected=f"one of {known}",
                    actual=revision,
                )
            )
            if all(check.ok for check in checks):
                checks += _check_journal(session, head, clock)
    except sqlite3.DatabaseError as bad:
        return [Check(name="database", ok=False, expected="ok", actual=str(bad))]
    return checks


def _check_journal(session: SqliteSession, head: JournalHead, clock: Clock) -> list[Check]:
    """Return the checks that the entries hash to the head that was signed over them."""
    tx = Tx(session, clock=clock, writes=False)
    generation = journal.read_generation(tx)
    tree, last = _rebuilt(tx, generation)
    return [
        equal("generation", expected=head.generation, actual=generation),
        equal("size", expected=head.size, actual=tree.size),
        equal("root", expected=head.root, actual=tree.root().hex()),
        equal("last-hash", expected=head.hash, actual=last),
    ]


def _rebuilt(tx: Tx, generation: int) -> tuple[Frontier, RecordId]:
    """Return tree and last hash of all that is stored, hashed anew, in bounded memory."""
    tree, last = Frontier(), JOURNAL_START
    cut = cutting.last_checkpoint(tx)
    if cut is not None:
        tree = Frontier(cut.size, tuple(bytes.fromhex(peak) for peak in cut.peaks))
        last = cut.hash
    after: Cursor | None = None
    while True:
        page = journal.read_page(
            tx, generation=generation, after=after, entries_max=EVENTS_PER_PAGE_MAX
        )
        if not page:
            return tree, last
        for entry in page:
            last = entry_hash(previous=last, stored=entry.stored)
            tree, _ = tree.append(leaf_hash(entry.stored))
        after = page[-1].cursor(generation)

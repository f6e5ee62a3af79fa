"""A backup is looked through before any of it is believed."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.history import backup as making
from nodeimpl.history.backup import BackupError, digest_of
from nodeimpl.history.restoring import examine, read_statement, restore
from nodeimpl.kernel.clock import RealClock
from opkit.proof.backup import BackupFile, SignedBackup, read_backup, sign_backup
from opkit.proof.cid import cid_of

RIVER = "river-city-tool-library"


def failed(backup: Path, genesis: Any) -> list[str]:
    _, verdict = examine(backup, genesis=genesis, clock=RealClock())
    return [check.name for check in verdict.failures]


def test_a_backup_says_whose_it_is_and_holds_no_key(backed_up: Any) -> None:
    backup, genesis, made = backed_up
    statement, verdict = examine(backup, genesis=genesis, clock=RealClock())
    assert verdict.status == "verified"
    assert statement is not None
    assert statement.node == made.nodes[RIVER].did
    _, unknown = examine(backup, genesis=None, clock=RealClock())
    assert unknown.status == "consistent, signer unknown"
    seed = made.nodes[RIVER].seed
    for path in backup.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            assert seed not in path.read_bytes()
            assert not path.name.startswith("keystore")


def changed(name: str) -> Callable[[Path], None]:
    def change(backup: Path) -> None:
        path = backup / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda backup: (backup / name).unlink()


def a_blob(backup: Path) -> Path:
    return next((backup / "blobs").iterdir())


def swapped(backup: Path) -> None:
    """One blob's bytes under another's name: each is a blob, and neither is what it is called."""
    first, second, *_ = sorted((backup / "blobs").iterdir())
    first.write_bytes(second.read_bytes())


SPOILT: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "database-changed": (changed("node.db"), ["node.db"]),
    "genesis-changed": (changed("genesis.jws"), ["genesis.jws"]),
    "head-missing": (without("head.json"), ["head.json", "files"]),
    "list-cut": (lambda at: (at / "blobs.txt").write_text(""), ["blobs.txt"]),
    "file-more": (lambda at: (at / "node.db-wal").write_text("x"), ["files"]),
    "blob-missing": (lambda at: a_blob(at).unlink(), ["blobs"]),
    "blob-more": (lambda at: (at / "blobs" / cid_of(b"x")).write_bytes(b"x"), ["blobs"]),
    "blob-changed": (swapped, ["(its name)"]),
}


@pytest.mark.parametrize("how", list(SPOILT))
def test_a_backup_that_was_changed_is_not_restored(
    backed_up: Any, tmp_path: Path, how: str
) -> None:
    backup, genesis, _ = backed_up
    shutil.copytree(backup, tmp_path / "spoilt")
    spoil, expected = SPOILT[how]
    spoil(tmp_path / "spoilt")
    found = failed(tmp_path / "spoilt", genesis)
    assert [("(its name)" if name.startswith("bafkrei") else name) for name in found] == expected


def test_a_link_in_a_backup_is_no_file_of_it(backed_up: Any, tmp_path: Path) -> None:
    backup, genesis, _ = backed_up
    shutil.copytree(backup, tmp_path / "linked")
    (tmp_path / "linked" / "node.db").unlink()
    (tmp_path / "linked" / "node.db").symlink_to(backup / "node.db")
    assert failed(tmp_path / "linked", genesis) == ["node.db"]


@pytest.mark.parametrize("said", [None, b"", b"{}", b'{"statement":"x"}'])
def test_what_is_no_backup_is_told_so(backed_up: Any, tmp_path: Path, said: bytes | None) -> None:
    if said is not None:
        (tmp_path / "backup.json").write_bytes(said)
    if said == b'{"statement":"x"}':
        assert failed(tmp_path, backed_up[1]) == ["backup-signature"]
        return
    with pytest.raises(BackupError, match="no "):
        examine(tmp_path, genesis=None, clock=RealClock())


def signed_again(backup: Path, identity: Any, **changes: Any) -> None:
    """Sign for the files as they are now: what a node that lies, or is broken, could do."""
    statement = read_backup(read_statement(backup), genesis=None)
    files = []
    for said in statement.files:
        size_bytes, sha256 = digest_of(backup / said.name)
        files.append(BackupFile(name=said.name, size_bytes=size_bytes, sha256=sha256))
    again = statement.model_copy(update={"files": tuple(files), **changes})
    token = SignedBackup(statement=sign_backup(again, identity))
    (backup / "backup.json").write_text(token.model_dump_json())


def sql(text: str) -> Callable[[Path], None]:
    def change(backup: Path) -> None:
        with contextlib.closing(sqlite3.connect(backup / "node.db")) as connection:
            connection.execute(text)
            connection.commit()

    return change


LIED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], list[str]]] = {
    "entry-changed": (
        sql("UPDATE journal SET at_ms = at_ms + 1 WHERE sequence = 2"),
        {},
        ["root", "last-hash"],
    ),
    "entries-missing": (
        sql("DELETE FROM journal WHERE sequence > 3"),
        {},
        ["size", "root", "last-hash"],
    ),
    "another-generation": (
        sql("UPDATE store_meta SET value = 7 WHERE name = 'generation'"),
        {},
        ["generation"],
    ),
    "list-of-nonsense": (lambda at: (at / "blobs.txt").write_text("x\ny z\n"), {}, ["blobs"]),
    "no-database": (lambda at: (at / "node.db").write_bytes(b"none" * 9_000), {}, ["database"]),
    "other-schema": (sql("UPDATE alembic_version SET version_num = '0002'"), {}, ["schema"]),
    "later-schema": (
        sql("UPDATE alembic_version SET version_num = '9999'"),
        {"revision": "9999"},
        ["schema-known"],
    ),
}


@pytest.mark.parametrize("how", list(LIED))
def test_a_database_that_is_not_what_was_signed_for_is_found(
    backed_up: Any, tmp_path: Path, how: str
) -> None:
    backup, genesis, made = backed_up
    shutil.copytree(backup, tmp_path / "odd")
    spoil, changes, expected = LIED[how]
    spoil(tmp_path / "odd")
    signed_again(tmp_path / "odd", made.nodes[RIVER], **changes)
    assert failed(tmp_path / "odd", genesis) == expected


def test_a_folder_that_was_moved_aside_has_its_name_again_if_the_rest_fails(
    backed_up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node would otherwise begin anew in an empty folder."""
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "keystore.json").write_text("of the node", "utf-8")
    asked: dict[str, Any] = {
        "folder": folder,
        "created_at_ms": 0,
        "clock": RealClock(),
        "replace": True,
    }

    def fail(_: Path) -> None:
        raise OSError(5, "the disk is broken")

    with monkeypatch.context() as broken:
        broken.setattr(making, "sync_folder", fail)
        with pytest.raises(OSError, match="broken"):
            restore(backed_up[0], **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["node"]
    assert [path.name for path in folder.iterdir()] == ["keystore.json"]
    done = restore(backed_up[0], **asked)
    assert done.aside is not None
    assert (done.aside / "keystore.json").exists()
    assert (folder / "node.db").exists()

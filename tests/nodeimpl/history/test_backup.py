"""Backups of a node that is at work, looked through, changed on purpose, and put back."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.history import backup as making
from nodeimpl.history.backup import BackupError
from nodeimpl.history.mark import MarkFile
from nodeimpl.history.restoring import examine
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.errors import HistoryLost, StoreLocked
from opkit.proof.cid import cid_of
from opkit.proof.history import check_growth, check_same_journal, read_head
from opkit.proof.receipt import verify_receipt
from opkit.wire.journal import (
    CONSISTENCY,
    HEAD,
    ORIGIN,
    AskConsistency,
    AskJournalHead,
    AskJournalOrigin,
    SignedJournalHead,
)

MODULE = (Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm").read_bytes()
RIVER = "river-city-tool-library"
LARGE_BYTES = 80_000
"""More than fits a row: such inputs and outputs are blobs."""


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 240))


async def reached(work: Any, results: int) -> None:
    async with asyncio.timeout(120):
        while len(work.results) < results:
            await asyncio.sleep(0.01)


async def check_all_there(
    world: Any, modules: dict[str, bytes], results: dict[str, tuple[Any, bytes]]
) -> None:
    client = world.client(RIVER, f"{RIVER}/mara")
    for name, content in modules.items():
        assert await client.wasm.fetch(name) == content
    for task_id, (manifest, output) in results.items():
        again = await client.compute.handle(task_id, manifest).result()
        assert again.output == output
        assert verify_receipt(again.bundle, genesis=world.genesis).status == "verified"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(
    kit: Any, tmp_path: Path
) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            work = kit.Work(world)
            working = [asyncio.create_task(work.go_on(first)) for first in range(2)]
            await reached(work, 6)
            modules, results = work.acknowledged()
            made = await kit.made_backup(world, tmp_path / "monday")
            await reached(work, len(results) + 4)
            work.stop()
            await asyncio.gather(*working)
            early = read_head(head_in(tmp_path / "monday"), genesis=world.genesis)
            assert made.head == early
            late = await head_of(world)
            assert late.size > early.size
            await world.kill(RIVER)
            done = await kit.put_back(world, tmp_path / "monday")
            assert done.opened.after.size == early.size
            assert done.opened.lost is not None
            assert done.opened.lost.size >= late.size
            assert done.aside is not None
            assert (done.aside / "node.db").exists()
            await world.restart(RIVER)
            await check_all_there(world, modules, results)
            await check_grown(world, early)
            for bundle in work.bundles:
                assert verify_receipt(bundle, genesis=world.genesis).status == "verified"
            await kit.Work(world).once(1_000_001)

    run(main())


async def head_of(world: Any) -> Any:
    signed = await world.operator(RIVER).call(HEAD, AskJournalHead())
    return read_head(signed.head, genesis=world.genesis)


def head_in(backup: Path) -> str:
    return SignedJournalHead.model_validate_json((backup / "head.json").read_bytes()).head


async def check_grown(world: Any, early: Any) -> None:
    """Check that the journal goes on from a head, over the generation that was opened."""
    client = world.operator(RIVER)
    late = await head_of(world)
    origin = await client.call(ORIGIN, AskJournalOrigin())
    path = (await client.call(CONSISTENCY, AskConsistency(first=early.size, second=late.size))).path
    checks = [
        *check_same_journal(early, late, openings=origin.openings),
        check_growth(early, late, path),
    ]
    assert [check for check in checks if not check.ok] == []


# What is refused, and leaves nothing.


def test_a_backup_is_whole_or_not_there(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step fails once: nothing stays, and the next attempt succeeds."""

    async def main() -> None:
        async with kit.world_at_work() as world:
            await kit.Work(world).once(1)
            to = tmp_path / "made" / "backup"
            to.parent.mkdir()
            steps = ("_copy_database", "_sign_head", "_copy_blobs", "_statement", "sync_folder")
            for step in steps:

                def fail(*_: Any, **__: Any) -> Any:
                    raise OSError(28, "No space left on device")

                with monkeypatch.context() as broken:
                    broken.setattr(making, step, fail)
                    with pytest.raises(OSError, match="No space"):
                        await kit.made_backup(world, to)
                assert list(to.parent.iterdir()) == [], step
            made = await kit.made_backup(world, to)
            assert made.blobs >= 1
            with pytest.raises(BackupError, match="is there already"):
                await kit.made_backup(world, to)

    run(main())


def test_a_node_behind_its_mark_signs_for_no_backup(kit: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            source = kit.source_of(world)
            file = MarkFile(source.folder)
            await world.kill(RIVER)
            mark = file.read()
            assert mark is not None
            file.write(mark.model_copy(update={"size": mark.size + 1}))
            with pytest.raises(HistoryLost, match="an old one"):
                await kit.made_backup(world, tmp_path / "backup")
            assert not (tmp_path / "backup").exists()
            file.write(mark)
            await kit.made_backup(world, tmp_path / "backup")

    run(main())


def test_what_cannot_be_backed_up_is_refused_with_a_hint(kit: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            with pytest.raises(BackupError, match="PostgreSQL") as no:
                await kit.made_backup(world, tmp_path / "b", url="postgresql://x/y")
            assert "pg_dump" in no.value.hint
            assert "opkit node new-generation" in no.value.hint
            with pytest.raises(BackupError, match="no database"):
                await kit.made_backup(world, tmp_path / "b", url=f"sqlite:///{tmp_path}/none.db")
            await world.kill(RIVER)
            path = Path(kit.source_of(world).url.removeprefix("sqlite:///"))
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '0002'")
                connection.commit()
            with pytest.raises(BackupError, match="schema 0002"):
                await kit.made_backup(world, tmp_path / "b")

    run(main())


def test_a_damaged_or_vanished_blob_is_told_and_not_backed_up(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            await kit.Work(world).once(1)
            blobs = kit.source_of(world).folder / "blobs"
            blob = next(path for path in blobs.iterdir() if path.is_file())
            whole = blob.read_bytes()
            blob.write_bytes(whole[:-1] + b"x")
            with pytest.raises(BackupError, match="is damaged on this disk"):
                await kit.made_backup(world, tmp_path / "b")
            blob.write_bytes(whole)
            stray = blobs / cid_of(b"nobody names it")
            true = making._sign_head

            def removing(which: Path) -> Callable[..., Any]:
                def removed(*arguments: Any) -> Any:
                    which.unlink()
                    return true(*arguments)

                return removed

            with monkeypatch.context() as meanwhile:
                meanwhile.setattr(making, "_sign_head", removing(blob))
                with pytest.raises(BackupError, match="went away meanwhile"):
                    await kit.made_backup(world, tmp_path / "b")
            assert not (tmp_path / "b").exists()
            blob.write_bytes(whole)
            stray.write_bytes(b"nobody names it")
            monkeypatch.setattr(making, "_sign_head", removing(stray))
            await kit.made_backup(world, tmp_path / "b")
            assert not (tmp_path / "b" / "blobs" / stray.name).exists()

    run(main())


def test_nothing_is_restored_over_what_is_there_or_under_a_running_node(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            folder = kit.source_of(world).folder
            await kit.made_backup(world, tmp_path / "b")
            with pytest.raises(BackupError, match="not empty"):
                await kit.put_back(world, tmp_path / "b", replace=False)
            with pytest.raises(StoreLocked, match="in use"):
                await kit.put_back(world, tmp_path / "b")
            await world.kill(RIVER)
            before = (folder / "node.db").read_bytes()

            async def broken(**_: Any) -> Any:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as full:
                full.setattr("nodeimpl.history.restoring.open_generation", broken)
                with pytest.raises(OSError, match="No space"):
                    await kit.put_back(world, tmp_path / "b")
            assert (folder / "node.db").read_bytes() == before
            assert [path.name for path in folder.parent.glob(f".{folder.name}.*")] == []
            # Onto a machine that has nothing yet.
            folder.rename(tmp_path / "lost-with-the-disk")
            done = await kit.put_back(world, tmp_path / "b", replace=False)
            assert (done.aside, done.opened.lost) == (None, None)
            await world.restart(RIVER)
            again = await put_back_refused(kit, world, tmp_path / "b")
            assert "in use" in again

    run(main())


async def put_back_refused(kit: Any, world: Any, backup: Path) -> str:
    with pytest.raises(StoreLocked) as no:
        await kit.put_back(world, backup)
    return str(no.value)


def test_the_key_is_in_a_backup_only_when_asked_for(kit: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with kit.world_at_work() as world:
            key = (tmp_path / "a.json", tmp_path / "a.key")
            for path in key:
                path.write_bytes(path.name.encode())
            await kit.made_backup(world, tmp_path / "b", key=key)
            for path, name in zip(key, ("keystore.json", "keystore.key"), strict=True):
                copy = tmp_path / "b" / name
                assert copy.read_bytes() == path.read_bytes()
                assert copy.stat().st_mode & 0o077 == 0
            _, verdict = examine(tmp_path / "b", genesis=world.genesis, clock=RealClock())
            assert verdict.status == "verified"

    run(main())

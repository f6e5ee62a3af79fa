from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.kernel import blobs as blobs_module
from nodeimpl.kernel.blobs import BLOCK_BYTES, BlobMismatch, BlobStore, BlobWriter
from nodeimpl.kernel.errors import StoreFailed
from opkit.proof.cid import cid_of
from opkit.wire.compute import BlobOversize, StorageFull
from opkit.wire.gateway import StoreBusy

QUOTA = 10_000


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def partials(folder: Path) -> list[str]:
    return [path.name for path in (folder / "partial").iterdir()]


async def all_of(writer: BlobWriter, pieces: list[bytes]) -> None:
    for piece in pieces:
        await writer.write(piece)
    await writer.commit()


def test_what_was_put_is_got_under_its_name_also_after_reopening(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        for data in (b"", b"hello", bytes(range(256)) * 8):
            cid = await blobs.put(data)
            assert cid == cid_of(data)
            assert await blobs.get(cid) == data
            assert blobs.size(cid) == len(data)
            assert blobs.path(cid).read_bytes() == data
        assert blobs.usage() == (3, 5 + 2048)
        again = BlobStore(tmp_path, QUOTA)
        assert again.usage() == (3, 5 + 2048)
        assert await again.get(cid_of(b"hello")) == b"hello"

    run(main())


def test_the_same_bytes_cost_once(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        await asyncio.gather(*(blobs.put(b"x" * 1000) for _ in range(9)))
        await blobs.put(b"x" * 1000)
        assert blobs.usage() == (1, 1000)
        assert partials(tmp_path) == []

    run(main())


def test_what_is_no_name_is_not_kept_and_reaches_no_file(tmp_path) -> None:
    async def main() -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        blobs = BlobStore(tmp_path / "blobs", QUOTA)
        for name in ("../secret", "", "/etc/passwd", "partial", cid_of(b"x").upper()):
            assert blobs.size(name) is None
            assert await blobs.get(name) is None
            with pytest.raises(AssertionError):
                blobs.path(name)
        assert await blobs.get(cid_of(b"unknown")) is None

    run(main())


def test_more_than_the_quota_is_refused_those_on_their_way_included(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, 100)
        await blobs.put(b"a" * 60)
        writer = await blobs.open_writer(cid_of(b"b" * 30), 30)
        with pytest.raises(StorageFull) as no:
            await blobs.put(b"c" * 11)
        assert no.value.limit_bytes == 100
        await blobs.put(b"d" * 10)
        await writer.abort()
        await blobs.put(b"e" * 30)
        assert blobs.usage() == (3, 100)
        with pytest.raises(StorageFull):
            await blobs.put(b"f")
        assert await blobs.remove(cid_of(b"a" * 60)) == 60
        assert await blobs.remove(cid_of(b"a" * 60)) == 0
        await blobs.put(b"f")
        assert blobs.usage() == (3, 41)
        assert partials(tmp_path) == []

    run(main())


def test_a_blob_larger_than_wanted_is_not_read(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        cid = await blobs.put(b"x" * 11)
        assert await blobs.get(cid, size_max=11) == b"x" * 11
        with pytest.raises(BlobOversize) as no:
            await blobs.get(cid, size_max=10)
        assert (no.value.size_bytes, no.value.limit_bytes) == (11, 10)

    run(main())


def test_other_bytes_than_announced_are_never_kept(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        cid = cid_of(b"hello")
        for pieces in ([b"jello"], [b"hel"], [b"hello", b"!"], []):
            writer = await blobs.open_writer(cid, 5)
            with pytest.raises(BlobMismatch):
                await all_of(writer, pieces)
            await writer.abort()
            await writer.abort()
        assert blobs.size(cid) is None
        assert blobs.usage() == (0, 0)
        assert partials(tmp_path) == []
        await blobs.put(b"z" * QUOTA)

    run(main())


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_pieces_of_any_size_make_the_whole(tmp_path_factory, data, cuts) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path_factory.mktemp("blobs"), QUOTA)
        writer = await blobs.open_writer(cid_of(data), len(data))
        edges = [0, *sorted(cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            await writer.write(data[start:end])
        await writer.commit()
        assert await blobs.get(cid_of(data)) == data

    saved = blobs_module.BLOCK_BYTES
    blobs_module.BLOCK_BYTES = 64
    try:
        run(main())
    finally:
        blobs_module.BLOCK_BYTES = saved


def test_what_a_crash_left_unfinished_is_removed_at_the_start(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, 10 * BLOCK_BYTES)
        writer = await blobs.open_writer(cid_of(b"x"), 2 * BLOCK_BYTES)
        await writer.write(bytes(BLOCK_BYTES))
        await writer.write(bytes(BLOCK_BYTES - 1))
        for _ in range(2_000):
            if partials(tmp_path):
                break
            await asyncio.sleep(0.005)  # Looks again.
        assert partials(tmp_path) != []
        again = BlobStore(tmp_path, QUOTA)
        assert partials(tmp_path) == []
        assert again.usage() == (0, 0)
        await writer.abort()

    run(main())


def test_a_writer_given_up_in_the_middle_of_its_commit_leaves_whole_bytes_or_none(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, 10 * BLOCK_BYTES)
        data = os.urandom(BLOCK_BYTES + 7)
        cid = cid_of(data)
        for turns in range(1, 13):
            writer = await blobs.open_writer(cid, len(data))

            async def whole(writer: Any = writer) -> None:
                try:
                    await writer.write(data)
                    await writer.commit()
                finally:
                    await writer.abort()

            task = asyncio.ensure_future(whole())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert partials(tmp_path) == []
            if blobs.size(cid) is not None:
                assert await blobs.get(cid) == data
                await blobs.remove(cid)
        assert blobs.usage() == (0, 0)
        await blobs.put(bytes(10 * BLOCK_BYTES))

    run(main())


def failing(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> Any:
    def fail(*_: Any, **__: Any) -> int:
        raise OSError(number, "injected")

    patched = monkeypatch.context()
    patched.__enter__().setattr(f"nodeimpl.kernel.shelf.os.{call}", fail)
    return patched


@pytest.mark.parametrize(
    ("call", "number", "expected"),
    [
        ("open", errno.ENOSPC, StorageFull),
        ("write", errno.ENOSPC, StorageFull),
        ("write", errno.EDQUOT, StorageFull),
        ("open", errno.EMFILE, StoreBusy),
    ],
)
def test_a_full_disk_refuses_and_passes(tmp_path, monkeypatch, call, number, expected) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        with contextlib.ExitStack() as faults:
            faults.push(failing(monkeypatch, call, number))
            with pytest.raises(expected):
                await blobs.put(b"hello")
        assert partials(tmp_path) == []
        assert blobs.usage() == (0, 0)
        assert await blobs.put(b"hello") == cid_of(b"hello")

    run(main())


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("open", errno.EIO),
        ("write", errno.EIO),
        ("fsync", errno.EIO),
        # What a sync failed to write the system may have dropped: this is no full disk that passes.
        ("fsync", errno.ENOSPC),
    ],
)
def test_a_broken_disk_stops_the_node_and_takes_nothing_more(
    tmp_path, monkeypatch, call, number
) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        kept = await blobs.put(b"kept before")
        failed = asyncio.ensure_future(blobs.failed())
        await asyncio.sleep(0)
        assert not failed.done()
        with contextlib.ExitStack() as faults:
            faults.push(failing(monkeypatch, call, number))
            with pytest.raises(StoreFailed):
                await blobs.put(b"hello")
        assert "injected" in str(await failed)
        with pytest.raises(StoreFailed):
            await blobs.put(b"hello")
        assert await blobs.get(kept) == b"kept before"
        assert partials(tmp_path) == []

    run(main())


def test_a_folder_that_cannot_be_synced_after_a_removal_stops_the_node(
    tmp_path, monkeypatch
) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        cid = await blobs.put(b"hello")
        with contextlib.ExitStack() as faults:
            faults.push(failing(monkeypatch, "fsync", errno.EIO))
            with pytest.raises(StoreFailed):
                await blobs.remove(cid)
        assert "injected" in str(await blobs.failed())

    run(main())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_folder_that_cannot_be_opened_for_want_of_files_refuses_and_passes(
    tmp_path, monkeypatch, number
) -> None:
    """An open that fails is no failed sync: nothing had its name yet, and nothing was removed."""
    real = os.open

    def no_folder(path: Any, flags: int, *more: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(number, "injected")
        return real(path, flags, *more)

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        kept = await blobs.put(b"kept before")
        with monkeypatch.context() as faults:
            faults.setattr("nodeimpl.kernel.shelf.os.open", no_folder)
            with pytest.raises(StoreBusy):
                await blobs.put(b"hello")
            with pytest.raises(StoreBusy):
                await blobs.remove(kept)
        assert partials(tmp_path) == []
        assert blobs.usage() == (1, len(b"kept before"))
        assert await blobs.put(b"hello") == cid_of(b"hello")
        assert await blobs.remove(kept) == len(b"kept before")
        assert blobs.usage() == (1, 5)

    run(main())


@pytest.mark.parametrize("step", ["touch", "drop"])
def test_a_disk_that_breaks_in_any_step_and_thread_stops_the_node(
    tmp_path, monkeypatch, step
) -> None:
    """Also where a transaction does it, on the writer's thread."""

    def broken(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "injected")

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        cid = await blobs.put(b"hello")
        failed = asyncio.ensure_future(blobs.failed())
        await asyncio.sleep(0)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.utime", broken)
        monkeypatch.setattr("nodeimpl.kernel.shelf.Path.unlink", broken)
        steps = {"touch": lambda: blobs.touch(cid), "drop": lambda: blobs.drop(cid, 2**62)}
        with pytest.raises(StoreFailed):
            await asyncio.to_thread(steps[step])
        async with asyncio.timeout(30):
            assert "injected" in str(await failed)
            assert "injected" in str(await blobs.failed())

    run(main())


def test_a_blob_is_synced_before_it_has_its_name_and_its_folder_after(
    tmp_path, monkeypatch
) -> None:
    blobs = BlobStore(tmp_path, QUOTA)
    cid = cid_of(b"hello")
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        what = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        synced.append((what, blobs.path(cid).exists()))
        real(descriptor)

    monkeypatch.setattr("nodeimpl.kernel.shelf.os.fsync", record)
    asyncio.run(blobs.put(b"hello"))
    (file, before), (folder, after) = synced
    assert file.startswith(str(tmp_path / "partial"))
    assert (folder, before, after) == (str(tmp_path), False, True)


def test_nobody_is_told_of_a_blob_whose_name_is_not_synced_yet(tmp_path, monkeypatch) -> None:
    """Who brings or wants the same bytes meanwhile must not build on what may be gone."""
    blobs = BlobStore(tmp_path, QUOTA)
    cid, real, said = cid_of(b"hello"), os.fsync, []

    def look(descriptor: int) -> None:
        said.append((blobs.path(cid).exists(), blobs.size(cid)))
        real(descriptor)

    monkeypatch.setattr("nodeimpl.kernel.folders.os.fsync", look)
    asyncio.run(blobs.put(b"hello"))
    assert said == [(False, None), (True, None)]
    assert blobs.size(cid) == 5


def test_a_name_that_did_not_sync_is_never_told(tmp_path, monkeypatch) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        cid = cid_of(b"hello")
        with contextlib.ExitStack() as faults:
            faults.push(failing_folder(monkeypatch, errno.ENOSPC))
            with pytest.raises(StoreFailed):
                await blobs.put(b"hello")
        assert blobs.path(cid).exists()
        assert blobs.size(cid) is None
        assert blobs.drop(cid, 2**62) is None, "nor is it taken away under who brings it"
        assert blobs.path(cid).exists()
        with pytest.raises(StoreFailed):
            await blobs.put(b"hello")

    run(main())


def failing_folder(monkeypatch: pytest.MonkeyPatch, number: int) -> Any:
    """Let syncing a folder fail, and syncing a file succeed."""
    real = os.fsync

    def fail(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir():
            raise OSError(number, "injected")
        real(descriptor)

    patched = monkeypatch.context()
    patched.__enter__().setattr("nodeimpl.kernel.folders.os.fsync", fail)
    return patched


def test_names_that_a_killed_process_left_are_synced_when_the_folder_is_opened(
    tmp_path, monkeypatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr("nodeimpl.kernel.folders.os.fsync", record)
    BlobStore(tmp_path / "a" / "blobs", QUOTA)
    # Each folder's own name too: it lies in the folder above.
    assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "blobs")} <= set(synced)
    assert synced[-1] == str(tmp_path / "a" / "blobs")
    with contextlib.ExitStack() as faults:
        faults.push(failing_folder(monkeypatch, errno.EIO))
        with pytest.raises(StoreFailed, match="injected"):
            BlobStore(tmp_path / "a" / "blobs", QUOTA)

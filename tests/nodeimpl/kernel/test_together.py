"""Small blobs that come at once are kept together: fewer syncs, each its own end."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.blobs import BlobMismatch, BlobStore
from nodeimpl.kernel.errors import StoreFailed
from nodeimpl.kernel.together import GROUP_MAX, GROUPS_MAX
from opkit.proof.cid import cid_of
from opkit.wire.compute import StorageFull

QUOTA = 1_000_000
MANY = [b"blob %d" % n for n in range(3 * GROUP_MAX * GROUPS_MAX)]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 200))  # The disk may be slow: they are some hundred syncs.


def what(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").resolve()


def partials(folder: Path) -> list[str]:
    return [path.name for path in (folder / "partial").iterdir()]


def test_what_comes_at_once_shares_the_syncs_of_the_folder(tmp_path, monkeypatch) -> None:
    real, files, folders = os.fsync, [], []

    def record(descriptor: int) -> None:
        (folders if what(descriptor).is_dir() else files).append(what(descriptor))
        real(descriptor)

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.fsync", record)
        names = await asyncio.gather(*(blobs.put(data) for data in MANY))
        assert names == [cid_of(data) for data in MANY]
        assert [await blobs.get(cid) for cid in names] == MANY
        assert len(files) == len(MANY), "each blob's bytes are synced"
        assert len(folders) < len(MANY) / 2
        assert blobs.usage() == (len(MANY), sum(map(len, MANY)))
        assert partials(tmp_path) == []

    run(main())


def test_nobody_is_answered_before_the_folder_that_names_theirs_is_synced(
    tmp_path, monkeypatch
) -> None:
    """While the folder is being synced every blob of the group has its place and none is told."""
    real, syncing, go_on = os.fsync, threading.Event(), threading.Event()

    def wait(descriptor: int) -> None:
        if what(descriptor).is_dir():
            syncing.set()
            assert go_on.wait(100)
        real(descriptor)

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.fsync", wait)
        puts = [asyncio.ensure_future(blobs.put(data)) for data in MANY]
        try:
            assert await asyncio.to_thread(syncing.wait, 100)
            assert not any(put.done() for put in puts)
            assert all(blobs.size(cid_of(data)) is None for data in MANY)
        finally:
            go_on.set()
        await asyncio.gather(*puts)
        assert all(blobs.size(cid_of(data)) == len(data) for data in MANY)

    run(main())


def test_who_asks_while_it_is_put_in_its_place_is_not_told_that_it_is_kept(
    tmp_path, monkeypatch
) -> None:
    """Whoever looks at the folder finds the name there, and the folder is not synced."""
    real, stat, data = os.fsync, Path.stat, MANY[0]
    asked, syncing, go_on = threading.Event(), threading.Event(), threading.Event()

    def wait(descriptor: int) -> None:
        if what(descriptor).is_dir():
            syncing.set()
            assert go_on.wait(100)
        else:
            assert asked.wait(100)
        real(descriptor)

    def looks(path: Path, **named: Any) -> os.stat_result:
        if path.name == cid_of(data) and threading.current_thread() is threading.main_thread():
            asked.set()
            assert syncing.wait(100)
        return stat(path, **named)

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.fsync", wait)
        opened = await blobs.open_writer(cid_of(data), len(data))
        await opened.write(data)
        commit = asyncio.ensure_future(opened.commit())
        try:
            while not partials(tmp_path):
                await asyncio.sleep(0.01)
            monkeypatch.setattr(Path, "stat", looks)
            assert blobs.size(cid_of(data)) is None
        finally:
            asked.set()
            go_on.set()
            monkeypatch.setattr(Path, "stat", stat)
        await commit
        assert blobs.size(cid_of(data)) == len(data)

    run(main())


def test_what_goes_wrong_with_one_leaves_the_others_alone(tmp_path, monkeypatch) -> None:
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if bytes(data) == b"too much":
            raise OSError(errno.ENOSPC, "injected")
        return real(descriptor, data)

    async def lying(blobs: BlobStore) -> None:
        writer = await blobs.open_writer(cid_of(b"truth"), 3)
        try:
            await writer.write(b"lie")
            await writer.commit()
        finally:
            await writer.abort()

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.write", full)
        works = [blobs.put(MANY[0]), lying(blobs), blobs.put(b"too much"), blobs.put(MANY[1])]
        one, lie, full_disk, two = await asyncio.gather(*works, return_exceptions=True)
        assert (one, two) == (cid_of(MANY[0]), cid_of(MANY[1]))
        assert isinstance(lie, BlobMismatch)
        assert isinstance(full_disk, StorageFull)
        assert blobs.usage() == (2, len(MANY[0] + MANY[1]))
        assert partials(tmp_path) == []
        # The room of what failed is free again.
        await blobs.put(bytes(QUOTA - len(MANY[0] + MANY[1])))

    run(main())


@pytest.mark.parametrize("breaks", ["a file", "the folder"])
def test_a_sync_that_fails_is_told_to_the_whole_group(tmp_path, monkeypatch, breaks: str) -> None:
    """What a failed sync has lost nobody can know: nobody is told that theirs is kept."""
    real, failed = os.fsync, []

    def fail(descriptor: int) -> None:
        if what(descriptor).is_dir() == (breaks == "the folder") and not failed:
            failed.append(what(descriptor))
            raise OSError(errno.EIO, "injected")
        real(descriptor)

    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        monkeypatch.setattr("nodeimpl.kernel.shelf.os.fsync", fail)
        ends = await asyncio.gather(*map(blobs.put, MANY[:GROUP_MAX]), return_exceptions=True)
        assert {type(end) for end in ends} == {StoreFailed}
        assert "injected" in str(await blobs.failed())
        assert partials(tmp_path) == []

    run(main())


def test_who_goes_away_while_theirs_is_written_leaves_whole_bytes_or_none(tmp_path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path, QUOTA)
        puts = [asyncio.ensure_future(blobs.put(data)) for data in MANY]
        await asyncio.sleep(0)
        for put in puts[::2]:
            put.cancel()
        await asyncio.gather(*puts, return_exceptions=True)
        for data, put in zip(MANY, puts, strict=True):
            cid = cid_of(data)
            assert await blobs.get(cid) == data if not put.cancelled() else True
            assert await blobs.get(cid) in (None, data)
        assert partials(tmp_path) == []
        used = blobs.usage()[1]
        await blobs.put(bytes(QUOTA - used))  # All that was set aside was given back.

    run(main())

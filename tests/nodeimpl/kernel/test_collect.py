"""The collector where the disk is full or the process is short of something."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.references import References
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Store, Tx


class Nobody:
    """A domain that counts no blobs, and notes which it should forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def counts(self, tx: Tx, cid: str) -> bool:
        return False

    def forget(self, tx: Tx, cid: str) -> None:
        self.forgotten.append(cid)


@pytest.mark.parametrize(
    ("step", "number"),
    [("Path.unlink", errno.ENOSPC), ("os.scandir", errno.EMFILE), ("Path.stat", errno.ENOMEM)],
)
def test_a_full_disk_or_a_process_without_files_to_spare_ends_no_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    """Some file systems need room to remove a file; crowds take all files that there are."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        blobs = BlobStore(tmp_path / "blobs", 1_000)
        cid = await blobs.put(b"hello")
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=RealClock())
        tries: asyncio.Queue[None] = asyncio.Queue()

        def fail(*_: Any, **__: Any) -> None:
            loop.call_soon_threadsafe(tries.put_nowait, None)
            raise OSError(number, "injected")

        hasty = Collector(
            store=store, blobs=blobs, references=References(metadata), counted=Nobody(), grace_ms=1
        )
        with monkeypatch.context() as broken:
            broken.setattr(f"nodeimpl.kernel.shelf.{step}", fail)
            collecting = asyncio.create_task(hasty.run())
            async with asyncio.timeout(30):
                for _ in range(2):
                    trying = asyncio.create_task(tries.get())
                    await asyncio.wait({collecting, trying}, return_when=asyncio.FIRST_COMPLETED)
                    assert not collecting.done(), collecting
        async with asyncio.timeout(30):
            while blobs.size(cid) is not None:
                await asyncio.sleep(0.01)
        collecting.cancel()
        await asyncio.wait({collecting})
        await store.close()

    asyncio.run(main())


def test_a_blob_that_is_brought_again_after_the_first_look_keeps_its_rows(tmp_path: Path) -> None:
    async def main() -> None:
        blobs = BlobStore(tmp_path / "blobs", 1_000)
        cid = await blobs.put(b"hello")
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=RealClock())
        brought = False

        class Looked(References):
            """Brings the blob again at the first look for names of it."""

            def hold(self, tx: Tx, cid: str) -> bool:
                nonlocal brought
                brought = brought or blobs.touch(cid)
                return super().hold(tx, cid)

        domain = Nobody()
        collector = Collector(
            store=store,
            blobs=blobs,
            references=Looked(metadata),
            counted=domain,
            grace_ms=3_600_000,
        )
        os.utime(blobs.path(cid), ns=(1_000_000_000, 1_000_000_000))
        await collector.round()
        assert brought
        assert domain.forgotten == []
        assert blobs.size(cid) == 5
        await store.close()

    asyncio.run(main())


def test_a_blob_that_is_in_a_row_again_at_the_second_look_keeps_its_bytes(tmp_path: Path) -> None:
    class Again(Nobody):
        """A domain that counts the blob anew as soon as it forgot it."""

        def counts(self, tx: Tx, cid: str) -> bool:
            return cid in self.forgotten

    async def main() -> None:
        blobs = BlobStore(tmp_path / "blobs", 1_000)
        cid = await blobs.put(b"hello")
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=RealClock())
        collector = Collector(
            store=store,
            blobs=blobs,
            references=References(metadata),
            counted=Again(),
            grace_ms=3_600_000,
        )
        os.utime(blobs.path(cid), ns=(1_000_000_000, 1_000_000_000))
        await collector.round()
        assert blobs.size(cid) == 5
        assert collector.collected.blobs == 0
        await store.close()

    asyncio.run(main())

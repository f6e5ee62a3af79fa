"""The collector where the disk is full or the process is short of something."""

from __future__ import annotations

import asyncio
import errno
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
    """No domain that counts blobs."""

    def counts(self, tx: Tx, cid: str) -> bool:
        return False

    def forget(self, tx: Tx, cid: str) -> None:
        """There is nothing."""


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

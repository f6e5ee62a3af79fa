"""Bytes kept by their content name, in one folder, under one quota.

A blob is written beside its place, synced, renamed into it, and the folder is synced: a name that
exists stands for whole bytes, also after a power cut. Bytes are hashed while they arrive. All file
work runs in threads, so the event loop never waits for a disk (ADR 0004).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from nodeimpl.kernel.errors import StoreFailed
from nodeimpl.kernel.shelf import PartialFile, Shelf
from nodeimpl.kernel.together import BlobMismatch, Together
from opkit.proof.cid import CidHasher, cid_of, is_cid
from opkit.wire.base import Cid
from opkit.wire.compute import BlobOversize

__all__ = ["BLOCK_BYTES", "BlobMismatch", "BlobStore", "BlobWriter", "name_of"]

BLOCK_BYTES = 1 << 20
"""How much a writer gathers before a thread hashes and writes it."""


async def name_of(data: bytes) -> Cid:
    """Return the name of `data`; what is long is hashed in a thread."""
    return cid_of(data) if len(data) < BLOCK_BYTES else await asyncio.to_thread(cid_of, data)


class BlobStore:
    """The blobs of one node. Use it from one event loop."""

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        """Open the folder, count what is there, and remove what was left unfinished.

        Args:
            quota_bytes: the most bytes of all blobs together, those on their way included.
        """
        self._failed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shelf = Shelf(folder, quota_bytes=quota_bytes, broke=self._broke)
        self._together = Together(self._shelf)

    async def put(self, data: bytes, *, cid: Cid | None = None) -> Cid:
        """Keep `data` and return its name; bytes that are kept already cost nothing, and stay.

        Args:
            cid: its name, by whoever has hashed it before.

        Raises:
            StorageFull: they do not fit the quota, or the disk.
            StoreFailed: the disk did not sync: the node must stop.
        """
        cid = cid or await name_of(data)
        if self.touch(cid):
            return cid
        writer = await self.open_writer(cid, len(data))
        try:
            await writer.write(data)
            await writer.commit()
        finally:
            await writer.abort()
        return cid

    def size(self, cid: str) -> int | None:
        """Return how many bytes are kept under `cid`, or None. Anything that is no name is None."""
        return self._shelf.size(cid) if is_cid(cid) else None

    async def get(self, cid: str, *, size_max: int | None = None) -> bytes | None:
        """Return the bytes kept under `cid`, or None.

        Raises:
            BlobOversize: they are more than `size_max`; none of them was read.
        """
        size = self.size(cid)
        if size is None:
            return None
        if size_max is not None and size > size_max:
            raise BlobOversize(size_bytes=size, limit_bytes=size_max)
        return await asyncio.to_thread(self._shelf.read, cid)

    async def open_writer(self, cid: Cid, size_bytes: int) -> BlobWriter:
        """Reserve room for `size_bytes` that shall hash to `cid`.

        The writer must be committed or aborted; aborting after the commit does nothing.

        Raises:
            StoreFailed: the disk broke before.
            StorageFull: they do not fit the quota.
        """
        assert is_cid(cid), "a blob is named by its hash"
        assert size_bytes >= 0, size_bytes
        self._shelf.reserve(size_bytes)
        return BlobWriter(self._shelf, together=self._together, cid=cid, size_bytes=size_bytes)

    def touch(self, cid: Cid) -> bool:
        """Return whether `cid` is kept; if so, it is not collected before the grace period ends."""
        return self._shelf.touch(cid)

    async def aged(self, *, older_than_ns: int, after: str) -> list[Cid]:
        """Return blobs that nobody has brought since, behind `after` in order of name."""
        return await asyncio.to_thread(self._shelf.aged, older_than_ns=older_than_ns, after=after)

    def is_aged(self, cid: Cid, older_than_ns: int) -> bool:
        """Return whether `cid` is kept and nobody has brought it since; from any thread."""
        return self._shelf.is_aged(cid, older_than_ns)

    def drop(self, cid: Cid, older_than_ns: int) -> int | None:
        """Remove `cid` if nobody has brought it since, from any thread; return its size.

        Raises:
            StoreFailed: the disk is broken: the node must stop.
        """
        return self._shelf.drop(cid, older_than_ns)

    async def remove(self, cid: Cid) -> int:
        """Forget the bytes kept under `cid` and return how many they were."""
        assert is_cid(cid), "a blob is named by its hash"
        return await asyncio.to_thread(self._shelf.remove, cid)

    async def failed(self) -> StoreFailed:
        """Return how the disk broke, once it has: the node must then stop."""
        self._loop = asyncio.get_running_loop()
        if self._shelf.failure is None:
            await self._failed.wait()
        assert self._shelf.failure is not None, "the event is set after the failure"
        return self._shelf.failure

    def _broke(self) -> None:
        """Wake whoever waits for the failure; from any thread."""
        if self._loop is not None:
            # A loop that was closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._failed.set)

    def path(self, cid: Cid) -> Path:
        """Return where the bytes of `cid` are, or would be."""
        assert is_cid(cid), "a blob is named by its hash"
        return self._shelf.path(cid)

    def usage(self) -> tuple[int, int]:
        """Return how many blobs are kept, and their bytes together."""
        return self._shelf.usage()

    @property
    def quota_bytes(self) -> int:
        """The most bytes that may be kept."""
        return self._shelf.quota_bytes


class BlobWriter:
    """Bytes on their way into a blob. One task uses it; a block is hashed while more arrive."""

    def __init__(self, shelf: Shelf, *, together: Together, cid: Cid, size_bytes: int) -> None:
        """Use `BlobStore.open_writer`, which reserves the room."""
        self._shelf = shelf
        self._together = together
        self._cid = cid
        self._size_bytes = size_bytes
        self._received_bytes = 0
        self._hasher = CidHasher()
        self._block = bytearray()
        self._file: PartialFile | None = None
        self._at_work: asyncio.Task[None] | None = None
        self._ended = False

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes.

        Raises:
            BlobMismatch: these are more than were announced.
            StorageFull: the disk is full.
            StoreFailed: the disk is broken.
        """
        assert not self._ended, "the writer has ended"
        self._received_bytes += len(chunk)
        if self._received_bytes > self._size_bytes:
            raise BlobMismatch(f"more than the {self._size_bytes} bytes that were announced")
        if self._block or len(chunk) < BLOCK_BYTES:
            self._block += chunk
            chunk = self._block
        if len(chunk) >= BLOCK_BYTES:
            await self._settled()
            # What came whole as bytes is not copied here.
            block, self._block = bytes(chunk), bytearray()
            self._start(lambda: self._flush(block))

    async def commit(self) -> None:
        """Return once the bytes are whole, checked, and durable under their name.

        Raises:
            BlobMismatch: they are fewer than announced, or hash to another name.
            StorageFull: the disk is full.
            StoreBusy: the process has no file or memory to spare.
            StoreFailed: the disk did not sync: the node must stop.
        """
        assert not self._ended, "the writer has ended"
        if self._received_bytes != self._size_bytes:
            raise BlobMismatch(f"{self._received_bytes} of {self._size_bytes} bytes came")
        await self._settled()
        if self._file is None:
            # Nothing was written yet: what is so small is kept together with others.
            keeping = self._together.keep(self._cid, bytes(self._block))
            self._at_work = asyncio.create_task(keeping)
        else:
            self._start(self._finish)
        await self._settled()
        self._ended = True
        self._shelf.release(self._size_bytes)

    async def abort(self) -> None:
        """Give up the bytes and their room. After `commit` or another `abort`, does nothing."""
        if self._ended:
            return
        self._ended = True
        await asyncio.shield(asyncio.ensure_future(self._clean_up()))

    def _start(self, work: Callable[[], None]) -> None:
        """Let a thread do `work`; there is one such at a time."""
        assert self._at_work is None, "one piece of file work at a time"
        self._at_work = asyncio.create_task(asyncio.to_thread(work))

    async def _settled(self) -> None:
        """Wait for the thread, and raise what it raised; a cancelled caller leaves it at work."""
        if self._at_work is not None:
            await asyncio.shield(self._at_work)
            self._at_work = None

    async def _clean_up(self) -> None:
        """Wait for the thread whatever it does, then remove what it left."""
        if self._at_work is not None:
            await asyncio.wait([self._at_work])
            # The writer is given up, with whatever went wrong in its last step.
            self._at_work.exception()
        if self._file is not None:
            await asyncio.to_thread(self._file.discard)
        self._shelf.release(self._size_bytes)

    def _flush(self, block: bytes) -> None:
        if self._file is None:
            self._file = self._shelf.open_partial()
        self._hasher.update(block)
        self._file.write(block)

    def _finish(self) -> None:
        assert self._file is not None, "a block was written before the last"
        self._flush(bytes(self._block))
        found = self._hasher.cid()
        if found != self._cid:
            raise BlobMismatch(f"the bytes hash to {found}")
        with self._shelf.placing() as place:
            self._file.adopt(self._cid, size_bytes=self._size_bytes, place=place)
        self._file.close()
        self._file = None

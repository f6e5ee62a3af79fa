"""The folder of the blob store: plain, blocking file work, called from threads.

A disk that fails is full, which passes, or broken: then the node must stop, and nothing more is
taken, because a failed sync may have lost what an earlier one promised (ADR 0004).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from nodeimpl.kernel.errors import StoreFailed
from nodeimpl.kernel.folders import make_folder, sync_folder
from opkit.proof.cid import is_cid
from opkit.wire.base import Cid
from opkit.wire.compute import StorageFull
from opkit.wire.gateway import StoreBusy

Place = Callable[[Path, Cid, int], None]
"""Puts a file's synced bytes under their name; the number is their size."""

PARTIAL_FOLDER = "partial"
"""Where bytes lie until they are whole; emptied at the start."""


class Shelf:
    """The folder and its account of bytes. Every method may be called from any thread."""

    def __init__(self, folder: Path, *, quota_bytes: int, broke: Callable[[], None]) -> None:
        """Open the folder, count what is there, and remove what was left unfinished.

        Args:
            broke: told that `failure` is set, from whichever thread found it.

        Raises:
            StoreFailed: the disk is broken.
        """
        assert quota_bytes >= 0, quota_bytes
        self.quota_bytes = quota_bytes
        self._broke = broke
        self._folder = folder
        self._partial = folder / PARTIAL_FOLDER
        self._lock = threading.Lock()
        self._reserved_bytes = 0
        self._unsettled: set[Cid] = set()
        self.failure: StoreFailed | None = None
        with self.syncing():
            make_folder(self._partial)
            for left in self._partial.iterdir():
                left.unlink()
            # A process that was killed may have named a blob and not synced the name.
            sync_folder(folder)
        self._count, self._bytes = _count(folder)

    def path(self, cid: Cid) -> Path:
        """Return where the bytes of `cid` are, or would be."""
        return self._folder / cid

    def size(self, cid: Cid) -> int | None:
        """Return how many bytes are kept under `cid`, durably, or None."""
        try:
            size_bytes = (self._folder / cid).stat().st_size
        except FileNotFoundError:
            return None
        # Looked for afterwards: whoever places it says here first that it is not durable.
        return None if cid in self._unsettled else size_bytes

    def read(self, cid: Cid) -> bytes | None:
        """Return the bytes kept under `cid`, or None."""
        try:
            return self.path(cid).read_bytes()
        except FileNotFoundError:
            return None

    def usage(self) -> tuple[int, int]:
        """Return how many blobs are kept, and their bytes together."""
        with self._lock:
            return self._count, self._bytes

    def reserve(self, size_bytes: int) -> None:
        """Set room aside for bytes on their way.

        Raises:
            StoreFailed: the disk broke before.
            StorageFull: there is not so much room.
        """
        if self.failure is not None:
            raise self.failure
        with self._lock:
            if self._bytes + self._reserved_bytes + size_bytes > self.quota_bytes:
                raise StorageFull(limit_bytes=self.quota_bytes)
            self._reserved_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back room that was set aside."""
        with self._lock:
            self._reserved_bytes -= size_bytes
            assert self._reserved_bytes >= 0, "released more than was reserved"

    def open_partial(self) -> PartialFile:
        """Make a file for bytes on their way.

        Raises:
            StorageFull: the disk is full.
            StoreBusy: the process has no file or memory to spare.
            StoreFailed: the disk is broken.
        """
        path = self._partial / secrets.token_hex(16)
        with self.disk():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return PartialFile(self, path=path, descriptor=os.open(path, flags, 0o600))

    @contextlib.contextmanager
    def placing(self) -> Iterator[Place]:
        """Give what puts synced bytes in their place and counts them once; at the end, durably.

        Until their names are durable nobody is told that they are kept: whoever brings or wants the
        same bytes meanwhile would build on what a power cut may still take away.

        Raises:
            StoreBusy: the process has no file to spare; no name was given.
            StoreFailed: the disk is broken, maybe by another sync meanwhile.
        """
        placed: list[Cid] = []

        def place(partial: Path, cid: Cid, size_bytes: int) -> None:
            self._place(partial, cid=cid, size_bytes=size_bytes)
            placed.append(cid)

        with self._opened() as folder:
            yield place
            if placed:
                with self.syncing():
                    os.fsync(folder)
        if self.failure is not None:
            raise self.failure
        self._unsettled.difference_update(placed)

    def _place(self, partial: Path, *, cid: Cid, size_bytes: int) -> None:
        place = self._folder / cid
        with self._lock, self.disk():
            is_new = not place.exists()
            if is_new:
                self._unsettled.add(cid)
            try:
                partial.rename(place)
            except OSError:
                self._unsettled.discard(cid)
                raise
            if is_new:
                self._count += 1
                self._bytes += size_bytes

    def touch(self, cid: Cid) -> bool:
        """Let a blob's age begin anew; return whether it is kept."""
        with self._lock, self.disk():
            if cid in self._unsettled:
                return False
            try:
                os.utime(self._folder / cid)
            except FileNotFoundError:
                return False
            return True

    def aged(self, *, older_than_ns: int, after: str) -> list[Cid]:
        """Return the blobs that nobody has brought since, behind `after` in order of name."""
        with self.disk(), os.scandir(self._folder) as entries:
            names = sorted(each.name for each in entries if each.name > after)
        return [name for name in names if is_cid(name) and self.is_aged(name, older_than_ns)]

    def is_aged(self, cid: Cid, older_than_ns: int) -> bool:
        """Return whether a blob is kept and nobody has brought it since."""
        with self.disk():
            try:
                return (self._folder / cid).stat().st_mtime_ns < older_than_ns
            except FileNotFoundError:
                return False

    def drop(self, cid: Cid, older_than_ns: int) -> int | None:
        """Remove a blob if nobody has brought it since; return its size, or None if it stays.

        Not synced: what a power cut brings back is found again.
        """
        place = self._folder / cid
        with self._lock, self.disk():
            if cid in self._unsettled or not self.is_aged(cid, older_than_ns):
                return None
            size_bytes = place.stat().st_size
            place.unlink()
            self._count -= 1
            self._bytes -= size_bytes
        return size_bytes

    def remove(self, cid: Cid) -> int:
        """Forget the bytes kept under `cid` and return how many they were."""
        place = self._folder / cid
        with self._opened() as folder:
            with self._lock, self.disk():
                try:
                    size_bytes = place.stat().st_size
                    place.unlink()
                except FileNotFoundError:
                    return 0
                self._count -= 1
                self._bytes -= size_bytes
            with self.syncing():
                os.fsync(folder)
        return size_bytes

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the folder before a name in it changes: for want of files nothing is half done."""
        with self.disk():
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def syncing(self) -> Iterator[None]:
        """Take any error as the end: what a failed sync has lost, nobody can know.

        Also when the disk says that it is full: the bytes were accepted before, and the system may
        have dropped them, or a name that was given and that others see.
        """
        try:
            yield
        except OSError as error:
            raise self._failed(error) from error

    @contextlib.contextmanager
    def disk(self) -> Iterator[None]:
        """Say what an error of the disk means."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StorageFull(limit_bytes=self.quota_bytes) from error
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                raise StoreBusy(why=str(error)) from error
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StoreFailed:
        """Note that the disk is broken, and return what to raise."""
        self.failure = StoreFailed(f"the folder of the blobs: {error}")
        self._broke()
        return self.failure


class PartialFile:
    """A file that is not whole yet. One thread at a time uses it."""

    def __init__(self, shelf: Shelf, *, path: Path, descriptor: int) -> None:
        """Use `Shelf.open_partial`."""
        self._shelf = shelf
        self._path = path
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Append `data`."""
        view = memoryview(data)
        with self._shelf.disk():
            while view:
                view = view[os.write(self._descriptor, view) :]

    def adopt(self, cid: Cid, *, size_bytes: int, place: Place) -> None:
        """Sync the file and put it in its place, by what `Shelf.placing` gives."""
        with self._shelf.syncing():
            os.fsync(self._descriptor)
        place(self._path, cid, size_bytes)

    def close(self) -> None:
        """Close the file, which is in its place. It cannot be used afterwards."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Close and remove the file."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)


def _count(folder: Path) -> tuple[int, int]:
    count = size_bytes = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_cid(entry.name):
                count += 1
                size_bytes += entry.stat().st_size
    return count, size_bytes

"""Small blobs, kept together: those that wait while others are written are written next, as one.

Each file is synced, and then the folder once for all of them: whoever brings one blob alone waits
for nobody, and of many that come at once each costs a part of a thread's turn and of a sync.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nodeimpl.kernel.shelf import PartialFile, Shelf
from opkit.proof.cid import cid_of
from opkit.wire.base import Cid

GROUP_MAX = 8
"""How many blobs are written as one: they are synced one after the other, so no more than that."""

GROUPS_MAX = 4
"""How many groups are written at once: the disk serves those who wait for it together."""


class BlobMismatch(Exception):
    """The bytes that came are not the ones announced: another hash, or another size."""


@dataclass(eq=False, slots=True)
class Small:
    """Whole bytes on their way, and what became of them."""

    cid: Cid
    data: bytes
    kept: asyncio.Future[None]
    error: Exception | None = None

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Keep what goes wrong for whoever brought this one; the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to who brought it
            self.error = self.error or error

    def tell(self) -> None:
        """On the event loop: tell who waits."""
        if self.kept.done():
            return
        if self.error is None:
            self.kept.set_result(None)
        else:
            self.kept.set_exception(self.error)


class Together:
    """The small blobs of one folder that are on their way. Use it from one event loop.

    What waits here has its room reserved, so no more can wait than fits the quota.
    """

    def __init__(self, shelf: Shelf) -> None:
        """Begin with none."""
        self._shelf = shelf
        self._waiting: deque[Small] = deque()
        self._working: set[asyncio.Task[None]] = set()

    async def keep(self, cid: Cid, data: bytes) -> None:
        """Return once `data` is kept, durably, under its name.

        Raises:
            BlobMismatch: they have another name.
            StorageFull: the disk is full.
            StoreBusy: the process has no file or memory to spare.
            StoreFailed: the disk is broken.
        """
        small = Small(cid, data, asyncio.get_running_loop().create_future())
        self._waiting.append(small)
        if len(self._working) < GROUPS_MAX:
            working = asyncio.create_task(self._work())
            self._working.add(working)
            working.add_done_callback(self._working.discard)
        await small.kept

    async def _work(self) -> None:
        """Have threads write one group after the other, until nothing waits."""
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP_MAX, len(self._waiting)))]
            try:
                await asyncio.to_thread(keep_all, self._shelf, group)
                for one in group:
                    one.tell()
            finally:
                # Nobody waits for ever, also if the loop ends now.
                for one in group:
                    one.kept.cancel()


def keep_all(shelf: Shelf, group: Sequence[Small]) -> None:
    """Keep whole blobs; what goes wrong stands in each. Blocks: call it from a thread.

    All are written before the first is synced, for that takes the others' names along.
    """
    files: list[tuple[Small, PartialFile]] = []
    for one in group:
        with one.noting():
            _open(shelf, one, files)
    try:
        with shelf.placing() as place:
            whole = [(one, file) for one, file in files if one.error is None]
            for one, file in whole:
                with one.noting():
                    file.adopt(one.cid, size_bytes=len(one.data), place=place)
    except Exception as error:  # noqa: BLE001 - as above; it is everybody's
        for one, _ in files:
            one.error = one.error or error
    for one, file in files:
        with one.noting():
            file.close() if one.error is None else file.discard()


def _open(shelf: Shelf, one: Small, files: list[tuple[Small, PartialFile]]) -> None:
    """Write the bytes of one blob beside its place, and add the file to `files`."""
    found = cid_of(one.data)
    if found != one.cid:
        raise BlobMismatch(f"the bytes hash to {found}")
    file = shelf.open_partial()
    files.append((one, file))
    file.write(one.data)

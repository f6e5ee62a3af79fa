"""Keeps the overlay's shelf in the database: a little later, many records at once.

What the network brings is written within a moment, in batches with pauses between them, so that a
flood of records costs the writer a bounded share; whoever holds it, too, gives back what a crash
lost meanwhile. What a member publishes is waited for: it is in the database before its answer
leaves. Source: ADR 0029, ADR 0004.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, StoreFailed
from nodeimpl.overlay.node import OverlayNode
from nodeimpl.records import store as table
from nodeimpl.records.store import KeptRow, RecordKey
from opkit.proof.record import Record
from opkit.wire.base import Did
from opkit.wire.gateway import StoreBusy
from opkit.wire.records import Namespace, RecordName, SignedRecordRejected

BATCH_MAX = 256
"""The most records in one transaction."""

BATCH_CHARACTERS_MAX = 1_000_000
"""The most text in one, but for its last record."""

PAUSE_S = 0.5
"""How long at least between two batches for which nobody waits."""

BUSY_S = 1.0
"""How long until the store is tried again that took none."""

SLICE = 16
"""How many records are verified in a row before others have their turn."""

AT_ONCE_MAX = 10_000
"""How many records a starting node takes back before it serves; the others follow."""

Value = dict[str, Any] | None

_log = structlog.get_logger("overlay")


class ShelfKeeper:
    """Brings one node's database after its shelf, and its shelf after its database at the start."""

    def __init__(
        self, overlay: OverlayNode, *, store: Store, clock: Clock, again: Callable[[Record], Value]
    ) -> None:
        """Watch a shelf, which is empty yet.

        Args:
            again: what the node says once more after a restart, if a record is its own word and
                still holds; None: the record is held for its owner.
        """
        self._overlay = overlay
        self._store = store
        self._clock = clock
        self._again = again
        self._rows: set[RecordKey] = set()
        self._dirty: dict[RecordKey, None] = {}
        self._under_way: frozenset[RecordKey] = frozenset()
        self._urgent: dict[RecordKey, list[asyncio.Future[None]]] = {}
        self._after: tuple[str, str, str] = ("", "", "")
        self._read_all = False
        # What is read of the database and what is written to it: one after the other.
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        overlay.shelf.on_changed.append(self._changed)

    def held(self) -> dict[str, int]:
        """Return how many records wait to be written, and how many rows there are."""
        unwritten = len(self._dirty) + len(self._under_way)
        return {"unwritten": unwritten, "rows": len(self._rows)}

    async def restore(self) -> int:
        """Take back what was kept before, `AT_ONCE_MAX` or a page more; return how many rows.

        Raises:
            StoreBusy, StoreFailed: the store could not.
        """
        await self._store.write(table.drop_lapsed)
        looked = 0
        while not self._read_all and looked < AT_ONCE_MAX:
            looked += await self._restore_page()
        return looked

    async def run(self) -> None:
        """Take back what is left of the rows, and write what changes, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._restore_rest())
            tasks.create_task(self._write_on())

    async def finish(self) -> None:
        """Write what is left, once nothing changes any more; what the store refuses stays out."""
        with suppress(StoreBusy, StoreFailed):
            while self._dirty:
                await self._write()

    def settle(self, namespace: Namespace, name: RecordName, owner: Did) -> asyncio.Future[None]:
        """Write now what stands here of an owner; the future ends once that was committed.

        It raises `StoreBusy` or `StoreFailed` if it was not.
        """
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = (namespace, name, owner)
        if key not in self._dirty and key not in self._under_way:
            settled.set_result(None)
            return settled
        self._urgent.setdefault(key, []).append(settled)
        self._dirty[key] = None
        self._wanted.set()
        self._hurry.set()
        return settled

    # What was kept before.

    async def _restore_rest(self) -> None:
        while not self._read_all:
            await self._patiently(self._restore_page)

    async def _restore_page(self) -> int:
        async with self._turn:
            after = self._after
            rows = await self._store.read(lambda tx: table.read(tx, after))
            for at in range(0, len(rows), SLICE):
                self._take_back(rows[at : at + SLICE])
                await asyncio.sleep(0)  # Others have their turn: signatures take long.
            if rows:
                self._after = rows[-1].key
            self._read_all = len(rows) < table.PAGE
        return len(rows)

    def _take_back(self, rows: list[KeptRow]) -> None:
        """Put rows into the shelf; what does not stand there as the row says is written anew."""
        overlay, now_ms = self._overlay, self._clock.now_ms()
        overlay.restore([row.carried for row in rows], now_ms)
        for row in rows:
            self._rows.add(row.key)
            with suppress(SignedRecordRejected):
                overlay.shelf.bar(row.carried, until_ms=row.until_ms, now_ms=now_ms)
            kept = overlay.shelf.kept(*row.key)
            if kept is None or kept[0] != row.carried:
                self._dirty[row.key] = None
                self._wanted.set()
                continue
            self._dirty.pop(row.key, None)
            overlay.dht.upkeep.resume(row.key[:2], self._again(overlay.shelf.read(row.carried)))

    # What changes.

    def _changed(self, namespace: Namespace, name: RecordName, owner: Did) -> None:
        """Note that a row may have to be written: no more of them than records and rows."""
        key = (namespace, name, owner)
        known = key in self._rows or key in self._under_way or key in self._urgent
        if not known and self._overlay.shelf.kept(*key) is None:
            # It came and went, and never was in the database.
            self._dirty.pop(key, None)
            return
        self._dirty[key] = None
        self._wanted.set()

    async def _write_on(self) -> None:
        while True:
            await self._wanted.wait()
            if not self._urgent:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE_S):
                        await self._hurry.wait()
            await self._patiently(self._write)

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do something with the store, or wait a moment if it is busy."""
        try:
            await work()
        except StoreBusy as busy:
            waiting = len(self._dirty)
            _log.warning("records are not written yet", why=str(busy), waiting=waiting)
            await asyncio.sleep(BUSY_S)

    async def _write(self) -> None:
        """Write one batch: those that somebody waits for, or else the ones that changed first."""
        async with self._turn:
            kept, gone = self._batch()
            keys = [row.key for row in kept] + gone
            waiting = [one for key in keys for one in self._urgent.pop(key, ())]
            for key in keys:
                del self._dirty[key]
            if not self._dirty:
                self._wanted.clear()
            if not self._urgent:
                self._hurry.clear()
            self._under_way = frozenset(keys)
            try:
                await self._store.write(lambda tx: table.write(tx, kept, gone))
            except BaseException as error:
                self._dirty = dict.fromkeys(keys) | self._dirty
                self._wanted.set()
                _tell(waiting, error)
                raise
            finally:
                self._under_way = frozenset()
            self._rows.update(row.key for row in kept)
            self._rows.difference_update(gone)
        _tell(waiting, None)

    def _batch(self) -> tuple[list[KeptRow], list[RecordKey]]:
        """Return what is here of the next records, and which are gone."""
        kept: list[KeptRow] = []
        gone: list[RecordKey] = []
        characters = 0
        for key in islice(self._urgent or self._dirty, BATCH_MAX):
            found = self._overlay.shelf.kept(*key)
            if found is None:
                gone.append(key)
                continue
            carried, until_ms = found
            kept.append(KeptRow(key=key, carried=carried, until_ms=until_ms))
            characters += len(carried.jws) + sum(map(len, carried.proof))
            if characters >= BATCH_CHARACTERS_MAX:
                break
        return kept, gone


def _tell(waiting: Iterable[asyncio.Future[None]], error: BaseException | None) -> None:
    """End the waiting of those who still do."""
    for one in waiting:
        if one.done():
            continue
        if error is None:
            one.set_result(None)
        elif isinstance(error, Exception):
            one.set_exception(error)
        else:
            one.cancel()

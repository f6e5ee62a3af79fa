"""Collecting blobs that nothing names: after a grace period, in small steps, by the one writer.

A blob's age counts from the last time that somebody brought it, in real time. First its rows go
(who is charged for it), and when that is durable its file: a crash in between leaves a file without
rows, which the next round finds, and never a row that points to nothing. Both steps look again, in
a transaction, so whatever names the blob meanwhile keeps it (ADR 0020).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.log import get_logger
from nodeimpl.kernel.references import References
from nodeimpl.kernel.store import Store, Tx
from opkit.wire.base import Cid
from opkit.wire.compute import StorageFull
from opkit.wire.gateway import StoreBusy

STEP_BLOBS = 32
"""How many blobs one transaction looks at."""

ROUND_MS_MAX = 10_000
"""How long a round may take; the next one goes on where it stopped."""

PAUSE_MS_MAX = 600_000
"""The longest pause between two rounds; the grace period's tenth, if that is shorter."""

_log = get_logger("blobs")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was collected since the start."""

    blobs: int = 0
    size_bytes: int = 0
    rounds: int = 0


class Counted(Protocol):
    """Rows that count blobs without being a reason to keep them."""

    def counts(self, tx: Tx, cid: Cid) -> bool:
        """Return whether there is a row of this blob."""

    def forget(self, tx: Tx, cid: Cid) -> None:
        """Remove the rows of this blob."""


class Collector:
    """Removes blobs that nothing has named for as long as the grace period."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        references: References,
        counted: Counted,
        grace_ms: int,
    ) -> None:
        """Prepare; `run` begins.

        Args:
            references: what keeps a blob.
            counted: who is charged for what.
            grace_ms: how long a blob is kept that nothing names, by the machine's own clock.
        """
        self._store = store
        self._blobs = blobs
        self._references = references
        self._counted = counted
        self._grace_ms = grace_ms
        self._looked_at: Cid = ""
        self.collected = Collected()

    async def run(self) -> None:
        """Collect, round after round, until cancelled."""
        pause_s = min(self._grace_ms / 10, PAUSE_MS_MAX) / 1000
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.round()
            except (StoreBusy, StorageFull) as busy:
                _log.info("blobs could not be collected", why=str(busy))

    async def round(self) -> None:
        """Look at every blob once, or at as many as the time of a round allows.

        Raises:
            StoreBusy: the store could not; the next round goes on.
            StorageFull: so full that nothing can be removed; the next round goes on.
            StoreFailed: the disk is broken: the node must stop.
        """
        began, before = time.monotonic(), self.collected
        older_than_ns = time.time_ns() - self._grace_ms * 1_000_000
        aged = await self._blobs.aged(older_than_ns=older_than_ns, after=self._looked_at)
        for at in range(0, len(aged), STEP_BLOBS):
            step = aged[at : at + STEP_BLOBS]
            await self._step(step, older_than_ns=older_than_ns)
            self._looked_at = step[-1]
            if (time.monotonic() - began) * 1000 >= ROUND_MS_MAX:
                break
        else:
            self._looked_at = ""
        self._tell(before, took_ms=round((time.monotonic() - began) * 1000))

    async def _step(self, cids: Sequence[Cid], *, older_than_ns: int) -> None:
        """Collect those of these blobs that nothing names."""
        free = await self._store.read(lambda tx: self._unnamed(tx, cids))
        if not free:
            return
        gone = await self._store.write(lambda tx: self._forget_all(tx, free, older_than_ns))
        removed = await self._store.write(lambda tx: self._remove_all(tx, gone, older_than_ns))
        self.collected = Collected(
            blobs=self.collected.blobs + len(removed),
            size_bytes=self.collected.size_bytes + sum(removed),
            rounds=self.collected.rounds,
        )

    def _unnamed(self, tx: Tx, cids: Sequence[Cid]) -> list[Cid]:
        return [cid for cid in cids if not self._references.hold(tx, cid)]

    def _forget_all(self, tx: Tx, cids: Sequence[Cid], older_than_ns: int) -> list[Cid]:
        """Remove the rows of those that are still old and unnamed; return them."""
        gone = [cid for cid in self._unnamed(tx, cids) if self._blobs.is_aged(cid, older_than_ns)]
        for cid in gone:
            self._counted.forget(tx, cid)
        return gone

    def _remove_all(self, tx: Tx, cids: Sequence[Cid], older_than_ns: int) -> list[int]:
        """Remove the files of those that are still old and in no row; return their sizes.

        On the writer's thread: whatever would name one of them comes before this, and is seen, or
        after it, and finds nothing.
        """
        free = [cid for cid in self._unnamed(tx, cids) if not self._counted.counts(tx, cid)]
        sizes = [self._blobs.drop(cid, older_than_ns) for cid in free]
        return [size for size in sizes if size is not None]

    def _tell(self, before: Collected, *, took_ms: int) -> None:
        now = self.collected
        self.collected = Collected(
            blobs=now.blobs, size_bytes=now.size_bytes, rounds=now.rounds + 1
        )
        if now.blobs > before.blobs:
            _log.info(
                "blobs were collected",
                blobs=now.blobs - before.blobs,
                size_bytes=now.size_bytes - before.size_bytes,
                took_ms=took_ms,
            )

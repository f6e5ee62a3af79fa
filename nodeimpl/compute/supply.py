"""Getting what a task names: its module, its input, its output; from here, or from peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from nodeimpl.compute import store as table
from nodeimpl.compute.parts import Parts
from nodeimpl.compute.patience import until_taken
from nodeimpl.compute.rules import backoff_ms
from nodeimpl.kernel.tx import Tx
from opkit.proof.cid import cid_of
from opkit.wire.base import Cid, MemberId
from opkit.wire.compute import BlobUnknown, Fetched, ModuleUnknown

EMPTY = cid_of(b"")
"""The name of no bytes at all: everybody keeps them."""


class Supply:
    """Bytes by name. What comes from a peer is hashed before it is kept."""

    def __init__(self, parts: Parts) -> None:
        """Look in the parts' store and blobs, then ask their network."""
        self._parts = parts

    async def input(self, cid: Cid, *, member_id: MemberId) -> bytes:
        """Return the input of a task of this member's.

        Raises:
            StorageQuotaExceeded: it would have to be fetched, and they may fill no more here.
            BlobUnknown: nobody has it.
            StorageFull: it does not fit here.
        """
        found = await until_taken(lambda: self.kept(cid))
        if found is not None:
            return found
        await self._fetch(cid, size_max=self._parts.limits.blob_bytes_max, member_id=member_id)
        found = await self._parts.blobs.get(cid)
        if found is None:
            raise BlobUnknown(cid=cid)
        return found

    async def kept(self, cid: Cid) -> bytes | None:
        """Return bytes that are kept here, as a row or as a blob."""
        if cid == EMPTY:
            return b""
        found = await self._parts.store.read(lambda tx: table.content(tx, cid))
        return found if found is not None else await self._parts.blobs.get(cid)

    async def module(self, cid: Cid, *, member_id: MemberId) -> tuple[Path, Fetched | None]:
        """Return where a module's bytes are, and whom they were fetched from, if they were.

        Raises:
            StorageQuotaExceeded: as for an input.
            ModuleUnknown: nobody has it.
            StorageFull: it does not fit here.
        """
        fetched = None
        if self._parts.blobs.size(cid) is None:
            try:
                size_max = self._parts.limits.module_bytes_max
                fetched = await self._fetch(cid, size_max=size_max, member_id=member_id)
            except BlobUnknown:
                raise ModuleUnknown(wasm_hash=cid) from None
        return self._parts.blobs.path(cid), fetched

    async def output(self, cid: Cid, *, size_max: int, member_id: MemberId) -> None:
        """Have the large output of a task of this member's kept here.

        Raises:
            StorageQuotaExceeded: they may fill no more here.
            BlobUnknown: nobody has it.
            StorageFull: it does not fit here.
        """
        if not self._parts.blobs.touch(cid):
            await self._fetch(cid, size_max=size_max, member_id=member_id)

    async def _fetch(self, cid: Cid, *, size_max: int, member_id: MemberId) -> Fetched:
        """Fetch from peers, on a member's account."""
        # Each alone: what was fetched while the store was busy is still told, and charged.
        await until_taken(lambda: self._parts.quotas.judge_fetch(member_id))
        with self._parts.quotas.fetching(member_id, cid) as judge:
            fetched = await self._patiently(cid, size_max=size_max, judge=judge)
        size = fetched.size_bytes

        def work(tx: Tx) -> None:
            self._parts.quotas.settle(tx, member_id=member_id, cid=cid, size_bytes=size)

        await until_taken(lambda: self._parts.store.write(work))
        return fetched

    async def _patiently(self, cid: Cid, *, size_max: int, judge: Callable[[int], None]) -> Fetched:
        """Fetch from peers; a node that is just starting, and has none yet, tries again."""
        network, blobs, loop = self._parts.network, self._parts.blobs, asyncio.get_running_loop()
        until, attempt = loop.time() + self._parts.limits.peerless_ms_max / 1000, 0
        while True:
            try:
                return await network.fetch(cid, size_max=size_max, blobs=blobs, judge=judge)
            except BlobUnknown:
                if network.connected() or loop.time() >= until:
                    raise
            await asyncio.sleep(backoff_ms(attempt) / 1000)
            attempt += 1

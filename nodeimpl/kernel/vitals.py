"""How a node feels: what is amiss although it answers, in words for its operator.

Looked at when somebody asks, by figures that cost a system call and no more.
"""

from __future__ import annotations

import os
from pathlib import Path

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.store import Store

ROOM_BYTES_MIN = 64 * 2**20
"""Below this much room on its disk a node says so: the next changes may be refused."""

QUOTA_PERCENT = 95


class Vitals:
    """The figures of one node by which it judges itself."""

    def __init__(self, *, folder: Path, store: Store, blobs: BlobStore, ending: Ending) -> None:
        """Look at these whenever somebody asks."""
        self._folder = folder
        self._store = store
        self._blobs = blobs
        self._ending = ending

    @property
    def stopping(self) -> bool:
        """Whether the node's end has begun."""
        return self._ending.begun

    def room_bytes(self) -> int:
        """Return how much may still be written to the disk of the node's folder."""
        at = os.statvfs(self._folder)
        return at.f_bavail * at.f_frsize

    def degraded(self) -> tuple[str, ...]:
        """Return what is amiss, the worst first; nothing if all is well."""
        said = []
        if self._store.has_failed:
            said.append("the store has failed: the node stops")
        if stalled_s := self._store.stalled_ms // 1000:
            said.append(
                f"the database has not confirmed a commit for {stalled_s} s: changes are refused"
            )
        if self._ending.begun:
            waits = ", ".join(self._ending.waits_for)
            said.append(f"stopping: waits for {waits}" if waits else "stopping")
        room = self.room_bytes()
        if room < ROOM_BYTES_MIN:
            said.append(f"the disk is full: {room // 2**20} MiB are left")
        _, kept = self._blobs.usage()
        if kept * 100 >= self._blobs.quota_bytes * QUOTA_PERCENT:
            quota = self._blobs.quota_bytes // 2**20
            said.append(f"the blobs' quota is reached: {kept // 2**20} of {quota} MiB")
        return tuple(said)

"""Checks of the disk under a folder: kind, room, inodes, and whether a sync works and how fast."""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

from opkit.cli.doctor.cases import NodeCase
from opkit.cli.doctor.found import Finding, gathered, note, well, wrong

ROOM_BYTES_MIN = 256 * 2**20
ROOM_BYTES_WELL = 2**30
INODES_MIN = 1_000
BLOBS_LOOKED_AT_MAX = 20_000
"""More files would take longer than a look may; the node's own metrics know all of them."""

SYNCS = 7
SYNC_MS_WELL = 50
SYNC_MS_MAX = 500

REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"}
)
"""Kinds on which locks and shared memory of several processes are not what a database needs.
Source: https://www.sqlite.org/wal.html, section 1: all must be on the same host."""

FLEETING = frozenset({"ramfs", "tmpfs"})
_PLACE = "name another folder: OPKIT_HOME for a devnet, node.folder in a node's configuration"
_ROOM = "make room there, lower store.blob_bytes_max, or move the folder while the node is stopped"
_SYNCED_MS: dict[int, float] = {}
"""How long a sync takes by device: several nodes on one need not try it each."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


def kind(folder: Path) -> Finding:
    """Look at which file system keeps the folder."""
    return judge_kind(kind_of(folder, Path("/proc/self/mountinfo").read_text("utf-8", "replace")))


def kind_of(folder: Path, mounts: str) -> str:
    """Return the kind of file system that keeps `folder`. Source: proc_pid_mountinfo(5)."""
    found, longest = "unknown", -1
    here = nearest(folder).resolve()
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        place = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), head.split()[4]))
        # What was mounted last on the same place hides what was there before.
        if here.is_relative_to(place) and len(place.parts) >= longest:
            found, longest = tail.split()[0], len(place.parts)
    return found


def judge_kind(name: str) -> Finding:
    """Say whether a database can live on a file system of this kind."""
    if name in REMOTE:
        return wrong(f"{name} is shared between machines; a database there can be damaged", _PLACE)
    if name in FLEETING:
        return note(f"{name} is in memory: all is gone when this machine restarts", _PLACE)
    return well(name)


def room(folder: Path) -> Finding:
    """Look how much may still be written, in bytes and in files."""
    at = os.statvfs(nearest(folder))
    free = at.f_bavail * at.f_frsize
    said = f"{free / 2**20:,.0f} MiB free"
    found = []
    if free < ROOM_BYTES_MIN:
        found.append(wrong(said, _ROOM))
    elif free < ROOM_BYTES_WELL:
        found.append(note(said, _ROOM))
    if at.f_files and at.f_favail < INODES_MIN:
        found.append(wrong(f"room for {at.f_favail} more files only", "remove small files there"))
    return gathered(found, otherwise=said)


def promised(node: NodeCase) -> Finding:
    """Compare what the blobs may still take by their quota with what the disk can give."""
    folder = node.config.node.folder
    quota = node.config.store.blob_bytes_max
    files = islice((folder / "blobs").glob("**/*"), BLOBS_LOOKED_AT_MAX)
    kept = sum(path.stat().st_size for path in files if path.is_file())
    at = os.statvfs(nearest(folder))
    free = at.f_bavail * at.f_frsize
    said = f"{kept / 2**20:,.0f} of {quota / 2**20:,.0f} MiB of blobs are kept"
    if kept >= quota:
        return wrong(
            f"{said}: nothing more is taken",
            "raise store.blob_bytes_max, or wait for what nobody refers to to be collected",
        )
    if quota - kept > free:
        return note(f"{said}; the disk gives only {free / 2**20:,.0f} MiB more", _ROOM)
    return well(said)


def syncs(folder: Path) -> Finding:
    """Write and sync a few bytes, in a file that never has a name."""
    here = nearest(folder)
    device = here.stat().st_dev
    if device not in _SYNCED_MS:
        _SYNCED_MS[device] = sync_ms(here)
    return judge_sync(_SYNCED_MS[device])


def sync_ms(folder: Path) -> float:
    """Return how long a sync takes there."""
    took_ms = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(b"\0" * 4_096)
            file.flush()
            os.fsync(file.fileno())
            took_ms.append((time.perf_counter() - began) * 1000)
    return statistics.median(took_ms)


def judge_sync(took_ms: float) -> Finding:
    """Say whether a disk that takes so long to sync will do: every change waits for one."""
    said = f"a sync takes {took_ms:,.1f} ms"
    if took_ms > SYNC_MS_MAX:
        return wrong(said, "the disk is broken or overloaded: look at dmesg and iostat")
    if took_ms > SYNC_MS_WELL:
        return note(said, "every change waits for one: a faster disk makes the node faster")
    return well(said)


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder

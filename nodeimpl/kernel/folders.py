"""Folders whose names outlive a power cut.

A file is on disk once it was synced, and so is its name once its folder was; a folder's own name
lies in the folder above. Until that one is synced too, losing power may take a whole folder away,
with every synced file in it (ADR 0020).
"""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder for this user alone unless it is there, and return once its name is durable.

    Raises:
        OSError: the disk is full, broken, or not ours.
    """
    made = [folder, *(up for up in folder.parents if not up.exists())]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in made:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are durable.

    Raises:
        OSError: it did not sync.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

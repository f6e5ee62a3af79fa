"""Reading logs that are rotated: their last lines, and what is added, none lost or told twice."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import sleep

from nodeimpl.kernel.rotation import KEPT, numbered

LOOK_EVERY_S = 0.2
PIECE_BYTES = 65_536


def last_lines(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, those before its last rotations too if need be."""
    found: deque[str] = deque()
    for each in (path, *(numbered(path, number) for number in range(1, KEPT + 1))):
        if len(found) >= lines or (each != path and not each.exists()):
            break
        with each.open(encoding="utf-8", errors="replace") as file:
            kept = deque(file, maxlen=lines - len(found))
        found.extendleft(line.rstrip("\n") for line in reversed(kept))
    return list(found)


def follow_log(path: Path) -> Iterator[str]:
    """Return what is added to a log from now on, looking five times a second, for ever.

    When the name stands for another file the old one is read to its end first.
    """
    file = path.open("rb")
    try:
        file.seek(0, os.SEEK_END)
        while True:
            if added := file.read(PIECE_BYTES):
                yield added.decode("utf-8", "replace")
            elif _is_another(path, file.fileno()):
                later = _later_files(path, file.fileno())
                if rest := file.read():
                    yield rest.decode("utf-8", "replace")
                file.close()
                for each in later:
                    yield each.read_text("utf-8", "replace")
                file = path.open("rb")
            else:
                sleep(LOOK_EVERY_S)
    finally:
        file.close()


def _later_files(path: Path, handle: int) -> list[Path]:
    """Return the rotated files that are newer than the one that is open, oldest first."""
    opened = os.fstat(handle)
    later: list[Path] = []
    for number in range(1, KEPT + 1):
        each = numbered(path, number)
        if not each.exists() or each.stat().st_ino == opened.st_ino:
            break
        later.insert(0, each)
    return later


def _is_another(path: Path, handle: int) -> bool:
    """Return whether the name stands for another file than the one that is open."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return False  # Between two names: the new file comes at once.
    return (now.st_dev, now.st_ino) != (os.fstat(handle).st_dev, os.fstat(handle).st_ino)

"""A log that neither grows without end nor ends the process: rotated by size, patient with disks.

Whoever writes the lines rotates the file, between two of them, so that none is lost or cut. What
writes to standard error beside it (a trace, a library) goes the same way. A line that the disk does
not take is counted, and the count is told with the next one that it does.

Standard library only: a devnet's supervisor writes by it before it imports anything else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

STANDARD_ERROR = 2
STANDARD_STREAMS = (1, 2)
BYTES_MAX = 16 * 2**20
KEPT = 3

_PASSES = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EPIPE,
        errno.EAGAIN,
        errno.EMFILE,
        errno.ENFILE,
    }
)
"""What a full or sick disk says, a reader who has left, or a system without a file to spare: no
reason for a node to end."""


class LogStream:
    """Standard error as a stream of lines, with the size of its file bounded if it has one."""

    def __init__(self, lost_line: Callable[[int], str]) -> None:
        """Write to standard error as it is; `rotate` gives it a file.

        Args:
            lost_line: makes the line that says how many lines were lost before it.
        """
        self.lost = 0
        self._lost_line = lost_line
        self._untold = 0
        self._path: Path | None = None
        self._bytes_max = BYTES_MAX
        self._kept = KEPT
        self._size = 0
        self._cut = False
        self._turn = threading.Lock()

    def rotate(self, path: Path, *, bytes_max: int = BYTES_MAX, kept: int = KEPT) -> None:
        """Write to the file `path` from now on, and begin a new one whenever it is full.

        Args:
            path: the file; earlier ones get `.1`, `.2` … as a suffix.
            bytes_max: the most bytes of a file, one long line excepted.
            kept: how many earlier files stay.

        Raises:
            OSError: the file cannot be opened.
        """
        with self._turn:
            self._path, self._bytes_max, self._kept = path, bytes_max, kept
            self._open(path)

    def write(self, text: str) -> int:
        """Write whole lines, all of them into one file."""
        data = text.encode("utf-8", "backslashreplace")
        with self._turn:
            if self._untold:
                told = self._lost_line(self._untold).encode("utf-8")
                if self._put(told):
                    self._untold = 0
            if not self._put(data):
                self.lost += 1
                self._untold += 1
        return len(text)

    def flush(self) -> None:
        """Nothing: what was written is with the system."""

    def _put(self, data: bytes) -> bool:
        """Write one piece; return whether it was taken whole."""
        try:
            if self._path is not None and self._size and self._size + len(data) > self._bytes_max:
                self._begin_anew(self._path)
            self._write_all(b"\n" + data if self._cut else data)
        except OSError as bad:
            if bad.errno not in _PASSES:
                raise
            return False
        self._size += len(data)
        return True

    def _write_all(self, data: bytes) -> None:
        """Write it; where a disk takes only a part, the next line begins by ending this one."""
        done = 0
        while done < len(data):
            done += os.write(STANDARD_ERROR, data[done:])
            self._cut = done < len(data)

    def _begin_anew(self, path: Path) -> None:
        # A disk without room for a new file is asked again at each line: what is kept stays.
        if path.exists():
            shift(path, kept=self._kept)
        self._open(path)

    def _open(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(file).st_size
        for stream in STANDARD_STREAMS:
            os.dup2(file, stream)
        os.close(file)


def shift(path: Path, *, kept: int = KEPT) -> None:
    """Give a file and those before it their next suffix; the oldest goes."""
    for number in range(kept, 0, -1):
        earlier = path if number == 1 else numbered(path, number - 1)
        with contextlib.suppress(FileNotFoundError):
            earlier.replace(numbered(path, number))


def shift_if_full(path: Path, *, bytes_max: int = BYTES_MAX, kept: int = KEPT) -> None:
    """Begin a log anew that was filled by an earlier process."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > bytes_max:
            shift(path, kept=kept)


def numbered(path: Path, number: int) -> Path:
    """Return where the log of so many rotations ago lies."""
    return path.with_name(f"{path.name}.{number}")

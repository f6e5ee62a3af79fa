"""Reading logs that are rotated: their last lines, and what is added, none lost or told twice."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from time import sleep
from typing import BinaryIO

from nodeimpl.kernel.rotation import KEPT, numbered

LOOK_EVERY_S = 0.2


def log_lines(path: Path, *, last: int, follow: bool = False) -> Iterator[str]:
    """Return the last lines of a log, also those before its last rotations.

    Args:
        path: the log; what it was before each rotation lies beside it.
        last: how many lines.
        follow: whether to go on for ever with what is added, looked for five times a second.

    Raises:
        OSError: there is no such log, or it cannot be read.
    """
    with ExitStack() as opened:
        reading: deque[BinaryIO] = deque([opened.enter_context(path.open("rb"))])
        lines = _last_lines(path, reading[0], last)
        begun = lines.pop() if follow and lines and not lines[-1].endswith(b"\n") else b""
        yield from map(_text, lines)
        while follow:
            if added := reading[0].readline():
                begun += added
                if begun.endswith(b"\n"):
                    yield _text(begun)
                    begun = b""
            elif len(reading) > 1:
                reading.popleft().close()
            elif later := _later_files(path, reading[0]):
                # Nobody writes to the old one any more; whatever it still has is read first.
                reading.extend([opened.enter_context(each) for each in later])
            else:
                sleep(LOOK_EVERY_S)


def _last_lines(path: Path, file: BinaryIO, last: int) -> list[bytes]:
    """Return the last lines of the open log and, if they are too few, of the files before it."""
    found = list(deque(file, maxlen=last))
    with ExitStack() as opened:
        for each in _opened(opened, [numbered(path, number) for number in range(1, KEPT + 1)]):
            if len(found) < last and each is not None and not _is_same(each, file):
                found = [*deque(each, maxlen=last - len(found)), *found]
    return found


def _later_files(path: Path, file: BinaryIO) -> list[BinaryIO]:
    """Return the files that were begun after `file`, oldest first; none, mostly.

    None either while names are being changed: then one is missing before another, or a file that
    was opened by its name is met again by its next one.
    """
    if _is_still(path, file):
        return []
    with ExitStack() as opened:
        names = [path, *(numbered(path, number) for number in range(1, KEPT + 1))]
        found = _opened(opened, names)
        since = list(takewhile(lambda each: each is None or not _is_same(each, file), found))
        later = [each for each in since if each is not None]
        is_dropped = len(since) == len(found)  # Too long ago: what is left has been begun since.
        is_whole = later == (since[: len(later)] if is_dropped else since)
        is_each_once = len({*map(_identity, later)}) == len(later)
        if not is_whole or not is_each_once:
            return []
        # Opened anew, each by what it is: the rest is closed here.
        return [os.fdopen(os.dup(each.fileno()), "rb") for each in reversed(later)]


def _opened(opened: ExitStack, names: list[Path]) -> list[BinaryIO | None]:
    """Open files, to be closed with `opened`; None for one that is not there."""
    found: list[BinaryIO | None] = []
    for name in names:
        try:
            found.append(opened.enter_context(name.open("rb")))
        except FileNotFoundError:
            found.append(None)
    return found


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Return whether the name stands for the open file."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == _identity(file)


def _is_same(one: BinaryIO, other: BinaryIO) -> bool:
    """Return whether both are of one file."""
    return _identity(one) == _identity(other)


def _identity(file: BinaryIO) -> tuple[int, int]:
    """Return what tells one open file from any other, whatever its name is by now."""
    now = os.fstat(file.fileno())
    return now.st_dev, now.st_ino


def _text(line: bytes) -> str:
    return line.rstrip(b"\n").decode("utf-8", "replace")

"""What a presenter types: single keys on a terminal, whole lines where there is none.

Both become the same words: `next`, `back`, `toggle`, `play`, `pause`, `repeat`, `again`, `go`,
`evidence`, `help`, `quit`. Nothing here blocks the event loop, and a terminal is left as it was
found.
"""

from __future__ import annotations

import asyncio
import os
import stat
import termios
import tty
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

READ_BYTES_MAX: Final = 4_096
WAITING_MAX: Final = 256
"""Keys or lines that nobody has taken yet; what comes on top is dropped."""
LINE_CHARS_MAX: Final = 200
DIGITS_MAX: Final = 3

_SEQUENCES: Final = {
    b"\x1b[C": "right",
    b"\x1bOC": "right",
    b"\x1b[D": "left",
    b"\x1bOD": "left",
    b"\x1b[6~": "page-down",
    b"\x1b[5~": "page-up",
}
_SINGLE: Final = {
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x04": "end",
    b"\x1b": "escape",
}
_KEYS: Final = {
    " ": "next",
    "enter": "next",
    "right": "next",
    "page-down": "next",
    "n": "next",
    "left": "back",
    "page-up": "back",
    "backspace": "back",
    "b": "back",
    "p": "toggle",
    "r": "repeat",
    "a": "again",
    "e": "evidence",
    "?": "help",
    "h": "help",
    "q": "quit",
    "end": "quit",
}
_WORDS: Final = {"": "next", **{word: word for word in (*_KEYS.values(), "play", "pause")}}


@dataclass(frozen=True)
class Word:
    """What the presenter asks for; `rest` says where to, for `go`."""

    name: str
    rest: str = ""


def keys_in(data: bytes) -> list[str]:
    """Return the keys of what was read from a terminal; unknown sequences are left out."""
    keys = []
    while data:
        if found := next((each for each in _SEQUENCES if data.startswith(each)), None):
            keys.append(_SEQUENCES[found])
            data = data[len(found) :]
        elif data.startswith((b"\x1b[", b"\x1bO")):
            data = _after_sequence(data)
        else:
            keys.append(_SINGLE.get(data[:1], data[:1].decode("ascii", "replace")))
            data = data[1:]
    return keys


def _after_sequence(data: bytes) -> bytes:
    """Return what follows a control sequence. Source: ECMA-48, 5.4: it ends with 0x40 to 0x7e."""
    for at in range(2, len(data)):
        if 0x40 <= data[at] <= 0x7E:
            return data[at + 1 :]
    return b""


def word_of_line(line: str) -> Word | None:
    """Return what a typed line asks for: a word, its key, or where to go; None if it is unknown."""
    head, _, rest = line.strip()[:LINE_CHARS_MAX].partition(" ")
    if head in {"g", "go"}:
        return Word("go", rest.strip())
    if head.isdigit() or head.isupper():
        return Word("go", head)
    name = _KEYS.get(head) or _WORDS.get(head)
    return None if name is None or rest else Word(name)


class Typed:
    """Puts keys together: most are a word, digits are a place that waits for enter."""

    def __init__(self) -> None:
        """Begin with nothing typed."""
        self.digits: str | None = None

    def take(self, key: str) -> Word | None:
        """Return the word that a key completes, or None if it completes none."""
        if self.digits is not None:
            return self._take_place(key)
        if key == "g" or key.isdigit():
            self.digits = "" if key == "g" else key
            return None
        name = _KEYS.get(key)
        return None if name is None else Word(name)

    def _take_place(self, key: str) -> Word | None:
        digits = self.digits or ""
        if key.isdigit():
            self.digits = (digits + key)[:DIGITS_MAX]
            return None
        if key == "backspace":
            self.digits = digits[:-1] if digits else None
            return None
        self.digits = None
        return Word("go", digits) if key == "enter" and digits else None


class Input:
    """Standard input, read as keys (a terminal) or as lines (anything else).

    ```python
    async with Input(0, lines=False) as keys:
        while (key := await keys.next()) is not None: ...
    ```
    """

    def __init__(self, fd: int, *, lines: bool) -> None:
        """Take the file descriptor; nothing is changed or read yet."""
        self._fd = fd
        self._lines = lines
        self._pending = b""
        self._taken: asyncio.Queue[str | None] = asyncio.Queue(WAITING_MAX + 1)
        self._before: list[Any] | None = None
        self._reading = False

    async def __aenter__(self) -> Self:
        """Begin to read; a terminal gives its keys one by one from here on, without echo."""
        if not self._lines:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        if stat.S_ISREG(os.fstat(self._fd).st_mode) or not _can_wait(self._fd):
            # A file never makes anybody wait, and the event loop takes none.
            self._read_all()
        else:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Stop reading and put the terminal back."""
        self._stop()
        if self._before is not None:
            with suppress(termios.error):  # A terminal that has gone wants nothing back.
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    async def next(self) -> str | None:
        """Return the next key or line; None once the input has ended, and ever after."""
        found = await self._taken.get()
        if found is None:
            self._taken.put_nowait(None)
        return found

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES_MAX)
        except OSError:
            data = b""  # A terminal that has gone says so by an error.
        self._take(data)
        if not data:
            self._stop()

    def _read_all(self) -> None:
        while data := os.read(self._fd, READ_BYTES_MAX):
            self._take(data)
        self._take(b"")

    def _take(self, data: bytes) -> None:
        if not self._lines:
            found = keys_in(data)
        else:
            *whole, rest = (self._pending + data).split(b"\n")
            self._pending = rest[:READ_BYTES_MAX]
            found = [line.decode("utf-8", "replace") for line in whole]
            if not data and rest:
                found.append(rest.decode("utf-8", "replace"))
        for each in found:
            if self._taken.qsize() < WAITING_MAX:
                self._taken.put_nowait(each)
        if not data:
            self._taken.put_nowait(None)

    def _stop(self) -> None:
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._fd)


def _can_wait(fd: int) -> bool:
    """Return whether the event loop can wait for this: a null device, for one, it cannot."""
    return (
        os.isatty(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode) or stat.S_ISSOCK(os.fstat(fd).st_mode)
    )

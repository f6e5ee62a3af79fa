"""What is typed becomes words: keys on a terminal, lines from anywhere else."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opkit.cli.keys import WAITING_MAX, Input, Typed, Word, keys_in, word_of_line

LIMIT_S = 100


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b" n", [" ", "n"]),
        (b"\x1b[C\x1b[D", ["right", "left"]),
        (b"\x1bOC", ["right"]),
        (b"\x1b[6~\x1b[5~", ["page-down", "page-up"]),
        (b"\r\x7f", ["enter", "backspace"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[1;5Cq", ["q"]),
        (b"\x1b[1;5", []),
        (b"\xc3\xa4q", ["\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}", "q"]),
    ],
)
def test_bytes_of_a_terminal_are_keys(data, keys):
    assert keys_in(data) == keys


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_keys(data):
    typed = Typed()
    for key in keys_in(data):
        typed.take(key)
    assert len(typed.digits or "") <= 3


def words(keys: list[str]) -> list[Word]:
    typed = Typed()
    return [word for key in keys if (word := typed.take(key)) is not None]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([" "], [Word("next")]),
        (["page-down", "page-up"], [Word("next"), Word("back")]),
        (["1", "2", "enter"], [Word("go", "12")]),
        (["g", "7", "enter"], [Word("go", "7")]),
        (["g", "escape", "n"], [Word("next")]),
        (["g", "enter"], []),
        (["1", "backspace", "3", "enter"], [Word("go", "3")]),
        (["1", "backspace", "backspace", "enter"], [Word("next")]),
        (["x", "?"], [Word("help")]),
        (["end"], [Word("quit")]),
    ],
)
def test_keys_are_words_and_digits_wait_for_enter(keys, expected):
    assert words(keys) == expected


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", Word("next")),
        ("n", Word("next")),
        (" next ", Word("next")),
        ("pause", Word("pause")),
        ("p", Word("toggle")),
        ("go 5", Word("go", "5")),
        ("g BREAD_BAKED", Word("go", "BREAD_BAKED")),
        ("7", Word("go", "7")),
        ("BREAD_BAKED", Word("go", "BREAD_BAKED")),
        ("quit", Word("quit")),
        ("next please", None),
        ("bake", None),
        ("x" * 10_000, None),
    ],
)
def test_lines_are_words(line, word):
    assert word_of_line(line) == word


async def all_of(fd: int, *, lines: bool) -> list[str]:
    """Read until the input has ended."""
    found = []
    async with asyncio.timeout(LIMIT_S), Input(fd, lines=lines) as typed:
        while (each := await typed.next()) is not None:
            found.append(each)
        assert await typed.next() is None
    return found


def test_lines_come_from_a_pipe_a_file_and_nowhere(tmp_path: Path):
    ours, theirs = os.pipe()
    os.write(theirs, b"next\nback\nlast")
    os.close(theirs)
    try:
        assert asyncio.run(all_of(ours, lines=True)) == ["next", "back", "last"]
    finally:
        os.close(ours)
    (tmp_path / "lines").write_bytes(b"next\n\n")
    for path, lines in ((tmp_path / "lines", ["next", ""]), (Path(os.devnull), [])):
        with path.open("rb") as file:
            assert asyncio.run(all_of(file.fileno(), lines=True)) == lines


def test_what_nobody_takes_is_bounded(tmp_path: Path):
    (tmp_path / "lines").write_bytes(b"next\n" * (WAITING_MAX + 50))
    with (tmp_path / "lines").open("rb") as file:
        assert len(asyncio.run(all_of(file.fileno(), lines=True))) == WAITING_MAX


def test_a_terminal_gives_single_keys_and_is_left_as_it_was():
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)

    async def go() -> list[str | None]:
        async with asyncio.timeout(LIMIT_S), Input(theirs, lines=False) as typed:
            assert not termios.tcgetattr(theirs)[3] & termios.ECHO
            os.write(ours, b" ")
            found = [await typed.next()]
            os.write(ours, b"\x1b[D")
            found.append(await typed.next())
        return found

    try:
        assert asyncio.run(go()) == [" ", "left"]
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_that_goes_away_ends_the_input():
    ours, theirs = pty.openpty()

    async def go() -> str | None:
        async with asyncio.timeout(LIMIT_S), Input(theirs, lines=False) as typed:
            os.close(ours)
            return await typed.next()

    try:
        assert asyncio.run(go()) is None
    finally:
        os.close(theirs)

"""Reading a log that is rotated meanwhile: each line once and in order, whatever its file."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.rotation import KEPT, numbered, shift
from opkit.cli import following
from opkit.cli.following import log_lines

ROTATIONS = 60
LINES_EACH = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.log"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again soon, so that it is looked in the middle of rotations."""
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.001)


def add(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def rotate(path: Path) -> None:
    shift(path)
    path.touch()


@pytest.mark.usefixtures("impatient")
def test_no_line_is_lost_or_told_twice_while_names_change(path: Path) -> None:
    wanted = [f"line {number}" for number in range(ROTATIONS * LINES_EACH)]
    seen: list[str] = []
    told = threading.Condition()
    path.write_text("before\n", "utf-8")

    def read() -> None:
        for line in log_lines(path, last=1, follow=True):
            with told:
                seen.append(line)
                told.notify()
            if line == wanted[-1]:
                return

    def await_lines(count: int) -> None:
        with told:
            assert told.wait_for(lambda: len(seen) > max(0, count), timeout=60)

    reading = threading.Thread(target=read)
    reading.start()
    await_lines(0)
    for number, line in enumerate(wanted):
        if number % LINES_EACH == LINES_EACH // 2:
            # Who reads may be two files behind, and no more: older ones go.
            await_lines(number - 2 * LINES_EACH)
            rotate(path)
        add(path, f"{line}\n")
    reading.join(60)
    assert seen == ["before", *wanted]


def test_the_last_lines_come_from_before_rotations_too(path: Path) -> None:
    path.write_text("e\nf\n", "utf-8")
    numbered(path, 1).write_text("c\nd\n", "utf-8")
    numbered(path, 2).write_text("a\nb\n", "utf-8")
    assert list(log_lines(path, last=3)) == ["d", "e", "f"]
    assert list(log_lines(path, last=99)) == list("abcdef")
    assert list(log_lines(path, last=0)) == []


def followed(path: Path) -> Iterator[str]:
    return log_lines(path, last=99, follow=True)


def two_rotations_behind(path: Path) -> Iterator[str]:
    """Return how a log is followed of which 0 was read; 1 and 2 are in a file of their own each."""
    path.write_text("0\n", "utf-8")
    lines = followed(path)
    assert next(lines) == "0"
    for number in (1, 2):
        rotate(path)
        add(path, f"{number}\n")
    return lines


@pytest.mark.usefixtures("impatient")
def test_a_line_is_told_once_it_is_whole(path: Path) -> None:
    path.write_text("one\ntw", "utf-8")
    lines = followed(path)
    assert next(lines) == "one"
    add(path, "o\nthree\n")
    assert [next(lines), next(lines)] == ["two", "three"]
    add(path, "fo")
    rotate(path)
    add(path, "\nfive\n")
    assert [next(lines), next(lines)] == ["fo", "five"]
    assert list(log_lines(path, last=2)) == ["", "five"]


def test_whoever_does_not_follow_sees_a_line_that_is_not_whole(path: Path) -> None:
    path.write_bytes(b"one\n\xfftw")
    assert list(log_lines(path, last=9)) == ["one", "\N{REPLACEMENT CHARACTER}tw"]


def test_a_log_that_was_rotated_away_while_nobody_looked_goes_on_with_what_is_left(
    path: Path,
) -> None:
    path.write_text("0\n", "utf-8")
    lines = followed(path)
    assert next(lines) == "0"
    for number in range(1, KEPT + 3):
        rotate(path)
        add(path, f"{number}\n")
    assert [next(lines) for _ in range(KEPT + 1)] == [str(2 + number) for number in range(KEPT + 1)]


@pytest.mark.parametrize("done", range(1, KEPT + 2), ids="{} steps".format)
@pytest.mark.parametrize("opened", range(KEPT + 1), ids="after {} files".format)
def test_a_rotation_while_files_are_opened_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch, opened: int, done: int
) -> None:
    """A rotation renames file after file: some of its steps happen there, the others later."""
    lines = two_rotations_behind(path)
    steps = iter(steps_of_a_rotation(path))
    opens = itertools.count()
    really = Path.open

    def open_then(name: Path, *how: Any, **named: Any) -> Any:
        if next(opens) == opened:
            take(steps, done)
        return really(name, *how, **named)

    monkeypatch.setattr(Path, "open", open_then)
    monkeypatch.setattr(following, "sleep", lambda _: take(steps, KEPT + 1))
    assert [next(lines) for _ in range(3)] == ["1", "2", "3"]


def steps_of_a_rotation(path: Path) -> list[Callable[[], object]]:
    """Return what `shift` does, one name after another, and what is written then."""
    names = [path, *(numbered(path, number) for number in range(1, KEPT + 1))]
    renames = [
        functools.partial(rename, earlier, later) for earlier, later in itertools.pairwise(names)
    ]
    return [*reversed(renames), lambda: path.write_bytes(b"3\n")]


def rename(earlier: Path, later: Path) -> None:
    if earlier.exists():
        earlier.replace(later)


def take(steps: Iterator[Callable[[], object]], count: int) -> None:
    for step in itertools.islice(steps, count):
        step()


@pytest.mark.parametrize("missing", ["log", "log.1"])
def test_names_in_the_middle_of_a_rotation_are_looked_at_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    lines = two_rotations_behind(path)
    away = path if missing == "log" else numbered(path, 1)
    away.rename(path.with_name("away"))
    looks: list[float] = []

    def look(pause_s: float) -> None:
        looks.append(pause_s)
        path.with_name("away").rename(away)

    monkeypatch.setattr(following, "sleep", look)
    assert [next(lines), next(lines)] == ["1", "2"]
    assert looks == [following.LOOK_EVERY_S], "it was looked once in vain"


def test_a_log_that_is_not_there_is_said(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(log_lines(path, last=3))

"""The mark's file: replaced whole, durable, and never passed over when it is damaged."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.history.mark import NAME, MarkFile
from nodeimpl.kernel.errors import HistoryLost
from opkit.wire.journal import HistoryPlace


def test_a_mark_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    file = MarkFile(tmp_path)
    assert file.read() is None
    first = HistoryPlace(generation=1, size=1, root="1" * 64, hash="2" * 64)
    file.write(first)
    second = first.model_copy(update={"size": 2})
    steps: list[str] = []
    for name in ("open", "write", "fsync"):
        with monkeypatch.context() as broken:
            broken.setattr(f"nodeimpl.history.mark.os.{name}", failing(steps, name))
            with pytest.raises(OSError, match="no"):
                file.write(second)
        assert file.read() == first
    assert steps == ["open", "write", "fsync"]
    file.write(second)
    assert file.read() == second
    assert file.path.stat().st_mode & 0o077 == 0


def failing(steps: list[str], name: str) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        steps.append(name)
        raise OSError(errno.EIO, "no")

    return fail


def test_a_mark_is_synced_before_it_has_its_name_and_its_folder_after(
    tmp_path, monkeypatch
) -> None:
    file, synced, real = MarkFile(tmp_path), [], os.fsync

    def record(descriptor: int) -> None:
        what = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((what, file.path.exists()))
        real(descriptor)

    monkeypatch.setattr("os.fsync", record)
    file.write(HistoryPlace(generation=1, size=1, root="1" * 64, hash="2" * 64))
    assert synced == [("history-mark.new", False), (tmp_path.name, True)]


def test_a_disk_that_takes_a_part_of_the_mark_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    file = MarkFile(tmp_path)
    first = HistoryPlace(generation=1, size=1, root="1" * 64, hash="2" * 64)
    file.write(first)
    room, real = 20, os.write

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "no")
        taken = real(descriptor, bytes(data)[:room])
        room -= taken
        return taken

    monkeypatch.setattr("nodeimpl.history.mark.os.write", write)
    with pytest.raises(OSError, match="no"):
        file.write(first.model_copy(update={"size": 2}))
    assert file.read() == first


@pytest.mark.parametrize("said", [b"", b"{", b'{"generation":1}', b"x" * 5_000])
def test_a_mark_that_is_none_is_told_and_not_passed_over(tmp_path, said) -> None:
    (tmp_path / NAME).write_bytes(said)
    with pytest.raises(HistoryLost, match=r"damaged.*hint: "):
        MarkFile(tmp_path).read()

"""`opkit report verify` of what is no run folder: said in one line, with what would help."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opkit.runner.folder import EVIDENCE, SIGNATURE

Run = Callable[..., Any]


@pytest.mark.parametrize("files", [(), (EVIDENCE,)])
def test_a_folder_without_a_signature_is_no_run_folder(
    run: Run, tmp_path: Path, files: tuple[str, ...]
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")

    said = run("report", "verify", tmp_path)

    assert said.code == 1
    assert said.err.splitlines() == [
        f"opkit: {tmp_path} is no run folder: it holds no report.jws",
        "  hint: name a run folder whole, as `opkit demo` wrote it, or a replay",
    ]


def test_a_pipe_for_a_signature_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / SIGNATURE)

    said = run("report", "verify", tmp_path)

    assert (said.code, "report.jws is no file" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "is no replay", id="empty"),
        pytest.param(b"\xff\xfe", "is no replay: it is no text", id="no text"),
    ],
)
def test_a_file_that_is_no_replay_is_told_in_words(
    run: Run, tmp_path: Path, content: bytes, why: str
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(content)

    said = run("report", "verify", page)

    assert said.code == 2
    assert why in said.err
    assert "a run is checked as a whole folder" in said.err


def test_a_pipe_for_a_report_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    said = run("report", "verify", pipe)

    assert (said.code, "there is no folder" in said.err) == (2, True)

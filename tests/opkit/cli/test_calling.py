"""Commands are named as whoever reads of them can type them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opkit.cli.calling import as_called

HINT = "start one: opkit devnet up; this opkit knows no other, see /opt/opkit devnet"


def test_where_opkit_is_on_the_path_it_is_named_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "opkit").write_text("#!/bin/sh\n", "ascii")
    (tmp_path / "opkit").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/opkit"])
    assert as_called(HINT) == HINT


def test_elsewhere_commands_alone_are_named_by_the_path_that_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/opkit"])
    said = "start one: .venv/bin/opkit devnet up; this opkit knows no other, see /opt/opkit devnet"
    assert as_called(HINT) == said
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert as_called(HINT) == HINT


@pytest.mark.parametrize("arguments", [["devnet", "status"], ["node", "status"]])
def test_hints_and_answers_of_a_command_called_by_its_path_name_that_path(
    tmp_path: Path, arguments: list[str]
) -> None:
    program = Path(sys.executable).with_name("opkit")
    done = subprocess.run(
        [program, *arguments],
        env={"PATH": "/usr/bin:/bin", "OPKIT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"{program} devnet up" in done.stderr + done.stdout

"""Running commands: in this process for their words, as a process for their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opkit.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document it printed."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point `OPKIT_HOME` at a fresh folder."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("OPKIT_HOME", str(folder))
    monkeypatch.delenv("OPKIT_PASSPHRASE", raising=False)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call


@pytest.fixture
def opkit() -> Callable[..., Ran]:
    """Run a command as a process."""

    def call(*arguments: object) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "opkit.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def typed(opkit: Callable[..., Ran], run: Callable[..., Ran]) -> Callable[..., Ran]:
    """Run a command against real nodes where it costs least: a network outlives its `up`.

    That every command does the same as a process is shown by `test_examples.py`.
    """

    def call(*arguments: object) -> Ran:
        return (opkit if arguments[:2] == ("devnet", "up") else run)(*arguments)

    return call

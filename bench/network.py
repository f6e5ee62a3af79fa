"""A devnet to measure on, in a state folder of its own, and the commands that drive it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.rows import seconds_of

ROOT = Path(__file__).resolve().parent.parent
OPKIT = Path(sys.executable).parent / "opkit"
NAME = "bench"
COMMAND_S_MAX = 120


@contextmanager
def state_home() -> Iterator[None]:
    """Keep all state that is made meanwhile in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="opkit-bench-") as folder:
        before = os.environ.get("OPKIT_HOME")
        os.environ["OPKIT_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["OPKIT_HOME"]
            else:
                os.environ["OPKIT_HOME"] = before


@contextmanager
def devnet(profile: str = "three") -> Iterator[str]:
    """Have a devnet running meanwhile, of three nodes unless said otherwise; yield its name."""
    opkit("devnet", "up", NAME, "--profile", profile)
    try:
        yield NAME
    finally:
        opkit("devnet", "reset", NAME)


def opkit(*arguments: str) -> str:
    """Run `opkit` and return what it printed."""
    return run([str(OPKIT), *arguments])


def run(command: list[str], *, extra: Mapping[str, str] | None = None) -> str:
    """Run a command from the project's root and return what it printed.

    Raises:
        RuntimeError: it failed; its output is in the message.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(extra or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def seconds_of_command(command: list[str]) -> float:
    """Return how long a command takes, in seconds."""
    return seconds_of(lambda: run(command))

"""Run named steps one after another, each with its duration: what `check` and `test` share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that ran: its name, its exit code and how long it took."""

    name: str
    code: int
    seconds: float


def run_step(
    name: str,
    command: list[str],
    *,
    extra: dict[str, str] | None = None,
    also_good: tuple[int, ...] = (),
) -> Done:
    """Run `command` from the project's root, saying its name first and its duration after.

    Args:
        name: what people read.
        command: the program and its arguments; never a shell line.
        extra: what the environment gets besides what it has.
        also_good: exit codes other than 0 that mean no failure; they are returned as 0.
    """
    print(f"\n== {name}", flush=True)
    started = time.monotonic()
    environ = {**os.environ, **(extra or {})}
    environ["PATH"] = f"{BIN}{os.pathsep}{environ['PATH']}"
    code = subprocess.run(command, cwd=ROOT, check=False, env=environ).returncode
    code = 0 if code in also_good else code
    seconds = time.monotonic() - started
    verdict = "ok" if code == 0 else f"FAILED (exit {code})"
    print(f"== {name}: {verdict} in {seconds:.1f} s", flush=True)
    return Done(name=name, code=code, seconds=seconds)


def print_durations(steps: list[Done]) -> None:
    """Print one line for each step: how long it took and whether it failed."""
    print("\nDurations", flush=True)
    for step in steps:
        verdict = "ok" if step.code == 0 else "FAILED"
        print(f"  {step.seconds:7.1f} s  {verdict:6}  {step.name}", flush=True)


def tool(name: str) -> str:
    """Return the path of a tool in the project's environment, or stop and say how to get it."""
    path = BIN / name
    if not path.exists():
        sys.exit(f"{name} is not installed: run `python3 scripts/setup test` (or `make check`)")
    return str(path)

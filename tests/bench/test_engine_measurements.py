"""What is measured of the engine runs with the engine that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rows import QUICK

ROOT = Path(__file__).resolve().parents[2]


def names(module: str, function: str) -> list[str]:
    """Return the names of the rows of a measurement: in a process of its own, for threads stay."""
    program = f"""
from bench.{module} import {function}
for row in {function}():
    assert row.value > 0, row
    print(row.name)
"""
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, QUICK: "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()


def test_a_job_in_the_executor_is_held_against_the_engine_alone() -> None:
    assert len(names("executor", "executor")) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.timeout(150)
def test_each_way_to_end_a_run_is_held_against_none() -> None:
    found = names("interruption", "interruption")
    assert len(found) == len(set(found)) == 4 * 4 + 3

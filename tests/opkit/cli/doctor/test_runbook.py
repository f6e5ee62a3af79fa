"""The runbook names tests that exist, and every check of the doctor is broken by one."""

from __future__ import annotations

import re
from pathlib import Path

from opkit.cli.doctor.table import CONFIGURATION, DEVNET, MACHINE, NODE

ROOT = Path(__file__).resolve().parents[4]
HERE = Path(__file__).resolve().parent
WITHOUT_ONE = {
    "versions": "this test runs on a Python and an SQLite that will do",
    "clock corrected": "a note: who corrects the clock is the machine's business",
    "cores": "a note: workers beyond the cores only wait",
    "sandbox": "without /proc neither the doctor nor its test would get this far",
    "file system": "a note here; `test_a_disk_of_a_kind_that_is_shared` judges the kinds",
    "leftovers": "in a node a note; `test_what_a_killed_node_left_…` sees it",
    "clock steady": "nobody may set this machine's clock; `judge_steady` is tested",
    "sync to disk": "no disk here is slow; `judge_sync` is tested",
    "memory": "this machine has enough; `judge_memory` is tested",
    "parts for some": "a note",
}
"""Checks that no test here can make find something wrong, and why."""


def test_every_test_that_the_runbook_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "runbook.md").read_text("utf-8")))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 20
    assert not named - there


def test_every_check_is_broken_by_a_test_or_says_why_not() -> None:
    checks = {check.name for check in (*MACHINE, *DEVNET, CONFIGURATION, *NODE)}
    text = "".join(
        path.read_text("utf-8") for path in HERE.glob("test_*.py") if path != Path(__file__)
    )
    for name in sorted(checks - WITHOUT_ONE.keys()):
        assert f'"{name}"' in text, f"no test looks at {name!r}"
    assert WITHOUT_ONE.keys() <= checks

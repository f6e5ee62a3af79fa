"""The reference of logs names every event that is logged, with its level, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error"}
BY_SUPERVISOR = {"say", "self._tie.report", "self._mark"}
TOLD_WITHOUT_A_CALL = {("lines were not written", "error"), ("lines-lost", "")}
"""What the stream itself says, once a full disk takes lines again."""


def logged() -> Iterator[tuple[str, str]]:
    """Return every event in the source with its level; the supervisor's have none."""
    for path in (*ROOT.glob("nodeimpl/**/*.py"), *ROOT.glob("devnet/*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called, first = ast.unparse(node.func), node.args[0]
            logger, _, level = called.rpartition(".")
            if logger == "_log" and level in LEVELS:
                assert isinstance(first, ast.Constant), f"{path}:{node.lineno}: a fixed event"
                yield first.value, level
            elif called in BY_SUPERVISOR and isinstance(first, ast.Constant):
                yield first.value, ""


def documented() -> Iterator[tuple[str, str]]:
    """Return every event of the reference with its level."""
    text = (ROOT / "docs" / "logs.md").read_text("utf-8")
    nodes, _, supervisor = text.partition("## What a devnet's supervisor says")
    yield from re.findall(r"^\| `([^`]+)` \| (\w+) \|", nodes, re.MULTILINE)
    yield from ((event, "") for event in re.findall(r"^\| `([^`]+)` \|", supervisor, re.MULTILINE))


def test_the_reference_names_every_event_with_its_level_and_no_other() -> None:
    assert set(documented()) == {*logged(), *TOLD_WITHOUT_A_CALL}

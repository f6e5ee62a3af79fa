from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Script = Callable[[str], ModuleType]


def file(*, reached: int, of: int) -> dict[str, Any]:
    summary = {"num_statements": of, "covered_lines": reached}
    summary |= {"num_branches": 0, "covered_branches": 0}
    missing = list(range(of - reached))
    return {"summary": summary, "missing_lines": missing, "missing_branches": []}


@pytest.mark.parametrize(
    ("rules", "rest", "floor", "highest", "code"),
    [
        (10, 80, 80.0, 80.0, 0),
        (9, 80, 80.0, 80.0, 1),
        (10, 79, 80.0, 80.0, 1),
        (10, 80, 80.0, 81.0, 1),
    ],
    ids=["all is well", "a gap in a rule", "below the floor", "the floor was lowered"],
)
def test_the_gate_holds(
    script: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rules: int,
    rest: int,
    floor: float,
    highest: float,
    code: int,
) -> None:
    gate = script("coverage-gate")
    report, kept = tmp_path / "coverage.json", tmp_path / "tests/floor.txt"
    kept.parent.mkdir()
    kept.write_text(f"{floor}\n")
    files = {"nodeimpl/x/rules.py": file(reached=rules, of=10)}
    files["nodeimpl/x/store.py"] = file(reached=rest, of=100)
    report.write_text(json.dumps({"files": files}))
    monkeypatch.setattr(gate, "ROOT", tmp_path)
    monkeypatch.setattr(gate, "FLOOR", kept)
    monkeypatch.setattr(gate, "highest_floor", lambda: highest)
    assert gate.main([str(report)]) == code

"""What was done to a network is written down before it is told."""

from __future__ import annotations

import json
from pathlib import Path

from devnet.disturbances import KEPT_MAX, Disturbances


def test_each_is_a_line_and_comes_back_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    first = Disturbances(path)
    note = first.note("kill", org="a")
    first.note("cut", a="a", b="b")
    assert note["what"] == "kill"
    assert [json.loads(line)["what"] for line in path.read_text("utf-8").splitlines()] == [
        "kill",
        "cut",
    ]
    assert Disturbances(path).all() == first.all()


def test_a_status_shows_a_bounded_number(tmp_path: Path) -> None:
    kept = Disturbances(tmp_path / "d.jsonl")
    for number in range(KEPT_MAX + 3):
        kept.note("cut", number=number)
    assert len(kept.all()) == KEPT_MAX
    assert kept.all()[-1]["number"] == KEPT_MAX + 2

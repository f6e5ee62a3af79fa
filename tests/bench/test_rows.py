"""What `make bench` prints and keeps."""

from __future__ import annotations

import json
from pathlib import Path

from bench.rows import markdown, percentile, row, table, write


def test_a_value_is_held_against_its_target_from_either_side():
    assert row("quick", 10.0, "ms", target="<= 10", of=[9.0, 11.0]).ok
    assert not row("slow", 10.1, "ms", target="<= 10", of=[10.1]).ok
    assert row("fast", 60.0, "MB/s", target=">= 60", of=[60.0]).ok
    assert not row("lame", 59.9, "MB/s", target=">= 60", of=[59.9]).ok


def test_a_percentile_is_a_measured_value_that_the_share_does_not_exceed():
    values = [float(n) for n in range(20, 0, -1)]
    assert percentile(values, 0.95) == 19.0
    assert percentile(values, 1.0) == 20.0
    assert percentile([7.0], 0.95) == 7.0


def test_the_file_keeps_what_was_measured_before_and_exactly_these_keys(tmp_path: Path):
    latest = tmp_path / "latest.json"
    write(
        latest,
        [
            row("one", 1.0, "s", target="<= 3", of=[1.0]),
            row("two", 2.0, "s", target="<= 3", of=[2.0]),
        ],
    )
    write(latest, [row("two", 4.0, "s", target="<= 3", of=[4.0, 5.0])])
    kept = json.loads(latest.read_text())
    assert [(each["name"], each["value"], each["n"]) for each in kept] == [
        ("one", 1, 1),
        ("two", 4, 2),
    ]
    assert {tuple(each) for each in kept} == {
        ("name", "value", "unit", "target", "ok", "n", "load")
    }


def test_the_table_shows_number_and_spread_of_the_measurements():
    line = table([row("one", 2.0, "s", target="<= 3", of=[1.5, 2.0, 9.25])]).splitlines()[1]
    assert line.split()[:7] == ["one", "2", "s", "<=", "3", "3", "1.5"]
    assert " 9.25 " in line and line.endswith("ok")


def test_rows_are_printed_as_the_document_has_them() -> None:
    measured = row("help", 0.2154321, "s", target="<= 0.5", of=[0.2, 0.22])
    explains = row("lost", 0, "", target="", of=[0])
    lines = markdown([measured, explains]).splitlines()
    first, second = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert first[:5] == ["help", "0.2154 s", "≤ 0.5 s", "2", "0.2 – 0.22"]
    assert second[:5] == ["lost", "0", "", "1", "0 – 0"]

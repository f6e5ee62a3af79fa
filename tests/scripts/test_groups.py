from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]


def selects(expression: str, markers: set[str]) -> bool:
    """Judge a marker expression as pytest does: names are true if the test carries them."""
    words = {w: w in markers for w in expression.replace("not ", "").split(" and ")}
    return bool(eval(expression, {"__builtins__": {}}, words))


def test_every_test_belongs_to_exactly_one_group(script: Script) -> None:
    groups = script("groups.py")
    names = [group.name for group in groups.MARKED]
    expressions = [groups.expression(group) for group in (groups.UNIT, *groups.MARKED)]
    for carried in product([False, True], repeat=len(names)):
        markers = {name for name, carries in zip(names, carried, strict=True) if carries}
        assert sum(selects(expression, markers) for expression in expressions) == 1, markers


def test_workers_share_a_group_by_whole_files(script: Script, tmp_path: Path) -> None:
    """A file's tests share what it sets up once: a program, a network, a browser."""
    groups = script("groups.py")
    report = tmp_path / "junit.xml"
    for group in (groups.UNIT, *groups.MARKED):
        command = groups.pytest_command(group, report=report, coverage=False)
        assert ("-n" in command) == (group.workers > 0)
        assert ("loadfile" in command) == (group.workers > 0)
        assert ("--no-loadscope-reorder" in command) == (group in groups.MARKED)


def test_only_what_others_reach_too_is_not_measured(script: Script, tmp_path: Path) -> None:
    groups = script("groups.py")
    report = tmp_path / "junit.xml"
    measured = {"unit", "slow", "postgres"}
    for group in (groups.UNIT, *groups.MARKED):
        command = groups.pytest_command(group, report=report, coverage=True)
        assert ("coverage" in command) == (group.name in measured)
        assert "coverage" not in groups.pytest_command(group, report=report, coverage=False)


def test_groups_look_only_into_the_files_that_the_unit_tests_have_noted(
    script: Script, tmp_path: Path
) -> None:
    groups = script("groups.py")
    noted = tmp_path / "marked.json"
    assert groups.which_files(groups.UNIT, noted) == [f"--note-marked={noted}"]
    slow, disk = groups.MARKED[:2]
    assert groups.which_files(slow, noted) == []
    noted.write_text('{"slow": ["tests/test_a.py", "tests/test_b.py"]}')
    assert groups.which_files(slow, noted) == ["tests/test_a.py", "tests/test_b.py"]
    assert groups.which_files(disk, noted) == []


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "shared"])
def test_the_files_that_marked_tests_are_in_are_noted(tmp_path: Path, workers: list[str]) -> None:
    """Also those that no test of the group at hand is in, and those whose examples are marked."""
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(ROOT / "tests/conftest.py", tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n    disk\n")
    (tests / "test_a.py").write_text("def test_quick(): pass\n")
    (tests / "test_b.py").write_text(
        "import pytest\n\n@pytest.mark.slow\ndef test_long(): pass\ndef test_quick(): pass\n"
    )
    (tests / "test_c.py").write_text(
        "import pytest\n\npytestmark = pytest.mark.slow\n\n"
        "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.disk)])\n"
        "def test_long(x): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers]
    command += ["-m", "not slow", "--note-marked=marked.json", "tests"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    noted = json.loads((tmp_path / "marked.json").read_text())
    assert noted["slow"] == ["tests/test_b.py", "tests/test_c.py"]
    assert noted["disk"] == ["tests/test_c.py"]


def outcome(script: Script, **counts: object) -> object:
    groups = script("groups.py")
    code = counts.pop("code", 0)
    step = groups.Done(name="g", code=code, seconds=0)
    return groups.Outcome(step=step, **counts)


@pytest.mark.parametrize(
    ("counts", "strict", "code"),
    [
        ([{"passed": 3}], False, 0),
        ([{"passed": 3}, {"failed": 1, "code": 1}], False, 1),
        ([{"passed": 3}, {"code": 2}], False, 1),
        ([{"passed": 3}, {"absent": "nothing there"}], False, 5),
        ([{"passed": 3}, {"absent": "nothing there"}], True, 1),
        ([{"code": 1, "failed": 1}, {"absent": "nothing there"}], False, 1),
    ],
)
def test_the_exit_code_says_failed_or_not_run(
    script: Script, counts: list[dict[str, object]], strict: bool, code: int
) -> None:
    outcomes = [outcome(script, **count) for count in counts]
    shown = script("promises.py").Findings(wrong=(), unseen=())
    assert script("test").verdict(outcomes, shown=shown, strict=strict) == code


@pytest.mark.parametrize(
    ("found", "strict", "code"),
    [("wrong", False, 1), ("wrong", True, 1), ("unseen", False, 5), ("unseen", True, 1)],
)
def test_a_promise_that_was_not_shown_is_not_taken_for_success(
    script: Script, found: str, strict: bool, code: int
) -> None:
    lines = {"wrong": (), "unseen": (), found: ("line 7: there is no test_it",)}
    shown = script("promises.py").Findings(**lines)
    assert script("test").verdict([outcome(script, passed=3)], shown=shown, strict=strict) == code


def test_the_last_line_counts_and_names_what_was_not_run(script: Script) -> None:
    outcomes = [
        outcome(script, passed=40, skipped=1),
        outcome(script, passed=2, failed=1),
        outcome(script, absent="no server"),
    ]
    line = script("test").summary(outcomes)
    assert line == "42 passed, 1 failed, 1 not run, 1 skipped: g (no server)"


def test_a_report_of_pytest_is_counted(script: Script, tmp_path: Path) -> None:
    groups = script("groups.py")
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    done = groups.Done(name="g", code=1, seconds=0)
    read = groups.read_outcome(done, report)
    assert (read.passed, read.failed, read.skipped) == (3, 3, 3)
    assert groups.read_outcome(done, tmp_path / "none.xml").failed == 1


def test_the_slowest_tests_are_named_with_how_long_they_took(script: Script) -> None:
    cases = script("cases.py")
    took = [
        cases.Case(
            file="tests/test_a.py", name=name, parameters=p, ending="passed", seconds=seconds
        )
        for name, p, seconds in (("quick", "", 0.2), ("long", "", 75.04), ("mid", "sqlite-3", 9.96))
    ]
    assert cases.slowest(took, 2) == [
        "   75.0 s  tests/test_a.py::long",
        "   10.0 s  tests/test_a.py::mid[sqlite-3]",
    ]
    assert cases.slowest([], 2) == []
    assert cases.slowest_files(took, 2) == ["   85.2 s  tests/test_a.py"]
    assert cases.slowest_files([], 2) == []


def test_groups_are_run_by_name_and_alone(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    program = script("test")
    asked = program.read(["disk", "browser", "--strict"])
    assert ([group.name for group in asked.group], asked.strict) == (["disk", "browser"], True)
    assert program.read([]).group == []
    with pytest.raises(SystemExit):
        program.read(["disc"])
    assert "'disc' is none of unit, slow, disk" in capsys.readouterr().err


def test_offline_there_is_only_loopback_and_it_is_up() -> None:
    listen_and_name = (
        "import socket; s = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(s.getsockname()).close();"
        "print([name for _, name in socket.if_nameindex()])"
    )
    command = ["bash", "scripts/offline", sys.executable, "-c", listen_and_name]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    allowed = "allows no network namespace" not in done.stderr
    assert done.stdout.strip() == "['lo']" or not allowed


def test_offline_hands_on_the_exit_code() -> None:
    command = ["bash", "scripts/offline", "sh", "-c", "exit 7"]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=100).returncode == 7


def test_of_several_runs_is_told_which_tests_failed_in_how_many(script: Script) -> None:
    cases = script("cases.py")

    def ran(name: str, ending: str) -> object:
        return cases.Case(file="t.py", name=name, parameters="", ending=ending, seconds=1)

    runs = [ran("sound", "passed"), ran("rare", "passed"), ran("broken", "failed")]
    again = [ran("sound", "passed"), ran("rare", "failed"), ran("broken", "failed")]
    assert cases.failures([*runs, *again]) == ["2 of 2  t.py::broken", "1 of 2  t.py::rare"]
    assert cases.failures([ran("sound", "passed"), ran("absent", "skipped")]) == []


def test_everything_is_run_as_often_as_is_asked_whatever_fails(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    test = script("test")
    endings = iter(["passed", "failed", "passed"])
    ran: list[str] = []

    def run_group(group: Any, **_: object) -> object:
        ran.append(group.name)
        groups, ending = script("groups.py"), next(endings)
        case = script("cases.py").Case(
            file="t.py", name="rare", parameters="", ending=ending, seconds=1
        )
        step = script("steps.py").Done(name=group.name, code=int(ending == "failed"), seconds=1)
        return groups.Outcome(step=step, failed=int(ending == "failed"), cases=(case,))

    monkeypatch.setattr(test, "run_group", run_group)
    assert test.main(["--times", "3", "disk"]) == 1
    assert ran == ["disk"] * 3
    assert "1 of 3  t.py::rare" in capsys.readouterr().out


@pytest.mark.parametrize("times", ["0", "-1", "101", "x", ""])
def test_a_number_of_runs_has_bounds(
    times: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        script("test").read(["--times", times])
    assert ended.value.code == 2
    assert "is not a number from 1 to 100" in capsys.readouterr().err

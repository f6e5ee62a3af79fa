"""The groups of tests: what each needs, how it is run, and what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cases import Case, cases_in
from steps import ROOT, Done, run_step, tool

PYTEST_NOTHING_COLLECTED = 5
"""The exit code by which pytest says that no test matched. Source: pytest's documentation."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a group needs is here: folders to search for programs first."""

    folders: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Absent:
    """What a group needs is not here: `why` says what, and how to get it."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tests that are run together.

    Attributes:
        name: what people read; for a marked group also the marker.
        workers: how many processes share the tests (0: none but this one).
        probe: finds what the group needs beside Python.
        measured: whether it is told what lines the tests reach: not where others reach the same,
            since being measured takes half as long again.
    """

    name: str
    workers: int = 0
    probe: Callable[[], Found | Absent] = Found
    measured: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one group. `absent` is empty if it ran, `cases` if nothing tells of them."""

    step: Done
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    absent: str = ""
    cases: tuple[Case, ...] = ()


def find_postgres() -> Found | Absent:
    """Find PostgreSQL's server programs, which Debian keeps off the search path."""
    if shutil.which("initdb") and shutil.which("postgres"):
        return Found()
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    if homes and (homes[-1] / "initdb").exists():
        return Found(folders=(homes[-1],))
    return Absent(why="PostgreSQL is missing: scripts/install-debian postgres")


def find_node() -> Found | Absent:
    """Find Node.js in the environment of its own, installing it there the first time."""
    command = [sys.executable, "scripts/setup", "--quiet", "interop"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        return Absent(why="Node.js could not be installed: scripts/setup interop")
    return Found(folders=(ROOT / ".venvs/interop/bin",))


def find_compiler() -> Found | Absent:
    """Find a C compiler: the one of the environment of its own, or the system's."""
    command = [sys.executable, "scripts/setup", "--quiet", "wasm"]
    if shutil.which("cc") or not subprocess.run(command, cwd=ROOT, check=False).returncode:
        return Found()
    return Absent(why="a C compiler is missing: scripts/setup wasm")


def find_chromium() -> Found | Absent:
    """Find the browser that shows the console."""
    if shutil.which("chromium"):
        return Found()
    return Absent(why="Chromium is missing: scripts/install-debian browser")


def find_wheelhouse() -> Found | Absent:
    """Find the wheels for an installation without a network, fetching them if there is one."""
    command = [sys.executable, "scripts/wheelhouse", "--quiet"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        return Absent(why="the wheelhouse could not be filled: scripts/wheelhouse")
    return Found()


def find_prometheus() -> Found | Absent:
    """Find Prometheus and its tool, which scrape a node and judge the documents' rules."""
    if shutil.which("prometheus") and shutil.which("promtool"):
        return Found()
    return Absent(why="Prometheus is missing: scripts/install-debian prometheus")


MARKED = (
    Group(name="slow", workers=3),  # On two cores: its tests wait for processes half of the time.
    Group(name="disk", probe=find_compiler, measured=False),
    Group(name="postgres", workers=2, probe=find_postgres),
    Group(name="interop", workers=2, probe=find_node, measured=False),
    Group(name="prometheus", probe=find_prometheus, measured=False),
    Group(name="browser", workers=2, probe=find_chromium, measured=False),
    Group(name="package", probe=find_wheelhouse, measured=False),
)
"""The groups beyond the unit tests, in the order in which they run.

Those without workers have the machine to themselves: disks that fill, what is installed afresh.
"""

UNIT = Group(name="unit", workers=2)
"""Unit and in-process tests: all that carry no group's marker."""


def expression(group: Group) -> str:
    """Return the marker expression that selects a group: each test belongs to exactly one.

    A test with several markers belongs to the last of them in `MARKED`: what is slow *and* needs
    PostgreSQL runs where PostgreSQL is.
    """
    names = [marked.name for marked in MARKED]
    if group not in MARKED:
        return " and ".join(f"not {name}" for name in names)
    later = names[names.index(group.name) + 1 :]
    return " and ".join([group.name, *(f"not {name}" for name in later)])


def run_group(group: Group, *, coverage: bool = False, noted: Path | None = None) -> Outcome:
    """Run a group's tests, or say why they could not be run.

    Args:
        group: which tests.
        coverage: whether to measure which lines and branches they reach.
        noted: where the unit tests, which see all tests, note which files have those of the other
            groups, and these read it: to collect ten thousand tests takes each of them 15 s.
    """
    found = group.probe()
    if isinstance(found, Absent):
        print(f"\n== {group.name}: NOT RUN, {found.why}", flush=True)
        return Outcome(step=Done(name=group.name, code=0, seconds=0), absent=found.why)
    with tempfile.TemporaryDirectory(prefix="opkit-test-") as folder:
        report = Path(folder) / "junit.xml"
        command = pytest_command(group, report=report, coverage=coverage)
        command += which_files(group, noted) if noted else []
        search_path = os.pathsep.join([*map(str, found.folders), os.environ["PATH"]])
        step = run_step(
            f"tests: {group.name}",
            command,
            extra={"PATH": search_path, **compiler()},
            also_good=(PYTEST_NOTHING_COLLECTED,),
        )
        return read_outcome(step, report)


def which_files(group: Group, noted: Path) -> list[str]:
    """Return pytest's arguments by which the unit tests note the others' files, or these use them.

    Where nothing was noted, pytest looks into all files.
    """
    if group not in MARKED:
        return [f"--note-marked={noted}"]
    files: dict[str, list[str]] = json.loads(noted.read_text("utf-8")) if noted.exists() else {}
    return files.get(group.name, [])


def compiler() -> dict[str, str]:
    """Return where the WebAssembly compiler is, for the test that rebuilds the modules."""
    python = ROOT / ".venvs/wasm/bin/python"
    return {"OPKIT_ZIG_PYTHON": str(python)} if python.exists() else {}


def pytest_command(group: Group, *, report: Path, coverage: bool) -> list[str]:
    """Return the command that runs a group and writes `report` (JUnit XML)."""
    runner = ["-m", "pytest"]
    if coverage and group.measured:
        runner = ["-m", "coverage", "run", "-m", "pytest"]
    command = [tool("python"), *runner, "-q", "-m", expression(group), f"--junitxml={report}"]
    if group.workers:
        command += ["-n", str(group.workers), "--dist", "loadfile"]
    if group in MARKED:
        # Else files with many tests begin, and one worker tells the long stories while the other
        # has nothing left; see `pytest_collection_modifyitems` of the tests.
        command += ["--no-loadscope-reorder"]
    return [*command, "--durations=8", "--durations-min=1.0"]


def read_outcome(step: Done, report: Path) -> Outcome:
    """Return what a finished step's report counts."""
    if not report.exists():
        return Outcome(step=step, failed=1)
    root = ElementTree.parse(report).getroot()  # noqa: S314 - pytest wrote it a moment ago
    suites = list(root.iter("testsuite"))
    counts = {
        name: sum(int(suite.get(name, "0")) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    }
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    cases = tuple(cases_in(root))
    return Outcome(step=step, passed=passed, failed=failed, skipped=counts["skipped"], cases=cases)

#!/usr/bin/env python3
"""See that each promise of `docs/threat-model.md` was shown: its tests are there, ran and passed.

`scripts/promises.py REPORT…` reads what pytest wrote about all groups (JUnit XML); `scripts/test`
does the same with the run it has just made. A promise whose test was renamed, left out of every
group, or skipped is no promise, however green the run is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from cases import PASSED, Case, cases_in
from steps import ROOT

DOCUMENT: Final = ROOT / "docs/threat-model.md"
HEADING: Final = "| promise | shown by | broken on purpose |"
CITED: Final = re.compile(r"`(test_\w+|[A-Z]+_[A-Z_]+)`")
DEFINED: Final = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
LOSES_MARKERS: Final = "test_a_broken_rule_stops_the_flow_at_exactly_its_marker"
"""The test that breaks the rule behind a marker: the marker is shown if its case passed."""

Ran = dict[tuple[str, str], list[Case]]
"""What ran, by the file and name of its test."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """One row of the document.

    Attributes:
        line: where it stands, counted from 1.
        says: what is promised.
        shown_by: the tests and markers that are named as showing it, or as breaking it.
        broken: what is broken on purpose, as written.
    """

    line: int
    says: str
    shown_by: tuple[str, ...]
    broken: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong with the promises, a line each.

    Attributes:
        wrong: the document names what is not there, or a test failed.
        unseen: a test is there, but nobody saw it pass: it was skipped or belongs to no group
            that ran.
    """

    wrong: tuple[str, ...]
    unseen: tuple[str, ...]


def promises_in(text: str) -> Iterator[Promise]:
    """Yield the rows of every table that lists promises."""
    within = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("|"):
            within = False
        elif line == HEADING:
            within = True
        elif within and not line.startswith("|---"):
            yield promise_of(line, number=number)


def promise_of(row: str, *, number: int) -> Promise:
    """Return the promise that a row of three cells makes.

    Raises:
        ValueError: the row has not three cells.
    """
    cells = [cell.strip() for cell in row.strip().strip("|").split(" | ")]
    if len(cells) != 3:
        raise ValueError(f"line {number} has {len(cells)} cells, not promise, test and sabotage")
    says, shown, broken = cells
    cited = tuple(CITED.findall(f"{shown} {broken}"))
    return Promise(line=number, says=says, shown_by=cited, broken=broken)


def defined(tests: Path) -> dict[str, set[str]]:
    """Return for each test function the files that define it, from the folder above `tests`."""
    found: dict[str, set[str]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        for name in DEFINED.findall(path.read_text("utf-8")):
            found.setdefault(name, set()).add(str(path.relative_to(tests.parent)))
    return found


def judge(text: str, *, files: dict[str, set[str]], cases: Iterable[Case]) -> Findings:
    """Return what is wrong with the promises of a document after a run.

    Args:
        text: the document.
        files: which files define each test; see `defined`.
        cases: all that ran, of all groups.
    """
    ran: Ran = {}
    for case in cases:
        ran.setdefault((case.file, case.name), []).append(case)
    wrong, unseen = [], []
    for promise in promises_in(text):
        where = f"line {promise.line}"
        if not promise.shown_by:
            wrong.append(f"{where}: nothing shows it: {promise.says[:60]}")
        if not promise.broken:
            wrong.append(f"{where}: nothing is broken on purpose: {promise.says[:60]}")
        for cited in promise.shown_by:
            found = endings(cited, files=files, ran=ran)
            if not found:
                wrong.append(f"{where}: there is no {cited}")
            wrong += [f"{where}: {cited} failed" for seen in found if "failed" in seen]
            unseen += [
                f"{where}: {cited} {'was skipped' if seen else 'did not run'}"
                for seen in found
                if "failed" not in seen and seen != {PASSED}
            ]
    return Findings(wrong=tuple(wrong), unseen=tuple(unseen))


def endings(cited: str, *, files: dict[str, set[str]], ran: Ran) -> list[set[str]]:
    """Return how a test's cases ended, a set for each file that defines it, or how a marker's did.

    One name may stand in two files, each with a half of what is promised: both must have run.
    """
    if cited.startswith("test_"):
        places = sorted(files.get(cited, ()))
        return [{case.ending for case in ran.get((place, cited), ())} for place in places]
    losing = [case for (_, name), cases in ran.items() if name == LOSES_MARKERS for case in cases]
    lost = {case.ending for case in losing if case.parameters == cited}
    return [lost] if lost or not losing else []


def check(cases: Iterable[Case]) -> Findings:
    """Judge the project's own promises by these cases, and print what is wrong."""
    text = DOCUMENT.read_text("utf-8")
    found = judge(text, files=defined(ROOT / "tests"), cases=cases)
    rows = list(promises_in(text))
    cited = {name for row in rows for name in row.shown_by}
    lines = [*found.wrong, *found.unseen]
    told = f"{len(lines)} not shown" if lines else "each was seen to pass"
    print(f"\nPromises: {len(rows)}, by {len(cited)} tests and markers; {told}", flush=True)
    for line in lines:
        print(f"  {DOCUMENT.name}, {line}", flush=True)
    return found


def main(arguments: list[str]) -> int:
    """Judge by the named reports; return 0 if every promise was shown, else 1."""
    if not arguments or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 0 if {"-h", "--help"} & set(arguments) else 2
    cases: list[Case] = []
    for report in arguments:
        root = ElementTree.parse(report).getroot()  # noqa: S314 - pytest wrote it
        cases += cases_in(root)
    found = check(cases)
    return 1 if found.wrong or found.unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

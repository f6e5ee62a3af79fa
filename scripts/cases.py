"""The cases that pytest told of in a report (JUnit XML): which test, how it ended, how long."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

PASSED: Final = "passed"
ENDINGS: Final = {"failure": "failed", "error": "failed", "skipped": "skipped"}
"""What stands within a case that did not pass, and what it means. A case without any passed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test, with one set of parameters, that was run or skipped.

    Attributes:
        file: the path of the file that defines it, from the project's root.
        name: the test function's name.
        parameters: what pytest writes in brackets behind the name, or nothing.
        ending: `passed`, `failed` or `skipped`.
        seconds: how long it took with what it sets up.
    """

    file: str
    name: str
    parameters: str
    ending: str
    seconds: float


def cases_in(root: ElementTree.Element) -> Iterator[Case]:
    """Yield the cases of a report that pytest wrote in the family `xunit1`."""
    for case in root.iter("testcase"):
        name, _, rest = case.get("name", "").partition("[")
        yield Case(
            file=case.get("file", ""),
            name=name,
            parameters=rest.removesuffix("]"),
            ending=ending_of(case),
            seconds=float(case.get("time", "0")),
        )


def ending_of(case: ElementTree.Element) -> str:
    """Return how a case ended: one that failed while it was taken down failed."""
    endings = {ENDINGS[child.tag] for child in case if child.tag in ENDINGS}
    return "failed" if "failed" in endings else endings.pop() if endings else PASSED


def slowest(cases: Iterable[Case], count: int) -> list[str]:
    """Return a line for each of the tests that took longest, slowest first."""
    longest = sorted(cases, key=lambda case: -case.seconds)[:count]
    return [f"{case.seconds:7.1f} s  {case.file}::{full_name(case)}" for case in longest]


def slowest_files(cases: Iterable[Case], count: int) -> list[str]:
    """Return a line for each of the files whose tests took longest together, slowest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in cases:
        seconds[case.file] += case.seconds
    longest = sorted(seconds.items(), key=lambda each: -each[1])[:count]
    return [f"{took:7.1f} s  {file}" for file, took in longest]


def failures(cases: Iterable[Case]) -> list[str]:
    """Return a line for each test that failed: in how many of its runs, most often first."""
    runs: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for case in cases:
        test = f"{case.file}::{full_name(case)}"
        runs[test] += 1
        failed[test] += case.ending == "failed"
    return [f"{count} of {runs[test]}  {test}" for test, count in failed.most_common() if count]


def full_name(case: Case) -> str:
    """Return a test's name with its parameters, as pytest is told which to run."""
    return f"{case.name}[{case.parameters}]" if case.parameters else case.name

"""Each promise of the threat model must be seen to hold, by tests that ran: what is missing tells.

The document and the tests below are made up; the last tests look at the project's own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

HEADING = "| promise | shown by | broken on purpose |\n|---|---|---|\n"
DOCUMENT = f"""# What is promised

| who | can |
|---|---|
| nobody | anything that `test_of_no_promise` shows |

{HEADING}| It holds. | `test_it_holds`, `IT_HOLDS` | taken away (`test_without_it`) |
| It lasts. | `test_it_lasts` | `synchronous=OFF` |
"""

TESTS = f"""
import pytest

def test_it_holds(): pass

def test_without_it(): pass

@pytest.mark.parametrize("tried", [1, 2])
def test_it_lasts(tried): pass

@pytest.mark.parametrize("lost", ["IT_HOLDS", "ANOTHER"])
def {"test_a_broken_rule_stops_the_flow_at_exactly_its_marker"}(lost): pass
"""


def findings(script: Script, folder: Path, *, document: str = DOCUMENT, **tests: str) -> Any:
    """Run tests, a file each, and judge the document by what pytest tells of them."""
    promises = script("promises.py")
    (folder / "tests").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\njunit_family = xunit1\n")
    for name, text in (tests or {"test_a": TESTS}).items():
        (folder / "tests" / f"{name}.py").write_text(text)
    report = folder / "report.xml"
    command = [*PYTEST, "--import-mode=importlib", f"--junitxml={report}", "tests"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=folder, env=alone, check=False, capture_output=True, timeout=100)
    cases = list(promises.cases_in(ElementTree.parse(report).getroot()))
    return promises.judge(document, files=promises.defined(folder / "tests"), cases=cases)


def test_what_was_seen_to_pass_is_shown(script: Script, tmp_path: Path) -> None:
    found = findings(script, tmp_path)
    assert (found.wrong, found.unseen) == ((), ())


BROKEN = {
    "renamed": (("def test_it_holds", "def test_it_held"), "line 9: there is no test_it_holds"),
    "failing": (("_it_holds(): pass", "_it_holds(): assert False"), "line 9: test_it_holds failed"),
    "one case failing": (("(tried): pass", "(tried): assert tried < 2"), "test_it_lasts failed"),
    "sabotage gone": (("def test_without_it", "def test_with_it"), "there is no test_without_it"),
    "marker not lost": (('"IT_HOLDS", ', ""), "line 9: there is no IT_HOLDS"),
    "marker kept": (("(lost): pass", '(lost): assert lost != "IT_HOLDS"'), "IT_HOLDS failed"),
}
"""What is changed in the tests, and what must be said of it."""


@pytest.mark.parametrize("how", BROKEN)
def test_a_test_that_is_gone_or_fails_is_named(script: Script, tmp_path: Path, how: str) -> None:
    (old, new), said = BROKEN[how]
    assert old in TESTS
    found = findings(script, tmp_path, test_a=TESTS.replace(old, new))
    (wrong,) = found.wrong
    assert said in wrong


UNSEEN = {
    "skipped": ("def test_it_holds(): pass", "def test_it_holds(): pytest.skip()"),
    "one case skipped": ("(tried): pass", "(tried): pytest.skip() if tried > 1 else None"),
    "expected to fail": ("def test_it_holds(): pass", "def test_it_holds(): pytest.xfail()"),
    "in a function": ("def test_it_holds(): pass", "if not pytest:\n    def test_it_holds(): pass"),
}
"""Ways in which a test that can be read does not run whole."""


@pytest.mark.parametrize("how", UNSEEN)
def test_a_test_that_is_there_and_does_not_run_is_named(
    script: Script, tmp_path: Path, how: str
) -> None:
    old, new = UNSEEN[how]
    assert old in TESTS
    found = findings(script, tmp_path, test_a=TESTS.replace(old, new))
    assert found.wrong == ()
    (unseen,) = found.unseen
    assert re.search(r"test_it_\w+ (was skipped|did not run)$", unseen)


def test_of_one_name_in_two_files_both_must_have_run(script: Script, tmp_path: Path) -> None:
    other = "import pytest\n\ndef test_it_holds(): pytest.skip()\n"
    found = findings(script, tmp_path, test_a=TESTS, test_b=other)
    assert found.unseen == ("line 9: test_it_holds was skipped",)


def test_where_no_marker_was_tried_none_is_shown(script: Script, tmp_path: Path) -> None:
    found = findings(script, tmp_path, test_a=TESTS.partition('@pytest.mark.parametrize("lost"')[0])
    assert found.unseen == ("line 9: IT_HOLDS did not run",)


def test_a_promise_without_test_or_sabotage_is_none(script: Script, tmp_path: Path) -> None:
    rows = "| It is so. | everybody knows | one byte |\n| It is. | `test_it_holds` |  |\n"
    found = findings(script, tmp_path, document=HEADING + rows)
    assert found.wrong == (
        "line 3: nothing shows it: It is so.",
        "line 4: nothing is broken on purpose: It is.",
    )


def test_a_row_that_is_cut_is_refused(script: Script) -> None:
    with pytest.raises(ValueError, match="line 3 has 2 cells"):
        list(script("promises.py").promises_in(HEADING + "| It is so. | `test_it_holds` |\n"))


def test_every_row_of_the_projects_own_tables_is_read(script: Script) -> None:
    promises = script("promises.py")
    text = promises.DOCUMENT.read_text("utf-8")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| promise")]
    assert len(list(promises.promises_in(text))) == sum(len(rows) - 2 for rows in tables) > 90


def test_the_command_reads_reports_and_says_what_it_did_not_see(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<testsuites/>")
    command = [sys.executable, "scripts/promises.py", str(report)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1
    assert re.search(
        r"^Promises: \d+, by \d+ tests and markers; \d+ not shown$", done.stdout, re.MULTILINE
    )
    assert "there is no" not in done.stdout
    assert done.stderr == ""

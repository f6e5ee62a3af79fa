"""What `scripts/mutants` plants, and that it tells what no test noticed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]
ROOT = Path(__file__).resolve().parents[2]

RULES = """
LIMIT = 5

def judge(asked: int) -> int:
    if asked > LIMIT:
        raise ValueError("too many")
    return asked
"""
TESTS = """
import pytest
from nodeimpl.toy import rules

def test_six_are_too_many():
    with pytest.raises(ValueError):
        rules.judge(6)

def test_four_are_given():
    assert rules.judge(4) == 4
"""
BOUNDARY = """
def test_five_are_given():
    assert rules.judge(5) == 5
"""
FREEZING = """
import gc

def pytest_collection_finish():
    gc.freeze()
"""
EXCUSED = """
### nodeimpl/toy/rules.py

- `judge`: five or six, nobody minds.
  `if asked > LIMIT:`
  → `if asked >= LIMIT:`
- `-`: the same.
  `LIMIT = 5`
  → `LIMIT = 4`
"""


def planted(script: Script, source: str) -> list[str]:
    """Return what the statements of a source become, each with one mistake."""
    mutants = script("mutations.py").mutants_of(ast.parse(source))
    return [mutant.becomes for mutant in mutants]


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("a = b < c", ["a = b <= c", "a = b >= c"]),
        ("a = b == c", ["a = b != c"]),
        ("a = b not in c", ["a = b in c"]),
        ("a = b and c", ["a = b or c", "a = c", "a = b"]),
        ("a = not b", ["a = b"]),
        ("a = b + c", ["a = b - c"]),
        ("a += b", ["a -= b", "pass"]),
        ("a = 7", ["a = 8", "a = 6"]),
        ("a = True", ["a = False"]),
        ("a = 'b'", ["a = 'bXX'"]),
        ("a = b if c else d", ["a = b if True else d", "a = b if False else d"]),
        ("a = [b for b in c if d]", ["a = [b for b in c]"]),
        ("a = max(1)", ["a = min(1)", "a = max(2)", "a = max(0)"]),
        ("a = sorted(b)", ["a = b", "a = sorted(None)"]),
        ("a = b(c, d=e)", ["a = b(None, d=e)", "a = b(c, d=None)"]),
        ("if a:\n    raise B", ["if True:", "if False:"]),
        ("a()", ["pass"]),
        ("for a in b:\n    break", ["continue"]),
        ("def a():\n    return b", ["return None"]),
        ("try:\n    a = b\nexcept C:\n    a = d", ["except ():"]),
    ],
)
def test_a_mistake_is_one_that_a_hurried_author_makes(
    script: Script, source: str, becomes: list[str]
) -> None:
    assert planted(script, source) == becomes


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is for."""',
        "import a",
        "assert a < 5, 'why'",
        "a: Literal['b']",
        "@lru_cache(maxsize=5)\ndef a(b: 'C') -> 'D':\n    pass",
        "A_MAX = 5",
        "A = Literal['b']",
        "class Limits:\n    a: int = 5",
        "T = TypeVar('T', bound=5)",
        "A: TypeAlias = 'B'",
        "raise ValueError('why')",
        "raise Refused(why=f'{a}')",
    ],
)
def test_what_nothing_depends_on_is_left_as_it_is(script: Script, source: str) -> None:
    assert [each for each in planted(script, source) if each != "pass"] == []


def test_a_mistake_is_known_by_its_function_and_its_statement(script: Script) -> None:
    source = "class A:\n    def b(self):\n        return c > 0\n"
    first = script("mutations.py").mutants_of(ast.parse(source))[0]
    assert (first.line, first.key) == (3, ("A.b", "return c > 0", "return None"))


def test_a_mistake_is_taken_out_again(script: Script) -> None:
    tree = ast.parse(RULES)
    before = ast.unparse(tree)
    for mutant in script("mutations.py").mutants_of(tree):
        with mutant.planted():
            assert ast.unparse(tree) != before
        assert ast.unparse(tree) == before


def test_every_module_that_mistakes_are_planted_in_has_tests_of_its_own(script: Script) -> None:
    targets = script("mutants").targets()
    assert len(targets) > 50
    assert [each.tests for each in targets if not (ROOT / each.tests).exists()] == []


def run(folder: Path, *, tests: str, excuses: str = "") -> tuple[int, str]:
    """Run the script on one module of a project of its own; return exit code and output."""
    for name in ("mutants", "mutated.py", "mutations.py"):
        (folder / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    for path, text in {
        "nodeimpl/__init__.py": "",
        "nodeimpl/toy/__init__.py": "",
        "nodeimpl/toy/rules.py": RULES,
        "tests/conftest.py": FREEZING,
        "tests/nodeimpl/toy/test_rules.py": tests,
        "docs/mutants.md": excuses,
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    command = [sys.executable, "scripts/mutants", "--jobs", "2"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=folder, env=alone, check=False, capture_output=True, text=True, timeout=140
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_mistake_that_no_test_notices_is_told(tmp_path: Path) -> None:
    """A function's code and a module's constant: the quick way and the thorough one."""
    code, said = run(tmp_path, tests=TESTS)
    assert code == 1, said
    assert "nodeimpl/toy/rules.py:5: nobody noticed" in said
    assert said.count("nobody noticed") == 2
    assert "  `if asked > LIMIT:`\n  → `if asked >= LIMIT:`" in said
    assert "  `LIMIT = 5`\n  → `LIMIT = 4`" in said
    assert "7 planted, 5 noticed (4 quickly), 0 excused, 2 not noticed" in said


@pytest.mark.slow
def test_all_is_well_when_tests_notice_each_or_the_list_says_why_not(tmp_path: Path) -> None:
    assert run(tmp_path, tests=TESTS + BOUNDARY)[0] == 0
    assert run(tmp_path, tests=TESTS, excuses=EXCUSED)[0] == 0


@pytest.mark.slow
def test_an_excuse_that_is_needed_no_more_is_told(tmp_path: Path) -> None:
    code, said = run(tmp_path, tests=TESTS + BOUNDARY, excuses=EXCUSED)
    assert code == 1, said
    assert said.count("excuses what is noticed or gone") == 2


@pytest.mark.slow
def test_tests_that_fail_without_a_mistake_notice_nothing(tmp_path: Path) -> None:
    code, said = run(tmp_path, tests=TESTS + "\ndef test_wrong():\n    assert False\n")
    assert code == 2
    assert "fails without any mistake" in said

"""The project keeps its own house: sizes, words, documents and tests agree with the source."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

import opkit.wire
from opkit.wire.endpoint import ENDPOINTS
from opkit.wire.errors import REFUSALS

pytestmark = pytest.mark.usefixtures("unmeasured")

Node = TypeVar("Node", bound=ast.AST)

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ("bench", "devnet", "flows", "nodeimpl", "opkit", "scripts", "tests")
FOLDERS = {".ci", "bench", "devnet", "docs", "flows", "locks", "nodeimpl", "notebooks", "opkit"}
FOLDERS |= {"scripts", "tests", "wasm"}
FILES = {".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile"}
FILES |= {"README.md", "environment.yml", "pyproject.toml"}
FILE_LINES_MAX, FUNCTION_LINES_MAX, COLUMNS_MAX = 500, 70, 100

SLEEPS = {"time.sleep", "asyncio.sleep", "sleep"}
FOR_EVER_S = 5
"""A sleep of this length or more plays somebody who hangs: the test does not wait for its end."""
MAY_SLEEP = {
    "tests/opkit/story/test_waiting.py": "plays a node that holds a long poll open",
}
"""Tests that may sleep, and why no condition can be awaited instead."""

NEVER_SAID = [
    "/wo" + "rk/",
    "../sha" + "red",
    ".libr" + "ary/",
    "sub" + "agent",
    "house" + ".md",
    "trust" + ".md",
    "pypi" + ".org",
    "python" + "hosted",
    "npmjs" + ".org",
    "index" + "-url",
]
"""What names a place or a page outside the project (spelled so that this file may say it)."""

NOTEBOOK_MAY_IMPORT = {"asyncio", "datetime", "devnet", "flows", "json", "opkit", "os", "pathlib"}
NOTEBOOK_MAY_IMPORT |= {"pandas"}


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths of all files that belong to the project and are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return tuple(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file())


def matching(*suffixes: str, under: tuple[str, ...] = ()) -> list[str]:
    """Return tracked paths by suffix, within the named top folders if any are named."""
    return [
        path
        for path in tracked()
        if path.endswith(suffixes) and (not under or path.split("/")[0] in under)
    ]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def is_binary(path: str) -> bool:
    return b"\0" in (ROOT / path).read_bytes()[:8192]


@cache
def tree_of(path: str) -> ast.Module:
    return ast.parse(text_of(path), filename=path)


def nodes(path: str, kind: type[Node]) -> Iterator[Node]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, kind))


@cache
def functions(path: str) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    walked = ast.walk(tree_of(path))
    return tuple(n for n in walked if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def assert_none(found: Iterable[str]) -> None:
    """Fail with all that was found, one a line."""
    lines = sorted(found)
    assert not lines, "\n" + "\n".join(lines)


def test_nothing_lies_about_at_the_top() -> None:
    top = {path.split("/")[0] for path in tracked()}
    assert_none(top - FOLDERS - FILES)


def test_no_file_is_long() -> None:
    suffixes = (".py", ".js", ".mjs", ".c", ".sh", ".toml")
    lengths = {path: text_of(path).count("\n") for path in matching(*suffixes)}
    assert_none(f"{path}: {n} lines" for path, n in lengths.items() if n > FILE_LINES_MAX)


def test_no_function_is_long() -> None:
    long = [
        f"{path}:{node.lineno} {node.name} ({length(node)} lines)"
        for path in matching(".py", under=SOURCE)
        if "/migrations/versions/" not in path  # Written by Alembic, one statement after another.
        for node in functions(path)
        if length(node) > FUNCTION_LINES_MAX
    ]
    assert_none(long)


def test_no_line_is_wide() -> None:
    scripts = [path for path in matching("") if path.startswith(("scripts/", ".ci/"))]
    assert_none(
        f"{path}:{number}"
        for path in {*matching(".py", ".c", ".mjs", ".js"), *scripts, "Makefile"}
        if "/vendor/" not in path  # Kept byte for byte as it was published.
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if len(line) > COLUMNS_MAX
    )


def test_no_file_names_what_is_outside_the_project() -> None:
    said = [
        f"{path}: {word}"
        for path in tracked()
        if not is_binary(path)
        for word in NEVER_SAID
        if word in text_of(path)
    ]
    assert_none(said)


def test_every_exemption_has_its_reason() -> None:
    exempt = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)(?P<rest>.*)")
    codes = re.compile(r"^(\[[^]]*\]|: *[A-Z]+[0-9]+(, *[A-Z]+[0-9]+)*|: *no (cover|branch))")
    words = re.compile(r"[A-Za-z`']+[ ,]+[A-Za-z`']+")
    assert_none(
        f"{path}:{number}"
        for path in matching(".py", under=SOURCE)
        if path != "tests/test_tidy.py"
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if (found := exempt.search(line)) and not words.search(codes.sub("", found["rest"]))
    )


def test_no_exception_is_swallowed_whole() -> None:
    """A handler for everything is allowed where it raises again; suppressing everything is not."""
    broad = {"Exception", "BaseException"}
    swallowed = [
        f"{path}:{node.lineno}"
        for path in matching(".py", under=SOURCE)
        for node in nodes(path, ast.Call)
        if "suppress" in ast.unparse(node.func)
        and any(ast.unparse(argument) in broad for argument in node.args)
    ]
    assert_none(swallowed)


def sleeps(node: ast.AST, *, in_loop: bool = False) -> Iterator[ast.Call]:
    """Return the calls that sleep for a time; looking again and again is no such."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and ast.unparse(child.func) in SLEEPS and not in_loop:
            time_s = child.args[0].value if isinstance(child.args[0], ast.Constant) else None
            if not isinstance(time_s, int | float) or 0 < time_s < FOR_EVER_S:
                yield child
        yield from sleeps(child, in_loop=in_loop or looks_again(child))


def looks_again(node: ast.AST) -> bool:
    """Return whether a node is a loop that ends when something has come true."""
    if isinstance(node, ast.For):
        return any(isinstance(inner, ast.Break | ast.Return) for inner in ast.walk(node))
    return isinstance(node, ast.While)


def test_no_test_or_flow_sleeps_in_place_of_a_condition() -> None:
    """A sleep is in a loop that looks again, somebody who hangs, or says beside it why it is."""
    bare = {
        path: call.lineno
        for path in matching(".py", under=("tests", "flows"))
        for call in sleeps(tree_of(path))
        if "#" not in text_of(path).splitlines()[call.lineno - 1]
    }
    assert_none(f"{path}:{bare[path]}: await a condition" for path in bare.keys() - MAY_SLEEP)
    assert_none(f"{path}: no longer needs to sleep" for path in MAY_SLEEP.keys() - bare)


def test_every_decision_record_is_numbered_and_whole() -> None:
    records = sorted(path.name for path in (ROOT / "docs/adr").glob("*.md"))
    numbers = [int(name[:4]) for name in records]
    assert numbers == list(range(len(records))), records
    for name in records:
        text = text_of(f"docs/adr/{name}")
        assert text.startswith(f"# {int(name[:4]):04}"), f"{name}: first line `# NNNN: Title`"
        for section in ("## Context", "## Decision", "## Consequences"):
            assert section in text, f"{name} lacks {section}"


def test_every_cited_decision_record_exists() -> None:
    numbers = {path.name[:4] for path in (ROOT / "docs/adr").glob("*.md")}
    cited = {
        (path, number)
        for path in matching(".py", ".md", ".c", ".toml")
        for number in re.findall(r"\bADR (\d{4})\b", text_of(path))
    }
    assert_none(f"{path}: ADR {number}" for path, number in cited if number not in numbers)


def test_every_module_that_a_document_names_exists() -> None:
    named = {
        (path, module)
        for path in matching(".md")
        for module in re.findall(r"`((?:\w+/)+\w+\.py)`", text_of(path))
    }
    assert_none(f"{path}: {module}" for path, module in named if module not in tracked())


@pytest.mark.parametrize("walk", ["One task, from call to receipt", "One event, from journal"])
def test_the_architecture_walks_through_modules_on_both_sides(walk: str) -> None:
    section = text_of("docs/architecture.md").split(f"## {walk}", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", section)
    assert len(named) >= 10
    assert {name.split("/")[0] for name in named} == {"nodeimpl", "opkit"}


def test_the_version_stands_in_one_voice() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert importlib.import_module("opkit").__version__ == version
    assert re.search(rf"^## \[{re.escape(version)}\]", text_of("CHANGELOG.md"), re.MULTILINE)


@cache
def contract() -> tuple[str, ...]:
    """Load every module of the contract, so that its registries are full."""
    modules = pkgutil.walk_packages(opkit.wire.__path__, prefix="opkit.wire.")
    return tuple(importlib.import_module(module.name).__name__ for module in modules)


def test_every_refusal_is_provoked_by_some_test() -> None:
    contract()
    tests = "\n".join(text_of(path) for path in matching(".py", under=("tests", "flows")))
    unprovoked = {
        leaf.__name__
        for leaf in REFUSALS.values()
        if leaf.__module__.startswith("opkit.wire")
        and not re.search(rf"\b{leaf.__name__}\b|\"{leaf.code}\"", tests)
    }
    assert_none(unprovoked)


def test_every_refusal_and_endpoint_is_documented() -> None:
    contract()
    text = text_of("docs/api.md")
    leaves = {c for c, leaf in REFUSALS.items() if leaf.__module__.startswith("opkit.wire")}
    assert_none(code for code in leaves if f"`{code}`" not in text)
    assert_none(e.path for e in ENDPOINTS.values() if e.path not in text)


def test_every_promise_cites_tests_and_markers_that_exist() -> None:
    cited = set(re.findall(r"`(test_\w+|[A-Z]+_[A-Z_]+)`", text_of("docs/threat-model.md")))
    sources = "\n".join(text_of(path) for path in matching(".py", under=("tests", "flows")))
    assert_none(
        name
        for name in cited
        if not re.search(rf"def {name}\b" if name.startswith("test_") else rf'"{name}"', sources)
    )


def stories() -> list[str]:
    return [path for path in matching(".py", under=("flows",)) if "@flow.step(" in text_of(path)]


def test_flows_obtain_evidence_by_expecting() -> None:
    made = [path for path in matching(".py", under=("flows",)) if "Evidence(" in text_of(path)]
    assert_none(made)


@pytest.mark.parametrize("path", stories())
def test_every_marker_can_be_lost(path: str) -> None:
    """Each marker of a story stands in the sabotage table of that story's test."""
    markers = set(re.findall(r"@flow\.step\(\s*\"([A-Z_]+)\"", text_of(path)))
    tests = "\n".join(
        text_of(test) for test in matching(".py", under=("tests",)) if "/flows/" in test
    )
    assert markers
    assert_none(marker for marker in markers if f'"{marker}"' not in tests)


def notebooks() -> list[str]:
    return matching(".ipynb")


@pytest.mark.parametrize("path", notebooks())
def test_notebooks_are_committed_without_outputs(path: str) -> None:
    """All but documentation, where a test runs every cell again and compares what it said."""
    cells = [c for c in json.loads(text_of(path))["cells"] if c["cell_type"] == "code"]
    if path.startswith("notebooks/docs/"):
        assert any(cell["outputs"] for cell in cells)
        return
    for cell in cells:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", notebooks())
def test_notebooks_tell_and_hold_no_logic(path: str) -> None:
    cells = [c for c in json.loads(text_of(path))["cells"] if c["cell_type"] == "code"]
    assert len(cells) <= 30
    for cell in cells:
        source = "".join(cell["source"])
        tree = ast.parse(source)
        for node in ast.walk(tree):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Try), source
            for name in imported(node):
                assert name in NOTEBOOK_MAY_IMPORT, f"{path} imports {name}"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    return []

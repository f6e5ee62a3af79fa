"""Notebooks tell stories and hold no logic; they are committed without outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from flows import FLOWS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELLS_MAX = 20
MAY_IMPORT = {"flows", "opkit", "devnet"}
LOGIC = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.Try,
    ast.While,
    ast.For,
    ast.If,
    ast.With,
)
PARAMETERS = ["profile", "seed", "devnet", "run_id"]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_of(path: Path) -> list[str]:
    cells = read(path)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def tree_of(source: str) -> ast.Module:
    return compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def markers_told(path: Path) -> list[str]:
    return [
        node.args[0].value
        for source in code_of(path)
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "step"
    ]


def test_there_is_a_notebook_for_every_flow():
    assert {path.name for path in NOTEBOOKS} == {flow.notebook for flow in FLOWS.values()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(path):
    for cell in read(path)["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert "papermill" not in cell["metadata"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_short_and_holds_no_logic(path):
    assert len(read(path)["cells"]) <= CELLS_MAX
    for source in code_of(path):
        found = [type(node).__name__ for node in ast.walk(tree_of(source))]
        assert not {kind.__name__ for kind in LOGIC} & set(found), source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_imports_only_what_it_may(path):
    for source in code_of(path):
        for node in ast.walk(tree_of(source)):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= MAY_IMPORT
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] in MAY_IMPORT


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_its_parameters_are_the_ones_that_the_runner_gives(path):
    tagged = [
        cell for cell in read(path)["cells"] if "parameters" in cell["metadata"].get("tags", [])
    ]
    assert len(tagged) == 1
    names = [node.targets[0].id for node in tree_of("".join(tagged[0]["source"])).body]
    assert names == PARAMETERS


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.name)
def test_it_tells_the_markers_of_its_flow_in_order_and_closes(flow):
    path = ROOT / "notebooks" / flow.notebook

    assert tuple(markers_told(path)) == flow.markers
    assert code_of(path)[-1] == "await story.close()"

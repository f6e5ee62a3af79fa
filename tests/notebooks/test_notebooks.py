"""Notebooks tell, show and explain; they hold no logic. The start page leads to all of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows import FLOWS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
START = FOLDER / "start.ipynb"
# JupyterLab keeps its own copies in hidden folders.
NOTEBOOKS = sorted(path for path in FOLDER.glob("**/*.ipynb") if path.parent.name[0] != ".")
FINDS = FOLDER / "explore_network.ipynb"
STORIES = sorted(path for path in FOLDER.glob("*.ipynb") if path not in (START, FINDS))
TOOLS = [START, FINDS, *sorted(FOLDER.glob("explore/*.ipynb"))]
DOCUMENTATION = sorted(FOLDER.glob("docs/*.ipynb"))
DASHBOARDS = sorted(FOLDER.glob("dashboards/*.ipynb"))
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
LINK = re.compile(r"\]\(([^)#:]+\.ipynb)\)")
PARAMETERS = ["profile", "seed", "devnet", "run_id"]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_of(path: Path) -> list[str]:
    cells = read(path)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def tree_of(source: str) -> ast.Module:
    return compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def links_of(path: Path) -> list[str]:
    cells = read(path)["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return LINK.findall(text)


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
    assert {path.name for path in STORIES} == {flow.notebook for flow in FLOWS.values()}


def test_every_notebook_is_of_some_kind():
    assert sorted([*STORIES, *TOOLS, *DOCUMENTATION, *DASHBOARDS]) == NOTEBOOKS


def test_the_start_page_leads_to_every_notebook_that_is_opened_by_hand():
    linked = {(START.parent / link).resolve() for link in links_of(START)}
    assert linked == {*STORIES, *TOOLS[1:], *DOCUMENTATION}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_a_notebook_links_to_exists(path):
    for link in links_of(path):
        assert (path.parent / link).resolve() in NOTEBOOKS, link


@pytest.mark.parametrize("path", [*STORIES, *TOOLS], ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(path):
    for cell in read(path)["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert "papermill" not in cell["metadata"]


@pytest.mark.parametrize("path", DOCUMENTATION, ids=lambda path: path.name)
def test_documentation_says_what_came_of_its_cells(path):
    """The outputs are held against the truth elsewhere; here, that they are there and small."""
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) >= len(cells) - 1
    assert path.stat().st_size < 64 * 1024
    assert "<style" not in path.read_text("utf-8")


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


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.name)
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

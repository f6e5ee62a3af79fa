"""The start page and the operators' notebooks run top to bottom on a network of real processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from devnet.state import is_running
from devnet.stop import stop_devnet
from opkit import home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
EXPLORE = [FOLDER / "explore_network.ipynb", *sorted(FOLDER.glob("explore/*.ipynb"))]
CELL_S_MAX = 250
HTML = "text/html"

Outputs = dict[str, list[Any]]


def run(path: Path) -> Outputs:
    """Run a notebook top to bottom; return what each code cell displayed, by the cell's id."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=CELL_S_MAX, shutdown_kernel="immediate")
    client.execute()
    return {
        cell["id"]: [output["data"] for output in cell["outputs"] if "data" in output]
        for cell in notebook.cells
        if cell["cell_type"] == "code"
    }


@pytest.fixture(scope="module")
def started() -> Iterator[Outputs]:
    """What the start page showed; the network that it started runs meanwhile."""
    # Short: the path of a Unix socket has at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ok-")
    before = os.environ.get("OPKIT_HOME")
    os.environ["OPKIT_HOME"] = folder
    try:
        yield run(FOLDER / "start.ipynb")
    finally:
        stop_devnet("default")
        os.environ.pop("OPKIT_HOME")
        if before is not None:
            os.environ["OPKIT_HOME"] = before
        shutil.rmtree(folder)


def test_the_start_page_starts_a_network_and_shows_it(started):
    bar, desk = started["open"]
    assert "Starting devnet default" in bar[HTML]
    assert "A network of 3 nodes" in desk[HTML]
    assert "net.nodes.harbor_homes_cooperative" in desk[HTML]
    assert "net.flows.a" in desk[HTML]
    (status,) = started["status"]
    assert status[HTML].count("up</span>") == 3
    assert is_running(home.devnet_folder("default"))


def test_a_network_is_explored(started):
    shown = run(FOLDER / "explore" / "explore_a_network.ipynb")
    assert "<table" in shown["links"][0][HTML]
    assert "came up" in shown["events"][0][HTML]
    assert "node.started" in shown["counts"][0]["text/plain"]
    assert "signatures verified" in shown["trust"][0][HTML]


def test_a_receipt_is_replayed_and_a_forged_one_found(started):
    shown = run(FOLDER / "explore" / "replay_a_receipt.ipynb")
    assert "hugo 879" in shown["run"][-1][HTML]
    assert ">verified</b>" in shown["verify"][0][HTML]
    assert ">verified</b>" in shown["replay"][-1][HTML]
    assert ">failed</b>" in shown["forge"][-1][HTML]
    assert "brightworks-cooperative/leila" in shown["older"][-1][HTML]


def test_two_nodes_are_compared(started):
    shown = run(FOLDER / "explore" / "compare_two_nodes.ipynb")
    assert "River City Tool Library and Harbor Homes Cooperative" in shown["compare"][-1][HTML]
    assert "<table" in shown["members"][0][HTML]


def test_it_is_shown_how_the_network_finds_and_spreads(started):
    shown = run(FOLDER / "explore_network.ipynb")
    assert "What it knows of the network" in shown["overlay"][0][HTML]
    assert "1 record under this name" in shown["provide"][0][HTML]
    assert "nearest to the name" in shown["route"][0][HTML]
    assert "<th>place</th>" in shown["frames"][0][HTML]
    assert shown["spread"][-1][HTML].count(" ms</td>") == 3
    assert "3 of 3 nodes were seen to have it" in shown["spread-plot"][0][HTML]
    assert "Open on Saturday" in shown["found"][0][HTML]
    assert "score_milli" in shown["mesh"][0][HTML]
    assert "found_percent" in shown["simulate"][0][HTML]
    assert "How do hops grow with the network?" in shown["hops"][0][HTML]
    assert "How fast does gossip reach everybody?" in shown["coverage"][0][HTML]


def test_every_operators_notebook_is_run_here():
    tested = Path(__file__).read_text("utf-8")
    assert EXPLORE
    assert all(path.name in tested for path in EXPLORE)

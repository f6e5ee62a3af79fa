"""Recording a story as a command: one signed page, from a network of its own or a running one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.launch import Launched, launch
from devnet.state import is_running, list_devnets, load_state
from opkit import home
from opkit.views.replay import embedded_evidence_text

Run = Callable[..., Any]


@pytest.fixture
def running() -> Iterator[Launched]:
    """Hold a network of three nodes that is ready."""
    launched = launch(name="t", profile="three", seed=7)
    try:
        launched.wait_ready()
        yield launched
    finally:
        launched.down()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "flows: a"),
        (["a", "--profile", "nonsense"], 2, "three or federation"),
        (["a", "--devnet", "none"], 1, "none"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_anything_starts(
    run: Run, arguments: list[str], code: int, said: str
) -> None:
    done = run("record", *arguments)
    assert done.code == code
    assert said in done.err
    assert list_devnets() == ()


def test_a_page_that_exists_is_not_written_over(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "replay.html"
    page.write_text("mine")
    done = run("record", "a", "--out", page)
    assert done.code == 2
    assert "a replay is made new" in done.err
    assert page.read_text() == "mine"


def test_a_file_that_is_no_replay_is_a_mistake(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>no</p>")
    done = run("report", "verify", page)
    assert done.code == 2
    assert "is no replay" in done.err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("unmeasured_processes")
def test_a_story_is_recorded_on_a_network_of_its_own_and_verifies_until_it_is_changed(
    opkit: Run, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "replay.html"
    done = opkit("record", "a", "--out", page, "--json")
    assert done.code == 0, done.err
    said = done.json
    assert said["ok"] and said["shown"] == said["planned"]
    assert said["replay"] == str(page)
    assert said["size_bytes"] == page.stat().st_size < 4_000_000
    assert said["length_ms"] > 60_000
    assert list_devnets() == ()

    verified = opkit("report", "verify", page, "--json")
    assert verified.code == 0, verified.out
    assert verified.json["status"] == "verified"
    names = [check["name"] for check in verified.json["checks"]]
    assert "a RECEIPT_VERIFIED: receipt, receipt-signature" in names
    assert "a MODULE_DEPLOYED: bytes" in names

    page.write_text(page.read_text().replace("879", "978", 1))
    assert opkit("report", "verify", page).code == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("unmeasured_processes")
def test_a_story_is_recorded_on_a_running_network_which_goes_on(
    opkit: Run, running: Launched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "replay.html"
    done = opkit("record", "--devnet", "t", "--pace", "0", "--out", page)
    assert done.code == 0, done.err
    assert "FLOW_OK a" in done.out
    assert "MODULE_DEPLOYED" in done.err
    state = load_state("t")
    assert is_running(state.folder)
    told = json.loads(embedded_evidence_text(page.read_text()))
    assert told["network"] == state.network
    assert {node["org"] for node in told["nodes"]} == {node.org for node in state.nodes}

    genesis = home.genesis_file(state.network)
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("OPKIT_HOME", str(elsewhere))
    assert opkit("report", "verify", page).code == 4
    assert opkit("report", "verify", page, "--genesis", genesis).code == 0
    monkeypatch.setenv("OPKIT_HOME", os.fspath(genesis.parent.parent))

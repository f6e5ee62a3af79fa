"""Witnesses as an operator sees them: who has seen whose journal, and whom that stops."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.layout import last_words
from opkit import home

Run = Callable[..., Any]
RIVER = "river-city-tool-library"
WAIT_S = 100


def say(typed: Run, *words: object) -> Any:
    """Run a command that must succeed."""
    ran = typed(*words)
    assert ran.code == 0, (words, ran.out, ran.err)
    return ran


def until(told: Callable[[], Any]) -> Any:
    """Return what `told` returns, once that is true."""
    end = time.monotonic() + WAIT_S
    while not (said := told()):
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.2)
    return said


def river(typed: Run) -> dict[str, Any]:
    """Return what another node knows of the journal of one."""
    said = say(typed, "journal", "witnesses", "--node", "harbor-homes-cooperative", "--json")
    (found,) = [node for node in said.json["nodes"] if node["org"] == RIVER]
    return dict(found)


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(400)
def test_a_whole_folder_of_yesterday_is_stopped_by_who_saw_more(typed: Run, tmp_path: Path) -> None:
    """Mark and all were put back: the node itself cannot tell. Its peers hold its own head."""
    say(typed, "devnet", "up", "--json")
    try:
        until(lambda: river(typed)["witnesses"] == 2)
        table = say(typed, "journal", "witnesses").out
        assert "witnesses" in table
        assert RIVER in table
        say(typed, "devnet", "down")
        (folder,) = (home.state_home() / "devnets").glob(f"*/nodes/{RIVER}")
        shutil.copytree(folder / "data", tmp_path / "yesterday")
        say(typed, "devnet", "up", "--json")
        kept = json.loads((tmp_path / "yesterday" / "history-mark.json").read_text())["size"]
        until(lambda: river(typed)["size"] > kept)
        say(typed, "devnet", "down")
        shutil.rmtree(folder / "data")
        shutil.copytree(tmp_path / "yesterday", folder / "data")

        typed("devnet", "up")  # Whether it is ready for a moment, or not at all, is of no matter.
        # It ends by itself once it has heard of all that others hold: a stop would cut that short,
        # and its next start would be refused once more.
        until(lambda: last_words(folder / "node.log")[0].startswith("the node had to stop"))
        until(lambda: not (folder / "ready.json").exists())
        typed("devnet", "down")
        refused = typed("devnet", "up")
        assert refused.code == 1
        # It may have written as much again before it was told, so it is short or another one.
        assert "the database has" in refused.err
        assert "opkit node new-generation" in refused.err
        opened = say(typed, "node", "new-generation", folder / "config.toml", "--json")
        assert opened.json["lost"]["size"] > kept
        say(typed, "devnet", "up", "--json")
        generation = opened.json["generation"]
        until(lambda: river(typed)["generation"] == generation)
        assert river(typed)["unproven"] is None
    finally:
        assert typed("devnet", "down").code == 0

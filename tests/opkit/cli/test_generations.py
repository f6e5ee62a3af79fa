"""Yesterday's database under a real devnet, as its operator sees it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opkit import home

Run = Callable[..., Any]
UPPER = Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm"
RIVER = "river-city-tool-library"


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(400)
def test_yesterdays_database_is_refused_and_what_it_lost_is_told(
    typed: Run, tmp_path: Path
) -> None:
    """Down, copy, up, work, down, put the copy back; then up is refused until it is told."""
    heads = {when: tmp_path / f"{when}.json" for when in ("early", "late")}
    receipt = tmp_path / "receipt.json"
    say(typed, "devnet", "up", "--json")
    try:
        said = say(typed, "wasm", "deploy", UPPER, "--as", "mara", "--json")
        done = ("compute", "submit", said.json["wasm_hash"], "--input", "hello", "--as", "mara")
        say(typed, *done, "--executor", RIVER, "--receipt", receipt)
        say(typed, "journal", "verify", "--keep", heads["early"])
        say(typed, "devnet", "down")
        (folder,) = (home.state_home() / "devnets").glob(f"*/nodes/{RIVER}")
        shutil.copytree(folder / "data", tmp_path / "yesterday")
        say(typed, "devnet", "up", "--json")
        say(typed, *done, "--executor", RIVER)
        say(typed, "journal", "verify", "--keep", heads["late"], "--earlier", heads["early"])
        say(typed, "devnet", "down")

        for path in (folder / "data").glob("node.db*"):
            path.unlink()
        for path in (tmp_path / "yesterday").glob("node.db*"):
            shutil.copy(path, folder / "data" / path.name)
        refused = typed("devnet", "up")
        assert refused.code == 1
        assert "it is an old one" in refused.err
        assert "opkit node new-generation" in refused.err

        config = folder / "config.toml"
        opened = say(typed, "node", "new-generation", config, "--reason", "disk lost", "--json")
        after, lost = opened.json["after"]["size"], opened.json["lost"]["size"]
        assert after < lost
        say(typed, "devnet", "up", "--json")
        again = typed("node", "new-generation", config)
        assert again.code == 1
        assert "in use by process" in again.err
        grown = say(typed, "journal", "verify", "--earlier", heads["early"])
        assert f"opened by the operator after {after:,} entries" in grown.out
        assert "disk lost" in grown.out
        gone = typed("journal", "verify", "--earlier", heads["late"], "--json")
        assert gone.code == 1
        (no,) = [check for check in gone.json["checks"] if not check["ok"]]
        size = size_of(heads["late"])
        assert no["name"] == "kept-when-generation-ended"
        assert no["actual"].endswith(f": {size - after} were lost")
        say(typed, "receipt", "verify", receipt)
        say(typed, *done, "--executor", RIVER)
    finally:
        assert typed("devnet", "down").code == 0


def say(typed: Run, *words: object) -> Any:
    """Run a command that must succeed."""
    ran = typed(*words)
    assert ran.code == 0, (words, ran.out, ran.err)
    return ran


def size_of(head: Path) -> int:
    from opkit.proof.history import read_head

    return read_head(json.loads(head.read_text())["head"], genesis=None).size

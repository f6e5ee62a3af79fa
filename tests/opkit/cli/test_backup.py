"""`opkit node backup|restore`, as the operator of a running node types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opkit import home

Run = Callable[..., Any]
UPPER = Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm"
RIVER = "river-city-tool-library"


def say(typed: Run, *words: object) -> Any:
    """Run a command that must succeed."""
    ran = typed(*words)
    assert ran.code == 0, (words, ran.out, ran.err)
    return ran


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.timeout(500)
def test_a_node_is_backed_up_while_it_runs_and_put_back(typed: Run, tmp_path: Path) -> None:
    """One network for all: starting one costs seconds."""
    monday, keyed = tmp_path / "monday", tmp_path / "keyed"
    say(typed, "devnet", "up", "--json")
    try:
        said = say(typed, "wasm", "deploy", UPPER, "--as", "mara", "--json")
        module = said.json["wasm_hash"]
        (folder,) = (home.state_home() / "devnets").glob(f"*/nodes/{RIVER}")
        config = folder / "config.toml"
        made = say(typed, "node", "backup", config, monday, "--json")
        assert made.json["blobs"] >= 1
        assert made.json["key"].startswith("not in it")
        again = typed("node", "backup", config, monday)
        assert again.code == 1
        assert "is there already" in again.err
        looked = say(typed, "node", "restore", monday, "--verify", "--json")
        assert looked.json["status"] == "verified"
        running = typed("node", "restore", monday, config, "--replace")
        assert running.code == 1
        assert "in use by process" in running.err
        say(typed, "wasm", "deploy", UPPER.with_name("spin.wasm"), "--as", "mara")
        later = say(typed, "node", "backup", config, keyed, "--with-key")
        assert "guard this folder like the key" in later.out
        say(typed, "devnet", "down")
        there = typed("node", "restore", monday, config)
        assert there.code == 1
        assert "--replace moves it aside" in there.err
        done = say(typed, "node", "restore", monday, config, "--replace", "--json")
        assert done.json["journal_entries"] == made.json["journal_entries"]
        assert "it knew of" in done.json["lost"]
        assert Path(done.json["moved_aside"]).is_dir()
        say(typed, "devnet", "up", "--json")
        say(typed, "wasm", "get", module, "--as", "mara", "--out", tmp_path / "upper.wasm")
        assert (tmp_path / "upper.wasm").read_bytes() == UPPER.read_bytes()
        say(typed, "journal", "verify", "--earlier", monday / "head.json")
    finally:
        assert typed("devnet", "down").code == 0
    check_elsewhere(typed, tmp_path, monday=monday, keyed=keyed)


def check_elsewhere(typed: Run, tmp_path: Path, *, monday: Path, keyed: Path) -> None:
    """Put it back on a machine with nothing but a configuration."""
    folder = tmp_path / "elsewhere"
    made = say(typed, "node", "init", folder, "--org", RIVER, "--json")
    config = Path(made.json["config"])
    other = typed("node", "restore", monday, config)
    assert other.code == 1
    assert "and the key here of" in other.err
    for name in ("keystore.json", "keystore.key"):
        (folder / name).unlink()
    none = typed("node", "restore", monday, config)
    assert none.code == 1
    assert "the node's key is not at" in none.err
    assert "put keystore.json and keystore.key" in none.err
    done = say(typed, "node", "restore", keyed, config, "--json")
    assert done.json["lost"] == "nothing that this machine knows of"
    assert (folder / "genesis.jws").exists()
    assert (folder / "keystore.key").stat().st_mode & 0o077 == 0


def test_what_cannot_be_restored_is_told_in_a_line(run: Run, tmp_path: Path) -> None:
    none = run("node", "restore", tmp_path, "--verify")
    assert none.code == 1
    assert "is no backup" in none.err
    assert "`opkit node backup` makes one" in none.err
    nothing = run("node", "restore", tmp_path)
    assert nothing.code == 2
    assert "name it, or --verify" in nothing.err

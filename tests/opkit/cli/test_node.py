"""Setting up one node of an existing network."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.config import load_config
from opkit import home
from opkit.proof import keystore

Run = Callable[..., Any]
ORG = "harbor-homes-cooperative"


@pytest.fixture
def made(tmp_path: Path) -> MadeWorld:
    """Make a network and put its genesis and one node's key where files would be."""
    made = make_world("three", now_ms=1_767_225_600_000)
    (tmp_path / "network.jws").write_text(made.genesis, "ascii")
    secret = bytes(range(32))
    (tmp_path / "own.key").write_bytes(secret)
    sealed = keystore.seal({"node": made.nodes[ORG].seed}, secret=secret)
    (tmp_path / "own.json").write_bytes(sealed)
    return made


def test_a_key_is_made_before_there_is_a_genesis_and_stays(run: Run, tmp_path: Path) -> None:
    first = run("node", "init", tmp_path / "n", "--org", ORG, "--json")
    second = run("node", "init", tmp_path / "n", "--org", ORG, "--json")
    assert first.code == second.code == 0
    assert first.json["did"] == second.json["did"]
    assert "hand the DID to the operator" in first.json["next"]
    assert stat.S_IMODE((tmp_path / "n" / "keystore.key").stat().st_mode) == 0o600


def test_a_configuration_that_was_edited_stays_when_the_genesis_comes(
    run: Run, tmp_path: Path, made: MadeWorld
) -> None:
    folder = tmp_path / "n"
    run("node", "init", folder, "--org", ORG, "--keystore", tmp_path / "own.json")
    config = folder / "config.toml"
    edited = config.read_text("utf-8") + '\n[compute]\naccept_members = ["-/ada"]\n'
    config.write_text(edited, "utf-8")
    said = run(
        "node", "init", folder, "--org", ORG, "--genesis", tmp_path / "network.jws", "--json"
    )
    assert said.code == 0, said.err
    assert said.json["next"].startswith("opkit node run")
    assert (folder / "genesis.jws").read_text("ascii") == made.genesis
    other = run("node", "init", folder, "--org", "another-coop")
    more = run("node", "init", folder, "--org", ORG, "--peer", "did:key:x@127.0.0.1:1")
    assert (other.code, more.code) == (2, 2)
    assert "hint: edit it, or name another folder" in other.err
    assert "hint: add [[p2p.peers]]" in more.err
    assert config.read_text("utf-8") == edited


def test_an_organisation_that_no_genesis_can_name_leaves_nothing(run: Run, tmp_path: Path) -> None:
    said = run("node", "init", tmp_path / "n", "--org", "Our Coop")
    assert said.code == 2
    assert "hint: use a-z, 0-9 and hyphens" in said.err
    assert not (tmp_path / "n").exists()


def test_a_configuration_that_is_not_there_is_one_line_with_a_hint(
    run: Run, tmp_path: Path
) -> None:
    for command in (("node", "run"), ("node", "backup"), ("node", "new-generation")):
        more = (tmp_path / "to",) if command[1] == "backup" else ()
        said = run(*command, tmp_path / "none.toml", *more)
        assert said.code == 2
        why, hint = said.err.splitlines()
        assert why == f"opkit: {tmp_path / 'none.toml'}: No such file or directory"
        assert hint.startswith("  hint: is the path right?")


def test_with_key_and_genesis_the_configuration_is_whole(
    run: Run, tmp_path: Path, made: MadeWorld
) -> None:
    said = run(
        "node", "init", tmp_path / "n", "--org", ORG, "--genesis", tmp_path / "network.jws",
        "--keystore", tmp_path / "own.json", "--peer", f"{made.operator.did}@127.0.0.1:4433",
        "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.json["did"] == made.nodes[ORG].did
    assert said.json["next"].startswith("opkit node run")
    config = load_config(Path(said.json["config"]))
    assert config.node.org == ORG
    assert config.p2p.peers[0].addresses == ("127.0.0.1:4433",)
    assert home.genesis_file(made.view.network).exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--org", "nobody"], "names no organisation"),
        (["--org", ORG], "names another key"),
        (["--org", ORG, "--peer", "x"], "no DID@address"),
    ],
)
def test_a_genesis_that_does_not_name_this_node_is_refused(
    run: Run, tmp_path: Path, made: MadeWorld, arguments: list[str], expected: str
) -> None:
    said = run("node", "init", tmp_path / "n", "--genesis", tmp_path / "network.jws", *arguments)
    assert said.code == 2
    assert expected in said.err


def test_a_peer_without_address_is_refused(run: Run, tmp_path: Path) -> None:
    said = run("node", "init", tmp_path / "n", "--org", ORG, "--peer", "did:key:x")
    assert said.code == 2
    assert "no DID@address" in said.err


def test_every_problem_of_a_configuration_is_told_at_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[node]\ncolour = 1\n[gateway]\nport = 99999999\n", "utf-8")
    said = run("node", "run", path)
    assert said.code == 2
    assert "node.colour" in said.err
    assert "gateway.port" in said.err
    assert "Traceback" not in said.err

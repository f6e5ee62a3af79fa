"""`opkit card verify`: offline, with an exit code of its own where nobody knows whose key it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.cards.rules import node_card
from opkit.proof.cards import sign_card
from opkit.proof.keys import Identity
from opkit.wire.agents import CARD_BYTES_MAX, AgentParams


@pytest.fixture(scope="module")
def made() -> MadeWorld:
    return make_world("three", now_ms=1_767_225_600_000)


@pytest.fixture
def genesis(made: MadeWorld, tmp_path: Path) -> Path:
    file = tmp_path / "network.jws"
    file.write_text(made.genesis, "ascii")
    return file


def written(folder: Path, made: MadeWorld, agent: Identity, **changes: Any) -> Path:
    said = AgentParams(network=made.view.network, did=agent.did, sequence=7)
    bare = node_card(title="Translator", version="1", urls=["http://127.0.0.1:1"])
    file = folder / "card.json"
    card = sign_card(bare, agent=said, identity=agent) | changes
    file.write_text(json.dumps(card), "utf-8")
    return file


def test_the_exit_code_says_whether_a_card_holds_and_whose_it_is(
    run: Callable[..., Any], made: MadeWorld, genesis: Path, tmp_path: Path
) -> None:
    member, stranger = next(iter(made.members.values())), Identity.generate()
    card = written(tmp_path, made, member)
    good = run("card", "verify", card, "--genesis", genesis, "--json")
    assert (good.code, good.json["status"]) == (0, "verified")
    assert "Translator" in run("card", "verify", card, "--genesis", genesis).out
    assert run("card", "verify", card).code == 4, "this machine keeps no genesis of it"
    card = written(tmp_path, made, stranger)
    assert run("card", "verify", card, "--genesis", genesis).code == 4
    card = written(tmp_path, made, member, version="2")
    bad = run("card", "verify", card, "--genesis", genesis, "--json")
    assert (bad.code, bad.json["status"]) == (1, "failed")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 0.5}', " " * (2 * CARD_BYTES_MAX + 1)])
def test_what_is_no_card_is_told_so(run: Callable[..., Any], tmp_path: Path, text: str) -> None:
    file = tmp_path / "card.json"
    file.write_text(text, "utf-8")
    assert run("card", "verify", file).code == 2
    file.write_text("{}", "utf-8")
    assert run("card", "verify", file).code == 1


def test_a_token_signs_no_card_and_an_agent_is_named_by_its_key(
    run: Callable[..., Any], made: MadeWorld, tmp_path: Path, genesis: Path
) -> None:
    (tmp_path / "agent.json").write_text("{}", "utf-8")
    (tmp_path / "token").write_text("a.b.c", "ascii")
    did = made.view.genesis.nodes[0].did
    foreign = ("--url", "http://127.0.0.1:9", "--did", did, "--token", tmp_path / "token")
    ran = run("card", "publish", tmp_path / "agent.json", *foreign, "--genesis", genesis)
    assert ran.code == 2
    assert "signs nothing" in ran.err
    ran = run("card", "resolve", "mara", *foreign, "--genesis", genesis)
    assert ran.code == 2
    assert "names no key" in ran.err

"""`opkit journal` against real nodes, and what it keeps, checked where no node is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from opkit import home
from opkit.cli import journal
from opkit.proof.history import read_head
from opkit.wire.endpoint import Scope
from opkit.wire.journal import HEAD, AskJournalHead, JournalOrigin
from opkit.wire.witness import WitnessedNode
from tests.opkit.proof.conftest import make_network, make_parts

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
UPPER = ROOT / "wasm" / "upper.wasm"
HARBOR = "harbor-homes-cooperative"
UNCUT = JournalOrigin(generation=1, openings=())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_journal_is_verified_and_an_entry_of_it_offline(
    typed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One network for all: starting one costs seconds."""
    head, entry = tmp_path / "head.json", tmp_path / "entry.json"
    up = typed("devnet", "up", "--json")
    assert up.code == 0, up.err
    try:
        first = typed("journal", "verify", "--keep", head, "--json")
        assert (first.code, first.json["status"]) == (0, "verified"), first.out
        assert typed("wasm", "deploy", UPPER, "--as", "mara").code == 0
        again = typed("journal", "verify", "--earlier", head, "--verbose")
        assert again.code == 0, again.out
        assert "✓ only-grew" in again.out
        elsewhere = typed("journal", "verify", "--node", HARBOR, "--earlier", head, "--json")
        assert elsewhere.code == 1
        failed = [check["name"] for check in elsewhere.json["checks"] if not check["ok"]]
        assert "same-node" in failed
        proven = typed("journal", "prove", "2", "--out", entry, "--json")
        assert (proven.code, proven.json["status"]) == (0, "verified"), proven.err
        beyond = typed("journal", "prove", "1000000", "--out", tmp_path / "none.json")
        assert beyond.code == 1
        assert "proof-misplaced" in beyond.err
        assert not (tmp_path / "none.json").exists()
    finally:
        assert typed("devnet", "down").code == 0
    assert typed("journal", "verify", entry).code == 0
    (genesis,) = (home.state_home() / "genesis").glob("*.jws")
    monkeypatch.setenv("OPKIT_HOME", str(tmp_path / "elsewhere"))
    unknown = typed("journal", "verify", entry, "--json")
    assert (unknown.code, unknown.json["status"]) == (4, "consistent, signer unknown")
    assert typed("journal", "verify", entry, "--genesis", genesis).code == 0
    changed = json.loads(entry.read_text("utf-8"))
    changed["entry"]["at_ms"] += 1
    entry.write_text(json.dumps(changed), "utf-8")
    assert typed("journal", "verify", entry, "--genesis", genesis).code == 1


def test_a_journal_with_hidden_entries_is_not_called_verified() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            client = world.operator(HARBOR)
            signed = await client.call(HEAD, AskJournalHead())
            head = read_head(signed.head, genesis=world.genesis)
            token = await client.login(scopes=(Scope.EVENTS_READ,))
            _, (checked,) = await journal._rebuild(client.with_token(token.token), head, UNCUT)
            assert not checked.ok
            assert "hidden from these scopes" in checked.actual
            await client.login()
            _, (checked,) = await journal._rebuild(client, head, UNCUT)
            assert checked.ok

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_file_that_is_no_proof_is_a_mistake_with_a_hint(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}", "utf-8")
    said = run("journal", "verify", file)
    assert said.code == 2
    assert "is not the proof of an entry" in said.err
    assert "opkit journal prove" in said.err
    early = run("journal", "verify", "--earlier", file)
    assert early.code == 2
    assert "--keep FILE" in early.err
    both = run("journal", "verify", file, "--keep", file)
    assert both.code == 2
    assert "go with a node" in both.err
    file.write_bytes(b" " * (4 * 2**20 + 1))
    assert run("journal", "verify", file).code == 2


def test_nobody_is_shown_as_forked_on_the_word_of_whoever_answers() -> None:
    network = make_network(make_parts())
    node = network.nodes["tool-library"].did
    told = WitnessedNode(
        node=node, head=None, generation=0, size=0, asked_at_ms=None, witnesses=0, forks=2
    )
    said, checks = journal._witnessed(told, network.view)
    assert (said["org"], said["forks"], said["wrong"]) == ("tool-library", 0, ["0 are shown"])
    assert [check.name for check in checks if not check.ok] == ["forks-shown"]

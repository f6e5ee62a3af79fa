"""Rehearsing: go or no-go, and nothing about the running network is changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.control import ask_supervisor
from devnet.launch import launch
from devnet.state import load_state
from opkit import home
from opkit.cli import chaos
from opkit.client import NodeClient
from opkit.wire.network import LinkRecovered, LinkWorsened, PeerConnected, PeerLost
from opkit.wire.overlay import RecordsRepaired
from opkit.wire.witness import JournalWitnessed

Run = Callable[..., Any]

BY_ITSELF = (
    *(PeerConnected.type, PeerLost.type, LinkWorsened.type, LinkRecovered.type),
    RecordsRepaired.type,
)
"""What may happen between nodes at any time, on a busy machine: a link is slow, lost and found."""

WAIT_S = 100

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("unmeasured_processes"),
]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Hold one network of three nodes for all tests, and yield the state directory it is in."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("OPKIT_HOME", str(folder))
        launched = launch(name="t", profile="three", seed=7)
        try:
            launched.wait_ready()
            yield folder
        finally:
            launched.down()


@pytest.fixture(autouse=True)
def running(held: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the state directory of that network."""
    monkeypatch.setenv("OPKIT_HOME", str(held))


class Reader:
    """Reads whole journals with tokens of its own, got before anything is compared."""

    def __init__(self) -> None:
        self.state = load_state("t")
        self.tokens = asyncio.run(self._tokens())

    async def _tokens(self) -> dict[str, str]:
        return {
            node.org: (await ask_supervisor(self.state.socket, "node-token", org=node.org))["token"]
            for node in self.state.nodes
        }

    def everything(self) -> dict[str, Any]:
        """Return every journal, the disturbances, and the nodes' processes."""
        return asyncio.run(asyncio.wait_for(self._everything(), WAIT_S))

    def everything_once_seen(self) -> dict[str, Any]:
        """Return everything once each node has seen each other's journal, which it tells once."""
        limit = time.monotonic() + WAIT_S
        others = len(self.state.nodes) - 1
        while True:
            found = self.everything()
            seen = [
                sum(kind == JournalWitnessed.type for kind, _ in journal)
                for journal in found["journals"].values()
            ]
            if min(seen) >= others:
                return found
            assert time.monotonic() < limit, seen
            time.sleep(0.2)

    async def _everything(self) -> dict[str, Any]:
        journals = {node.org: await self._journal(node.org) for node in self.state.nodes}
        status = await ask_supervisor(self.state.socket, "status")
        nodes = [(node["pid"], node["state"], node["url"]) for node in status["nodes"]]
        said = await ask_supervisor(self.state.socket, "disturbances")
        return {"journals": journals, "nodes": nodes, **said}

    async def _journal(self, org: str) -> list[Any]:
        """Return what a node did, and not what comes by itself."""
        node = self.state.node(org)
        client = NodeClient(url=node.url, node=node.did, network=self.state.network)
        async with client:
            reading = client.with_token(self.tokens[org])
            return [
                (entry.type, entry.body)
                async for page in reading.journal()
                for entry in page.entries
                if entry.type not in BY_ITSELF
            ]


def test_a_network_that_is_well_is_a_go_and_stays_as_it_is(run: Run) -> None:
    reader = Reader()
    before = reader.everything_once_seen()

    said = run("rehearse", "--json")

    assert said.code == 0, said.err
    assert said.json["go"] is True
    seen = {finding["name"]: finding["seen"] for finding in said.json["findings"]}
    assert seen["flow a is told whole"].startswith("FLOW_OK a 14/14")
    assert "telling on a copy of t (three)" in said.err
    assert reader.everything() == before
    assert [path.name for path in home.devnets_folder().iterdir()] == ["t"]


def test_a_network_that_is_not_well_is_a_no_go_with_what_helps(run: Run) -> None:
    assert run("devnet", "cut", "bright", "harbor").code == 0

    said = run("rehearse", "a", "--devnet", "t")

    assert said.code == 1
    assert "no-go" in said.out
    assert "all nodes are linked and no link is cut" in said.out
    assert "hint: opkit devnet heal" in said.out
    assert "FLOW_OK a 14/14" in said.out
    assert run("devnet", "heal").code == 0


def test_without_room_no_copy_is_started(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from devnet import checkup

    monkeypatch.setattr(checkup, "DISK_BYTES_MIN", 1 << 60)
    said = run("rehearse", "--json")
    assert said.code == 1
    assert said.json["go"] is False
    assert "copy" not in said.err
    assert not any(each["name"].startswith("flow") for each in said.json["findings"])


def test_mistakes_are_told_before_anything_is_started(run: Run) -> None:
    unknown = run("rehearse", "zzz")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no flow zzz" in unknown.err
    assert chaos.running_devnet(None).name == "t"

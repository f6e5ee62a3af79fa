"""Two nodes that nobody told of each other meet on a local network: here, on loopback."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.kernel.clock import RealClock
from opkit.client.node import NodeClient
from opkit.proof import keystore
from opkit.wire.network import PEERS, AskPeers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MARA = f"{RIVER}/mara"


def write(folder: Path, world: MadeWorld, org: str, p2p: list[str]) -> Path:
    """Write what the node of `org` needs and return its configuration."""
    folder.mkdir(mode=0o700)
    key = secrets.token_bytes(32)
    sealed = keystore.seal({"node": world.nodes[org].seed}, secret=key)
    (folder / "keystore.json").write_bytes(sealed)
    (folder / "keystore.key").write_bytes(key)
    (folder / "keystore.key").chmod(0o600)
    (folder / "genesis.jws").write_text(world.genesis, "ascii")
    paths = {
        "folder": folder / "data",
        "genesis": folder / "genesis.jws",
        "keystore": folder / "keystore.json",
        "key_file": folder / "keystore.key",
    }
    lines = ["[node]", f'org = "{org}"']
    lines += [f"{name} = {json.dumps(str(path))}" for name, path in paths.items()]
    config = folder / "node.toml"
    config.write_text("\n".join([*lines, "[p2p]", *p2p, ""]), "utf-8")
    return config


def spawn(config: Path) -> subprocess.Popen[bytes]:
    """Start a node."""
    with (config.parent / "node.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "nodeimpl", str(config)], stdout=log, stderr=log, cwd=ROOT
        )


async def url_of(config: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where a node serves, once it does."""
    ready = config.parent / "data" / "ready.json"
    while not ready.exists():
        assert process.poll() is None, (config.parent / "node.log").read_text()
        await asyncio.sleep(0.05)
    return str(json.loads(ready.read_text())["url"])


def test_nodes_meet_that_were_told_of_nobody(tmp_path: Path) -> None:
    world = make_world("three", now_ms=RealClock().now_ms())
    configs = [
        write(tmp_path / org, world, org, ['lan = ["127.0.0.1"]']) for org in (RIVER, BRIGHT)
    ]
    nodes = [spawn(config) for config in configs]

    async def story() -> None:
        async with asyncio.timeout(250):
            # Both, for a node hears the signals that end it only once it serves.
            url, _ = [await url_of(*each) for each in zip(configs, nodes, strict=True)]
            client = NodeClient(
                url=url,
                node=world.nodes[RIVER].did,
                network=world.view.network,
                identity=world.members[MARA],
            )
            async with client:
                await client.login()
                while True:
                    peers = await client.call(PEERS, AskPeers())
                    if [link.did for link in peers.links] == [world.nodes[BRIGHT].did]:
                        return
                    await asyncio.sleep(0.05)

    try:
        asyncio.run(story())
    finally:
        for node in nodes:
            node.terminate()
        assert [node.wait(60) for node in nodes] == [0, 0]


@pytest.mark.parametrize(
    ("p2p", "told"),
    [
        (['lan = ["127.0.0.9"]'], "listens nowhere on 127.0.0.9"),
        (['bind = ["0.0.0.0:0"]', 'lan = ["127.0.0.1"]'], "p2p.advertise"),
        (['lan = ["10.9.8.7"]', 'advertise = ["10.9.8.7:1"]'], "no such interface"),
    ],
)
def test_what_cannot_be_is_told_and_the_node_does_not_start(
    p2p: list[str], told: str, tmp_path: Path
) -> None:
    world = make_world("three", now_ms=RealClock().now_ms())
    config = write(tmp_path / "node", world, RIVER, p2p)
    assert spawn(config).wait(120) in (1, 2)
    log = (config.parent / "node.log").read_text()
    assert told in log
    assert "Traceback" not in log

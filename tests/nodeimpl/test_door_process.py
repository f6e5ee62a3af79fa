"""A node of its own whose door speaks TLS: as a process, from its configuration to its record."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import MadeWorld, make_world
from nodeimpl.kernel.clock import RealClock
from opkit.client.errors import WrongKey
from opkit.client.node import NodeClient
from opkit.proof import keystore
from opkit.proof.record import read_record
from opkit.wire.membership import LIST_MEMBERS, ListMembers
from opkit.wire.overlay import RECORDS, AskRecords
from opkit.wire.records import NodeValue

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
START_S_MAX = 90


def configured(folder: Path, world: MadeWorld, *gateway: str) -> Path:
    """Write what a node needs, and return its configuration."""
    secret = secrets.token_bytes(32)
    sealed = keystore.seal({"node": world.nodes[RIVER].seed}, secret=secret)
    (folder / "keystore.json").write_bytes(sealed)
    (folder / "keystore.key").touch(0o600)
    (folder / "keystore.key").write_bytes(secret)
    (folder / "genesis.jws").write_text(world.genesis, "ascii")
    files = {
        "folder": "data",
        "genesis": "genesis.jws",
        "keystore": "keystore.json",
        "key_file": "keystore.key",
    }
    lines = [f"{name} = {json.dumps(str(folder / file))}" for name, file in files.items()]
    text = "\n".join(["[node]", f'org = "{RIVER}"', *lines, "[gateway]", *gateway, ""])
    (folder / "node.toml").write_text(text, "utf-8")
    return folder / "node.toml"


def with_key(folder: Path) -> tuple[str, ...]:
    """Make a certificate as the runbook says, and return the lines that name it."""
    line = "openssl req -x509 -newkey ed25519 -noenc -days 3650 -subj /CN=our-coop"
    files = ["-keyout", "tls.key", "-out", "tls.pem"]
    subprocess.run([*line.split(), *files], check=True, capture_output=True, cwd=folder)
    (folder / "tls.key").chmod(0o600)
    return (
        f"tls_certificate = {json.dumps(str(folder / 'tls.pem'))}",
        f"tls_key = {json.dumps(str(folder / 'tls.key'))}",
    )


@contextmanager
def served(config: Path) -> Iterator[dict[str, Any]]:
    """Run a node, and give what it says once it is ready."""
    log, ready = config.parent / "node.log", config.parent / "data" / "ready.json"
    with log.open("wb") as lines:
        command = [sys.executable, "-m", "nodeimpl", str(config)]
        process = subprocess.Popen(command, stdout=lines, stderr=lines, cwd=ROOT)
    try:
        until_s = time.monotonic() + START_S_MAX
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until_s, log.read_text()
            time.sleep(0.02)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(60)


def test_a_node_beyond_loopback_is_called_by_the_key_in_its_record(tmp_path: Path) -> None:
    world = make_world("three", now_ms=RealClock().now_ms())
    config = configured(tmp_path, world, 'host = "0.0.0.0"', *with_key(tmp_path))

    async def story(said: dict[str, Any]) -> None:
        url = said["url"].replace("0.0.0.0", "127.0.0.1")
        known = {
            "url": url,
            "node": said["did"],
            "network": world.view.network,
            "identity": world.members[MARA],
        }
        async with NodeClient(**known, tls_key_hash=said["tls_key_hash"]) as mara:
            assert (await mara.call(LIST_MEMBERS, ListMembers())).members
            events = mara.events()
            assert (await anext(events)).entries
            await events.aclose()
            found = await mara.call(RECORDS, AskRecords(namespace="node", name=said["did"]))
            body = read_record(found.records[0].jws, network=world.view.network)
            (door,) = NodeValue.model_validate(body.value, strict=False).endpoints
            assert door.url == "https://node.example:8443"
            assert door.tls_key_hash == said["tls_key_hash"]
        async with NodeClient(**known, tls_key_hash="0" * 64) as mara:
            with pytest.raises(WrongKey):
                await mara.call(LIST_MEMBERS, ListMembers())

    text = config.read_text() + 'advertise = ["https://node.example:8443"]\n'
    config.write_text(text)
    with served(config) as said:
        asyncio.run(asyncio.wait_for(story(said), 100))


def test_without_a_key_a_node_does_not_start_beyond_loopback_and_says_what_helps(
    tmp_path: Path,
) -> None:
    world = make_world("three", now_ms=RealClock().now_ms())
    config = configured(tmp_path, world, 'host = "0.0.0.0"')
    ended = subprocess.run(
        [sys.executable, "-m", "nodeimpl", str(config)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=START_S_MAX,
    )
    assert ended.returncode == 2
    assert "gateway.host" in ended.stderr
    assert "set tls_certificate and tls_key" in ended.stderr

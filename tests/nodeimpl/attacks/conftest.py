"""A real node, as a process of its own, that tests attack and look at."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.genesis import make_world
from opkit.client.node import NodeClient
from opkit.proof import keystore

ROOT = Path(__file__).resolve().parents[3]
RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
START_S_MAX = 120
HEALTH = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
FILES = {
    "folder": "data",
    "genesis": "genesis.jws",
    "keystore": "keystore.json",
    "key_file": "keystore.key",
}


@dataclass
class Attacked:
    """A node of the demo world under `python -m nodeimpl` that logs all it can."""

    folder: Path
    world: Any
    file_key: bytes
    process: subprocess.Popen[bytes]
    url: str = ""
    port: int = 0

    @property
    def log(self) -> bytes:
        """What it has logged."""
        return (self.folder / "node.log").read_bytes()

    @property
    def identity(self) -> Any:
        """The node's own key."""
        return self.world.nodes[RIVER]

    def client(self, who: str | None = MARA, **named: Any) -> NodeClient:
        """Return a client of a member's, or of nobody's."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=None if who is None else self.world.members[who],
            **named,
        )

    def memory_bytes(self) -> int:
        """Return how much memory the node's own process holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def files(self) -> int:
        """Return how many files the node's own process has open."""
        return int(psutil.Process(self.process.pid).num_fds())

    def spent_s(self) -> float:
        """Return how much processor time the node's own process has used."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    async def health_s(self) -> float:
        """Ask over a new connection how the node is; return how long it took until it said ok."""
        began = time.perf_counter()
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(HEALTH)
            said = await reader.read()
            writer.close()
        assert said.startswith(b"HTTP/1.1 200 OK"), said
        return time.perf_counter() - began


def spawned(folder: Path, *, files: tuple[int, int] | None) -> Attacked:
    """Write what a node needs, and start it."""
    world = make_world("three", now_ms=time.time_ns() // 1_000_000)
    file_key = secrets.token_bytes(32)
    sealed = keystore.seal({"node": world.nodes[RIVER].seed}, secret=file_key)
    (folder / "keystore.json").write_bytes(sealed)
    (folder / "keystore.key").write_bytes(file_key)
    (folder / "keystore.key").chmod(0o600)
    (folder / "genesis.jws").write_text(world.genesis, "ascii")
    named = {name: json.dumps(str(folder / file)) for name, file in FILES.items()}
    lines = ["[node]", f'org = "{RIVER}"', *(f"{name} = {at}" for name, at in named.items())]
    lines += ["[log]", 'level = "debug"', ""]
    (folder / "node.toml").write_text("\n".join(lines), "utf-8")
    limited: tuple[str, ...] = ()
    if files is not None:
        soft, hard = files
        limited = ("sh", "-c", f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$@"', "sh")
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "nodeimpl", str(folder / "node.toml")],
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
    return Attacked(folder, world, file_key, process)


def wait_until_served(node: Attacked) -> None:
    """Return once the node says where it is."""
    ready = node.folder / "data" / "ready.json"
    limit = time.monotonic() + START_S_MAX
    while not ready.exists():
        assert node.process.poll() is None, node.log.decode()
        assert time.monotonic() < limit, "the node did not start"
        time.sleep(0.02)
    node.url = json.loads(ready.read_text())["url"]
    node.port = int(node.url.rsplit(":", 1)[1])


Start = Callable[..., Attacked]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start nodes; at the end each lives, answers and had no fault, or the test fails.

    `files` is how many files the node may open: what it has now, and what it may have.
    """
    started: list[Attacked] = []

    def begin(*, files: tuple[int, int] | None = None) -> Attacked:
        folder = tmp_path / f"node{len(started)}"
        folder.mkdir()
        started.append(spawned(folder, files=files))
        wait_until_served(started[-1])
        return started[-1]

    try:
        yield begin
        for node in started:
            assert node.process.poll() is None, "the node died"
            asyncio.run(node.health_s())
            assert b'"event":"fault"' not in node.log, "something broke within"
    finally:
        for node in started:
            node.process.kill()
            node.process.wait(30)


@pytest.fixture
def attacked(start: Start) -> Attacked:
    """A running node."""
    return start()

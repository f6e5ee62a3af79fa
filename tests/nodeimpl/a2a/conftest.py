"""A node as a process of its own, and clients of other people's making that know A2A alone."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.genesis import make_world
from nodeimpl.kernel.clock import RealClock
from opkit.client.node import NodeClient
from opkit.proof import jws, keystore
from opkit.wire.base import Jws
from opkit.wire.endpoint import Scope
from opkit.wire.grants import GIVE_GRANT, GRANT_TYP, GiveGrant, Grant, GrantHeld

ROOT = Path(__file__).resolve().parents[3]
RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
START_S_MAX = 90
DAY_MS = 86_400_000


class ProcessNode:
    """River City's node under `python -m nodeimpl`, and what its member holds."""

    def __init__(self, folder: Path) -> None:
        """Write what it needs; nothing runs yet."""
        self.folder = folder
        self.world = make_world("three", now_ms=RealClock().now_ms())
        self.identity = self.world.nodes[RIVER]
        file_key = secrets.token_bytes(32)
        sealed = keystore.seal({"node": self.identity.seed}, secret=file_key)
        (folder / "keystore.json").write_bytes(sealed)
        (folder / "keystore.key").write_bytes(file_key)
        (folder / "keystore.key").chmod(0o600)
        (folder / "genesis.jws").write_text(self.world.genesis, "ascii")
        files = {
            "folder": "data",
            "genesis": "genesis.jws",
            "keystore": "keystore.json",
            "key_file": "keystore.key",
        }
        lines = [f"{name} = {json.dumps(str(folder / file))}" for name, file in files.items()]
        text = "\n".join(["[node]", f'org = "{RIVER}"', *lines, ""])
        (folder / "node.toml").write_text(text, "utf-8")
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "node.log"

    async def start(self) -> None:
        """Start the process and return once it serves."""
        self.process = self._spawn()
        ready = self.folder / "data" / "ready.json"
        async with asyncio.timeout(START_S_MAX):
            while not ready.exists():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)
        self.url = json.loads(ready.read_text())["url"]

    def stop(self) -> None:
        """End the process, and wait for it."""
        assert self.process is not None, "it was started"
        self.process.terminate()
        self.process.wait(START_S_MAX)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "nodeimpl", str(self.folder / "node.toml")],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def member(self, member_id: str = MARA) -> NodeClient:
        """Return a client of a member's."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=self.world.members[member_id],
        )

    def grant(self, **changes: Any) -> Jws:
        """Return a grant of Mara's for this node."""
        mara, now_ms = self.world.members[MARA], RealClock().now_ms()
        fields: dict[str, Any] = {
            "network": self.world.view.network,
            "aud": self.identity.did,
            "member_id": MARA,
            "did": mara.did,
            "fuel_max": 100_000_000_000,
            "tasks_max": 1_000,
            "issued_at_ms": now_ms,
            "lapses_at_ms": now_ms + DAY_MS,
        }
        return jws.sign(Grant(**fields | changes), typ=GRANT_TYP, identity=mara)

    async def give(self, client: NodeClient, **changes: Any) -> GrantHeld:
        """Give the node a grant."""
        return await client.call(GIVE_GRANT, GiveGrant(grant=self.grant(**changes)))

    async def bearer(self, *scopes: Scope) -> str:
        """Return a token of Mara's, which is all that an A2A client is given."""
        async with self.member() as client:
            return (await client.login(scopes=scopes or None)).token


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNode]:
    """One process for all tests of a module that let its workers live."""
    made = ProcessNode(tmp_path_factory.mktemp("node"))
    asyncio.run(made.start())
    yield made
    made.stop()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[ProcessNode]:
    """A process for one test."""
    made = ProcessNode(tmp_path)
    asyncio.run(made.start())
    yield made
    made.stop()

"""One node as a process of its own, configured at will, to be loaded or killed."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

from devnet.genesis import make_world
from opkit.client.node import NodeClient
from opkit.proof import keystore
from opkit.wire.base import MemberId

ROOT = Path(__file__).resolve().parent.parent
ORG = "river-city-tool-library"
START_S_MAX = 180
FILES = {
    "folder": "data",
    "genesis": "genesis.jws",
    "keystore": "keystore.json",
    "key_file": "keystore.key",
}


class SingleNode:
    """A node of the demo world under `python -m nodeimpl`, and the keys of all its members.

    Attributes:
        world: the network's genesis and secrets.
        url: where it is served, once it is started.
    """

    def __init__(self, folder: Path, *, sections: str = "") -> None:
        """Write what it needs; nothing runs yet.

        Args:
            folder: an empty folder.
            sections: more of the configuration, as TOML.
        """
        self.folder = folder
        self.world = make_world("three", now_ms=time.time_ns() // 1_000_000)
        self.identity = self.world.nodes[ORG]
        self.url = ""
        self.log = folder / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        file_key = secrets.token_bytes(32)
        sealed = keystore.seal({"node": self.identity.seed}, secret=file_key)
        (folder / "keystore.json").write_bytes(sealed)
        (folder / "keystore.key").write_bytes(file_key)
        (folder / "keystore.key").chmod(0o600)
        (folder / "genesis.jws").write_text(self.world.genesis, "ascii")
        lines = [f"{name} = {json.dumps(str(folder / file))}" for name, file in FILES.items()]
        text = "\n".join(["[node]", f'org = "{ORG}"', *lines, sections, ""])
        (folder / "node.toml").write_text(text, "utf-8")

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self) -> None:
        """Start the process and return once it serves.

        Raises:
            RuntimeError: it ended instead; its log is in the message.
            TimeoutError: it does neither.
        """
        self._process = process = self._spawn()
        ready = self.folder / "data" / "ready.json"
        async with asyncio.timeout(START_S_MAX):
            while not ready.exists() or json.loads(ready.read_text())["pid"] != self.pid:
                if process.poll() is not None:
                    raise RuntimeError(self.log.read_text())
                await asyncio.sleep(0.02)
        self.url = json.loads(ready.read_text())["url"]

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "nodeimpl", str(self.folder / "node.toml")],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def exit_code(self, *, wait_s_max: float) -> int:
        """Return how the process ended, once it has by itself.

        Raises:
            TimeoutExpired: it goes on.
        """
        assert self._process is not None, "it was started"
        return self._process.wait(wait_s_max)

    def kill(self) -> None:
        """End the process as a power switch would; once it has ended this does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def client(self, member_id: MemberId) -> NodeClient:
        """Return a client of a member's."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=self.world.members[member_id],
        )

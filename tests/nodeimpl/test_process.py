"""One node as a process of its own: killed at any moment, and looked into for its key."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.genesis import make_world
from nodeimpl.config import ConfigError, load_config
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.opening import open_identity
from opkit.client.node import NodeClient
from opkit.proof import keystore
from opkit.proof.receipt import verify_receipt
from opkit.proof.wasm import add_custom_section
from opkit.wire.base import TimeMs
from opkit.wire.compute import Outcome, TaskLimits
from opkit.wire.errors import CoopError
from opkit.wire.events import JournalEntry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
WASM = ROOT / "wasm"
RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
START_S_MAX = 120
STORY_S_MAX = 250
PIECE_BYTES = 2**22


class RealNode:
    """A node of the demo world under `python -m nodeimpl`, started and killed at will."""

    def __init__(self, folder: Path) -> None:
        """Write what it needs; nothing runs yet."""
        self.folder = folder
        self.world = make_world("three", now_ms=self._now_ms())
        self.identity = self.world.nodes[RIVER]
        self.file_key = secrets.token_bytes(32)
        sealed = keystore.seal({"node": self.identity.seed}, secret=self.file_key)
        (folder / "keystore.json").write_bytes(sealed)
        (folder / "keystore.key").write_bytes(self.file_key)
        (folder / "keystore.key").chmod(0o600)
        (folder / "genesis.jws").write_text(self.world.genesis, "ascii")
        keys = {name: str(folder / file) for name, file in FILES.items()}
        lines = [f"{name} = {json.dumps(path)}" for name, path in keys.items()]
        text = "\n".join(["[node]", f'org = "{RIVER}"', *lines, ""])
        (folder / "node.toml").write_text(text, "utf-8")
        self.log = folder / "node.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    async def start(self) -> None:
        """Start the process and return once it serves."""
        self.process = self._spawn()
        ready = self.folder / "data" / "ready.json"
        async with asyncio.timeout(START_S_MAX):
            while True:
                if ready.exists():
                    said = json.loads(ready.read_text())
                    if said["pid"] == self.process.pid:
                        self.url = said["url"]
                        return
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "nodeimpl", str(self.folder / "node.toml")],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def kill(self) -> None:
        """End the process as a power switch would, from its own point of view."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def client(self) -> NodeClient:
        """Return a client of Mara's."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=self.world.members[MARA],
        )

    @staticmethod
    def _now_ms() -> TimeMs:
        return RealClock().now_ms()


FILES = {
    "folder": "data",
    "genesis": "genesis.jws",
    "keystore": "keystore.json",
    "key_file": "keystore.key",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RealNode]:
    """A node that is not started yet; whatever runs at the end is killed."""
    made = RealNode(tmp_path)
    yield made
    made.kill()


def run(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, STORY_S_MAX))


async def journal_of(client: NodeClient) -> list[JournalEntry]:
    """Return all that the node journalled and Mara may read."""
    return [entry async for page in client.journal() for entry in page.entries]


def test_a_task_whose_node_is_killed_ends_after_the_restart_with_one_receipt(
    node: RealNode,
) -> None:
    limits = TaskLimits(fuel=100_000_000_000, time_ms=1_500)

    async def story() -> None:
        await node.start()
        async with node.client() as mara:
            info = await mara.wasm.deploy((WASM / "spin.wasm").read_bytes(), name="spin")
            handles = [
                await mara.compute.submit(info.wasm_hash, b"", limits=limits) for _ in range(3)
            ]
        node.kill()
        await node.start()
        async with node.client() as mara:
            results = [
                await mara.compute.handle(each.task_id, each.manifest).result() for each in handles
            ]
            ended = [
                entry.body["manifest_hash"]
                for entry in await journal_of(mara)
                if entry.type == "compute.task-finished"
            ]
        assert [each.outcome for each in results] == [Outcome.TIME] * 3
        assert sorted(ended) == sorted(each.receipt.manifest_hash for each in results)
        assert sorted(each.receipt.sequence for each in results) == [1, 2, 3]
        for each in results:
            assert verify_receipt(each.bundle, genesis=node.world.view).status == "verified"

    run(story())


def test_what_was_acknowledged_while_a_node_was_killed_is_there_after_it(node: RealNode) -> None:
    module = (WASM / "upper.wasm").read_bytes()
    modules: dict[str, bytes] = {}
    results: dict[str, tuple[Any, bytes]] = {}
    enough = asyncio.Event()

    async def deploy(client: NodeClient, first: int) -> None:
        for number in range(first, 10_000, 2):
            mine = add_custom_section(module, "number", str(number).encode())
            info = await client.wasm.deploy(mine, name=f"m{number}")
            modules[info.wasm_hash] = mine
            handle = await client.compute.submit(info.wasm_hash, str(number).encode())
            done = await handle.result()
            results[handle.task_id] = (handle.manifest, done.output)
            if len(results) >= 12:
                enough.set()

    async def killed() -> None:
        async with node.client() as mara:
            working = [asyncio.create_task(deploy(mara, first)) for first in range(2)]
            await enough.wait()
            node.kill()
            for gone in await asyncio.gather(*working, return_exceptions=True):
                assert isinstance(gone, CoopError), gone

    async def story() -> None:
        await node.start()
        await killed()
        await node.start()
        async with node.client() as mara:
            for name, content in modules.items():
                assert (await mara.wasm.get(name)).wasm_hash == name
                assert await mara.wasm.fetch(name) == content
            for task_id, (manifest, output) in results.items():
                again = await mara.compute.handle(task_id, manifest).result()
                assert again.output == output
            finished = [
                entry.body["manifest_hash"]
                for entry in await journal_of(mara)
                if entry.type == "compute.task-finished"
            ]
            assert len(finished) == len(set(finished)) >= len(results)

    run(story())


def spellings(secret: bytes) -> list[bytes]:
    """Return how a secret may stand somewhere: raw, in hex, in base64."""
    plain = base64.b64encode(secret).rstrip(b"=")
    url = base64.urlsafe_b64encode(secret).rstrip(b"=")
    return [secret, secret.hex().encode(), plain, url]


def memory_holds(pid: int, wanted: list[bytes]) -> bool:
    """Return whether the memory of a process holds any of these bytes."""
    maps = Path(f"/proc/{pid}/maps").read_text("ascii", errors="replace")
    longest = max(map(len, wanted))
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r", maps, re.MULTILINE):
            place, last, kept = int(start, 16), int(end, 16), b""
            while place < last:
                try:
                    memory.seek(place)
                    piece = memory.read(min(PIECE_BYTES, last - place))
                except (OSError, OverflowError, ValueError):
                    break  # The kernel's own pages cannot be read by anyone.
                if not piece:
                    break
                seen = kept + piece
                if any(each in seen for each in wanted):
                    return True
                kept = seen[-longest:]
                place += len(piece)
    return False


async def spawner_and_worker(pid: int) -> list[psutil.Process]:
    """Return what is below a node that ran one task, once what compiled its module has ended."""
    while len(below := psutil.Process(pid).children(recursive=True)) != 2:
        await asyncio.sleep(0.02)
    return below


def test_the_key_is_in_the_nodes_own_memory_and_nowhere_else(node: RealNode) -> None:
    secrets_ = [*spellings(node.identity.seed), *spellings(node.file_key)]
    module = (WASM / "upper.wasm").read_bytes()

    async def story() -> None:
        await node.start()
        assert node.process is not None
        async with node.client() as mara:
            info = await mara.wasm.deploy(module, name="upper")
            handle = await mara.compute.submit(info.wasm_hash, b"x")
            assert (await handle.result()).output == b"X"
            token = mara.token
        assert token is not None
        below = await spawner_and_worker(node.process.pid)
        assert memory_holds(node.process.pid, secrets_), "who looks finds it where it is"
        for process in below:
            assert not memory_holds(process.pid, secrets_)
            files = [os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
            assert all(name == os.devnull or name.startswith(KINDS) for name in files), files
        for process in (psutil.Process(node.process.pid), *below):
            for what in ("cmdline", "environ"):
                said = Path(f"/proc/{process.pid}/{what}").read_bytes()
                assert not any(each in said for each in (*secrets_, token.encode()))
        core = Path(f"/proc/{node.process.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 ", core, re.MULTILINE), "no key in a core dump"
        log = node.log.read_bytes()
        assert log, "it says something"
        assert not any(each in log for each in (*secrets_, token.encode()))

    run(story())


KINDS = ("socket:", "anon_inode:", "pipe:")
"""What spawner and workers may hold open beside nothing: channels, no files."""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_not_used(node: RealNode, mode: int) -> None:
    config = load_config(node.folder / "node.toml")
    assert open_identity(config).did == node.identity.did
    config.node.key_file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_identity(config)


def test_a_node_that_logs_into_a_file_says_first_which_on_a_terminal(node: RealNode) -> None:
    config = node.folder / "node.toml"
    file = node.folder / "of-its-own.log"
    config.write_text(config.read_text() + f"[log]\nfile = {json.dumps(str(file))}\n")
    (node.folder / "data").mkdir()
    (node.folder / "data" / "node.db").write_bytes(b"no database" * 1_000)
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "nodeimpl", str(config)]
        ended = subprocess.run(command, stderr=theirs, cwd=ROOT, timeout=START_S_MAX, check=False)
        assert os.read(ours, 4_096).decode() == f"logs go to {file}\r\n"
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 1
    assert "the store cannot be used" in file.read_text()

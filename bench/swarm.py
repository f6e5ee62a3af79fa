"""Real nodes of one network, each a process with a key of its own, that do what they are told.

They are forks of a process that has imported the node once, as a devnet's are, and find each other
by addresses in their configuration. Nothing stands between them: no links that could be cut.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.nursery import Born, Nursery
from devnet.sim.keys import network_of
from opkit.proof import keystore
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Did

START_S_MAX = 60
MEET_MS_MAX = 30_000
ANSWER_S_MAX = 120
LINE_BYTES_MAX = 64 * 2**20
"""The longest line in either direction: when each of some thousand messages came."""

LOOK_S = 0.01
FILES = {
    "folder": "data",
    "genesis": "genesis.jws",
    "keystore": "keystore.json",
    "key_file": "keystore.key",
}


class SwarmNode:
    """One node, before, while and after it runs.

    Attributes:
        number: its place in the swarm.
        identity: its key.
        address: where it can be dialled.
        peers: whom it stays connected with: numbers of others.
    """

    def __init__(
        self, number: int, *, identity: Identity, folder: Path, peers: Sequence[int]
    ) -> None:
        """Take an address; nothing is written or runs yet."""
        self.number = number
        self.identity = identity
        self.peers = tuple(peers)
        self.folder = folder
        self.address = f"127.0.0.1:{_free_port()}"
        self._process: Born | None = None
        self._turn = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def did(self) -> Did:
        """Who it is."""
        return self.identity.did

    @property
    def runs(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    @property
    def log(self) -> Path:
        """Where it logs."""
        return self.folder / "node.log"

    def write(self, genesis: GenesisView, known: Mapping[Did, str]) -> None:
        """Write what it needs to start: keys, genesis, and where those are whom it knows."""
        self.folder.mkdir()
        file_key = secrets.token_bytes(32)
        sealed = keystore.seal({"node": self.identity.seed}, secret=file_key)
        (self.folder / "keystore.json").write_bytes(sealed)
        (self.folder / "keystore.key").write_bytes(file_key)
        (self.folder / "keystore.key").chmod(0o600)
        (self.folder / "genesis.jws").write_text(genesis.token, "ascii")
        org = genesis.node(self.did)
        assert org is not None, "genesis names each"
        lines = ["[node]", f"org = {json.dumps(org.org)}"]
        lines += [f"{name} = {json.dumps(str(self.folder / at))}" for name, at in FILES.items()]
        lines += ["[log]", f"file = {json.dumps(str(self.log))}", "[compute]", "workers = 1"]
        lines += ["[p2p]", "fixed_paths = true", f'bind = ["{self.address}", "[::1]:0"]']
        for did, address in known.items():
            lines += ["[[p2p.peers]]", f'did = "{did}"', f'addresses = ["{address}"]']
        (self.folder / "node.toml").write_text("\n".join((*lines, "")), "utf-8")

    async def start(self, nursery: Nursery) -> None:
        """Start the process and return once it serves.

        Raises:
            RuntimeError: it ended instead; its log is in the message.
            TimeoutError: it does neither.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = process = nursery.fork(self.folder / "node.toml", theirs)
        self._reader, self._writer = await asyncio.open_unix_connection(
            sock=ours, limit=LINE_BYTES_MAX
        )
        ready = self.folder / "data" / "ready.json"
        async with asyncio.timeout(START_S_MAX):
            while not ready.exists() or json.loads(ready.read_text())["pid"] != process.pid:
                if not process.lives():
                    raise RuntimeError(self.log.read_text())
                await asyncio.sleep(LOOK_S)

    async def tell(self, what: str, **how: Any) -> Any:
        """Have the node do something, and return what it says of it (`bench.swarm_job.Orders`).

        Raises:
            RuntimeError: it ended instead; the end of its log is in the message.
            TimeoutError: it takes too long.
        """
        assert self._reader is not None and self._writer is not None, "it was started"
        async with self._turn, asyncio.timeout(ANSWER_S_MAX):
            self._writer.write(json.dumps({"do": what, "with": how}).encode() + b"\n")
            line = await self._reader.readline()
        if not line:
            raise RuntimeError(f"node {self.number} ended: {self.log.read_text()[-4_000:]}")
        return json.loads(line)

    def leave(self) -> None:
        """End the process in order, with a goodbye to its peers."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a power switch would; once it has ended this does nothing."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(how)
            self._process = None
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None


class Swarm:
    """The nodes of one network.

    Attributes:
        nodes: all of them, whether they run or not.
        genesis: what makes them one network.
    """

    def __init__(self, folder: Path, *, peers: Sequence[Sequence[int]], more: int) -> None:
        """Make keys and genesis; nothing runs yet.

        Args:
            folder: where their folders are made.
            peers: for each node, whom it stays connected with.
            more: how many nodes there are besides that know nobody.
        """
        count = len(peers) + more
        identities = [Identity.generate() for _ in range(count)]
        self.genesis = network_of(secrets.randbits(62), identities)
        self._nursery = Nursery()
        self.nodes = [
            SwarmNode(
                number,
                identity=identity,
                folder=folder / f"node-{number}",
                peers=peers[number] if number < len(peers) else (),
            )
            for number, identity in enumerate(identities)
        ]

    async def start(self, *numbers: int) -> None:
        """Start these nodes one after the other, and return once all of them serve.

        Raises: as `SwarmNode.start`.
        """
        for number in numbers:
            node = self.nodes[number]
            if not node.folder.exists():
                known = {self.nodes[at].did: self.nodes[at].address for at in node.peers}
                node.write(self.genesis, known)
            await node.start(self._nursery)

    async def meet(self, *numbers: int) -> None:
        """Return once these nodes are linked with their peers, and know each other.

        Raises: as `SwarmNode.tell`.
        """
        for number in numbers:
            node = self.nodes[number]
            links = [self.nodes[peer].did for peer in node.peers if peer in numbers]
            await node.tell("met", links=links, contacts=len(numbers) - 1, within_ms=MEET_MS_MAX)

    async def used_s(self, *numbers: int) -> float:
        """Return the processor time of these nodes' processes so far, in seconds."""
        told = [await self.nodes[number].tell("used") for number in numbers]
        return float(sum(told)) / 1e9

    def close(self) -> None:
        """End all that run."""
        for node in self.nodes:
            node.kill()
        self._nursery.close()


@dataclass(kw_only=True)
class Used:
    """Processor time of some processes, and in how long."""

    processor_s: float = 0.0
    took_s: float = 0.0

    def more_s(self, idle: Used) -> float:
        """Return how much more it was than it would have been at another time's rate, in s."""
        return self.processor_s - idle.processor_s / idle.took_s * self.took_s


@asynccontextmanager
async def using(nodes: Swarm, *numbers: int) -> AsyncIterator[Used]:
    """Measure what the processes of some nodes use meanwhile; it is told at the end."""
    used = Used()
    before_s, began = await nodes.used_s(*numbers), time.monotonic()
    yield used
    used.processor_s = await nodes.used_s(*numbers) - before_s
    used.took_s = time.monotonic() - began


@asynccontextmanager
async def swarm(*peers: Sequence[int], more: int = 0) -> AsyncIterator[Swarm]:
    """Have a network meanwhile, of which nothing runs yet; its nodes end with it.

    Args:
        peers: for each node, whom it stays connected with, by number.
        more: how many nodes there are besides that know nobody.
    """
    with TemporaryDirectory(prefix="opkit-bench-") as folder:
        made = Swarm(Path(folder), peers=peers, more=more)
        try:
            yield made
        finally:
            made.close()


THREE: tuple[Sequence[int], ...] = ((1, 2), (0, 2), (0, 1))
"""Three nodes that are all connected, as a devnet's."""


def _free_port() -> int:
    """Return a UDP port of loopback that nobody has right now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

"""A node to be asked hard: on either database, measured from outside, by members with tokens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psutil

from bench.rows import Engine
from bench.single import ORG, SingleNode
from devnet.cluster import ClusterFailed, running_cluster
from opkit.client import NodeClient
from opkit.wire.base import MemberId

END_S_MAX = 30
LOGIN_S_MAX = 30


class AskedNode(SingleNode):
    """A node of the demo world whose members ask it from many connections.

    Attributes:
        store_url: the database, for looking into it while the node does not run.
    """

    def __init__(self, folder: Path, *, store_url: str = "") -> None:
        """Write what it needs; nothing runs yet.

        Args:
            folder: an empty folder.
            store_url: empty for SQLite in the node's folder.
        """
        url = json.dumps(store_url)
        super().__init__(folder, sections=f'[store]\nurl = {url}\n[log]\nlevel = "warning"')
        self.store_url = store_url or f"sqlite:///{folder / 'data' / 'node.db'}"

    @property
    def port(self) -> int:
        """Where its front door listens."""
        return urlsplit(self.url).port or 0

    @property
    def members(self) -> list[MemberId]:
        """Its members, in a fixed order."""
        return [member for member in self.world.members if member.startswith(f"{ORG}/")]

    async def started_after_s(self) -> float:
        """Start the process and return after how many seconds it served; raises as `start`."""
        began = time.perf_counter()
        await self.start()
        return time.perf_counter() - began

    def operator(self) -> NodeClient:
        """Return a client of the network's operator, who may look at every task."""
        return NodeClient(
            url=self.url,
            node=self.identity.did,
            network=self.world.view.network,
            identity=self.world.operator,
        )

    def end(self) -> None:
        """Have the process end in order, and return once it is gone."""
        os.kill(self.pid, signal.SIGTERM)
        assert self._process is not None, "it was started"
        self._process.wait(END_S_MAX)
        self.kill()

    def processor_s(self) -> float:
        """Return the processor time of the node's own process so far, in seconds."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    async def tokens(self, count: int) -> list[tuple[MemberId, str]]:
        """Return so many tokens and whose each is: one member's after the other's."""
        members = [self.members[n % len(self.members)] for n in range(count)]
        return [(member, await self._token(member)) for member in members]

    async def _token(self, member: MemberId) -> str:
        async with self.client(member) as client, asyncio.timeout(LOGIN_S_MAX):
            return (await client.login()).token


@contextmanager
def asked_node(engine: Engine, *, folder: Path | None = None) -> Iterator[AskedNode]:
    """Have a fresh node serving meanwhile, on this database.

    Args:
        folder: the node's own; one that is removed afterwards unless it is said. Whoever measures
            one node after the other removes theirs at the end: after thousands of files were
            removed, making new ones takes longer for a while.

    Raises:
        ClusterFailed: PostgreSQL is asked for and not installed.
    """
    with TemporaryDirectory(prefix="opkit-bench-") as other, _store(engine) as store_url:
        node = AskedNode(folder or Path(other), store_url=store_url)
        try:
            asyncio.run(node.start())
            yield node
        finally:
            node.kill()


def engines() -> list[Engine]:
    """Return the databases that can be measured on here."""
    try:
        with running_cluster():
            return ["SQLite", "PostgreSQL"]
    except ClusterFailed:
        return ["SQLite"]


@contextmanager
def _store(engine: Engine) -> Iterator[str]:
    """Have a store's URL meanwhile; empty for SQLite. PostgreSQL syncs its commits."""
    if engine == "SQLite":
        yield ""
        return
    with running_cluster() as cluster:
        yield cluster.create("bench")

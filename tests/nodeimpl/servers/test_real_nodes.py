"""Real nodes over HTTP, while their database server restarts and fails over under them."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import open_world
from devnet.cluster import IMMEDIATE
from devnet.control import ask_supervisor
from devnet.launch import Launched, launch
from devnet.state import DevnetError, load_state_of
from opkit.client import NodeClient
from opkit.client.compute import TaskHandle
from opkit.wire.compute import GET_BLOB, PUT_BLOB, GetBlob, PutBlob
from opkit.wire.errors import Busy, Unreachable
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import PEERS, AskPeers

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(420)]

RIVER = "river-city-tool-library"
MEMBER = "river-city-tool-library/mara"
ROOT = Path(__file__).resolve().parents[3]
TASKS_EACH = 10


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Launched]]:
    """Start a devnet whose nodes keep their state on a server, and end it."""
    # Short: the path of a Unix socket has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="ok-"))
    monkeypatch.setenv("OPKIT_HOME", str(home))
    started: list[Launched] = []

    def begin(url: str) -> Launched:
        launched = launch(name="t", profile="three", seed=7, database=url)
        started.append(launched)
        launched.wait_ready()
        return launched

    yield begin
    for launched in started:
        launched.down()
    shutil.rmtree(home)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 300))


class Load:
    """Uploads and tasks at one node, by a client that patiently repeats what was not answered."""

    def __init__(self, client: NodeClient, wasm_hash: str) -> None:
        self.client = client
        self.uploads: dict[str, bytes] = {}
        self.tasks: list[TaskHandle] = []
        self._wasm_hash = wasm_hash

    @classmethod
    async def prepare(cls, client: NodeClient) -> Load:
        module = (ROOT / "wasm" / "upper.wasm").read_bytes()
        return cls(client, (await client.wasm.deploy(module, name="upper")).wasm_hash)

    async def round(self) -> None:
        content = secrets.token_bytes(200)
        try:
            info = await self.client.call(PUT_BLOB, PutBlob(content=content))
            self.uploads[info.cid] = content
            self.tasks.append(await self.client.compute.submit(self._wasm_hash, b"abc"))
        except (Busy, Unreachable):
            # Much may wait, too, since it was away.
            await asyncio.sleep(0.01)  # The server is away for longer than patience lasts.

    async def run_until(self, enough: Callable[[], bool]) -> None:
        async def one() -> None:
            while not enough():
                await self.round()

        await asyncio.gather(*(one() for _ in range(4)))

    async def check(self) -> None:
        """Assert that all that was acknowledged is there, and ends."""
        for cid, content in self.uploads.items():
            assert (await self.client.call(GET_BLOB, GetBlob(cid=cid))).content == content
        for handle in self.tasks:
            result = await handle.result(deadline_ms=120_000)
            assert result.output == b"ABC", "and its receipt holds"


@asynccontextmanager
async def followed(client: NodeClient) -> Any:
    """Follow a node's events meanwhile; give the sequence numbers that came, in their order."""
    seen: list[int] = []

    async def follow() -> None:
        place = None
        while True:
            try:
                async for page in client.events(place):
                    seen.extend(entry.sequence for entry in page.entries)
                    place = page.cursor
            except (StoreBusy, Unreachable):
                continue  # Patience ended, for the server is away for longer.

    task = asyncio.ensure_future(follow())
    try:
        yield task, seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def node_states(launched: Launched) -> dict[str, tuple[str, int]]:
    """Return state and process id of each node."""
    said = await ask_supervisor(load_state_of(launched.folder).socket, "status")
    return {node["org"]: (node["state"], node["pid"]) for node in said["nodes"]}


def test_a_database_that_restarts_costs_no_node_and_nothing_that_was_acknowledged(
    start: Callable[[str], Launched], servers: Any
) -> None:
    server = servers.make()
    launched = start(server.url("net"))

    def restart() -> None:
        server.stop(IMMEDIATE)
        server.start()

    async def main() -> None:
        before = await node_states(launched)
        world = await open_world("t", run_id="restart", seed=7)
        load = await Load.prepare(world.client(RIVER, MEMBER))
        async with followed(world.operator(RIVER)) as (following, seen):
            for _ in range(3):
                restarting = asyncio.ensure_future(asyncio.to_thread(restart))
                most = len(load.tasks) + TASKS_EACH
                await load.run_until(lambda r=restarting, m=most: r.done() and len(load.tasks) > m)
                await restarting
            assert await node_states(launched) == before, "no node was started again"
            await load.check()
            last = (await world.operator(RIVER).call(PEERS, AskPeers())).journal.sequence
            while not seen or seen[-1] < last:
                assert not following.done(), "the stream goes on by itself"
                await asyncio.sleep(0.05)  # Looks again.
        assert seen == list(range(1, len(seen) + 1)), "every event, once, in order"
        await world.close()

    run(main())


def test_a_node_whose_database_lost_what_it_confirmed_stops_says_so_and_stays_away(
    start: Callable[[str], Launched], servers: Any
) -> None:
    """The primary is lost, and the standby that is promoted lacks its last commits."""
    one, other = servers.pair(synchronous=False)
    launched = start(one.url("net", also=(other,)))
    socket = load_state_of(launched.folder).socket
    same = "SELECT pg_current_wal_flush_lsn() = replay_lsn FROM pg_stat_replication"

    def fail_over() -> None:
        one.kill()
        other.start()
        other.promote()

    async def main() -> None:
        world = await open_world("t", run_id="lost", seed=7)
        load = await Load.prepare(world.client(RIVER, MEMBER))
        await asyncio.to_thread(servers.until, lambda: one.run(same) == [(True,)])
        await asyncio.to_thread(other.stop)
        await load.round()
        await load.check()
        await asyncio.to_thread(fail_over)
        while (await node_states(launched))[RIVER][0] != "crashed":
            await load.round()
        with pytest.raises(DevnetError, match=r"history|journal|generation") as no:
            await ask_supervisor(socket, "restart", org=RIVER)
        assert "new-generation" in f"{no.value} {no.value.hint}"
        said = (launched.folder / "nodes" / RIVER / "node.log").read_text()
        assert "another copy, or an older one" in said, "and what to do stands beside it"
        database = f"net_t_{RIVER.replace('-', '_')}"
        tasks = [handle.task_id for handle in load.tasks]
        found = other.run("SELECT task_id FROM compute_tasks", database=database)
        assert not {task for (task,) in found} & set(tasks), "nothing was written there"
        await world.close()

    run(main())

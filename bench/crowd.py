"""Crowds of small tasks at one node: many in flight, and more offered than it can do.

The crowd is a process of its own, and signs its tasks before the clock starts. The node's limit of
tasks for one member is raised, for the crowd is five members; nothing else is changed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import uvloop

from bench.asking import get
from bench.lanes import Lane, Prepared, Told, keep_in_flight, offer, prepare
from bench.network import ROOT
from bench.rows import Row, percentile, quick, row
from bench.single import ORG, SingleNode
from opkit.wire.base import MemberId
from opkit.wire.network import READY

SECTIONS = '[compute]\ntasks_per_submitter = 256\n[log]\nlevel = "warning"'
IN_FLIGHT, ROUNDS = 500, 8
OFFERED_PER_S, OFFERED_S = 500, 60
QUICK_SHARE = 0.2
WARM = 50
HEALTH_EVERY_S = 0.05
MEMORY_EVERY_S = 1.0
MB = 2**20

Crowding = Callable[[str, Sequence[Prepared]], Coroutine[Any, Any, list[Told]]]


def in_flight() -> list[Row]:
    """Keep 500 tasks in flight at a warm node, and ask meanwhile how it is."""
    rounds = 2 if quick() else ROUNDS
    with crowded_node() as (node, module):
        health, tasks = Health(node), prepared(node, module, IN_FLIGHT * rounds)
        spent_s = processor_s(node)
        told = health.meanwhile(lambda: in_a_process(_keep, node, tasks))
        each_ms = (processor_s(node) - spent_s) / len(tasks) * 1000
    done = [each.ms for each in told if each.end == "done"]
    lost = IN_FLIGHT * rounds - len(done)
    p95 = percentile(done, 0.95)
    name = f"{IN_FLIGHT} tasks in flight"
    return [
        row(f"{name}, P95", p95, "ms", target="<= 1500", of=done),
        row(f"{name}, lost or failed", lost, "", target="<= 0", of=[lost]),
        row(f"{name}, health, slowest", max(health.ms), "ms", target="<= 100", of=health.ms),
        row(f"{name}, node's processor, each", each_ms, "ms", target="", of=[each_ms]),
    ]


def offered() -> list[Row]:
    """Offer 500 tasks a second, more than a node on a busy or small machine can do."""
    seconds = OFFERED_S * (QUICK_SHARE if quick() else 1)
    count = int(OFFERED_PER_S * seconds)
    with crowded_node() as (node, module):
        memory, tasks = Memory(node), prepared(node, module, count)
        told = memory.meanwhile(lambda: in_a_process(_offer, node, tasks))
    ends = Counter(each.end for each in told)
    done = [each.ms for each in told if each.end == "done"]
    no = [each.ms for each in told if not each.accepted] or [0.0]
    lost = count - ends["done"] - ends["queue-full"]
    name = f"{OFFERED_PER_S} tasks/s offered"
    rate = len(done) / seconds
    growth = memory.growth_percent()
    return [
        row(f"{name}, accepted, P95", percentile(done, 0.95), "ms", target="<= 2000", of=done),
        row(f"{name}, done", rate, "/s", target="", of=[rate]),
        row(f"{name}, refused, P95", percentile(no, 0.95), "ms", target="<= 500", of=no),
        row(f"{name}, neither done nor queue-full", lost, "", target="<= 0", of=[lost]),
        row(f"{name}, memory, growth", growth, "%", target="<= 5", of=memory.mb),
    ]


def processor_s(node: SingleNode) -> float:
    """Return the processor time of the node's own process so far, in seconds."""
    times = psutil.Process(node.pid).cpu_times()
    return float(times.user + times.system)


@contextmanager
def crowded_node() -> Iterator[tuple[SingleNode, bytes]]:
    """Have a warm node serving meanwhile; yield it and the module that it knows."""
    module = (ROOT / "wasm" / "upper.wasm").read_bytes()
    with TemporaryDirectory(prefix="opkit-bench-") as folder:
        node = SingleNode(Path(folder), sections=SECTIONS)
        try:
            asyncio.run(_warm(node, module))
            yield node, module
        finally:
            node.kill()


async def _warm(node: SingleNode, module: bytes) -> None:
    await node.start()
    async with node.client(members(node)[0]) as client:
        info = await client.wasm.deploy(module, name="upper")
        for _ in range(WARM):
            handle = await client.compute.submit(
                info.wasm_hash, b"warm", executor=node.identity.did
            )
            await handle.result()


def members(node: SingleNode) -> list[MemberId]:
    """Return the members of the node's own organisation."""
    return [member for member in node.world.members if member.startswith(f"{ORG}/")]


def prepared(node: SingleNode, module: bytes, count: int) -> list[Prepared]:
    """Return so many signed tasks of all members in turn."""
    tokens = asyncio.run(_tokens(node))
    who = [(name, node.world.members[name], token) for name, token in tokens.items()]
    return [
        prepare(
            network=node.world.view.network,
            executor=node.identity.did,
            member=who[number % len(who)],
            module=module,
        )
        for number in range(count)
    ]


async def _tokens(node: SingleNode) -> dict[MemberId, str]:
    tokens = {}
    for member in members(node):
        async with node.client(member) as client:
            tokens[member] = (await client.login()).token
    return tokens


def in_a_process(crowding: Crowding, node: SingleNode, tasks: Sequence[Prepared]) -> list[Told]:
    """Return what a process of its own was told, by crowding at the node."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_crowd, args=(there, crowding, node.url))
    process.start()
    there.close()
    try:
        here.send(list(tasks))
        told: list[Told] = here.recv()
        return told
    finally:
        here.close()
        process.join(timeout=10)
        process.kill()


def _crowd(pipe: Connection, crowding: Crowding, url: str) -> None:
    tasks = pipe.recv()
    pipe.send(uvloop.run(crowding(url, tasks)))


async def _keep(url: str, tasks: Sequence[Prepared]) -> list[Told]:
    return await keep_in_flight(url, tasks, count=IN_FLIGHT)


async def _offer(url: str, tasks: Sequence[Prepared]) -> list[Told]:
    return await offer(url, tasks, per_s=OFFERED_PER_S)


class Beside:
    """Looks at a node every so often while something else happens."""

    def __init__(self, node: SingleNode, *, every_s: float) -> None:
        """Look at this node."""
        self.node = node
        self._every_s = every_s

    def meanwhile(self, work: Callable[[], list[Told]]) -> list[Told]:
        """Return what `work`, which runs in a thread beside this, returns."""
        return asyncio.run(self._beside(work))

    async def _beside(self, work: Callable[[], list[Told]]) -> list[Told]:
        await self.begin()
        working = asyncio.create_task(asyncio.to_thread(work))
        while not working.done():
            await self.look()
            await asyncio.wait({working}, timeout=self._every_s)
        return working.result()

    async def begin(self) -> None:
        """Prepare to look."""

    async def look(self) -> None:
        """Look once."""
        raise NotImplementedError


class Health(Beside):
    """How long a node takes to say that it is ready, in milliseconds."""

    def __init__(self, node: SingleNode) -> None:
        """Ask nothing yet."""
        super().__init__(node, every_s=HEALTH_EVERY_S)
        self.ms: list[float] = []

    async def begin(self) -> None:
        """Open a connection of its own."""
        self._lane = await Lane.open(self.node.url)

    async def look(self) -> None:
        """Ask once."""
        began = time.perf_counter()
        status, body = await self._lane.ask(get(READY.path, token=""))
        assert status == 200, body
        self.ms.append((time.perf_counter() - began) * 1000)


class Memory(Beside):
    """What a node and all below it take of memory (PSS), in megabytes."""

    def __init__(self, node: SingleNode) -> None:
        """Look at nothing yet."""
        super().__init__(node, every_s=MEMORY_EVERY_S)
        self.mb: list[float] = []

    async def look(self) -> None:
        """Add one figure."""
        own = psutil.Process(self.node.pid)
        tree = (own, *own.children(recursive=True))
        self.mb.append(sum(each.memory_full_info().pss for each in tree) / MB)

    def growth_percent(self) -> float:
        """Return by how much the last third is above the second, both at their medians."""
        third = max(1, len(self.mb) // 3)
        middle, last = sorted(self.mb[-2 * third : -third]), sorted(self.mb[-third:])
        before = middle[len(middle) // 2] if middle else last[0]
        return (last[len(last) // 2] / before - 1) * 100

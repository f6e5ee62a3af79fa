"""Names on real nodes: how soon the others answer one, and how they take 10,000.

What is timed of one begins before the claim is signed and ends when another node has answered it
over HTTP, being asked again and again; of 10,000, it ends when the node has verified and keeps the
last one. The bulk is claimed as `opkit name import` does.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import cycle, islice

import psutil

from bench.network import devnet, opkit, state_home
from bench.rows import Row, ms_of, percentile, quick, row
from devnet.attach import open_world
from opkit.client import NodeClient
from opkit.client.bulk import hold_all
from opkit.story.world import World
from opkit.wire.names import NameUnknown, NodeTarget
from opkit.wire.overlay import OVERLAY, AskOverlay

RIVER = "river-city-tool-library"
HARBOR = "harbor-homes-cooperative"
BRIGHT = "brightworks-cooperative"
MARA = f"{RIVER}/mara"
TIMES, QUICK_TIMES = 200, 10
LOSSY_TIMES, QUICK_LOSSY_TIMES = 20, 3
LOOKUPS, QUICK_LOOKUPS = 1_000, 50
NAMES, QUICK_NAMES = 10_000, 300
SEED = 7
MB = 1_000_000
PAUSE_S = 0.05
WITHIN_S = 120
FORGOTTEN_S = 45.0
"""Until gossip has forgotten what it handed out: that is of the import, not of the names."""

SETTLE_S = 11.0
"""Until a home node trusts its own tables again after its start."""


def names() -> list[Row]:
    """How soon a name is answered elsewhere, and how fast a replicated one is looked up."""
    with state_home(), devnet() as name:
        return asyncio.run(_in_world(name, _names))


def names_lossy() -> list[Row]:
    """How soon all of five nodes hold a name while a tenth of all messages is lost."""
    with state_home(), devnet("federation") as name:
        opkit("devnet", "chaos", "loss", "0.1", "--devnet", name)
        return asyncio.run(_in_world(name, _lossy))


def names_bulk() -> list[Row]:
    """How soon all nodes have 10,000 names after their import, and what they take of memory."""
    with state_home(), devnet() as name:
        before = _memory(name)
        rows = asyncio.run(_in_world(name, _bulk))
        time.sleep(FORGOTTEN_S)
        grown = [(now - then) / MB for now, then in zip(_memory(name), before, strict=True)]
    count = QUICK_NAMES if quick() else NAMES
    told = f"{count:,} names on three nodes, memory above idle"
    return [*rows, row(told, max(grown), "MB", target="<= 60", of=grown)]


def names_emptied() -> list[Row]:
    """How soon a node that was away has 10,000 names after its restart."""
    with state_home(), devnet() as name:
        return asyncio.run(_in_world(name, _emptied))


async def _in_world(name: str, work: Callable[[World], Awaitable[list[Row]]]) -> list[Row]:
    world = await open_world(name, run_id="bench", seed=SEED)
    try:
        await asyncio.sleep(SETTLE_S)
        return await work(world)
    finally:
        await world.close()


async def _names(world: World) -> list[Row]:
    times = QUICK_TIMES if quick() else TIMES
    home = world.client(RIVER, MARA)
    others = [world.operator(org) for org in (HARBOR, BRIGHT)]
    await _answered(home, others, f"first.{RIVER}")  # Tokens and code are there from then on.
    late_ms = [await _answered(home, others, f"bench-{n}.{RIVER}") for n in range(times)]
    lookups = QUICK_LOOKUPS if quick() else LOOKUPS
    wanted = islice(cycle(f"bench-{n}.{RIVER}" for n in range(times)), lookups)
    took_ms = [await ms_of(partial(others[0].names.get, name)) for name in wanted]
    told = "name registered, both others answer it"
    return [
        row(f"{told}, P50", percentile(late_ms, 0.5), "ms", target="<= 40", of=late_ms),
        row(f"{told}, P95", percentile(late_ms, 0.95), "ms", target="<= 150", of=late_ms),
        row("name looked up, P95", percentile(took_ms, 0.95), "ms", target="<= 10", of=took_ms),
    ]


async def _lossy(world: World) -> list[Row]:
    times = QUICK_LOSSY_TIMES if quick() else LOSSY_TIMES
    home = world.client(RIVER, MARA)
    others = [world.operator(each.org) for each in world.genesis.genesis.nodes if each.org != RIVER]
    await _answered(home, others, f"first.{RIVER}")
    late_ms = [await _answered(home, others, f"lossy-{n}.{RIVER}") for n in range(times)]
    late_s = [each / 1_000 for each in late_ms]
    told = "name on five nodes, 10 % loss, all hold it"
    return [row(told, max(late_s), "s", target="<= 3", of=late_s)]


async def _bulk(world: World) -> list[Row]:
    count = QUICK_NAMES if quick() else NAMES
    took_s = await _import(world.client(RIVER, MARA), count)
    began = time.monotonic()
    others = [world.operator(org) for org in (HARBOR, BRIGHT)]
    kept_s = await asyncio.gather(*(_has(client, count) for client in others))
    late_s = [at_s - began for at_s in kept_s]
    told = f"{count:,} names on three nodes"
    return [
        row(f"{told}, import", took_s, "s", target="", of=[took_s]),
        row(f"{told}, converged after it", max(late_s), "s", target="<= 20", of=late_s),
    ]


async def _emptied(world: World) -> list[Row]:
    count = QUICK_NAMES if quick() else NAMES
    await world.kill(BRIGHT)
    await _import(world.client(RIVER, MARA), count)
    began = time.monotonic()
    await world.restart(BRIGHT)
    started_s = time.monotonic() - began
    late_s = [await _has(world.operator(BRIGHT), count) - began - started_s]
    told = f"{count:,} names, restarted empty node has them, after it is ready"
    return [row(told, max(late_s), "s", target="<= 8", of=late_s)]


async def _answered(home: NodeClient, others: list[NodeClient], name: str) -> float:
    """Return after how many milliseconds all others answer a name that is registered now."""
    began = time.perf_counter()
    held = await home.names.register(name, NodeTarget(node=home.node))

    async def until_answered(client: NodeClient) -> None:
        while True:
            try:
                found = await client.names.get(name)
            except NameUnknown:
                continue
            if found.sequence == held.sequence:
                return

    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*map(until_answered, others))
    return (time.perf_counter() - began) * 1_000


async def _import(home: NodeClient, count: int) -> float:
    """Claim so many names as an import does; return how many seconds it took."""
    target = NodeTarget(node=home.node)
    wanted = {f"bulk-{number}.{RIVER}": target for number in range(count)}
    began = time.monotonic()
    async for each in hold_all(home.names, wanted, member_id=MARA):
        if each.refusal is not None:
            raise RuntimeError(f"{each.name} is not held: {each.refusal}")
    return time.monotonic() - began


async def _has(client: NodeClient, count: int) -> float:
    """Return when a node kept all names, by this machine's clock; they are listed after that.

    Listing them takes the node and whoever verifies them longer than to look how many are kept.
    """
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await _kept(client) >= count:
                at_s = time.monotonic()
                break
            await asyncio.sleep(PAUSE_S)
        listed = [1 async for _ in client.names.list(prefix="bulk-", page=500)]
    if len(listed) != count:
        raise RuntimeError(f"{len(listed)} of {count} names are answered")
    return at_s


async def _kept(client: NodeClient) -> int:
    overlay = await client.call(OVERLAY, AskOverlay())
    return sum(each.count for each in overlay.records if each.name == "name")


def _memory(name: str) -> list[int]:
    """Return what each node takes, its workers included."""
    status = json.loads(opkit("devnet", "status", name, "--json"))
    nodes = [psutil.Process(int(node["pid"])) for node in status["nodes"]]
    families = [[node, *node.children(recursive=True)] for node in nodes]
    return [sum(one.memory_full_info().pss for one in family) for family in families]

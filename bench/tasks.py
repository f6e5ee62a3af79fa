"""Tasks on a running devnet: how long from submit to a receipt that the client has verified."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from statistics import median

from bench.modules import coded, padded
from bench.network import ROOT, devnet, state_home
from bench.rows import Row, ms_of, percentile, row
from devnet.attach import open_world
from opkit.client import NodeClient
from opkit.story import World
from opkit.wire.base import Cid, Did
from opkit.wire.compute import Outcome

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
MB, KB = 2**20, 2**10


def tasks() -> list[Row]:
    """A small task locally, and after fetching 1 MB, with little and with much code in it."""
    with state_home(), devnet() as name:
        return asyncio.run(_measure(name))


async def _measure(name: str) -> list[Row]:
    world = await open_world(name, run_id=f"bench-{secrets.token_hex(4)}", seed=7)
    try:
        local = await _local(world)
        little = await _fetched(world, lambda: padded(MB, code_bytes=60 * KB), times=20)
        much = await _fetched(world, lambda: coded(MB), times=5)
    finally:
        await world.close()
    fetched = "small task after fetching 1 MB"
    return [
        row("small task, local, P50", median(local), "ms", target="<= 10", of=local),
        row("small task, local, P95", percentile(local, 0.95), "ms", target="<= 30", of=local),
        row(f"{fetched}, P95", percentile(little, 0.95), "ms", target="<= 150", of=little),
        row(f"{fetched} of code", median(much), "ms", target="<= 1000", of=much),
    ]


async def _local(world: World) -> list[float]:
    client = world.client(BRIGHT, _member_of(world, BRIGHT))
    module = (ROOT / "wasm/upper.wasm").read_bytes()
    info = await client.wasm.deploy(module, name="upper")
    executor = world.node(BRIGHT).did
    task = _task(client, info.wasm_hash, executor)
    for _ in range(20):
        await task()
    return [await ms_of(task) for _ in range(200)]


async def _fetched(world: World, make: Callable[[], bytes], *, times: int) -> list[float]:
    """Deploy a new module at one node and run it at another, `times` times."""
    owner = world.client(RIVER, _member_of(world, RIVER))
    client = world.client(BRIGHT, _member_of(world, BRIGHT))
    executor = world.node(BRIGHT).did
    taken = []
    for _ in range(times):
        info = await owner.wasm.deploy(make(), name="bench")
        taken.append(await ms_of(_task(client, info.wasm_hash, executor)))
    return taken


def _task(client: NodeClient, wasm_hash: Cid, executor: Did) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        handle = await client.compute.submit(wasm_hash, b"hello", executor=executor)
        result = await handle.result()
        assert result.outcome is Outcome.OK, result.outcome

    return run


def _member_of(world: World, org: str) -> str:
    return next(f.member_id for coop, f in world.genesis.founders() if coop == org)

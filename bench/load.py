"""Something that happens on a network, so many times a second, while something else is measured."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.network import ROOT
from devnet.attach import open_world
from opkit.client import NodeClient
from opkit.wire.base import Cid, Did

RIVER, BRIGHT = "river-city-tool-library", "brightworks-cooperative"
EVENTS_PER_TASK = 5
"""A task that runs at its own node is accepted, placed, started, finished and ended there."""
UNDER_WAY_MAX = 32
START_S_MAX = 30


@contextmanager
def events(name: str, *, per_s: float) -> Iterator[None]:
    """Have about `per_s` events a second happen on devnet `name` meanwhile, by running tasks.

    Raises:
        RuntimeError: tasks could not be submitted.
    """
    ready, stop = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(_run_tasks(name, per_s=per_s / EVENTS_PER_TASK, ready=ready, stop=stop))
        except BaseException as error:  # Handed to the measuring thread, whatever it is.
            failed.append(error)
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        ready.wait(START_S_MAX)
        if not failed:
            yield
    finally:
        stop.set()
        thread.join()
        if failed:
            raise RuntimeError("no load: tasks failed") from failed[0]


async def _run_tasks(
    name: str, *, per_s: float, ready: threading.Event, stop: threading.Event
) -> None:
    """Submit tasks at even distances until told to stop; as many as can run are under way."""
    world = await open_world(name, run_id=f"bench-{secrets.token_hex(4)}", seed=7)
    member = next(f.member_id for coop, f in world.genesis.founders() if coop == BRIGHT)
    client = world.client(BRIGHT, member)
    try:
        info = await client.wasm.deploy((ROOT / "wasm/upper.wasm").read_bytes(), name="upper")
        await _run(client, info.wasm_hash, world.node(BRIGHT).did)
        ready.set()
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            under_way: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                if len(under_way) < UNDER_WAY_MAX:
                    task = group.create_task(_run(client, info.wasm_hash, world.node(BRIGHT).did))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                due = max(due + 1 / per_s, loop.time())
                await asyncio.sleep(due - loop.time())
    finally:
        await world.close()


async def _run(client: NodeClient, wasm_hash: Cid, executor: Did) -> None:
    handle = await client.compute.submit(wasm_hash, b"hello", executor=executor)
    await handle.result()

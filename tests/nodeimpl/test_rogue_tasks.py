"""Modules that mean harm on a real node, over HTTP: each gets its answer, and others are served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.rogues import Rogue, rogues
from bench.single import SingleNode
from nodeimpl.sandbox.sandbox import SandboxLimits
from opkit.client.node import NodeClient
from opkit.proof.receipt import verify_receipt
from opkit.wire.compute import Grants, ModuleInvalid, Outcome, TaskLimits
from opkit.wire.errors import CoopError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("unmeasured_processes"),
]

WASM = Path(__file__).resolve().parents[2] / "wasm"
MARA = "river-city-tool-library/mara"
STORY_S_MAX = 250
WAIT_S_MAX = 60
SPAWNERS_MAX = SandboxLimits().spawners_max
TREE_BYTES_MAX = 512 * 2**20
"""Node, spawner and two workers: 80 MB of code and data, and what allocators keep."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SingleNode]:
    """A node that is not started yet; it is killed at the end."""
    made = SingleNode(tmp_path)
    yield made
    made.kill()


async def served(node: SingleNode, client: NodeClient, upper: str) -> None:
    """Run a decent task: it must be served, whatever else the node was asked."""
    handle = await client.compute.submit(upper, b"next", executor=node.identity.did)
    assert (await handle.result()).output == b"NEXT"


async def told(node: SingleNode, client: NodeClient, rogue: Rogue) -> Outcome | None:
    """Return the outcome on the verified receipt of such a task; None if the module is refused."""
    try:
        info = await client.wasm.deploy(rogue.make(), name="rogue")
    except ModuleInvalid:
        return None
    handle = await client.compute.submit(
        info.wasm_hash,
        b"",
        executor=node.identity.did,
        limits=TaskLimits(**rogue.limits),
        grants=Grants(**rogue.grants),
    )
    result = await handle.result()
    assert verify_receipt(result.bundle, genesis=node.world.view).status == "verified"
    return result.outcome


async def settles(node: SingleNode) -> None:
    """Return once the node has a spawner and its workers, and no process more."""
    until = time.monotonic() + WAIT_S_MAX
    while True:
        (spawner,) = psutil.Process(node.pid).children()
        workers = spawner.children(recursive=True)
        if len(workers) <= 2 and not any(is_zombie(each.pid) for each in workers):
            return
        assert time.monotonic() < until, workers
        await asyncio.sleep(0.05)


def memory_of(node: SingleNode) -> int:
    """Return the memory of the node and all below it, shared parts counted once, in bytes."""
    own = psutil.Process(node.pid)
    total: int = own.memory_full_info().pss
    for each in own.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # It has ended just now, and holds nothing.
            total += each.memory_full_info().pss
    return total


def test_each_module_that_means_harm_gets_its_answer_and_others_are_served(
    node: SingleNode,
) -> None:
    async def story() -> None:
        await node.start()
        async with node.client(MARA) as mara:
            info = await mara.wasm.deploy((WASM / "upper.wasm").read_bytes(), name="upper")
            for name, rogue in rogues().items():
                outcome, _ = await asyncio.gather(
                    told(node, mara, rogue), served(node, mara, info.wasm_hash)
                )
                assert outcome in (rogue.ends or {None}), name
                await served(node, mara, info.wasm_hash)
            await settles(node)
            assert memory_of(node) < TREE_BYTES_MAX

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))


async def without_spawner(node: SingleNode) -> None:
    """Kill the node's spawner and return once it and its workers are gone."""
    (spawner,) = psutil.Process(node.pid).children()
    gone = [spawner.pid, *(each.pid for each in spawner.children(recursive=True))]
    spawner.kill()
    until = time.monotonic() + WAIT_S_MAX
    while alive := [pid for pid in gone if psutil.pid_exists(pid) and not is_zombie(pid)]:
        assert time.monotonic() < until, alive
        await asyncio.sleep(0.02)


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended and only its parent does not know yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_node_whose_spawner_is_killed_goes_on_and_one_that_never_keeps_it_stops_and_says_why(
    node: SingleNode,
) -> None:
    async def story() -> None:
        await node.start()
        async with node.client(MARA) as mara:
            info = await mara.wasm.deploy((WASM / "upper.wasm").read_bytes(), name="upper")
            for _ in range(SPAWNERS_MAX):
                await without_spawner(node)
                await served(node, mara, info.wasm_hash)
            await without_spawner(node)
            with pytest.raises(CoopError):
                await served(node, mara, info.wasm_hash)

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))
    assert node.exit_code(wait_s_max=WAIT_S_MAX) == 1
    log = node.log.read_text()
    assert f"the spawner of workers ended {SPAWNERS_MAX + 1} times" in log

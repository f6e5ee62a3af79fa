"""A crowd at a real node: what it takes it ends, what it cannot take soon it refuses at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.lanes import Lane, Prepared, keep_in_flight, offer, prepare
from bench.single import SingleNode
from nodeimpl.compute.rules import Limits
from opkit.wire.compute import TaskLimits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("unmeasured_processes"),
]

WASM = Path(__file__).resolve().parents[2] / "wasm"
MARA = "river-city-tool-library/mara"
WHO = (MARA, "river-city-tool-library/theo", "river-city-tool-library/ines")
"""So many that none has as many tasks under way as one may, however few of them have ended."""
STORY_S_MAX = 150
PER_S = 150


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SingleNode]:
    """A node whose members may have many tasks under way; it is killed at the end."""
    made = SingleNode(tmp_path, sections="[compute]\ntasks_per_submitter = 256")
    yield made
    made.kill()


async def tasks(
    node: SingleNode, name: str, count: int, *, limits: TaskLimits | None = None
) -> list[Prepared]:
    """Return so many signed tasks of several members, whose module the node has."""
    module, tokens = (WASM / f"{name}.wasm").read_bytes(), {}
    for member in WHO:
        async with node.client(member) as client:
            await client.wasm.deploy(module, name=name)
            tokens[member] = (await client.login()).token
    who = [(member, node.world.members[member], token) for member, token in tokens.items()]
    return [
        prepare(
            network=node.world.view.network,
            executor=node.identity.did,
            member=who[number % len(who)],
            module=module,
            limits=limits,
        )
        for number in range(count)
    ]


async def journalled(node: SingleNode) -> Counter[str]:
    """Return how many entries of each type are in the journal."""
    seen = Counter[str]()
    async with node.client(MARA) as client:
        async for page in client.journal():
            seen.update(entry.type for entry in page.entries)
    return seen


def test_of_many_tasks_in_flight_none_is_lost_and_none_fails(node: SingleNode) -> None:
    async def story() -> None:
        await node.start()
        made = await tasks(node, "upper", 300)
        # As many as are taken however slow the machine is: each counts twice while it is recorded.
        told = await keep_in_flight(node.url, made, count=Limits().queue_short // 2)
        assert Counter(each.end for each in told) == {"done": 300}
        seen = await journalled(node)
        assert seen["compute.task-finished"] == seen["compute.task-ended"] == 300

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))


def test_more_than_a_node_can_do_is_refused_as_busy_and_what_it_took_it_ends(
    node: SingleNode,
) -> None:
    async def story() -> None:
        await node.start()
        # Each takes both workers some hundred milliseconds, whatever the machine: far too many.
        # A burst is taken whole: they come for longer than one lasts.
        count = PER_S * (Limits().burst_ms_max // 1000 + 2)
        busy = await tasks(node, "spin", count, limits=TaskLimits(fuel=400_000_000))
        told = await offer(node.url, busy, per_s=PER_S)
        ends = Counter(each.end for each in told)
        assert ends.total() == count
        assert set(ends) == {"failed", "queue-full"}, ends
        assert all(each.accepted is (each.end == "failed") for each in told)
        seen = await journalled(node)
        assert seen["compute.task-accepted"] == ends["failed"], "what is refused leaves nothing"
        assert seen["compute.task-ended"] == ends["failed"]
        (decent,) = await tasks(node, "upper", 1)
        lane = await Lane.open(node.url)
        assert (await lane.task(decent, due=0)).end == "done"
        lane.close()

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))

"""Who is asked for what on networks of real nodes, and that what is measured is what it says."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from bench.emptied import emptied
from bench.first_byte import first_byte
from bench.lookups import Times, holders_of, lookups, place, ring
from bench.rows import QUICK
from bench.swarm import THREE, Swarm, swarm
from nodeimpl.overlay.port import key_id, node_id
from opkit.proof.cid import cid_of

NAME = cid_of(b"wanted")


def test_each_of_a_ring_stays_connected_with_the_next_three():
    assert ring(12)[0] == [1, 2, 3]
    assert ring(12)[11] == [0, 1, 2]
    assert ring(5) == [[1, 2, 3], [2, 3, 4], [3, 4, 0], [4, 0, 1], [0, 1, 2]]


def test_the_nodes_nearest_to_a_name_hold_it():
    async def scenario() -> None:
        async with swarm(*ring(7)) as nodes:
            holding = holders_of(NAME, nodes.nodes, 7)
            far = [node_id(node.did) ^ key_id("blob", NAME) for node in holding]
            assert all(nearer < farther for nearer, farther in pairwise(far))
            assert holders_of(NAME, nodes.nodes, 4) == holding[:4]

    asyncio.run(scenario())


def test_a_get_that_finds_nothing_is_counted_and_a_put_that_nobody_takes_is_an_error():
    times = Times()
    times.note_get({"ms": 2.0, "found": 1})
    times.note_get({"ms": 9.0, "found": 0})
    times.note_put({"ms": 3.0, "kept": 2})
    assert (times.get_ms, times.put_ms, times.missed) == ([2.0, 9.0], [3.0], 1)
    with pytest.raises(RuntimeError, match="nobody"):
        times.note_put({"ms": 3.0, "kept": 0})


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_what_would_be_answered_from_the_own_shelf_is_not_measured():
    async def scenario() -> None:
        async with swarm(*THREE) as nodes:
            await nodes.start(0, 1, 2)
            await nodes.meet(0, 1, 2)
            names = await place(nodes, 1, holders=1)
            (name, holding), *_ = names.items()
            other = next(node for node in nodes.nodes if node not in holding)
            assert (await other.tell("get", name=name))["found"] == 1
            with pytest.raises(RuntimeError, match="it would be answered from here"):
                await holding[0].tell("get", name=name)

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_what_a_node_did_not_survive_is_told_with_the_end_of_its_log():
    async def scenario(nodes: Swarm) -> None:
        await nodes.start(0)
        node = nodes.nodes[0]
        assert await node.tell("used") > 0
        with pytest.raises(RuntimeError, match="no_such_order"):
            await node.tell("no_such_order")

    async def outer() -> None:
        async with swarm((1,), (0,)) as nodes:
            await scenario(nodes)

    asyncio.run(outer())


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("measured", [lookups, first_byte, emptied])
def test_a_quick_measurement_has_a_figure_in_every_row(monkeypatch, measured):
    monkeypatch.setenv(QUICK, "1")
    rows = measured()
    assert all(row.n and row.high >= row.low >= 0 for row in rows)
    assert all(row.ok for row in rows if row.name.endswith("not found"))

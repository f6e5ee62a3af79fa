"""What counts as delivered, and what real nodes take in a while beyond what they take anyway."""

from __future__ import annotations

import asyncio

import pytest

from bench.gossip import Delivered, delivered, honest_load
from bench.swarm import THREE, Used, swarm

MS = 1_000_000
A, B, C = "did:key:a", "did:key:b", "did:key:c"


def test_each_message_is_delivered_at_every_node_but_its_own():
    published = {A: [0, 20 * MS], B: [10 * MS]}
    heard = {
        A: [(A, 0, 0), (A, 1, 20 * MS), (B, 0, 12 * MS)],
        B: [(A, 0, 1 * MS), (A, 1, 23 * MS), (B, 0, 10 * MS)],
        C: [(B, 0, 14 * MS), (A, 0, 5 * MS), (A, 1, 21 * MS)],
    }
    told = delivered(published, heard)
    assert sorted(told.late_ms) == [1, 1, 2, 3, 4, 5]
    assert (told.expected, told.lost, told.whole_s) == (6, 0, 0.023)


def test_what_did_not_come_is_lost_and_not_left_out():
    told = delivered({A: [0, MS]}, {A: [(A, 0, 0), (A, 1, MS)], B: [(A, 0, 2 * MS)], C: []})
    assert (told.expected, told.lost, told.late_ms) == (4, 3, [2.0])


def test_a_message_that_came_twice_or_from_nobody_is_found_out():
    with pytest.raises(ValueError, match="twice"):
        delivered({A: [0]}, {B: [(A, 0, 1), (A, 0, 2)]})
    with pytest.raises(ValueError, match="nobody published"):
        delivered({A: [0]}, {B: [(A, 1, 1)]})
    with pytest.raises(ValueError, match="nobody published"):
        delivered({A: [0]}, {B: [(C, 0, 1)]})


def test_nothing_published_is_nothing_lost():
    assert delivered({}, {A: []}) == Delivered(expected=0, late_ms=[], whole_s=0.0)


def test_what_idle_nodes_take_is_taken_off_at_its_rate():
    idle = Used(processor_s=0.1, took_s=5.0)
    assert Used(processor_s=1.4, took_s=20.0).more_s(idle) == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_three_real_nodes_are_given_every_message_of_the_others():
    async def scenario() -> Delivered:
        async with swarm(*THREE) as nodes:
            await nodes.start(0, 1, 2)
            await nodes.meet(0, 1, 2)
            return await honest_load(nodes, (0, 1, 2), run="test", per_s=50, count=20)

    told = asyncio.run(scenario())
    assert (told.expected, told.lost) == (40, 0)
    assert all(late_ms > 0 for late_ms in told.late_ms)

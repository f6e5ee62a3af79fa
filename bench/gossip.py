"""Gossip between three real nodes: how late messages come, whether all do, and what they cost.

A message is a signed record with 1 KB of text. What is timed begins before it is signed and ends
when the other node has verified it and keeps it. Processor time is of all three processes, less
what they take when nobody publishes, and includes signing, keeping, and the announcements that are
repeated for a quarter of a minute.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.rows import Row, percentile, quick, row
from bench.swarm import THREE, Swarm, swarm, using
from opkit.wire.base import Did

PER_S, SECONDS = 50, 20
BURST, QUICK_BURST, BURST_PER_S = 1_000, 150, 500
CHARACTERS = 1_024
SETTLE_S, IDLE_S, AFTER_S = 3.0, 6.0, 17.0
"""How long new nodes are left alone, and then looked at; how long messages are announced after they
came, which belongs to what they cost."""

WAIT_MS = 30_000
LEAD_NS = 50_000_000
"""How long after the order the first message is published."""

Message = tuple[Did, int]
"""Whose message it is, and which of theirs in its run."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What became of a load of messages.

    Attributes:
        expected: how many deliveries there should have been: each message at each other node.
        late_ms: of each delivery, how long after it was published.
        whole_s: from the first publication to the last delivery.
    """

    expected: int
    late_ms: list[float]
    whole_s: float

    @property
    def lost(self) -> int:
        """How many deliveries are missing."""
        return self.expected - len(self.late_ms)


def delivered(
    published: dict[Did, list[int]], heard: dict[Did, list[tuple[Did, int, int]]]
) -> Delivered:
    """Return what became of messages.

    Args:
        published: when each publisher published each of theirs, in ns, in order.
        heard: for each node whose messages came, which of theirs, and when in ns; its own are no
            delivery.

    Raises:
        ValueError: a node heard what nobody published, or one message twice.
    """
    late_ms: list[float] = []
    last_ns = 0
    for node, came in heard.items():
        of_others = [(whose, number, ns) for whose, number, ns in came if whose != node]
        if len({(whose, number) for whose, number, _ in of_others}) != len(of_others):
            raise ValueError(f"{node} was given a message twice")
        for whose, number, ns in of_others:
            if number >= len(published.get(whose, ())):
                raise ValueError(f"{node} heard what nobody published")
            late_ms.append((ns - published[whose][number]) / 1e6)
            last_ns = max(last_ns, ns)
    expected = sum(
        len(times) for whose, times in published.items() for node in heard if node != whose
    )
    first_ns = min((ns for times in published.values() for ns in times), default=0)
    whole_s = max(0.0, (last_ns - first_ns) / 1e9)
    return Delivered(expected=expected, late_ms=late_ms, whole_s=whole_s)


async def honest_load(
    swarm: Swarm,
    numbers: tuple[int, ...],
    *,
    run: str,
    per_s: int,
    count: int,
    put: bool = False,
) -> Delivered:
    """Have nodes publish messages in turns, and return what became of them at all of them.

    Args:
        swarm: they run, and have met.
        numbers: which of its nodes.
        run: a name for these messages that was not used before, without a slash.
        per_s: messages a second of all together, at even distances.
        count: messages of all together, as many of each as it comes to in turns.
        put: whether each is also put to the nearest nodes.

    Raises: as `SwarmNode.tell`.
    """
    nodes = [swarm.nodes[number] for number in numbers]
    first_ns = time.monotonic_ns() + LEAD_NS
    every_us = 1_000_000 * len(nodes) // per_s
    told = await asyncio.gather(
        *(
            node.tell(
                "publish",
                run=run,
                count=len(range(at, count, len(nodes))),
                every_us=every_us,
                first_ns=first_ns + at * 1_000_000_000 // per_s,
                characters=CHARACTERS,
                put=put,
            )
            for at, node in enumerate(nodes)
        )
    )
    came = await asyncio.gather(
        *(node.tell("heard", run=run, count=count, within_ms=WAIT_MS) for node in nodes)
    )
    return delivered(
        {node.did: times for node, times in zip(nodes, told, strict=True)},
        {node.did: heard for node, heard in zip(nodes, came, strict=True)},
    )


def gossip() -> list[Row]:
    """Latency, losses and cost of a steady load."""
    return asyncio.run(_steady())


def burst() -> list[Row]:
    """How long 1,000 messages take that are published within two seconds."""
    return asyncio.run(_burst())


async def _steady() -> list[Row]:
    count = PER_S * (2 if quick() else SECONDS)
    settle_s, alone_s, after_s = (1.0, 1.0, 0.0) if quick() else (SETTLE_S, IDLE_S, AFTER_S)
    async with swarm(*THREE) as nodes:
        await nodes.start(0, 1, 2)
        await nodes.meet(0, 1, 2)
        await asyncio.sleep(settle_s)
        async with using(nodes, 0, 1, 2) as idle:
            await asyncio.sleep(alone_s)
        async with using(nodes, 0, 1, 2) as spent:
            told = await honest_load(nodes, (0, 1, 2), run="steady", per_s=PER_S, count=count)
            await asyncio.sleep(after_s)
    each_ms = spent.more_s(idle) / count * 1_000
    name = f"gossip, 3 nodes, {PER_S}/s of 1 KB"
    late = told.late_ms
    return [
        row(f"{name}, P50", percentile(late, 0.5), "ms", target="<= 5", of=late),
        row(f"{name}, P95", percentile(late, 0.95), "ms", target="<= 20", of=late),
        row(f"{name}, lost", told.lost, "", target="<= 0", of=[told.lost]),
        row(f"{name}, CPU of all, each", each_ms, "ms", target="<= 1.5", of=[each_ms]),
    ]


async def _burst() -> list[Row]:
    count = QUICK_BURST if quick() else BURST
    async with swarm(*THREE) as nodes:
        await nodes.start(0, 1, 2)
        await nodes.meet(0, 1, 2)
        told = await honest_load(nodes, (0, 1, 2), run="burst", per_s=BURST_PER_S, count=count)
    name = f"burst of {count:,} at {BURST_PER_S}/s, 3 nodes"
    late_s = [ms / 1_000 for ms in told.late_ms]
    return [
        row(f"{name}, all delivered", told.whole_s, "s", target="<= 4", of=late_s),
        row(f"{name}, lost", told.lost, "", target="<= 0", of=[told.lost]),
    ]

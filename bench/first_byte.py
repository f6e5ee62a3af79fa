"""From a blob's name to its first byte, on a node that never met who provides it.

Three nodes: who asks knows one other, which was given the provider's record, and the provider, a
fresh process each time, knows nobody. So the lookup, the first connection to an unknown key, and
the question whether it has the blob all lie between the name and the first byte.
"""

from __future__ import annotations

import asyncio

from bench.rows import Row, percentile, quick, row
from bench.swarm import Swarm, swarm

PROVIDERS, QUICK_PROVIDERS = 20, 2
SIZE_BYTES = 65_536
SETTLE_S, QUIET_S = 2.0, 0.25
"""How long the first two, and each provider, are left alone before anything is asked."""


def first_byte() -> list[Row]:
    """Milliseconds from name to first byte, for one provider after the other."""
    count = QUICK_PROVIDERS if quick() else PROVIDERS
    taken = asyncio.run(_all(count))
    return [
        row(
            "blob's name to first byte, P95",
            percentile(taken, 0.95),
            "ms",
            target="<= 25",
            of=taken,
        ),
        row("blob's name to first byte, P50", percentile(taken, 0.5), "ms", target="", of=taken),
    ]


async def _all(count: int) -> list[float]:
    async with swarm((1,), (0,), more=count) as nodes:
        await nodes.start(0, 1)
        await nodes.meet(0, 1)
        await asyncio.sleep(SETTLE_S)
        return [await _one(nodes, 2 + at) for at in range(count)]


async def _one(nodes: Swarm, number: int) -> float:
    """Return how long the first byte took of a provider that is started for it."""
    asker, knows, provider = nodes.nodes[0], nodes.nodes[1], nodes.nodes[number]
    await nodes.start(number)
    try:
        name, record = await provider.tell("offer_blob", size_bytes=SIZE_BYTES)
        await knows.tell("keep", records=[record])
        await asyncio.sleep(QUIET_S)
        return float(await asker.tell("first_byte", name=name, provider=provider.did))
    finally:
        provider.leave()

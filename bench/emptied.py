"""A node that was away while the others got 10,000 records: when it has them, after its restart.

It ran before, so that it has a journal and a place among the others, and no records but theirs of
that time. (One that lost its journal too may sign nothing any more.) What is timed begins with its
first link after the restart and ends when it has verified the last record and keeps it.
"""

from __future__ import annotations

import asyncio
import secrets
from statistics import median

from bench.rows import Row, quick, row
from bench.swarm import Swarm, swarm
from bench.swarm_job import signed_record

RECORDS, QUICK_RECORDS = 10_000, 500
CHARACTERS = 64
"""The text of a record: short, for how many there are is what counts."""

TIMES, QUICK_TIMES = 3, 1
WITHIN_MS = 60_000
SETTLE_S = 1.0


def emptied() -> list[Row]:
    """Seconds from the first link until all records are there."""
    return asyncio.run(_emptied())


async def _emptied() -> list[Row]:
    count, times = (QUICK_RECORDS, QUICK_TIMES) if quick() else (RECORDS, TIMES)
    away = range(2, 2 + times)
    async with swarm((1,), (0,), *[(0, 1)] * times) as nodes:
        await nodes.start(0, 1, *away)
        await nodes.meet(0, 1, *away)
        for number in away:
            nodes.nodes[number].leave()
        await _fill(nodes, count)
        taken_s = [await _restarted(nodes, number, count) for number in away]
    name = f"restarted empty, {count:,} records on two others"
    return [row(f"{name}, has all", median(taken_s), "s", target="<= 5", of=taken_s)]


async def _fill(nodes: Swarm, count: int) -> None:
    """Give the records to the two that stayed, as a restart does: nothing is announced."""
    tokens = []
    for number in range(count):
        owner = nodes.nodes[number % 2].identity
        note = signed_record(
            owner,
            network=nodes.genesis.network,
            namespace="note",
            name=f"{owner.did}/fill/{number}",
            value={"text": secrets.token_hex(CHARACTERS // 2)},
        )
        tokens.append(note.jws)
    path = nodes.nodes[0].folder / "records"
    path.write_text("\n".join(tokens), "ascii")
    for node in nodes.nodes[:2]:
        kept = await node.tell("restore", path=str(path))
        assert kept == count, f"{kept} of {count} were kept"


async def _restarted(nodes: Swarm, number: int, count: int) -> float:
    """Return how long one that was away took from its first link, in seconds."""
    await asyncio.sleep(SETTLE_S)
    await nodes.start(number)
    back = nodes.nodes[number]
    try:
        return float(await back.tell("filled", count=count, within_ms=WITHIN_MS)) / 1_000
    finally:
        back.leave()

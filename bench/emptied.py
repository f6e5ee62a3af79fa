"""A node that lost everything and starts again: when it has the 10,000 records of the others.

It is killed, its folder is removed, and it starts with its old key and the same peers. What is
timed begins with its first link and ends when it has verified the last record and keeps it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from statistics import median

from bench.rows import Row, quick, row
from bench.swarm import THREE, Swarm, swarm
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
    async with swarm(*THREE) as nodes:
        await nodes.start(0, 1, 2)
        await nodes.meet(0, 1, 2)
        nodes.nodes[2].kill()
        await _fill(nodes, count)
        taken_s = [await _restarted(nodes, count) for _ in range(times)]
    name = f"restarted empty, {count:,} records on two others"
    return [row(f"{name}, has all", median(taken_s), "s", target="<= 5", of=taken_s)]


async def _fill(nodes: Swarm, count: int) -> None:
    """Give the records to the two others, as after a restart of theirs: nothing is announced."""
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


async def _restarted(nodes: Swarm, count: int) -> float:
    """Return how long the third took from its first link, in seconds, after it lost everything."""
    lost = nodes.nodes[2]
    lost.kill()
    shutil.rmtree(lost.folder / "data", ignore_errors=True)
    await asyncio.sleep(SETTLE_S)
    await nodes.start(2)
    return float(await lost.tell("filled", count=count, within_ms=WITHIN_MS)) / 1_000

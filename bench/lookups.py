"""The hash table on real nodes: putting, getting what others keep, and both after a quarter died.

A put is timed from before its record is signed until the nearest nodes have answered. What is got
lies on the four nodes nearest to its name, as in a network that is larger than a bucket, and never
on the node that asks: after a real put to so few nodes each would answer from its own shelf.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from bench.rows import Row, percentile, quick, row
from bench.swarm import THREE, Swarm, SwarmNode, swarm
from bench.swarm_job import signed_record
from nodeimpl.overlay.port import key_id, node_id
from opkit.proof.cid import cid_of
from opkit.wire.base import Cid

FEW_TIMES, QUICK_TIMES = 200, 12
TWELVE, TWELVE_TIMES = 12, 120
KILLED = 3
"""A quarter of twelve."""

HOLDERS = 4
AFTER_EACH = 4
"""How many puts and gets each node makes right after the others were killed."""

SETTLE_S = 3.0
SEED = 7


@dataclass(kw_only=True)
class Times:
    """How long puts and gets took, in ms, and how many gets found nothing."""

    put_ms: list[float] = field(default_factory=list)
    get_ms: list[float] = field(default_factory=list)
    missed: int = 0

    def note_put(self, told: dict[str, Any]) -> None:
        """Take what a node says of a put. Raises `RuntimeError` if nobody took it."""
        if not told["kept"]:
            raise RuntimeError("nobody keeps what was put")
        self.put_ms.append(float(told["ms"]))

    def note_get(self, told: dict[str, Any]) -> None:
        """Take what a node says of a get."""
        self.get_ms.append(float(told["ms"]))
        self.missed += not told["found"]


def holders_of(name: Cid, nodes: Sequence[SwarmNode], count: int) -> list[SwarmNode]:
    """Return the nodes nearest to a blob's name."""
    place = key_id("blob", name)
    return sorted(nodes, key=lambda node: node_id(node.did) ^ place)[:count]


async def place(nodes: Swarm, count: int, *, holders: int) -> dict[Cid, list[SwarmNode]]:
    """Have signed records kept under fresh names by the nodes nearest to each; return by whom."""
    names: dict[Cid, list[SwarmNode]] = {}
    shelves: dict[int, list[str]] = {}
    running = [node for node in nodes.nodes if node.runs]
    for number in range(count):
        name = cid_of(secrets.token_bytes(32))
        names[name] = holders_of(name, running, holders)
        record = signed_record(
            nodes.nodes[number % len(nodes.nodes)].identity,
            network=nodes.genesis.network,
            namespace="blob",
            name=name,
            value={"size_bytes": 1, "addresses": []},
        )
        for node in names[name]:
            shelves.setdefault(node.number, []).append(record.jws)
    for at, records in shelves.items():
        await nodes.nodes[at].tell("keep", records=records)
    return names


async def measured(
    askers: Sequence[SwarmNode], names: dict[Cid, list[SwarmNode]], *, puts: int
) -> Times:
    """Have each name got once, by a node that has it not, and as many records put, in turns."""
    times = Times()
    turns = cycle(askers)
    for number, (name, holding) in enumerate(names.items()):
        if number < puts:
            times.note_put(await next(turns).tell("put"))
        able = [node for node in askers if node not in holding]
        times.note_get(await able[number % len(able)].tell("get", name=name))
    return times


def lookups() -> list[Row]:
    """Puts and gets on three nodes."""
    return asyncio.run(_on_three())


def lookups_of_twelve() -> list[Row]:
    """Puts and gets on twelve nodes, and right after three of them were killed."""
    return asyncio.run(_on_twelve())


async def _on_three() -> list[Row]:
    count = QUICK_TIMES if quick() else FEW_TIMES
    async with swarm(*THREE) as nodes:
        await nodes.start(0, 1, 2)
        await nodes.meet(0, 1, 2)
        await asyncio.sleep(SETTLE_S)
        names = await place(nodes, count, holders=1)
        times = await measured(nodes.nodes, names, puts=count)
    return [
        *_rows("DHT, 3 nodes", times, p50="<= 4", p95="<= 15"),
        row("DHT, 3 nodes, not found", times.missed, "", target="<= 0", of=[times.missed]),
    ]


async def _on_twelve() -> list[Row]:
    count = QUICK_TIMES if quick() else TWELVE_TIMES
    async with swarm(*ring(TWELVE)) as nodes:
        everybody = tuple(range(TWELVE))
        await nodes.start(*everybody)
        await nodes.meet(*everybody)
        await asyncio.sleep(SETTLE_S)
        before = await measured(nodes.nodes, await place(nodes, count, holders=HOLDERS), puts=count)
        left = TWELVE - KILLED
        names = await place(nodes, left * AFTER_EACH, holders=HOLDERS)
        for number in random.Random(SEED).sample(everybody, KILLED):
            nodes.nodes[number].kill()
        alive = [node for node in nodes.nodes if node.runs]
        after = await measured(alive, names, puts=len(names))
    name, killed = "DHT, 12 nodes", "DHT, 3 of 12 just killed"
    missed = before.missed + after.missed
    return [
        *_rows(name, before, p50="", p95="<= 60"),
        *_rows(killed, after, p50="", p95="<= 250"),
        row("DHT, 12 nodes, not found", missed, "", target="<= 0", of=[missed]),
    ]


def ring(count: int) -> list[list[int]]:
    """Return whom each of so many nodes stays connected with: the next three of a ring."""
    return [list(islice(cycle(range(count)), at + 1, at + 4)) for at in range(count)]


def _rows(name: str, times: Times, *, p50: str, p95: str) -> list[Row]:
    rows = []
    for what, ms in (("put", times.put_ms), ("get", times.get_ms)):
        rows.append(row(f"{name}, {what}, P50", percentile(ms, 0.5), "ms", target=p50, of=ms))
        rows.append(row(f"{name}, {what}, P95", percentile(ms, 0.95), "ms", target=p95, of=ms))
    return rows

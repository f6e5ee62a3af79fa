"""What hostile peers cost: floods of bad messages, and valid ones of keys that nobody vouches for.

Three real nodes gossip among themselves all the time; a hostile peer in a process of its own is
connected with one of them. What it costs is compared with the same load without it, in one run.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.gossip import Delivered, honest_load
from bench.network import ROOT
from bench.rows import Row, percentile, quick, row
from bench.swarm import THREE, Swarm, Used, swarm, using
from nodeimpl.overlay.budgets import Limits

PER_S, SECONDS, QUICK_S = 50, 10, 2
SETTLE_S = 3.0
FRESH_S = 20
CONNECTED_S_MAX = 60
ALL = (0, 1, 2)
ROOM = Limits()


@dataclass
class Attacked:
    """What a hostile peer was told, once it has ended."""

    told: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def attacked(nodes: Swarm, kind: str) -> AsyncIterator[Attacked]:
    """Have a hostile peer attack the first node meanwhile.

    Raises:
        RuntimeError: it ended instead.
    """
    victim, at_work = nodes.nodes[0], Attacked()
    genesis = victim.folder / "genesis.jws"
    arguments = ("-m", "bench.hostile_job", kind, str(genesis), victim.did, victim.address)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert process.stdin is not None and process.stdout is not None, "they were asked for"
    try:
        async with asyncio.timeout(CONNECTED_S_MAX):
            if not await process.stdout.readline():
                raise RuntimeError(f"the hostile peer {kind} ended")
        yield at_work
        process.stdin.close()
        at_work.told = json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _load(nodes: Swarm, run: str, seconds: int) -> tuple[Delivered, Used]:
    """Return what became of an honest load, and what the attacked node used meanwhile."""
    async with using(nodes, 0) as used:
        told = await honest_load(nodes, ALL, run=run, per_s=PER_S, count=PER_S * seconds)
    return told, used


def flood() -> list[Row]:
    """Gossip's latency, processor time and how soon it ends, under floods of bad messages."""
    return asyncio.run(_flood())


async def _flood() -> list[Row]:
    seconds = QUICK_S if quick() else SECONDS
    rows: list[Row] = []
    async with swarm(*THREE) as nodes:
        await nodes.start(*ALL)
        await nodes.meet(*ALL)
        await asyncio.sleep(SETTLE_S)
        alone, spent = await _load(nodes, "alone", seconds)
        for kind, what in (("flood", "gossiped"), ("flood-puts", "put")):
            async with attacked(nodes, kind) as peer:
                beside, used = await _load(nodes, kind, seconds)
            name = f"flood of 2,000 bad messages/s, {what}"
            times = percentile(beside.late_ms, 0.95) / percentile(alone.late_ms, 0.95)
            share = 100 * used.more_s(spent) / used.took_s
            cut_ms = peer.told.get("cut off after ms", 1_000 * seconds)
            rows += [
                row(f"{name}, gossip P95", times, "x", target="<= 3", of=beside.late_ms),
                row(f"{name}, node CPU", share, "% core", target="<= 30", of=[share]),
                row(f"{name}, cut off", cut_ms / 1_000, "s", target="<= 2", of=[cut_ms / 1_000]),
                row(f"{name}, lost", beside.lost, "", target="<= 0", of=[beside.lost]),
            ]
    return rows


def fresh_keys() -> list[Row]:
    """What 10,000 keys cost that nobody vouches for, with one valid record each."""
    return asyncio.run(_fresh_keys())


async def _fresh_keys() -> list[Row]:
    seconds = QUICK_S if quick() else FRESH_S
    async with swarm(*THREE) as nodes:
        await nodes.start(*ALL)
        await nodes.meet(*ALL)
        await asyncio.sleep(SETTLE_S)
        alone, spent = await _load(nodes, "alone", QUICK_S if quick() else SECONDS)
        before = [await node.tell("held") for node in nodes.nodes]
        async with attacked(nodes, "fresh-keys") as peer:
            beside, used = await _load(nodes, "beside", seconds)
        after = [await node.tell("held") for node in nodes.nodes]
        names = [
            f"{node.did}/beside/{number}"
            for at, node in enumerate(nodes.nodes)
            for number in range(len(range(at, PER_S * seconds, len(ALL))))
        ]
        kept = [await node.tell("stands", names=names) for node in nodes.nodes]
    name = f"{peer.told['sent']:,} fresh keys at 500/s"
    low = percentile(alone.late_ms, 0.95)
    times = percentile(beside.late_ms, 0.95) / low
    middle = percentile(beside.late_ms, 0.5) / percentile(alone.late_ms, 0.5)
    strangers = [held["shelf: unsponsored"] for held in after]
    share = 100 * used.more_s(spent) / used.took_s
    grown = [(now["rss"] - then["rss"]) / 2**20 for then, now in zip(before, after, strict=True)]
    lost = [len(names) - each for each in kept]
    most = ROOM.unsponsored_records_max
    return [
        row(f"{name}, gossip P95", times, "x", target="<= 2", of=beside.late_ms),
        row(f"{name}, gossip P50", middle, "x", target="", of=beside.late_ms),
        row(f"{name}, gossip P95 without", low, "ms", target="", of=alone.late_ms),
        row(f"{name}, kept of them", max(strangers), "", target=f"<= {most}", of=strangers),
        row(f"{name}, members' records lost", max(lost), "", target="<= 0", of=lost),
        row(f"{name}, node memory", max(grown), "MB more", target="", of=grown),
        row(f"{name}, node CPU", share, "% core", target="", of=[share]),
    ]

"""How soon nodes have the same after they were parted: 2,000 operations on each side of a cut.

Three nodes of a devnet, each a process. One is parted from the other two for a minute, and officers
on both sides attest things the while, over HTTP. Then the links are healed. What is timed begins
with the healing and ends when all three answer with one state: the same hash of the same bytes.
"""

from __future__ import annotations

import asyncio
import time

from bench.network import devnet, state_home
from bench.rows import Row, quick, row
from devnet.attach import open_world
from opkit.client.federation import FederationCalls
from opkit.story.world import World

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
SPEAKERS = {RIVER: f"{RIVER}/mara", BRIGHT: f"{BRIGHT}/hugo", HARBOR: f"{HARBOR}/rosa"}
APART, QUICK_APART = 2_000, 60
PARTED_S, QUICK_PARTED_S = 60.0, 5.0
KEYS = 500
"""How many things one coop attests: said again, each is one operation more."""

AT_ONCE = 8
TIMES, QUICK_TIMES = 3, 1
WITHIN_S = 120
LOOK_S = 0.05
"""How often it is looked: asking costs the nodes processor time, too."""

DAY_MS = 86_400_000
SEED = 7


def partition() -> list[Row]:
    """How soon three nodes agree after a minute apart."""
    healed: list[float] = []
    for _ in range(QUICK_TIMES if quick() else TIMES):
        with state_home(), devnet() as name:
            healed.append(asyncio.run(_healed(name)))
    apart = QUICK_APART if quick() else APART
    told = f"parted with {apart:,} operations on each side, healed and byte-equal"
    return [row(told, max(healed), "s", target="<= 5", of=healed)]


async def _healed(name: str) -> float:
    world = await open_world(name, run_id="bench", seed=SEED)
    try:
        return await _once(world)
    finally:
        await world.close()


async def _once(world: World) -> float:
    apart = QUICK_APART if quick() else APART
    calls = {org: world.client(org, who).federation for org, who in SPEAKERS.items()}
    await _same(calls, operations=0)
    cut_at = time.monotonic()
    for other in (BRIGHT, HARBOR):
        await world.cut(RIVER, other)
    await asyncio.gather(_say(calls[RIVER], BRIGHT, apart), _say(calls[BRIGHT], RIVER, apart))
    left_s = (QUICK_PARTED_S if quick() else PARTED_S) - (time.monotonic() - cut_at)
    if left_s > 0:
        await asyncio.sleep(left_s)
    for org in (RIVER, BRIGHT):
        if (await calls[org].members()).operations != apart:
            raise RuntimeError(f"{org} was not parted from the others")
    began = time.monotonic()
    for other in (BRIGHT, HARBOR):
        await world.heal(RIVER, other)
    await _same(calls, operations=2 * apart)
    return time.monotonic() - began


async def _say(federation: FederationCalls, about: str, count: int) -> None:
    """Attest so many things, a few at a time."""
    numbers = iter(range(count))

    async def one_after_another() -> None:
        for number in numbers:
            await federation.attest(
                about, f"thing-{number % KEYS}", f"For the {number}th time.", valid_ms=DAY_MS
            )

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def _same(calls: dict[str, FederationCalls], *, operations: int) -> None:
    """Return once all nodes have so many operations; raise unless they add up to the same."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = await asyncio.gather(*(each.members() for each in calls.values()))
            if all(each.operations == operations for each in found):
                break
            await asyncio.sleep(LOOK_S)
    if len({each.state for each in found}) != 1:
        raise RuntimeError("nodes that have the same operations differ")

"""Agreements on real nodes: how soon all three keep one in force once the second party signs.

Two coops vote on many agreements at once, and world time passes for all of them together; the first
party signs them all. What is timed of one begins before the second party's home is asked to execute
its decision, and ends when both homes and the facilitator's node answer it as in force over HTTP,
being asked again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress

from bench.network import devnet, state_home
from bench.rows import Row, percentile, quick, row
from devnet.attach import open_world
from opkit.client import NodeClient
from opkit.client.agreements import AgreementCalls
from opkit.story.world import World
from opkit.wire.agreements import AgreementInactive, AgreementUnknown
from opkit.wire.network import NODE, AskNode
from opkit.wire.terms import ClearingTerms, Terms

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
LAKES = "fingerlakes-cdn"
PARTIES = (BRIGHT, RIVER)
KEEPERS = (RIVER, BRIGHT, LAKES)
TIMES, QUICK_TIMES = 60, 5
VOTES = 4
AT_ONCE = 8
SEED = 7
PAUSE_S = 0.002
WITHIN_S = 60


def agreement() -> list[Row]:
    """How soon an agreement is in force on all three nodes after the second signature."""
    with state_home(), devnet("federation") as name:
        took_ms = asyncio.run(_measure(name))
    told = "agreement signed by the second party, in force on all three"
    return [
        row(f"{told}, P50", percentile(took_ms, 0.5), "ms", target="", of=took_ms),
        row(f"{told}, P95", percentile(took_ms, 0.95), "ms", target="<= 500", of=took_ms),
    ]


async def _measure(name: str) -> list[float]:
    world = await open_world(name, run_id="bench", seed=SEED)
    try:
        times = QUICK_TIMES if quick() else TIMES
        proposals = await _decided(world, times + 1)
        kept = {org: _officer(world, org).agreements for org in KEEPERS}
        ids = [(await kept[RIVER].sign(RIVER, proposal)).agreement for proposal in proposals[RIVER]]
        for each in ids:
            await asyncio.gather(*(_known(calls, each) for calls in kept.values()))
        # Of the first one nothing is timed: tokens and code are there from then on.
        took_ms = [
            await _in_force(kept, each, proposal)
            for each, proposal in zip(ids, proposals[BRIGHT], strict=True)
        ]
        return took_ms[1:]
    finally:
        await world.close()


async def _decided(world: World, times: int) -> dict[str, list[str]]:
    """Have both coops decide on agreements; return their proposals, ready to be executed."""
    begins_ms = (await world.client(RIVER, None).call(NODE, AskNode())).world_ms
    terms = [_terms(world, number, begins_ms) for number in range(times)]
    proposals: dict[str, list[str]] = {}
    for coop in PARTIES:
        officer = _officer(world, coop)
        views = [await officer.agreements.propose(coop, each) for each in terms]
        proposals[coop] = [view.proposal_id for view in views]
        for who in _members(world, coop)[:VOTES]:
            assembly = world.client(coop, who).governance(coop)
            await _some(assembly.vote(each, "yes") for each in proposals[coop])
    await world.pass_time(days=7)
    for coop in PARTIES:
        assembly = _officer(world, coop).governance(coop)
        await _some(assembly.close(each) for each in proposals[coop])
    await world.pass_time(days=1)
    return proposals


def _terms(world: World, number: int, begins_ms: int) -> Terms:
    return Terms(
        network=world.genesis.network,
        parties=PARTIES,
        facilitator=LAKES,
        arbiter=LAKES,
        title=f"Agreement {number}",
        text="Off-peak access to lathe, drill press and bandsaw, for hours of maintenance.",
        starts_ms=begins_ms,
        term_days=90,
        renewable=True,
        notice_days=30,
        clearing=ClearingTerms(unit="commons-credits", imbalance_max=100, settled="monthly"),
    )


async def _in_force(kept: dict[str, AgreementCalls], agreement: str, proposal: str) -> float:
    """Return after how many milliseconds all keepers say that an agreement is in force."""
    began = time.perf_counter()
    signing = asyncio.create_task(kept[BRIGHT].sign(BRIGHT, proposal))
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*(_active(calls, agreement) for calls in kept.values()))
    took_ms = (time.perf_counter() - began) * 1_000
    await signing
    return took_ms


async def _active(calls: AgreementCalls, agreement: str) -> None:
    while True:
        with suppress(AgreementInactive):
            await calls.use(agreement)
            return
        await asyncio.sleep(PAUSE_S)


async def _known(calls: AgreementCalls, agreement: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(AgreementUnknown):
                await calls.get(agreement)
                return
            await asyncio.sleep(PAUSE_S)


async def _some(work: Iterable[Awaitable[object]]) -> None:
    """Wait for all of it, so many at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: Awaitable[object]) -> None:
        async with room:
            await each

    await asyncio.gather(*(one(each) for each in work))


def _members(world: World, coop: str) -> list[str]:
    charter = world.genesis.charter(coop)
    assert charter is not None, coop
    return [founder.member_id for founder in charter.founders]


def _officer(world: World, coop: str) -> NodeClient:
    return world.client(coop, _members(world, coop)[0])

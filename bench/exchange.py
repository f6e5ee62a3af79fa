"""How soon an exchange stands in both ledgers, and how many two nodes make in a second.

Two nodes of a devnet, each a process, under an agreement that both coops voted for. An exchange is
timed from the ask until the answer says that both sides have posted it. For the rate, officers of
both coops go on proposing, some at once, in both directions. At the end both must see the mirror of
each other's position, with nothing in doubt.
"""

from __future__ import annotations

import asyncio
import time
from math import ceil

from bench.network import devnet, state_home
from bench.rows import Row, quick, row
from devnet.attach import open_world
from opkit.client.clearing import ClearingCalls
from opkit.story.world import World
from opkit.wire.clearing import Exchange
from opkit.wire.terms import ClearingTerms, Terms

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
PARTIES = (BRIGHT, RIVER)
UNIT = "commons-credits"
TIMES, QUICK_TIMES = 300, 20
RATE_S, QUICK_RATE_S = 20.0, 3.0
AT_ONCE = 16
"""How many exchanges are under way at once, half of them proposed by either side."""

WITHIN_S = 120
SEED = 7


def exchange() -> list[Row]:
    """Exchanges one after another, and as many as there can be."""
    with state_home(), devnet() as name:
        return asyncio.run(_measured(name))


async def _measured(name: str) -> list[Row]:
    world = await open_world(name, run_id="bench", seed=SEED)
    try:
        agreement = await agree(world)
        calls = {coop: world.client(coop, _people(world, coop)[0]).clearing for coop in PARTIES}
        for _ in range(5):
            await _exchange(calls, agreement, by=0)
        took = await _one_by_one(calls, agreement)
        rate, done = await _many(calls, agreement)
        await _equal(calls, agreement)
    finally:
        await world.close()
    at_95 = sorted(took)[ceil(0.95 * len(took)) - 1]
    return [
        row("exchange, both sides posted, P95", at_95, "ms", target="<= 150", of=took),
        row(
            f"exchanges between two nodes, {AT_ONCE} at once ({done:,})",
            rate,
            "/s",
            target=">= 50",
            of=[rate],
        ),
    ]


async def _one_by_one(calls: dict[str, ClearingCalls], agreement: str) -> list[float]:
    took = []
    for number in range(QUICK_TIMES if quick() else TIMES):
        began = time.monotonic()
        done = await _exchange(calls, agreement, by=number % 2)
        took.append(1_000 * (time.monotonic() - began))
        if (done.state, done.untold) != ("committed", 0):
            raise RuntimeError(f"an exchange was not posted on both sides: {done}")
    return took


async def _many(calls: dict[str, ClearingCalls], agreement: str) -> tuple[float, int]:
    """Return how many exchanges a second were posted on both sides, and how many in all."""
    until = time.monotonic() + (QUICK_RATE_S if quick() else RATE_S)
    done = 0

    async def go_on(by: int) -> None:
        nonlocal done
        while time.monotonic() < until:
            said = await _exchange(calls, agreement, by=by)
            done += said.state == "committed" and not said.untold

    began = time.monotonic()
    await asyncio.gather(*(go_on(number % 2) for number in range(AT_ONCE)))
    return done / (time.monotonic() - began), done


async def _exchange(calls: dict[str, ClearingCalls], agreement: str, *, by: int) -> Exchange:
    """Have one credit pass, proposed by either; who proposes pays, so that it evens out."""
    payer, payee = PARTIES[by], PARTIES[1 - by]
    return await calls[payer].offer(agreement, payer=payer, payee=payee, amount=1, unit=UNIT)


async def _equal(calls: dict[str, ClearingCalls], agreement: str) -> None:
    """Return once both see the mirror of each other; raise if they do not."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = [(await each.positions(agreement=agreement))[0] for each in calls.values()]
            if not any(each.doubt_in or each.doubt_out for each in found):
                break
    if sum(each.balance for each in found):
        raise RuntimeError(f"positions do not mirror each other: {found}")


def _people(world: World, coop: str) -> list[str]:
    charter = world.genesis.charter(coop)
    assert charter is not None, f"{coop} has a charter"
    return [founder.member_id for founder in charter.founders]


async def agree(world: World) -> str:
    """Have both coops vote for an agreement and sign it; return its id once it is in force."""
    terms = Terms(
        network=world.genesis.network,
        parties=PARTIES,
        facilitator=None,
        arbiter=HARBOR,
        title="Machines for maintenance",
        text="",
        starts_ms=0,
        term_days=365,
        renewable=True,
        notice_days=30,
        clearing=ClearingTerms(unit=UNIT, imbalance_max=90, settled="monthly"),
    )
    proposals = {}
    for coop in PARTIES:
        people = _people(world, coop)
        view = await world.client(coop, people[0]).agreements.propose(coop, terms)
        proposals[coop] = view.proposal_id
        for who in people[:4]:
            await world.client(coop, who).governance(coop).vote(view.proposal_id, "yes")
    await world.pass_time(days=7)
    for coop, proposal in proposals.items():
        await world.client(coop, _people(world, coop)[0]).governance(coop).close(proposal)
    await world.pass_time(days=1)
    agreement = ""
    for coop, proposal in proposals.items():
        calls = world.client(coop, _people(world, coop)[0]).agreements
        agreement = (await calls.sign(coop, proposal)).agreement
    async with asyncio.timeout(WITHIN_S):
        for coop in PARTIES:
            calls = world.client(coop, _people(world, coop)[0]).agreements
            while True:
                if (await calls.get(agreement)).state == "active":
                    break
    return agreement

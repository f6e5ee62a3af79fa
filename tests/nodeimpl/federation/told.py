"""The network of the demo in this process, and what its coops say in the federation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client.federation import FederationCalls
from opkit.wire.federation import FederationMembers

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
LAKES = "fingerlakes-cdn"
LONE = "unaffiliated"
COOPS = (RIVER, BRIGHT, HARBOR, LAKES)
ALL = (*COOPS, LONE)
DAY_MS = 86_400_000
WAIT_S = 60

Story = Callable[[InProcessWorld], Awaitable[None]]


def run(story: Story, **options: Any) -> None:
    """Tell a story of the five organisations."""

    async def main() -> None:
        async with inprocess_world("federation", seeded=False, **options) as world:
            await story(world)

    asyncio.run(asyncio.wait_for(main(), 240))


def officer(world: InProcessWorld, coop: str) -> str:
    """Return an officer of a coop."""
    charter = world.genesis.charter(coop)
    assert charter is not None
    return next(each.member_id for each in charter.founders if "officer" in each.roles)


def calls(world: InProcessWorld, org: str) -> FederationCalls:
    """Return what an officer says at their home, and at a node of no coop its operator."""
    if org == LONE:
        return world.operator(org).federation
    return world.client(org, officer(world, org)).federation


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once something holds, looking again whenever others have had their turn."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not await holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it never came to be that {what}") from None


async def members(world: InProcessWorld, org: str) -> FederationMembers:
    return await calls(world, org).members()


async def same(world: InProcessWorld, *orgs: str, operations: int) -> str:
    """Return the state that all nodes have, once they have so many operations."""

    async def all_have() -> bool:
        found = [await members(world, org) for org in orgs]
        return all(each.operations == operations for each in found)

    await until(all_have, f"all have {operations} operations")
    states = {(await members(world, org)).state for org in orgs}
    assert len(states) == 1, "who has heard the same has the same bytes"
    return states.pop()

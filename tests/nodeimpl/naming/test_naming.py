"""The naming domain on three nodes: what one home countersigned is answered by every node."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.proof.names import make_claim, read_name
from opkit.wire import names as wire
from opkit.wire.errors import Refusal

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
ORGS = (RIVER, BRIGHT, HARBOR)
MARA, THEO = f"{RIVER}/mara", f"{RIVER}/theo"
LATHE = f"lathe.{RIVER}"
DAY_MS = 86_400_000


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 200))


def lathe(node: str) -> wire.ServiceTarget:
    return wire.ServiceTarget(
        type="machine-booking",
        node=node,
        endpoints=(wire.ServiceEndpoint(protocol="opkit", path="/v1/compute/tasks"),),
        capabilities=("book",),
        region="cleveland",
    )


async def until_answered(client: NodeClient, name: str, sequence: int) -> wire.NameHeld:
    """Return a name once the node answers it with that sequence of its home."""
    while True:
        try:
            held = await client.names.get(name)
        except wire.NameUnknown:
            held = None
        if held is not None and held.sequence >= sequence:
            return held
        await asyncio.sleep(0.01)


async def until_unknown(client: NodeClient, name: str) -> None:
    while True:
        try:
            await client.names.get(name)
        except wire.NameUnknown:
            return
        await asyncio.sleep(0.01)


def claim(world: InProcessWorld, member_id: str = MARA, **changes: Any) -> str:
    client = world.operator(RIVER)
    said = {
        "network": world.genesis.network,
        "name": LATHE,
        "target": lathe(client.node),
        "at_ms": client.now_ms(),
        "term_ms": DAY_MS,
    }
    key = changes.pop("key", None) or world.member(member_id)
    return make_claim(key, member_id=member_id, **{**said, **changes})


def test_a_name_that_its_home_countersigned_is_answered_by_every_node() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            mara = world.client(RIVER, MARA)
            held = await mara.names.register(LATHE, lathe(mara.node))
            assert (held.name, held.member_id, held.home) == (LATHE, MARA, mara.node)
            for org in ORGS:
                found = await until_answered(world.operator(org), LATHE, held.sequence)
                assert found == held
                assert read_name(found.record, world.genesis).target == lathe(mara.node)

    run(story())


def test_a_claim_is_taken_on_any_node_and_withdrawn_on_another() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            elsewhere = world.operator(BRIGHT)
            held = await elsewhere.names.hand_in(claim(world))
            assert held.home == world.operator(RIVER).node
            assert await elsewhere.names.get(LATHE) == held
            world.clock.advance(1)  # Of one moment, the second claim would be stale.
            gone = await world.operator(HARBOR).names.hand_in(claim(world, target=None))
            assert gone.target is None and gone.sequence > held.sequence
            for org in ORGS:
                await until_unknown(world.operator(org), LATHE)

    run(story())


async def refused(call: Coroutine[Any, Any, Any], refusal: type[Refusal]) -> Any:
    with pytest.raises(refusal) as no:
        await call
    return no.value


def test_what_a_home_does_not_countersign_is_refused_alike_on_every_node() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await world.operator(RIVER).names.hand_in(claim(world))
            now_ms = world.operator(RIVER).now_ms()
            cases = [
                (wire.ClaimRejected, claim(world)[:-4] + "AAAA"),
                (
                    wire.CoopUnknown,
                    claim(world, name="lathe.nobody", member_id="nobody/x", key=world.member(MARA)),
                ),
                (wire.ClaimNotMembers, claim(world, key=world.member(THEO))),
                (wire.ClaimClockSkewed, claim(world, at_ms=now_ms + 300_000)),
                (wire.ClaimClockSkewed, claim(world, at_ms=now_ms - 300_000)),
                (wire.NameTermTooLong, claim(world, term_ms=31 * DAY_MS)),
                (wire.NameTaken, claim(world, THEO)),
                (wire.ClaimStale, claim(world, sequence=1)),
                (wire.NameNotHeld, claim(world, name=f"saw.{RIVER}", target=None)),
                (wire.NameTaken, claim(world, THEO, target=None)),
            ]
            for org in ORGS:
                for refusal, token in cases:
                    await refused(world.operator(org).names.hand_in(token), refusal)

    run(story())

"""A revocation between real processes: heard by all at once, after a cut, after a kill."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.launch import launch, temporary_name
from opkit.client import NodeClient
from opkit.proof import jws
from opkit.wire import membership as wire
from opkit.wire.gateway import TokenRejected
from opkit.wire.network import PEERS, AskPeers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)


async def revoke(world: AttachedWorld, org: str, member_id: str) -> None:
    """Have a node record that a founder is a member no longer."""
    operator = world.operator(org)
    assert operator.identity is not None
    record = wire.MemberRecord(
        network=world.genesis.network,
        aud=member_id.partition("/")[0],
        action="revoke",
        member_id=member_id,
        name=member_id,
        title="",
        did=world.member(member_id).did,
        roles=(),
        sequence=1,
        issued_at_ms=1,
    )
    token = jws.sign(record, typ=wire.MEMBER_TYP, identity=operator.identity)
    await operator.call(wire.CHANGE_MEMBER, wire.ChangeMember(record=token))


async def bearing(world: AttachedWorld, org: str, member_id: str) -> NodeClient:
    """Return a client that has a token and cannot get another one."""
    client = world.client(org, member_id)
    return client.with_token((await client.login()).token)


async def ended(client: NodeClient) -> None:
    """Return once a token is rejected, and for no other reason refused before."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.call(PEERS, AskPeers())
            except TokenRejected:
                return
            await asyncio.sleep(0.01)


def test_a_revocation_reaches_every_process_whatever_happens_to_the_one_that_recorded_it() -> None:
    async def tell(world: AttachedWorld) -> None:
        mara, theo, hugo = f"{RIVER}/mara", f"{RIVER}/theo", f"{BRIGHT}/hugo"
        tokens = [await bearing(world, org, mara) for org in (BRIGHT, HARBOR)]
        await revoke(world, RIVER, mara)
        for token in tokens:
            await ended(token)

        away = await bearing(world, BRIGHT, theo)
        await world.cut(RIVER, BRIGHT)
        await world.cut(RIVER, HARBOR)
        await revoke(world, RIVER, theo)
        await away.call(PEERS, AskPeers())
        await world.heal(RIVER, BRIGHT)
        await world.heal(RIVER, HARBOR)
        await ended(away)

        elsewhere = await bearing(world, RIVER, hugo)
        await revoke(world, BRIGHT, hugo)
        await world.kill(BRIGHT)
        await world.restart(BRIGHT)
        await ended(elsewhere)
        with pytest.raises(wire.MemberUnknown):
            await world.client(BRIGHT, hugo).login()

    async def main(name: str) -> None:
        world = await open_world(name, run_id=secrets.token_hex(4), seed=11)
        try:
            async with asyncio.timeout(250):
                await tell(world)
        finally:
            await world.close()

    launched = launch(name=temporary_name(), profile="three", seed=11, temporary=True)
    try:
        launched.wait_ready()
        asyncio.run(main(launched.name))
    finally:
        launched.down()

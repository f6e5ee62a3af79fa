"""Both worlds keep the same promises: real processes, and the same nodes in one process."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from devnet.attach import AttachedWorld, open_world
from devnet.inprocess import inprocess_world
from devnet.launch import launch, temporary_name
from devnet.state import DevnetError
from opkit.proof.keys import Identity
from opkit.story import World
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Unreachable
from opkit.wire.gateway import ScopeMissing, TokenMissing
from opkit.wire.membership import LIST_MEMBERS, ListMembers
from opkit.wire.network import NODE, PEERS, AskNode, AskPeers

RIVER, BRIGHT, HARBOR = (
    "river-city-tool-library",
    "brightworks-cooperative",
    "harbor-homes-cooperative",
)
MARA = f"{RIVER}/mara"
Open = Callable[[], AbstractAsyncContextManager[World]]


@asynccontextmanager
async def in_process() -> AsyncIterator[World]:
    """Hold a network in this process."""
    async with inprocess_world("three", seed=11) as world:
        yield world


@asynccontextmanager
async def attached() -> AsyncIterator[World]:
    """Hold a network of real processes, attached to."""
    launched = launch(name=temporary_name(), profile="three", seed=11, temporary=True)
    try:
        await asyncio.to_thread(launched.wait_ready)
        world = await open_world(launched.name, run_id=secrets.token_hex(4), seed=11)
        try:
            yield world
        finally:
            await world.close()
    finally:
        await asyncio.to_thread(launched.down)


@pytest.mark.parametrize(
    "open_one",
    [
        pytest.param(in_process, id="in-process"),
        pytest.param(attached, id="attached", marks=[pytest.mark.slow, pytest.mark.timeout(120)]),
    ],
)
def test_a_world_keeps_its_promises(open_one: Open) -> None:
    """All of them on one network: starting one of processes costs seconds."""

    async def tell() -> None:
        async with asyncio.timeout(90), open_one() as world:
            check_names(world)
            await check_speakers(world)
            await check_kill_and_restart(world)
            await check_cut_and_heal(world)
            await check_time(world)
            await check_hostile(world)
            check_disturbances(world)

    asyncio.run(tell())


def check_names(world: World) -> None:
    assert (world.profile, world.seed) == ("three", 11)
    assert world.run_id
    chaos = {"chaos"} if isinstance(world, AttachedWorld) else set()
    assert world.capabilities == {"kill", "cut", "hostile", "pass_time"} | chaos
    for org in (RIVER, BRIGHT, HARBOR):
        node = world.node(org)
        known = world.genesis.node_of(org)
        assert known is not None
        assert (node.org, node.title, node.did) == (org, known.title, known.did)
    founder = world.genesis.founder(MARA)
    assert founder is not None
    mara = world.member(MARA)
    assert isinstance(mara, Identity)
    assert mara.did == founder.did
    with pytest.raises(KeyError):
        world.node("nobody")
    with pytest.raises(KeyError):
        world.member("nobody/at-all")
    with pytest.raises(KeyError):
        world.member("operator")
    assert world.disturbances() == ()


async def check_speakers(world: World) -> None:
    assert world.client(RIVER, MARA) is world.client(RIVER, MARA)
    assert await world.client(RIVER, MARA).member_id() == MARA
    assert await world.operator(RIVER).member_id() == "-/operator"
    nobody = world.client(RIVER, None)
    assert (await nobody.call(NODE, AskNode())).did == world.node(RIVER).did
    with pytest.raises(TokenMissing):
        await nobody.call(LIST_MEMBERS, ListMembers())
    narrow = world.client(RIVER, MARA, scopes=(Scope.NODE_READ,))
    with pytest.raises(ScopeMissing):
        await narrow.call(LIST_MEMBERS, ListMembers())


async def linked(world: World, org: str) -> set[str]:
    """Return whom a node is connected to, by DID."""
    return {link.did for link in (await world.operator(org).call(PEERS, AskPeers())).links}


async def links_become(world: World, org: str, expected: set[str]) -> None:
    """Wait until a node is connected to exactly these organisations' nodes."""
    dids = {world.node(name).did for name in expected}
    async with asyncio.timeout(60):
        while True:
            if await linked(world, org) == dids:
                return
            await asyncio.sleep(0.05)


async def check_kill_and_restart(world: World) -> None:
    client = world.client(HARBOR, None)
    before = await client.call(NODE, AskNode())
    await world.kill(HARBOR)
    with pytest.raises(Unreachable):
        await client.call(NODE, AskNode())
    with pytest.raises(DevnetError):
        await world.kill(HARBOR)
    await world.restart(HARBOR)
    after = await client.call(NODE, AskNode())
    assert after.did == before.did
    assert after.started_ms > before.started_ms
    await links_become(world, HARBOR, {RIVER, BRIGHT})


async def check_cut_and_heal(world: World) -> None:
    await world.cut(BRIGHT, HARBOR)
    await links_become(world, BRIGHT, {RIVER})
    await links_become(world, HARBOR, {RIVER})
    await world.heal(BRIGHT, HARBOR)
    await links_become(world, BRIGHT, {RIVER, HARBOR})


async def check_time(world: World) -> None:
    await world.pass_time(days=7)
    await world.pass_time(days=1)
    for org in (RIVER, BRIGHT, HARBOR):
        node = await world.client(org, None).call(NODE, AskNode())
        assert node.world_ms - node.now_ms == 8 * 86_400_000


async def check_hostile(world: World) -> None:
    stranger = await world.hostile("silent", against=[HARBOR])
    assert stranger.did in await linked(world, HARBOR)
    assert stranger.did not in await linked(world, RIVER)
    assert "asked" in await stranger.stats()
    await stranger.stop()
    await stranger.stop()
    await links_become(world, HARBOR, {RIVER, BRIGHT})


def check_disturbances(world: World) -> None:
    done = [note["what"] for note in world.disturbances()]
    assert done[:6] == ["kill", "restart", "cut", "heal", "pass-time", "pass-time"]
    assert done[6] == "hostile"
    times = [note["at_ms"] for note in world.disturbances()]
    assert times == sorted(times)


def test_no_deadline_of_a_world_passes_while_its_process_stands_still() -> None:
    async def tell() -> None:
        async with inprocess_world("three", seeded=False) as world:
            before_ms = world.clock.now_ms()
            threading.Event().wait(2)  # Nobody in it answers anybody meanwhile.
            while world.clock.now_ms() == before_ms:
                await asyncio.sleep(0)
            assert world.clock.now_ms() < before_ms + 2_000

    asyncio.run(asyncio.wait_for(tell(), 90))


def test_a_world_in_one_process_leaves_no_folder_behind() -> None:
    async def tell() -> None:
        async with inprocess_world("three") as world:
            folders.append(world.folder)
            assert world.folder.exists()

    folders: list[object] = []
    asyncio.run(tell())
    (folder,) = folders
    assert not folder.exists()  # type: ignore[attr-defined]  # a Path


def test_a_stopped_devnet_is_told_as_such() -> None:
    with pytest.raises(DevnetError, match="no devnet called 'none'"):
        asyncio.run(open_world("none", run_id="r", seed=1))

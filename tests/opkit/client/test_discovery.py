"""Discovering services on real nodes, also on one that lies: what does not verify is not believed.

All stories are told on one network in this process: it takes longer to start than they do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.client.discovery import Discovery, look_for
from opkit.proof.keys import Identity
from opkit.proof.names import make_claim
from opkit.proof.record import make_record
from opkit.wire.base import Jws
from opkit.wire.errors import Unreachable
from opkit.wire.names import (
    REGISTER_NAME,
    AliasTarget,
    NameTarget,
    RegisterName,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.network import NODE, AskNode
from opkit.wire.records import HttpEndpoint, NodeValue
from opkit.wire.services import FindServices

RIVER, HARBOR = "river-city-tool-library", "harbor-homes-cooperative"
MARA, ROSA = f"{RIVER}/mara", f"{HARBOR}/rosa"
LATHE = f"lathe.{RIVER}"
WAIT_S = 100

Page = dict[str, Any]
Lie = Callable[[Page], None]


class Liar(httpx.AsyncBaseTransport):
    """Carries requests to a node that says something else about services."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.lie: Lie = lambda page: None
        self.pages = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if request.url.path != "/v1/services":
            return answer
        self.pages += 1
        page = json.loads(await answer.aread())
        self.lie(page)
        return httpx.Response(200, json=page)


async def name(world: InProcessWorld, label: str, target: NameTarget) -> None:
    """Have Mara register a name at River City's node."""
    client = world.client(RIVER, MARA)
    claim = make_claim(
        world.member(MARA),
        network=world.genesis.network,
        name=f"{label}.{RIVER}",
        member_id=MARA,
        target=target,
        at_ms=client.now_ms(),
        term_ms=3_600_000,
    )
    await client.call(REGISTER_NAME, RegisterName(claim=claim))


def lathe(world: InProcessWorld) -> ServiceTarget:
    return ServiceTarget(
        type="machine-booking",
        node=world.node(RIVER).did,
        endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/compute"),),
        capabilities=("turning",),
        region="north",
    )


async def until_found(client: NodeClient, world: InProcessWorld, count: int) -> Discovery:
    """Return what is found once so many services are, each with the card of its node."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await look_for(client, FindServices(), genesis=world.genesis)
            carded = [one for one in found.proven if one.card is not None]
            if len(carded) == count:
                return found
            await asyncio.sleep(0.02)


async def finds_and_calls(world: InProcessWorld, rosa: NodeClient) -> None:
    found = await until_found(rosa, world, 2)
    assert not found.refuted and not found.more
    assert [one.name for one in found.proven] == [LATHE, f"spindle.{RIVER}"]
    assert {one.service for one in found.proven} == {LATHE}
    service = found.proven[0]
    assert service.member_id == MARA and service.health.state == "live"
    assert await rosa.discover(type="bakery", genesis=world.genesis) == ()
    named = await rosa.discover(type="machine-booking", region="north", genesis=world.genesis)
    assert [one.name for one in named] == [LATHE, f"spindle.{RIVER}"]
    async with await rosa.as_member(world.member(MARA)).connect(service) as mara:
        assert (await mara.call(NODE, AskNode())).did == world.node(RIVER).did
        assert await mara.member_id() == MARA


def forged_node(world: InProcessWorld, signer: Identity, *, name: str, url: str) -> Jws:
    """Return a record that says where a node is, by whomever."""
    return make_record(
        signer,
        network=world.genesis.network,
        namespace="node",
        name=name,
        value=NodeValue(endpoints=(HttpEndpoint(url=url),)).model_dump(mode="json"),
        at_ms=world.clock.now_ms(),
        term_ms=3_600_000,
    )


async def believes_no_lie(world: InProcessWorld, rosa: NodeClient) -> None:
    liar = Liar(world.doors.caller())
    harbor = world.node(HARBOR)
    client = NodeClient(
        url=harbor.url,
        node=harbor.did,
        network=world.genesis.network,
        identity=world.member(ROSA),
        genesis=world.genesis,
        http=liar,
        now_ms=world.clock.now_ms,
    )
    thief = Identity.generate()
    elsewhere = forged_node(world, thief, name=thief.did, url="http://127.0.0.1:1")
    river = world.node(RIVER).did

    def other_door(page: Page) -> None:
        page["services"][0]["node_record"] = elsewhere

    def in_its_name(page: Page) -> None:
        stolen = forged_node(world, thief, name=river, url="http://127.0.0.1:1")
        page["services"][0]["node_record"] = stolen

    def other_name(page: Page) -> None:
        page["services"][0]["name"] = f"saw.{RIVER}"

    def cut_claim(page: Page) -> None:
        record = page["services"][0]["name_record"]
        page["services"][0]["name_record"] = record[:-4] + "AAAA"

    def hidden_door(page: Page) -> None:
        page["services"][0]["node_record"] = None

    async with client:
        for lie, check in (
            (other_door, "node-owner"),
            (in_its_name, "node-owner"),
            (other_name, "home-name"),
            (cut_claim, "home-countersignature"),
            (hidden_door, "node-known"),
        ):
            liar.lie = lie
            found = await look_for(client, FindServices(), genesis=world.genesis)
            (refuted,) = found.refuted
            assert refuted.verdict.failures[0].name == check, lie.__name__
            assert len(found.proven) == 1, "the other one is not the liar's"
            assert [one.name for one in await client.discover()] == [f"spindle.{RIVER}"]
        liar.lie = lambda page: None
        found = await look_for(client, FindServices(type="machine-booking"), genesis=world.genesis)
        assert len(found.proven) == 2 and not found.refuted


async def takes_no_more_than_it_asked_for(world: InProcessWorld, rosa: NodeClient) -> None:
    harbor = world.node(HARBOR)
    liar = Liar(world.doors.caller())
    client = NodeClient(
        url=harbor.url,
        node=harbor.did,
        network=world.genesis.network,
        identity=world.member(ROSA),
        http=liar,
        now_ms=world.clock.now_ms,
    )

    def again_and_again(page: Page) -> None:
        page["next_after"] = f"1.{LATHE}"

    def nothing_for_ever(page: Page) -> None:
        page["services"] = []
        page["next_after"] = f"1.{LATHE}"

    async with client:
        liar.lie = again_and_again
        asked = FindServices()
        # From where it says that it goes on, an honest node finds nothing.
        found = await look_for(client, asked, genesis=world.genesis)
        assert not found.more and len(found.proven) == 2
        first = await look_for(client, asked, genesis=world.genesis, found_max=1)
        assert first.more and len(first.proven) == 1
        liar.lie, liar.pages = nothing_for_ever, 0
        found = await look_for(client, asked, genesis=world.genesis)
        assert (found.proven, found.more, liar.pages) == ((), False, 1)
        with pytest.raises(AssertionError, match="genesis of one's own"):
            await client.discover()


async def says_that_a_node_is_gone(world: InProcessWorld, rosa: NodeClient) -> None:
    await world.kill(RIVER)
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await look_for(rosa, FindServices(), genesis=world.genesis)
            if found.proven[0].health.state == "silent":
                break
            await asyncio.sleep(0.02)
    service = found.proven[0]
    assert service.health.heard_ms is not None and service.health.round_trip_us is None
    with pytest.raises(Unreachable):
        await rosa.as_member(world.member(MARA)).connect(service)


async def tell() -> None:
    async with inprocess_world("three") as world:
        await name(world, "lathe", lathe(world))
        await name(world, "spindle", AliasTarget(name=LATHE))
        rosa = world.client(HARBOR, ROSA)
        await finds_and_calls(world, rosa)
        await believes_no_lie(world, rosa)
        await takes_no_more_than_it_asked_for(world, rosa)
        await says_that_a_node_is_gone(world, rosa)


@pytest.mark.slow
def test_services_are_found_on_any_node_and_believed_by_their_proofs_alone() -> None:
    asyncio.run(asyncio.wait_for(tell(), 120))

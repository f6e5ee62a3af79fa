"""Connecting with a service: out of the node's own record, and a signature for that node alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from nodeimpl.gateway.server import bind_loopback
from opkit.client import DoorUnknown, NodeClient, Patience, ServiceClient, ServiceLapsed, WrongNode
from opkit.proof.checks import Verdict
from opkit.proof.keys import Identity
from opkit.proof.services import ProvenService
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Unreachable
from opkit.wire.membership import LIST_MEMBERS, ListMembers, MemberUnknown
from opkit.wire.names import ServiceEndpoint
from opkit.wire.records import HttpEndpoint
from opkit.wire.services import FoundService, ServiceHealth

QUICK = Patience(attempts_max=2, pause_ms_first=1, pause_ms_max=2)
FAR_MS = 10**13


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def at(node: str, *urls: str, lapses_at_ms: int = FAR_MS) -> ProvenService:
    """Return a service as it is after it was proven; how it is, is tested with the proof."""
    health = ServiceHealth(state="live")
    return ProvenService(
        name="lathe.mill",
        service="lathe.mill",
        type="booking",
        node=node,
        endpoints=(ServiceEndpoint(protocol="opkit", path="/v1/members"),),
        capabilities=(),
        region=None,
        member_id="mill/ana",
        did=node,
        home=node,
        sequence=1,
        claim_sequence=1,
        doors=tuple(HttpEndpoint(url=url) for url in urls),
        card=None,
        lapses_at_ms=lapses_at_ms,
        health=health,
        found=FoundService(name="lathe.mill", name_record="a.b.c", health=health),
        verdict=Verdict(subject="service lathe.mill", checks=(), anchored=True),
    )


def nobodys_url() -> str:
    with bind_loopback("127.0.0.1", 0) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def elsewhere(doorstep: Any, **named: Any) -> NodeClient:
    """Return the client of another node, by which services were found."""
    people = doorstep.people
    return NodeClient(
        url="http://127.0.0.1:1",
        node=people.far.did,
        network=people.genesis.network,
        patience=QUICK,
        **named,
    )


def test_a_member_is_signed_in_at_the_nodes_own_door(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        async with doorstep.served() as node, elsewhere(doorstep) as far:
            ana = far.as_member(people.members["mill/ana"])
            async with await ana.connect(at(people.mill.did, node.url)) as mill:
                assert isinstance(mill, ServiceClient)
                assert (mill.url, mill.node) == (node.url, people.mill.did)
                assert mill.token is not None, "it is signed in before the first call"
                await mill.call(LIST_MEMBERS, ListMembers())
                assert await mill.member_id() == "mill/ana"
                assert mill.service.name == "lathe.mill"
                assert mill.path("opkit") == "/v1/members"
                with pytest.raises(KeyError):
                    mill.path("a2a")

    run(story())


def test_a_token_is_for_no_more_than_is_asked_for(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        async with doorstep.served() as node, elsewhere(doorstep) as far:
            ana = far.as_member(people.members["mill/ana"])
            scopes = (Scope.MEMBERS_READ,)
            mill = await ana.connect(at(people.mill.did, node.url), scopes=scopes)
            async with mill:
                assert mill._session.granted is not None
                assert mill._session.granted.scopes == scopes

    run(story())


def test_whoever_shows_another_nodes_challenge_gets_no_signature(doorstep: Any) -> None:
    async def story() -> None:
        people, sent = doorstep.people, list[str]()

        class Relay(httpx.AsyncBaseTransport):
            """Passes on what is asked, as a relay between would."""

            def __init__(self, app: Any) -> None:
                self._inner = httpx.ASGITransport(app)

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                sent.append(request.url.path)
                return await self._inner.handle_async_request(request)

        async with doorstep.node() as node, elsewhere(doorstep, http=Relay(node.app)) as far:
            relay = Identity.generate().did
            ana = far.as_member(people.members["mill/ana"])
            with pytest.raises(WrongNode) as wrong:
                await ana.connect(at(relay, "http://localhost:1"))
        assert sent == ["/v1/auth/challenge"], "no login was sent, so there is no token"
        assert (wrong.value.expected, wrong.value.found) == (relay, people.mill.did)
        assert relay in str(wrong.value) and people.mill.did in str(wrong.value)
        assert node.store.head().sequence == 0

    run(story())


def test_the_next_door_is_tried_and_the_worst_failure_is_told(doorstep: Any) -> None:
    async def story() -> None:
        people, nobody = doorstep.people, nobodys_url()
        async with doorstep.served() as node, elsewhere(doorstep) as far:
            ana = far.as_member(people.members["mill/ana"])
            async with await ana.connect(at(people.mill.did, nobody, node.url)) as mill:
                assert mill.url == node.url
            with pytest.raises(Unreachable):
                await ana.connect(at(people.mill.did, nobody))
            with pytest.raises(WrongNode):
                await ana.connect(at(people.far.did, nobody, node.url))

    run(story())


def test_a_door_that_takes_and_says_nothing_costs_a_bounded_time(doorstep: Any) -> None:
    async def story() -> None:
        people, held = doorstep.people, list[Any]()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, elsewhere(doorstep, deadline_ms=200) as far:
            ana = far.as_member(people.members["mill/ana"])
            with pytest.raises(Unreachable):
                await ana.connect(at(people.mill.did, f"http://127.0.0.1:{port}"))
        assert held

    run(story())


def test_nothing_is_dialled_without_a_door_or_after_its_proofs_lapsed(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        async with elsewhere(doorstep, now_ms=lambda: 1_000) as far:
            ana = far.as_member(people.members["mill/ana"])
            with pytest.raises(DoorUnknown, match="says of no front door") as closed:
                await ana.connect(at(people.mill.did))
            assert closed.value.node == people.mill.did
            with pytest.raises(ServiceLapsed, match="lapsed at 1000"):
                await ana.connect(at(people.mill.did, "http://127.0.0.1:1", lapses_at_ms=1_000))

    run(story())


def test_who_is_no_member_gets_no_token(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        async with doorstep.served() as node, elsewhere(doorstep) as far:
            stranger = far.as_member(Identity.generate())
            with pytest.raises(MemberUnknown):
                await stranger.connect(at(people.mill.did, node.url))

    run(story())

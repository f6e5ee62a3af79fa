"""One ask at the door: bodies, tokens, idempotency, faults, names; over a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Annotated, Any

import httpx
import pytest
from pydantic import Field
from structlog.testing import capture_logs

from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.kernel.binding import Caller, Route, answer, serve
from nodeimpl.kernel.store import Store, Tx
from opkit.wire.base import Wire
from opkit.wire.endpoint import ENDPOINTS, Endpoint, Scope
from opkit.wire.errors import Refusal, refusal_from
from opkit.wire.gateway import (
    BodyOversize,
    IdempotencyConflict,
    Malformed,
    RateExceeded,
    StoreBusy,
    TokenRejected,
)
from opkit.wire.membership import (
    CHANGE_MEMBER,
    LIST_MEMBERS,
    ChangeMember,
    MemberAdded,
    MemberMissing,
)


class Say(Wire):
    """Ask the node to say something again."""

    what: str
    times: Annotated[int, Field(ge=1, le=9)] = 1


class Said(Wire):
    """What was said, and how often anything was."""

    what: str
    count: int


@pytest.fixture
def own() -> Iterator[dict[str, Endpoint[Any, Any]]]:
    """Endpoints of a domain of these tests alone."""
    named: dict[str, Any] = {"ask": Say, "answer": Said, "scope": Scope.NODE_READ}
    made = {
        "say": Endpoint(name="test.say", method="POST", path="/v1/test", changes=True, **named),
        "read": Endpoint(name="test.read", method="GET", path="/v1/test/{what}/again", **named),
    }
    yield made
    for endpoint in made.values():
        del ENDPOINTS[endpoint.name]


class Sayings:
    """A domain that counts in memory what its transactions say, and fails on demand."""

    def __init__(self) -> None:
        self.count = 0
        self.prepared = 0
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def prepare(self, ask: Say, _caller: Caller | None) -> int:
        self.prepared += 1
        if ask.what == "slow":
            self.reached.set()
            await self.go.wait()
        if ask.what == "unprepared":
            raise MemberMissing(member_id="mill/none")
        return self.prepared

    def say(self, tx: Tx, ask: Say, caller: Caller | None, _prepared: Any) -> Any:
        if ask.what == "undeclared":
            raise MemberMissing(member_id="mill/none")
        if ask.what == "bug":
            raise RuntimeError("inner detail")
        if ask.what == "other":
            return ask
        if tx._writes:
            self.count += 1
            assert caller is not None
            tx.announce(MemberAdded(member_id=caller.member_id, did=caller.did, roles=()))
        return Said(what=ask.what * ask.times, count=self.count)

    def routes(self, own: dict[str, Endpoint[Any, Any]]) -> list[Route]:
        return [
            serve(own["say"], self.say, prepare=self.prepare),
            serve(own["read"], self.say),
        ]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def posted(what: Any, *, key: str = "key", token: str | None) -> dict[str, Any]:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return {"content": json.dumps(what), "headers": headers}


def refused(response: httpx.Response) -> Refusal | None:
    return refusal_from(response.json())


async def token_of(node: Any, who: str = "mill/ana", **named: Any) -> str:
    async with node.client(who) as client:
        return str((await client.login(**named)).token)


def test_a_repeated_key_is_answered_from_the_record_and_has_no_second_effect(
    doorstep: Any, own: Any
) -> None:
    async def story() -> None:
        sayings = Sayings()
        async with doorstep.node(routes=lambda _: sayings.routes(own)) as node, node.raw() as raw:
            ask = posted({"what": "hey"}, token=await token_of(node))
            before = node.store.head().sequence
            first, *rest = await asyncio.gather(*(raw.post("/v1/test", **ask) for _ in range(8)))
            again = await raw.post(
                "/v1/test", **posted({"what": "hey"}, token=await token_of(node))
            )
            assert {each.content for each in (first, *rest, again)} == {first.content}
            assert sayings.count == 1
            assert again.headers["idempotency-replayed"] == "true"
            assert again.headers["idempotency-kept-ms"] == "604800000"
            assert node.store.head().sequence == before + 2, "one effect, one more login"
            other = await raw.post("/v1/test", **posted({"what": "ho"}, token=await token_of(node)))
            assert isinstance(refused(other), IdempotencyConflict)
            elsewhere = posted({"what": "ho"}, token=await token_of(node, "operator"))
            assert (await raw.post("/v1/test", **elsewhere)).json()["count"] == 2

    run(story())


def test_a_refusal_is_not_remembered_and_a_key_conflict_is_told_before_it(
    doorstep: Any, own: Any
) -> None:
    async def story() -> None:
        sayings = Sayings()
        async with doorstep.node(routes=lambda _: sayings.routes(own)) as node, node.raw() as raw:
            token = await token_of(node)
            broken = await raw.post("/v1/test", **posted({"what": "undeclared"}, token=token))
            assert broken.status_code == 500
            assert (
                await raw.post("/v1/test", **posted({"what": "fine"}, token=token))
            ).status_code == 200
            late = await raw.post("/v1/test", **posted({"what": "unprepared"}, token=token))
            assert isinstance(refused(late), IdempotencyConflict)

    run(story())


@pytest.mark.parametrize("what", ["undeclared", "bug", "other"])
def test_what_an_endpoint_does_not_declare_is_a_fault_with_an_incident(
    doorstep: Any, own: Any, what: str
) -> None:
    async def story() -> None:
        async with doorstep.node(routes=lambda _: Sayings().routes(own)) as node, node.raw() as raw:
            token = await token_of(node)
            with capture_logs() as logged:
                response = await raw.post("/v1/test", **posted({"what": what}, token=token))
            problem = response.json()
            assert response.status_code == 500
            assert response.headers["content-type"] == "application/problem+json"
            assert "inner detail" not in response.text and "MemberMissing" not in response.text
            assert [line["incident"] for line in logged] == [problem["incident"]]
            assert logged[0]["exc_info"], "the log has the cause"

    run(story())


def test_fields_travel_in_path_and_query_whatever_characters_they_hold(
    doorstep: Any, own: Any
) -> None:
    async def story() -> None:
        routes = Sayings().routes(own)
        async with doorstep.node(routes=lambda _: routes) as node, node.client("mill/ana") as ana:
            for what in ("a/b", "", ".", "..", "ü%2F?#", "a b&c=d"):
                said = await ana.call(own["read"], Say(what=what, times=2))
                assert said.what == what * 2

    run(story())


MALFORMED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/v1/test/a/again?times=1&times=2", {}),
    ("GET", "/v1/test/a/again?what=b", {}),
    ("GET", "/v1/test/a/again?times=0", {}),
    ("GET", "/v1/test/a/again?times=x", {}),
    ("GET", "/v1/test/a/again?times", {}),
    ("GET", "/v1/test/a/again?times=%FF", {}),
    ("GET", "/v1/test/a/again?" + "&".join(f"f{n}=1" for n in range(40)), {}),
    ("GET", "/v1/test/a/again", {"content": b"{}"}),
    ("POST", "/v1/test", {"content": b"{"}),
    ("POST", "/v1/test", {"content": b"[1]"}),
    ("POST", "/v1/test", {"content": b""}),
    ("POST", "/v1/test", {"content": b'{"what": "\xff"}'}),
    ("POST", "/v1/test", {"content": b"[" * 2_000}),
    ("POST", "/v1/test", {"content": b'{"what": "a", "times": ' + b"9" * 5_000 + b"}"}),
    ("POST", "/v1/test?what=a", {"content": b'{"what": "a"}'}),
    ("POST", "/v1/test", {"content": b'{"what": "a"}', "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/v1/test", {"content": b'{"what": "a"}', "headers": {"Idempotency-Key": "a b"}}),
    ("POST", "/v1/test", {"content": b'{"what": "a"}', "headers": {"Idempotency-Key": "k" * 129}}),
]


@pytest.mark.parametrize(("method", "url", "sent"), MALFORMED)
def test_what_is_not_of_the_declared_shape_is_malformed_and_not_repeated(
    doorstep: Any, own: Any, method: str, url: str, sent: dict[str, Any]
) -> None:
    async def story() -> None:
        async with doorstep.node(routes=lambda _: Sayings().routes(own)) as node, node.raw() as raw:
            headers = {
                "Authorization": f"Bearer {await token_of(node)}",
                "Content-Type": "application/json",
                "Idempotency-Key": "key",
                **sent.get("headers", {}),
            }
            response = await raw.request(
                method, url, content=sent.get("content", b""), headers=headers
            )
            assert isinstance(refused(response), Malformed), response.text
            assert len(response.content) < 1_000

    run(story())


async def chunks(size: int, *, of: int = 1_000) -> AsyncIterator[bytes]:
    for _ in range(0, size, of):
        yield b"x" * of


@pytest.mark.parametrize("token", [None, "good"])
def test_a_body_in_chunks_is_counted_and_told_first(
    doorstep: Any, own: Any, token: str | None
) -> None:
    async def story() -> None:
        limits = GatewayLimits(body_bytes_max=10_000, drain_ms_max=60_000)
        async with doorstep.served(routes=lambda _: Sayings().routes(own), limits=limits) as node:
            bearer = await token_of(node) if token else None
            async with httpx.AsyncClient(base_url=node.url, trust_env=False) as raw:
                ask = posted({}, token=bearer)
                ask["content"] = chunks(3_000_000, of=30_000)
                response = await raw.post("/v1/test", **ask)
                assert refused(response) is not None
                assert isinstance(refused(response), BodyOversize)
                # The connection is as good as before.
                assert (await raw.get("/nothing")).status_code == 404

    run(story())


def test_a_body_that_says_it_is_huge_is_refused_before_it_is_read(doorstep: Any, own: Any) -> None:
    async def story() -> None:
        async with doorstep.served(routes=lambda _: Sayings().routes(own)) as node:
            port = int(node.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /v1/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
            )
            said = await reader.read(100_000)
            assert b"body-oversize" in said and b"413" in said.split(b"\r\n")[0]
            assert await reader.read() == b"", "the connection is closed"
            writer.close()
            await writer.wait_closed()

    run(story())


def test_a_refusal_does_not_wait_for_a_body_that_never_comes(doorstep: Any, own: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(drain_ms_max=50)
        async with doorstep.served(routes=lambda _: Sayings().routes(own), limits=limits) as node:
            port = int(node.url.rsplit(":", 1)[1])
            for size in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"POST /v1/test HTTP/1.1\r\nHost: localhost\r\n" + size)
                writer.write(b"\r\n\r\n")
                said = await reader.read()
                assert b" 401 " in said.split(b"\r\n")[0]
                assert b"connection: close" in said
                writer.close()

    run(story())


def test_a_body_that_trickles_in_has_a_deadline(doorstep: Any, own: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(body_ms_max=100)
        async with doorstep.served(routes=lambda _: Sayings().routes(own), limits=limits) as node:
            token = await token_of(node)
            port = int(node.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /v1/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
                b"Idempotency-Key: k\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n{"
            )
            said = await reader.readuntil(b"\r\n\r\n")
            assert b"422" in said.split(b"\r\n")[0]
            assert b"connection: close" in said
            writer.close()
            await writer.wait_closed()

    run(story())


def test_bodies_on_their_way_have_a_common_bound(doorstep: Any, own: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(body_bytes_max=10_000, bodies_bytes_max=5_000)
        routes = Sayings().routes(own)
        async with doorstep.node(routes=lambda _: routes, limits=limits) as node, node.raw() as raw:
            token = await token_of(node)
            large = posted({"what": "x" * 6_000}, token=token)
            assert isinstance(refused(await raw.post("/v1/test", **large)), RateExceeded)
            small = posted({"what": "x"}, token=token)
            assert (await raw.post("/v1/test", **small)).status_code == 200

    run(story())


def test_who_is_revoked_between_admission_and_transaction_changes_nothing(
    doorstep: Any, own: Any
) -> None:
    async def story() -> None:
        people, sayings = doorstep.people, Sayings()
        record = people.record(
            "mill/ana", did=people.members["mill/ana"].did, action="revoke", sequence=1
        )
        async with (
            doorstep.node(routes=lambda _: sayings.routes(own)) as node,
            node.client("operator") as operator,
            node.raw() as raw,
        ):
            ask = posted({"what": "slow"}, token=await token_of(node))
            asking = asyncio.ensure_future(raw.post("/v1/test", **ask))
            await sayings.reached.wait()
            await operator.call(CHANGE_MEMBER, ChangeMember(record=record))
            sayings.go.set()
            assert isinstance(refused(await asking), TokenRejected)
            assert sayings.count == 0

    run(story())


def test_a_closed_store_is_busy(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            token = await token_of(node)
            await raw.get(LIST_MEMBERS.path, headers={"Authorization": f"Bearer {token}"})
            await node.store.close()
            response = await raw.get(
                LIST_MEMBERS.path, headers={"Authorization": f"Bearer {token}"}
            )
            assert isinstance(refused(response), StoreBusy)

    run(story())


def test_a_route_that_would_forget_its_keys_is_not_mounted(doorstep: Any, own: Any) -> None:
    async def say(_ask: Say, _caller: Caller | None) -> Said:
        return Said(what="", count=0)

    def routes(_store: Store) -> list[Route]:
        return [answer(own["say"], say)]

    async def story() -> None:
        with pytest.raises(AssertionError, match="needs a transaction"):
            async with doorstep.node(routes=routes):
                pass

    run(story())

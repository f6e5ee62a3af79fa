"""Who gets in: tokens, names, rates; and what is told of what there is not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from nodeimpl.gateway.limits import GatewayLimits, Rate
from nodeimpl.kernel.clock import VirtualClock
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.wire.base import b64encode
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Refusal, refusal_from
from opkit.wire.gateway import RateExceeded, RouteUnknown, TokenRejected
from opkit.wire.membership import LIST_MEMBERS, TOKEN_TYP, TokenClaims


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def refused(response: httpx.Response) -> Refusal | None:
    return refusal_from(response.json())


async def token_of(node: Any, who: str = "mill/ana", **named: Any) -> str:
    async with node.client(who) as client:
        return str((await client.login(**named)).token)


def forged(node: Any, good: str, **changed: Any) -> str:
    """Return a token of the node's own key that says something else than it would."""
    claims = TokenClaims.model_validate(jws.peek(good).payload)
    typ, signer = changed.pop("typ", TOKEN_TYP), changed.pop("signer", node.people.mill)
    return jws.sign(claims.model_copy(update=changed), typ=typ, identity=signer)


def test_only_a_whole_token_of_this_node_for_this_node_and_now_is_taken(
    doorstep: Any,
) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            good = await token_of(node)
            header, body, signature = good.split(".")
            unsigned = b64encode(b'{"alg":"none","kid":"x","typ":"opkit-token+jws"}')
            later = node.clock.now_ms() + 1
            bad = {
                "tampered": f"{header}.{body[:-4]}AAAA.{signature}",
                "alg none": f"{unsigned}.{body}.",
                "alg none, signed": f"{unsigned}.{body}.{signature}",
                "other type": forged(node, good, typ="opkit-login+jws"),
                "other signer": forged(node, good, signer=Identity.generate()),
                "other audience": forged(node, good, aud=node.people.far.did),
                "other network": forged(node, good, network="b" * 26),
                "expired": forged(node, good, expires_at_ms=1),
                "too long-lived": forged(node, good, expires_at_ms=later + 2 * 3_600_000),
                "more scopes": forged(node, good, scopes=tuple(Scope)),
                "no token": "x",
                "too long": "x" * 5_000,
            }
            for name, token in bad.items():
                response = await raw.get(
                    LIST_MEMBERS.path, headers={"Authorization": f"Bearer {token}"}
                )
                assert isinstance(refused(response), TokenRejected), name
            for header in ("Basic abc", "Bearer", "Bearer ", good):
                response = await raw.get(LIST_MEMBERS.path, headers={"Authorization": header})
                assert isinstance(refused(response), TokenRejected), header
            assert forged(node, good) == good

    run(story())


def test_a_token_ends_when_it_expires_also_if_it_is_remembered(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node, node.raw() as raw:
            token = await token_of(node, ttl_ms=1_000)
            headers = {"Authorization": f"Bearer {token}"}
            clock.advance(999)
            assert (await raw.get(LIST_MEMBERS.path, headers=headers)).status_code == 200
            clock.advance(1)
            response = await raw.get(LIST_MEMBERS.path, headers=headers)
            assert isinstance(refused(response), TokenRejected)

    run(story())


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", ""])
def test_the_door_is_called_by_loopback_names_only(doorstep: Any, host: str) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            response = await raw.get(LIST_MEMBERS.path, headers={"Host": host})
            assert isinstance(refused(response), RouteUnknown)
            for name in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "a.localhost"):
                response = await raw.get(LIST_MEMBERS.path, headers={"Host": name})
                assert response.status_code == 401, name

    run(story())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/none"),
        ("GET", "/v1/members/x"),
        ("PUT", "/v1/members"),
        ("OPTIONS", "/v1/members"),
        ("GET", "/v1/events"),
        ("POST", "/metrics"),
    ],
)
def test_what_there_is_not_is_told_as_a_problem(doorstep: Any, method: str, path: str) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            response = await raw.request(method, path, headers={"Origin": "http://evil.example"})
            assert isinstance(refused(response), RouteUnknown)
            assert not [name for name in response.headers if name.startswith("access-control")]

    run(story())


def test_rates_are_per_member_and_per_address(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        limits = GatewayLimits(principal_rate=Rate(per_second=10, burst=3))
        async with doorstep.node(clock=clock, limits=limits) as node, node.raw() as raw:
            ana, ben = (await token_of(node), await token_of(node, "mill/ben"))

            async def ask(token: str) -> httpx.Response:
                return await raw.get(
                    LIST_MEMBERS.path, headers={"Authorization": f"Bearer {token}"}
                )

            assert [(await ask(ana)).status_code for _ in range(4)] == [200, 200, 200, 429]
            late = await ask(ana)
            refusal = refused(late)
            assert isinstance(refusal, RateExceeded)
            assert refusal.retry_after_ms == 101
            assert late.headers["retry-after"] == "1"
            assert (await ask(ben)).status_code == 200
            clock.advance(101)
            assert (await ask(ana)).status_code == 200

    run(story())


def test_tokens_that_were_never_seen_are_looked_at_at_a_rate_and_known_ones_pass(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make tokens up; looking at the signature of each would be work without end."""
    looked: list[str] = []
    verify = jws.verify_signature

    def verified(*given: Any, **named: Any) -> None:
        looked.append("signature")
        verify(*given, **named)

    async def story() -> None:
        limits = GatewayLimits(fresh_rate=Rate(per_second=1, burst=5))
        async with doorstep.node(clock=VirtualClock(), limits=limits) as node, node.raw() as raw:
            good = await token_of(node)
            bad = forged(node, good)[:-86] + "A" * 86

            async def ask(token: str) -> httpx.Response:
                return await raw.get(
                    LIST_MEMBERS.path, headers={"Authorization": f"Bearer {token}"}
                )

            assert (await ask(good)).status_code == 200
            monkeypatch.setattr(jws, "verify_signature", verified)
            said = [(await ask(bad)).status_code for _ in range(100)]
            assert said == [401] * 4 + [429] * 96
            assert len(looked) == 4
            assert (await ask(good)).status_code == 200

    run(story())


def test_what_is_no_endpoint_is_asked_for_at_a_rate_too(doorstep: Any) -> None:
    async def story() -> None:
        few, many = Rate(per_second=1, burst=2), Rate(per_second=1, burst=8)
        limits = GatewayLimits(beside_rate=few, address_rate=many)
        async with doorstep.node(clock=VirtualClock(), limits=limits) as node, node.raw() as raw:
            beside = [(await raw.get("/metrics")).status_code for _ in range(3)]
            assert beside == [200, 200, 429]
            assert isinstance(refused(await raw.get("/openapi.json")), RateExceeded)
            assert isinstance(refused(await raw.get("/nothing")), RouteUnknown)
            strange = {"Host": "evil.example"}
            assert isinstance(refused(await raw.get("/", headers=strange)), RouteUnknown)
            for _ in range(2):
                await raw.get("/v1/none")
            for headers in ({}, strange):
                assert isinstance(refused(await raw.get("/v1/none", headers=headers)), RateExceeded)

    run(story())


def test_a_request_id_is_taken_over_if_it_is_one_and_made_otherwise(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            given = await raw.get("/v1/members", headers={"X-Request-Id": "abcdef-123456"})
            made = await raw.get("/v1/members", headers={"X-Request-Id": "no id\x7f"})
            assert given.headers["x-request-id"] == "abcdef-123456"
            assert len(made.headers["x-request-id"]) == 16

    run(story())


def test_asks_of_the_contract_do_not_pass_the_framework(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            headers = {"Authorization": f"Bearer {await token_of(node)}"}
            assert (await raw.get(LIST_MEMBERS.path, headers=headers)).status_code == 200
            assert node.app.middleware_stack is None, "it is made at the first ask that needs it"
            assert (await raw.get("/metrics")).status_code == 200
            assert node.app.middleware_stack is not None

    run(story())


def test_metrics_count_asks_by_endpoint_and_status(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.raw() as raw:
            await raw.get(LIST_MEMBERS.path)
            shown = (await raw.get("/metrics")).text
            assert 'opkit_http_asks_total{endpoint="membership.list",status="401"} 1.0' in shown

    run(story())


def test_two_nodes_in_one_process_share_nothing(
    doorstep: Any, tmp_path: Any, store_urls: Any
) -> None:
    async def story() -> None:
        other = type(doorstep)(tmp_path / "other", lambda _: store_urls("other"))
        other.folder.mkdir()
        async with doorstep.node() as one, other.node() as two, two.raw() as raw:
            token = await token_of(one)
            headers = {"Authorization": f"Bearer {token}"}
            assert isinstance(
                refused(await raw.get(LIST_MEMBERS.path, headers=headers)), TokenRejected
            )

    run(story())

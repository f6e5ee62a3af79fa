"""What the gate refuses, at every endpoint of the contract, in the order that the contract says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import httpx
import pytest

import opkit.wire.clearing
import opkit.wire.compute
import opkit.wire.governance
import opkit.wire.holds
import opkit.wire.journal
import opkit.wire.names
import opkit.wire.network
import opkit.wire.services  # noqa: F401 - registers its endpoints
from nodeimpl.gateway.limits import GatewayLimits, Rate
from nodeimpl.kernel.binding import Route
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.membership.homes import Homes
from opkit.wire import gateway as gate
from opkit.wire.endpoint import ENDPOINTS, Endpoint, Scope
from opkit.wire.errors import Refusal, refusal_from
from opkit.wire.events import READ_JOURNAL
from opkit.wire.standing import STANDING_MS_MAX

BODY_MAX = 2_000
OVERSIZE = b"x" * (BODY_MAX + 1)
EXAMPLES: dict[str, Any] = {
    "did": "did:key:z6MkjM8TgC9YaNRVCnpJHozHmwzQgHiVXRHhs7PPCtSshX9D",
    "login": "a.b.c",
    "record": "a.b.c",
    "manifest": "a.b.c",
    "grant": "a.b.c",
    "grant_id": "0" * 64,
    "carried": {"jws": "a.b.c"},
    "claim": "a.b.c",
    "coop": "yard",
    "proposal": "0" * 64,
    "proposal_id": "paint",
    "ballot": "a.b.c",
    "receipt": "a.b.c",
    "delegation": "a.b.c",
    "effect": {"kind": "text"},
    "entry_id": "e-1",
    "entry": "e-1",
    "hold_id": "h-1",
    "agreement": "0" * 64,
    "subject": "mill",
    "type": "insured",
    "statement": "insured for a year",
    "valid_ms": 1,
    "postings": [
        {"account": "yard:reserve", "unit": "usd-cents", "amount": -1},
        {"account": "yard:surplus", "unit": "usd-cents", "amount": 1},
    ],
    "lines": [{"account": "yard:member/a", "amount": 1}],
    "account": "yard:member/a",
    "from_account": "yard:reserve",
    "to_account": "yard:member/a",
    "unit": "usd-cents",
    "amount": 1,
    "lapses_at_ms": 1,
    "exchange": "x-1",
    "exchange_id": "x-1",
    "payer": "yard",
    "payee": "mill",
    "period": "2026-01",
    "legs": [{"agreement": "0" * 64, "payer": "yard", "payee": "mill", "amount": 1}],
    "namespace": "note",
    "name": "upper",
    "task_id": "0" * 32,
    "wasm_hash": "any",
    "cid": "any",
    "sequence": "1",
    "size": "1",
    "first": "1",
    "second": "1",
}

EVERY = [each for each in ENDPOINTS.values() if each is not READ_JOURNAL]
NAMES = [each.name for each in EVERY]


@dataclass(frozen=True)
class Sent:
    """A request that is right, or wrong on purpose."""

    token: str | None
    path: str
    method: str
    key: str | None = "key-1"
    query: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    json: bool = False

    async def to(self, client: httpx.AsyncClient) -> httpx.Response:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        if self.json:
            headers["Content-Type"] = "application/json"
        return await client.request(
            self.method, self.path, params=self.query, content=self.content, headers=headers
        )


def right(endpoint: Endpoint[Any, Any], token: str | None) -> Sent:
    """Return a request that passes the gate."""
    in_path = endpoint.path_fields()
    path = endpoint.path
    for name in in_path:
        path = path.replace(f"{{{name}}}", EXAMPLES[name])
    needed = [
        name
        for name, info in endpoint.ask.model_fields.items()
        if info.is_required() and name not in in_path and name != endpoint.raw_ask
    ]
    fields = {name: EXAMPLES[name] for name in needed}
    sent = Sent(token=token, path=path, method=endpoint.method)
    if endpoint.raw_ask is not None:
        return replace(sent, query=fields, content=b"bytes")
    if endpoint.method == "POST":
        return replace(sent, content=httpx.Request("POST", "/", json=fields).content, json=True)
    return replace(sent, query=fields)


def wrong(endpoint: Endpoint[Any, Any], leaf: type[Refusal], node: Any) -> dict[str, Any]:
    """Return what to change in a right request so that `leaf` applies."""
    if leaf is gate.BodyOversize:
        return {"content": OVERSIZE}
    if leaf is gate.TokenMissing:
        return {"token": None}
    if leaf is gate.TokenRejected:
        return {"token": "not.a.token"}
    if leaf is gate.StandingStale:
        return {"token": node.stale}
    if leaf is gate.ScopeMissing:
        return {"token": node.narrow}
    if leaf is gate.Malformed and endpoint.method == "POST" and endpoint.raw_ask is None:
        return {"content": b'{"unknown": 1}'}
    if leaf is gate.Malformed:
        return {"query": {"unknown": "1"}}
    if leaf is gate.IdempotencyKeyMissing:
        return {"key": None}
    if leaf is gate.IdempotencyConflict:
        return {"key": "key-of-another-ask"}
    assert leaf in (gate.RateExceeded, gate.IdempotencyFull), leaf
    return {}


@dataclass
class Gate:
    """A node whose domains answer anything, with the tokens and keys that the faults need."""

    node: Any
    raw: httpx.AsyncClient
    good: str
    narrow: str
    stale: str
    refused: list[type[Refusal]] = field(default_factory=list)

    async def fill_keys(self, endpoint: Endpoint[Any, Any], *, full: bool) -> None:
        """Use a key for another ask of this endpoint, and use up the last one if wanted."""
        ask = right(endpoint, self.good)
        first = replace(ask, key="key-of-another-ask")
        other = {"query": {**ask.query, "name": "other"}} if "name" in ask.query else {}
        other["content"] = b"other" if endpoint.raw_ask is not None else ask.content + b" "
        assert (await replace(first, **other).to(self.raw)).status_code == 200
        if full:
            assert (await replace(ask, key="last-key").to(self.raw)).status_code == 200

    async def exhaust(self) -> None:
        """Use up what is left of the address's rate."""
        while (await self.raw.get("/v1/health/live")).status_code != 429:
            pass


def anything(endpoint: Endpoint[Any, Any]) -> Route:
    """Bind an endpoint to an answer of no content."""
    fields = {endpoint.raw_answer: b""} if endpoint.raw_answer else {}
    said = endpoint.answer.model_construct(**fields)

    async def direct(_ask: Any, _caller: Any) -> Any:
        return said

    if endpoint.changes:
        return Route(endpoint=endpoint, handle=lambda *_: said, writes=True)
    return Route(endpoint=endpoint, direct=direct)


@asynccontextmanager
async def gated(doorstep: Any, endpoint: Endpoint[Any, Any], **limited: Any) -> Any:
    """Hold a gate before this endpoint."""
    limits = GatewayLimits(body_bytes_max=BODY_MAX, keys_max=2, **limited)
    needed = endpoint.name in {"membership.challenge", "membership.token"}
    own = [] if needed else [anything(endpoint)]
    live = ENDPOINTS["network.live"]
    if endpoint is not live:
        own.append(anything(live))
    async with (
        doorstep.node(routes=lambda _: own, limits=limits, clock=VirtualClock()) as node,
        node.client("operator") as operator,
        node.raw() as raw,
    ):
        good = (await operator.login()).token
        other = Scope.WASM_READ if endpoint.scope is Scope.CLOCK_WRITE else Scope.CLOCK_WRITE
        narrow = (await operator.login(scopes=(other,))).token
        yield Gate(node, raw, good, narrow, await visitor(node))


async def visitor(node: Any) -> str:
    """Return the token of a member of another coop, whose home was not heard since too long."""
    people, clock = node.people, node.clock
    homes = Homes(node=people.mill.did, genesis=people.genesis, started_ms=clock.now_ms())
    node.membership.believe(homes, visitors=True)
    member_id = next(each for each in people.members if each.startswith("far/"))
    async with node.client(member_id) as far:
        token = (await far.login()).token
    clock.advance(STANDING_MS_MAX)
    return token


async def check(
    doorstep: Any, endpoint: Endpoint[Any, Any], faults: list[tuple[type[Refusal], ...]]
) -> None:
    """Send for each of `faults` a request to which all of them apply, and expect the first.

    All of them need the same state of the node: an exhausted rate, used keys, or none.
    """
    applying = set().union(*faults)
    rates = {"address_rate": Rate(per_second=1, burst=40)} if gate.RateExceeded in applying else {}
    async with gated(doorstep, endpoint, **rates) as gated_node:
        if applying & {gate.IdempotencyConflict, gate.IdempotencyFull}:
            await gated_node.fill_keys(endpoint, full=gate.IdempotencyFull in applying)
        if gate.RateExceeded in applying:
            await gated_node.exhaust()
        for leaves in faults:
            sent = right(endpoint, gated_node.good)
            for leaf in reversed(leaves):
                sent = replace(sent, **wrong(endpoint, leaf, gated_node))
            response = await sent.to(gated_node.raw)
            assert type(refusal_from(response.json())) is leaves[0], (leaves, response.text)
            assert response.status_code == leaves[0].status
            assert response.headers["content-type"] == "application/problem+json"


STATES = (gate.RateExceeded, gate.IdempotencyConflict, gate.IdempotencyFull)
"""What applies because of the state that the node is in; the rest is in the request alone."""


SAME_PLACE = (
    {gate.TokenMissing, gate.TokenRejected, gate.StandingStale, gate.ScopeMissing},
    {gate.IdempotencyKeyMissing, gate.IdempotencyConflict},
    {gate.BodyOversize, gate.Malformed},
    {gate.Malformed, gate.IdempotencyConflict},
    {gate.Malformed, gate.IdempotencyFull},
    {gate.IdempotencyKeyMissing, gate.IdempotencyFull},
    {gate.IdempotencyConflict, gate.IdempotencyFull},
)
"""Faults of one and the same field, or that need an ask the other rules out: no ask has both."""


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def gate_leaves(endpoint: Endpoint[Any, Any]) -> tuple[type[Refusal], ...]:
    return tuple(leaf for leaf in gate.all_refusals(endpoint) if leaf in gate.GATE_REFUSALS)


@pytest.mark.parametrize("endpoint", EVERY, ids=NAMES)
def test_every_endpoint_refuses_as_its_gate_says_in_the_declared_order(
    doorstep: Any, endpoint: Endpoint[Any, Any]
) -> None:
    async def story() -> None:
        leaves = gate_leaves(endpoint)
        faults: list[tuple[type[Refusal], ...]] = [(leaf,) for leaf in leaves]
        faults += [
            pair
            for pair in combinations(leaves, 2)
            if not any(set(pair) <= same for same in SAME_PLACE)
        ]
        by_state: dict[frozenset[type[Refusal]], list[tuple[type[Refusal], ...]]] = {}
        for each in faults:
            by_state.setdefault(frozenset(each) & frozenset(STATES), []).append(each)
        for same in by_state.values():
            await check(doorstep, endpoint, same)

    run(story())


@pytest.mark.parametrize("endpoint", EVERY, ids=NAMES)
def test_every_endpoint_lets_a_right_ask_pass(doorstep: Any, endpoint: Endpoint[Any, Any]) -> None:
    async def story() -> None:
        async with gated(doorstep, endpoint) as gated_node:
            response = await right(endpoint, gated_node.good).to(gated_node.raw)
            said = refusal_from(response.json()) if response.status_code != 200 else None
            assert said is None or type(said) in endpoint.refuses, response.text

    run(story())

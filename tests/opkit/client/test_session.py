"""A token at the client: renewed once, before it lapses, and never a reason to wait twice."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from nodeimpl.kernel.clock import VirtualClock
from opkit.client import NodeClient, Patience
from opkit.client.session import RENEW_AFTER_PERMILLE, RENEWS_MAX
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Unreachable
from opkit.wire.gateway import StoreBusy
from opkit.wire.membership import (
    CHANGE_MEMBER,
    LIST_MEMBERS,
    TOKEN_TTL_MS_MAX,
    ChangeMember,
    ListMembers,
    MemberUnknown,
)

DUE_MS = TOKEN_TTL_MS_MAX * RENEW_AFTER_PERMILLE // 1_000
QUICK = Patience(attempts_max=2, pause_ms_first=1, pause_ms_max=2)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


class Door(httpx.AsyncBaseTransport):
    """Carries requests to a node in this process; counts logins, and lets them fail or wait."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app)
        self.logins = 0
        self.tokens: list[str] = []
        self.silent = False
        self.busy = 0
        self.open = asyncio.Event()
        self.open.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/auth/challenge":
            self.logins += 1
            await self.open.wait()
            if self.silent:
                raise httpx.ConnectError("nothing", request=request)
            if self.busy:
                self.busy -= 1
                problem = StoreBusy(why="no connection now").problem()
                return httpx.Response(problem["status"], json=problem)
        elif request.url.path == "/v1/members":
            self.tokens.append(request.headers["authorization"].removeprefix("Bearer "))
        return await self._inner.handle_async_request(request)


async def _ask(client: NodeClient) -> None:
    await client.call(LIST_MEMBERS, ListMembers())


def test_a_token_is_renewed_before_it_lapses_and_not_before_it_is_old(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door) as ana:
                await _ask(ana)
                first = ana.token
                clock.advance(DUE_MS - 1)
                await _ask(ana)
                assert (door.logins, ana.token) == (1, first)
                clock.advance(1)
                await _ask(ana)
                assert door.logins == 2 and ana.token != first
                clock.advance(DUE_MS - 1)
                await _ask(ana)
                assert door.logins == 2, "the new one is as good for as long"
            assert door.tokens.count(str(first)) == 2, "no call carried a token that had lapsed"

    run(story())


def test_one_renews_while_the_others_go_on_with_what_still_holds(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door) as ana:
                await _ask(ana)
                first = str(ana.token)
                clock.advance(DUE_MS)
                door.open.clear()
                slow = asyncio.create_task(_ask(ana))
                while door.logins < 2:
                    await asyncio.sleep(0)
                await asyncio.gather(*(_ask(ana) for _ in range(20)))
                assert door.tokens == [first] * 21 and not slow.done()
                door.open.set()
                await slow
                assert door.logins == 2 and door.tokens[-1] == ana.token != first

    run(story())


def test_all_wait_for_the_one_login_once_the_old_token_is_over(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door) as ana:
                await _ask(ana)
                first = str(ana.token)
                clock.advance(TOKEN_TTL_MS_MAX)
                await asyncio.gather(*(_ask(ana) for _ in range(20)))
                assert door.logins == 2
                assert door.tokens.count(first) == 1 and len(set(door.tokens)) == 2

    run(story())


def test_a_silent_node_costs_few_tries_while_the_old_token_holds(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door, patience=QUICK) as ana:
                await _ask(ana)
                first = ana.token
                door.silent = True
                clock.advance(DUE_MS)
                steps = 4 * RENEWS_MAX
                for _ in range(steps - 1):
                    await _ask(ana)
                    clock.advance((TOKEN_TTL_MS_MAX - DUE_MS) // steps)
                assert ana.token == first
                assert 1 < door.logins - 1 <= RENEWS_MAX + 1
                clock.advance(TOKEN_TTL_MS_MAX)
                with pytest.raises(Unreachable):
                    await _ask(ana)

    run(story())


def test_a_login_is_tried_again_while_the_store_is_busy(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door, patience=QUICK) as ana:
                door.busy = 1
                await _ask(ana)
                assert door.logins == 2
            async with node.client("mill/ana", http=door, patience=QUICK) as ana:
                door.busy = 2
                with pytest.raises(StoreBusy):
                    await _ask(ana)

    run(story())


def test_a_revoked_member_gets_no_new_token_and_is_told_so(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node, node.client("operator") as operator:
            door = Door(node.app)
            async with node.client("mill/ana", http=door) as ana:
                await _ask(ana)
                clock.advance(DUE_MS)
                ended = doorstep.people.record(
                    "mill/ana", did=doorstep.people.members["mill/ana"].did, action="revoke"
                )
                await operator.call(CHANGE_MEMBER, ChangeMember(record=ended))
                with pytest.raises(MemberUnknown):
                    await _ask(ana)

    run(story())


def test_a_renewed_token_is_asked_for_what_the_first_one_was(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        scopes = (Scope.MEMBERS_READ, Scope.NODE_READ)
        async with doorstep.node(clock=clock) as node:
            door = Door(node.app)
            async with node.client("mill/ana", http=door) as ana:
                token = await ana.login(scopes=scopes, ttl_ms=60_000)
                clock.advance(45_000)
                await _ask(ana)
                assert door.logins == 2
                clock.advance(45_000)
                renewed = ana._session.granted
                assert renewed is not None
                assert renewed.scopes == token.scopes
                assert renewed.expires_at_ms - token.expires_at_ms == 45_000

    run(story())


def test_a_token_that_was_given_is_never_renewed(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node, node.client("mill/ana") as ana:
            await ana.login()
            given = str(ana.token)
            holder = ana.with_token(given)
            clock.advance(DUE_MS)
            await _ask(holder)
            assert holder.token == given

    run(story())

"""The client against a real server: types, tokens, repeats, silence, and whom it signs for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from typing import Any

import httpx
import pytest

from nodeimpl.gateway.server import bind_loopback, running_server
from opkit.client import NodeClient, Patience, WrongNode
from opkit.client.asks import decode
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Fault, Unreachable
from opkit.wire.events import Cursor, JournalDiverged
from opkit.wire.gateway import RouteUnknown, ScopeMissing, StoreBusy, TokenMissing, TokenRejected
from opkit.wire.membership import (
    CHANGE_MEMBER,
    LIST_MEMBERS,
    REVOKE_TOKEN,
    ChangeMember,
    ListMembers,
    MemberMissing,
    MemberUnknown,
    RevokeToken,
)

QUICK = Patience(attempts_max=3, pause_ms_first=1, pause_ms_max=2)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def test_importing_the_client_loads_neither_http_nor_pydantic() -> None:
    code = (
        "import sys, opkit.client; "
        "sys.exit(bool({'pydantic', 'httpx', 'websockets', 'nacl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=100, check=False).returncode == 0


def test_the_public_names_can_be_imported() -> None:
    import opkit.client

    for name in opkit.client.__all__:
        assert getattr(opkit.client, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = opkit.client.nothing


def test_it_logs_in_once_for_many_calls_at_once(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node, node.tcp_client("mill/ana") as ana:
            calls = (ana.call(LIST_MEMBERS, ListMembers()) for _ in range(10))
            assert len({len(page.members) for page in await asyncio.gather(*calls)}) == 1
            assert node.store.head().sequence == 1, "one login"
            assert await ana.member_id() == "mill/ana"

    run(story())


def test_refusals_come_back_as_they_were_raised(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            async with node.tcp_client() as nobody, node.tcp_client("mill/gus") as gus:
                with pytest.raises(TokenMissing):
                    await nobody.call(LIST_MEMBERS, ListMembers())
                with pytest.raises(ScopeMissing) as no:
                    await gus.call(LIST_MEMBERS, ListMembers())
                assert no.value.needs == Scope.MEMBERS_READ
            async with node.tcp_client(Identity.generate()) as stranger:
                with pytest.raises(MemberUnknown):
                    await stranger.call(LIST_MEMBERS, ListMembers())

    run(story())


def test_an_ended_token_is_renewed_once_by_who_has_the_key(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node, node.tcp_client("mill/ana") as ana:
            first = (await ana.login()).token
            holder = ana.with_token(first)
            assert holder.token == first
            await holder.call(REVOKE_TOKEN, RevokeToken())
            with pytest.raises(TokenRejected):
                await holder.call(LIST_MEMBERS, ListMembers())
            await ana.call(LIST_MEMBERS, ListMembers())
            assert ana.token != first

    run(story())


@pytest.mark.parametrize("lie", ["node", "network"])
def test_it_signs_nothing_for_another_node_or_network_than_it_dialled(
    doorstep: Any, lie: str
) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            before = node.metrics.render()
            client = NodeClient(
                url=node.url,
                node=doorstep.people.far.did if lie == "node" else doorstep.people.mill.did,
                network="b" * 26 if lie == "network" else doorstep.people.genesis.network,
                identity=doorstep.people.members["mill/ana"],
            )
            async with client:
                with pytest.raises(WrongNode) as wrong:
                    await client.call(LIST_MEMBERS, ListMembers())
            assert wrong.value.found == doorstep.people.mill.did
            assert "nothing was signed" in str(wrong.value)
            assert b'endpoint="membership.token"' not in node.metrics.render()
            assert before is not None

    run(story())


def test_silence_is_unreachable_after_bounded_attempts(doorstep: Any) -> None:
    async def story() -> None:
        with bind_loopback("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        people = doorstep.people
        gone = NodeClient(
            url=f"http://127.0.0.1:{port}",
            node=people.mill.did,
            network=people.genesis.network,
            patience=QUICK,
        )
        async with gone:
            with pytest.raises(Unreachable):
                await gone.call(LIST_MEMBERS, ListMembers())
            with pytest.raises(Unreachable):
                async with aclosing(gone.events()) as stream:
                    await anext(stream)

    run(story())


def test_a_server_that_takes_and_says_nothing_is_unreachable_in_time(doorstep: Any) -> None:
    async def story() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.read()
            writer.close()

        people = doorstep.people
        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with server:
            client = NodeClient(
                url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
                node=people.mill.did,
                network=people.genesis.network,
                deadline_ms=200,
            )
            async with client:
                with pytest.raises(Unreachable):
                    await client.call(LIST_MEMBERS, ListMembers())

    run(story())


def test_a_change_survives_a_restart_and_happens_once(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        record = people.record("-/lee", did=Identity.generate().did)
        with bind_loopback("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        # A node that comes back late is found too: the test's limit is the patience.
        patience = Patience(attempts_max=100)
        async with (
            doorstep.served(port=port) as node,
            node.tcp_client("operator", patience=patience) as operator,
        ):
            await operator.login()
        asking = asyncio.ensure_future(
            operator.call(CHANGE_MEMBER, ChangeMember(record=record), idempotency_key="once")
        )
        await asyncio.sleep(0.2)  # attempts fail meanwhile; the next server finds it trying
        assert not asking.done()
        async with doorstep.served(port=port) as node:
            first = await asking
            again = await operator.call(
                CHANGE_MEMBER, ChangeMember(record=record), idempotency_key="once"
            )
            assert again == first
            assert node.store.head().sequence == 2, "one login, one change"
            await operator.close()

    run(story())


def test_the_event_stream_goes_on_after_a_restart_without_gap_or_repeat(doorstep: Any) -> None:
    async def story() -> None:
        people = doorstep.people
        with bind_loopback("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        seen: list[int] = []
        ended = asyncio.Event()

        async def read(client: NodeClient) -> None:
            async with aclosing(client.events()) as stream:
                async for page in stream:
                    seen.extend(entry.sequence for entry in page.entries)
                    if any("lee-3" in str(entry.body) for entry in page.entries):
                        ended.set()
                        return

        async def add(node: Any, name: str) -> None:
            async with node.client("operator") as operator:
                record = people.record(f"-/{name}", did=Identity.generate().did)
                await operator.call(CHANGE_MEMBER, ChangeMember(record=record))

        reading: asyncio.Future[None] | None = None
        for restart in range(1, 4):
            async with doorstep.served(port=port) as node:
                if reading is None:
                    # A node that comes back late is no gap: the test's limit is the patience.
                    ana = node.tcp_client("mill/ana", patience=Patience(attempts_max=100))
                    reading = asyncio.ensure_future(read(ana))
                await add(node, f"lee-{restart}")
                if restart == 3:
                    await asyncio.wait_for(ended.wait(), 100)
        assert reading is not None
        await reading
        await ana.close()
        assert seen == list(range(1, len(seen) + 1))

    run(story())


def test_a_replaced_journal_is_noticed(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node, node.tcp_client("mill/ana") as ana:
            await ana.login()
            cursor = Cursor(generation=7, sequence=1, hash="0" * 64)
            with pytest.raises(JournalDiverged):
                async with aclosing(ana.events(cursor)) as stream:
                    await anext(stream)
            with pytest.raises(JournalDiverged):
                async with aclosing(ana.journal(cursor)) as pages:
                    await anext(pages)

    run(story())


def answering(status: int, body: bytes) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, content=body))


UNDECLARED = [
    (200, b"{}"),
    (200, b"no json"),
    (204, b""),
    (302, b""),
    (500, b'{"incident": "abc"}'),
    (502, b"<html>"),
    (404, httpx.Response(404, json=MemberMissing(member_id="a/b").problem()).content),
    (200, httpx.Response(200, json=TokenMissing().problem()).content),
    (403, httpx.Response(403, json=TokenMissing().problem()).content),
    (401, b'{"code": "token-rejected", "details": {"more": 1}}'),
]


@pytest.mark.parametrize(("status", "body"), UNDECLARED)
def test_what_the_endpoint_does_not_declare_is_a_fault(
    doorstep: Any, status: int, body: bytes
) -> None:
    async def story() -> None:
        people = doorstep.people
        client = NodeClient(
            url="http://localhost",
            node=people.mill.did,
            network=people.genesis.network,
            http=answering(status, body),
        )
        async with client:
            with pytest.raises(Fault) as fault:
                await client.call(LIST_MEMBERS, ListMembers())
        assert fault.value.where == "http://localhost"
        assert fault.value.incident == ("abc" if b"abc" in body else "")

    run(story())


def test_a_busy_store_is_asked_again_and_other_refusals_are_not(doorstep: Any) -> None:
    async def story() -> None:
        asked: list[str] = []
        problems = [StoreBusy(why="full").problem(), TokenMissing().problem()]

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.headers["idempotency-key"])
            problem = problems[min(len(asked), len(problems)) - 1]
            return httpx.Response(problem["status"], json=problem)

        people = doorstep.people
        client = NodeClient(
            url="http://localhost",
            node=people.mill.did,
            network=people.genesis.network,
            http=httpx.MockTransport(answer),
            patience=QUICK,
        )
        async with client:
            with pytest.raises(TokenMissing):
                await client.call(CHANGE_MEMBER, ChangeMember(record="a.b.c"))
        assert len(asked) == 2 and len(set(asked)) == 1, "the same key"

    run(story())


def test_an_unknown_route_is_told_as_one() -> None:
    body = httpx.Response(404, json=RouteUnknown(path="/x").problem()).content

    said = decode(LIST_MEMBERS, status=404, body=body, where="here")

    assert isinstance(said, RouteUnknown)


def test_an_answer_without_end_is_a_fault(doorstep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from opkit.client import transport

    async def story() -> None:
        monkeypatch.setattr(transport, "ANSWER_BYTES_MAX", 1_000)
        people = doorstep.people
        client = NodeClient(
            url="http://localhost",
            node=people.mill.did,
            network=people.genesis.network,
            http=answering(200, b"x" * 2_000),
        )
        async with client:
            with pytest.raises(Fault, match="more than"):
                await client.call(LIST_MEMBERS, ListMembers())

    run(story())


def test_pauses_grow_within_their_bound() -> None:
    patience = Patience(attempts_max=6, pause_ms_first=10, pause_ms_max=40)

    for _ in range(50):
        pauses = list(patience.pauses_ms())
        assert len(pauses) == 5
        assert all(
            low <= pause <= high
            for pause, (low, high) in zip(
                pauses, [(5, 10), (10, 20), (20, 40), (20, 40), (20, 40)], strict=True
            )
        )


def test_a_server_can_be_called_again_after_the_client_was_closed(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, running_server(node.app) as url:
            node.url = url
            client = node.tcp_client("mill/ana")
            for _ in range(2):
                async with client:
                    await client.call(LIST_MEMBERS, ListMembers())

    run(story())

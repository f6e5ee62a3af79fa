"""Event streams and the journal: whole, in order, filtered, resumable, and ended with the token."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.client import connect

from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.kernel.clock import VirtualClock
from opkit.client.asgi_events import MESSAGES_WAITING_MAX, AsgiEvents
from opkit.client.sockets import SocketClosed, SocketRefused
from opkit.client.ws_events import WebSocketEvents
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope
from opkit.wire.events import EVENTS_PATH, READ_JOURNAL, Cursor, JournalDiverged, ReadJournal
from opkit.wire.gateway import (
    Malformed,
    RateExceeded,
    RouteUnknown,
    ScopeMissing,
    TokenMissing,
    TokenRejected,
)
from opkit.wire.membership import CHANGE_MEMBER, REVOKE_TOKEN, ChangeMember, RevokeToken
from opkit.wire.network import ClockMoved, PeerLost


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


async def happen(node: Any, count: int = 1) -> None:
    """Journal so many events that whoever may read events may read, and as many that are hidden."""

    def work(tx: Any) -> None:
        for offset_ms in range(count):
            tx.announce(ClockMoved(offset_ms=offset_ms))

    await node.store.write(work)


NARROW = (Scope.EVENTS_READ, Scope.MEMBERS_READ)


async def pages_until(client: Any, sequence: int, after: Cursor | None = None) -> list[Any]:
    """Return the pages that a stream gives up to this event."""
    pages: list[Any] = []
    async with aclosing(client.events(after)) as stream:
        async for page in stream:
            pages.append(page)
            if page.cursor.sequence >= sequence:
                break
    return pages


@pytest.mark.parametrize("over", ["client", "tcp_client"])
def test_a_stream_gives_every_event_once_and_in_order(doorstep: Any, over: str) -> None:
    async def story() -> None:
        async with doorstep.served() as node, getattr(node, over)("mill/ana") as ana:
            await happen(node, 700)
            reading = asyncio.ensure_future(pages_until(ana, 2_001))
            for _ in range(13):
                await happen(node, 100)
            entries = [entry for page in await reading for entry in page.entries]
            assert [entry.sequence for entry in entries[:2_001]] == list(range(1, 2_002))
            assert node.metrics.render().count(b"opkit_event_pages_total") >= 1

    run(story())


def test_events_that_a_scope_hides_are_counted_and_not_shown(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana", scopes=NARROW) as ana:
            await ana.login()
            await happen(node, 5)
            [page] = await pages_until(ana, 6)
            assert [entry.type for entry in page.entries] == ["membership.token-issued"]
            assert page.passed_through == 5
            read = await ana.call(READ_JOURNAL, ReadJournal())
            assert read == page

    run(story())


def test_a_stream_resumes_after_any_event(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            await ana.login()
            await happen(node, 20)
            whole = [entry async for page in ana.journal() for entry in page.entries]
            for entry in whole[:-1]:
                cursor = Cursor(
                    generation=node.store.generation, sequence=entry.sequence, hash=entry.hash
                )
                pages = await pages_until(ana, 21, after=cursor)
                assert [e for page in pages for e in page.entries] == whole[entry.sequence :]

    run(story())


def lost_cursors(node: Any) -> list[Cursor]:
    head = node.store.head()
    return [
        head.model_copy(update={"hash": "0" * 64}),
        head.model_copy(update={"sequence": head.sequence + 1}),
        head.model_copy(update={"generation": head.generation + 1}),
        Cursor(generation=head.generation, sequence=1, hash="1" * 64),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("over", ["client", "tcp_client"])
def test_a_cursor_of_another_history_is_told_and_never_resumed(
    doorstep: Any, which: int, over: str
) -> None:
    async def story() -> None:
        async with doorstep.served() as node, getattr(node, over)("mill/ana") as ana:
            await ana.login()
            await happen(node, 3)
            await pages_until(ana, 4)
            cursor = lost_cursors(node)[which]
            with pytest.raises(JournalDiverged) as diverged:
                await pages_until(ana, 9, after=cursor)
            assert diverged.value.details() == {
                "cursor": str(cursor),
                "head": str(node.store.head()),
            }
            with pytest.raises(JournalDiverged):
                await ana.call(READ_JOURNAL, ReadJournal(after=str(cursor)))

    run(story())


def test_a_diverged_stream_is_closed_with_its_own_code(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            token = (await ana.login()).token
            target = f"{EVENTS_PATH}?after={lost_cursors(node)[0]}"
            headers = {"Authorization": f"Bearer {token}"}
            async with AsgiEvents(node.app).open(target=target, headers=headers) as socket:
                await socket.receive()
                with pytest.raises(SocketClosed) as end:
                    await socket.receive()
            assert (end.value.code, end.value.reason) == (4409, "journal-diverged")

    run(story())


async def closed(node: Any, token: str, after: Any) -> SocketClosed:
    """Open a stream, let something happen, and return how it was closed."""
    headers = {"Authorization": f"Bearer {token}"}
    port = WebSocketEvents(url=node.url) if node.url[-1].isdigit() else AsgiEvents(node.app)
    async with port.open(target=EVENTS_PATH, headers=headers) as socket:
        await socket.receive()
        await after()
        return (await drained(socket))[1]


async def drained(socket: Any) -> tuple[int, SocketClosed]:
    """Read a socket to its end and return how many messages came and how it was closed."""
    messages = 0
    while True:
        try:
            await socket.receive()
        except SocketClosed as end:
            return messages, end
        messages += 1


@pytest.mark.parametrize("served", [False, True])
def test_revoking_the_member_closes_their_streams_at_once(doorstep: Any, served: bool) -> None:
    async def story() -> None:
        people = doorstep.people
        start = doorstep.served if served else doorstep.node
        async with (
            start() as node,
            node.client("operator") as operator,
            node.client("mill/ana") as ana,
            node.client("mill/ben") as ben,
        ):
            token = (await ana.login()).token
            did = people.members["mill/ana"].did

            async def revoke() -> None:
                record = people.record("mill/ana", did=did, action="revoke")
                await operator.call(CHANGE_MEMBER, ChangeMember(record=record))

            end = await closed(node, token, revoke)
            assert (end.code, end.reason) == (4401, "it was revoked")
            await pages_until(ben, 1)

    run(story())


def test_revoking_one_token_closes_its_own_stream_only(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            first, second = (await ana.login()).token, (await ana.login()).token

            async def revoke() -> None:
                await node.client().with_token(first).call(REVOKE_TOKEN, RevokeToken())

            assert (await closed(node, first, revoke)).code == 4401
            assert await pages_until(node.client().with_token(second), 1)

    run(story())


def test_a_stream_ends_when_its_token_expires(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node, node.client("mill/ana") as ana:
            token = (await ana.login(ttl_ms=1_000)).token

            async def expire() -> None:
                clock.advance(1_000)

            end = await closed(node, token, expire)
            assert (end.code, end.reason) == (4401, "it has expired")

    run(story())


def test_a_client_with_an_identity_goes_on_after_its_token_ended(doorstep: Any) -> None:
    async def story() -> None:
        clock = VirtualClock()
        async with doorstep.node(clock=clock) as node, node.client("mill/ana") as ana:
            await ana.login(ttl_ms=1_000)
            seen: list[int] = []
            async with aclosing(ana.events()) as stream:
                async for page in stream:
                    seen += [entry.sequence for entry in page.entries]
                    if len(seen) == 1:
                        clock.advance(1_000)
                    if len(seen) >= 2:
                        break
            assert seen == [1, 2], "the second is the login that the stream itself needed"
            stale = node.client().with_token("x")
            with pytest.raises(TokenRejected):
                await pages_until(stale, 1)

    run(story())


def test_the_handshake_is_refused_with_a_problem(doorstep: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(streams_per_principal_max=1)
        async with doorstep.served(limits=limits) as node, node.client("mill/ana") as ana:
            good = (await ana.login()).token
            narrow = (await ana.login(scopes=(Scope.NODE_READ,))).token
            bearing = {"Authorization": f"Bearer {good}"}
            asks = {
                TokenMissing: (EVENTS_PATH, {}),
                TokenRejected: (EVENTS_PATH, {"Authorization": "Bearer x"}),
                ScopeMissing: (EVENTS_PATH, {"Authorization": f"Bearer {narrow}"}),
                Malformed: (f"{EVENTS_PATH}?after=x", bearing),
                RouteUnknown: ("/v1/other", bearing),
                RateExceeded: (EVENTS_PATH, bearing),
            }
            for port in (AsgiEvents(node.app), WebSocketEvents(url=node.url)):
                async with port.open(target=EVENTS_PATH, headers=bearing):
                    for leaf, (target, headers) in asks.items():
                        with pytest.raises(SocketRefused) as no:
                            async with port.open(target=target, headers=headers):
                                pass
                        assert no.value.status == leaf.status
                        assert b'"code"' in no.value.body
                with pytest.raises(SocketRefused):
                    async with port.open(target=f"{EVENTS_PATH}?before=1", headers=bearing):
                        pass

    run(story())


def test_a_stream_is_one_way(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node, node.client("mill/ana") as ana:
            token = (await ana.login()).token

            url = node.url.replace("http", "ws") + EVENTS_PATH
            bearing = {"Authorization": f"Bearer {token}"}
            async with connect(url, additional_headers=bearing, proxy=None) as socket:
                await socket.send("hello")
                await socket.wait_closed()
                assert socket.close_code == 1003

    run(story())


def test_a_reader_who_does_not_read_makes_nothing_grow_and_is_let_go(doorstep: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(stream_stall_ms_max=200, stream_entries_max=50)
        async with doorstep.node(limits=limits) as node, node.client("mill/ana") as ana:
            token = (await ana.login()).token
            await happen(node, 1_000)
            headers = {"Authorization": f"Bearer {token}"}
            async with AsgiEvents(node.app).open(target=EVENTS_PATH, headers=headers) as socket:
                async with asyncio.timeout(60):
                    while b"opkit_event_streams 0.0" not in node.metrics.render():
                        await asyncio.sleep(0.01)
                pages, end = await drained(socket)
            assert end.code == 1008
            assert pages == MESSAGES_WAITING_MAX, "the rest stayed in the journal"

    run(story())


def test_a_long_poll_answers_when_something_happens_and_when_nothing_does(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            await ana.login()
            after = str(node.store.head())
            waiting = asyncio.ensure_future(
                ana.call(READ_JOURNAL, ReadJournal(after=after, wait_ms=20_000))
            )
            await asyncio.sleep(0)
            await happen(node)
            assert len((await waiting).entries) == 1
            head = str(node.store.head())
            nothing = await ana.call(READ_JOURNAL, ReadJournal(after=head, wait_ms=20))
            assert (nothing.entries, str(nothing.cursor)) == ((), head)

    run(story())


@pytest.mark.parametrize("whom", ["member", "token"])
def test_who_is_revoked_while_they_wait_does_not_get_what_they_waited_for(
    doorstep: Any, whom: str
) -> None:
    async def story() -> None:
        async with (
            doorstep.node() as node,
            node.raw() as raw,
            node.client("operator") as operator,
            node.client("mill/ana") as ana,
        ):
            await operator.login()
            token = (await ana.login()).token
            after = str(node.store.head())
            waiting = asyncio.ensure_future(
                raw.get(
                    "/v1/journal",
                    params={"after": after, "wait_ms": 20_000},
                    headers={"Authorization": f"Bearer {token}"},
                )
            )
            await asyncio.sleep(0.05)  # it waits by now; if it does not, it is refused all the same
            if whom == "member":
                did = node.people.members["mill/ana"].did
                record = node.people.record("mill/ana", did=did, action="revoke")
                await operator.call(CHANGE_MEMBER, ChangeMember(record=record))
            else:
                await node.client().with_token(token).call(REVOKE_TOKEN, RevokeToken())
            await happen(node)
            answer = await waiting
            assert answer.status_code == 401
            assert answer.json()["code"] == "token-rejected"

    run(story())


def test_an_empty_journal_is_a_page_at_the_beginning(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node, node.client("mill/gus") as gus:
            assert node.store.head().sequence == 0
            page = await node.store.read_journal(after=node.store.head(), entries_max=1)
            assert page == []
            with pytest.raises(ScopeMissing):
                await gus.call(READ_JOURNAL, ReadJournal())

    run(story())


def test_streams_that_follow_share_one_read_of_the_journal(doorstep: Any) -> None:
    async def story() -> None:
        limits = GatewayLimits(streams_per_principal_max=20)
        async with doorstep.node(limits=limits) as node, node.client("mill/ana") as ana:
            await ana.login()
            await ana.call(READ_JOURNAL, ReadJournal())  # The token is known from here on.
            streams = [ana.events(node.store.head()) for _ in range(10)]
            first = [asyncio.ensure_future(anext(each)) for each in streams]
            # Each looks for what there is, in one read or two, and waits only then.
            entry: Any = node.app.entry
            while len(entry._streams._pulse._waiting) < 10:
                await asyncio.sleep(0.01)
            before = node.store.figures().reads
            await happen(node, 3)
            pages = await asyncio.gather(*first)
            assert {page.cursor.sequence for page in pages} == {4}
            assert node.store.figures().reads - before <= 2
            for each in streams:
                await each.aclose()

    run(story())


def test_peer_events_of_another_type_pass_too(doorstep: Any) -> None:
    async def story() -> None:
        peer = Identity.generate().did
        async with doorstep.node() as node, node.client("mill/ana") as ana:
            await node.store.write(lambda tx: tx.announce(PeerLost(peer=peer, why='"quoted" é')))
            pages = await pages_until(ana, 1)
            assert pages[0].entries[0].body == {"peer": peer, "why": '"quoted" é'}

    run(story())

"""What one connection may cost before anything of the node sees a request."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from nodeimpl.gateway import connections, places
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.kernel.binding import answer
from opkit.wire.network import LIVE, AskHealth, Health

LINE = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def small(_store: Any) -> list[Any]:
    """Return one route that anybody may ask."""

    async def live(ask: AskHealth, caller: Any) -> Health:
        return Health(status="ok")

    return [answer(LIVE, live)]


def waiting(_store: Any, *, asked: asyncio.Semaphore, may_answer: asyncio.Event) -> list[Any]:
    """Return one route that answers when it may."""

    async def live(ask: AskHealth, caller: Any) -> Health:
        asked.release()
        await may_answer.wait()
        return Health(status="ok")

    return [answer(LIVE, live)]


@pytest.fixture
def store_engine() -> str:
    """What connections cost is the same on any store: the routes here have none."""
    return "sqlite"


async def dial(url: str, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a bare connection to a node.

    What is said at once is there before the connection is accepted, from when on a deadline counts:
    however slow this machine is, it comes in time.
    """
    at = urlsplit(url)
    near = socket.create_connection((at.hostname, at.port))
    near.sendall(said)
    near.setblocking(False)
    return await asyncio.open_connection(sock=near)


async def status_of(reader: asyncio.StreamReader) -> int:
    """Return the status of the next answer, whose body is a problem or the health."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    body = json.loads(await reader.readexactly(length))
    status = int(head.split(b" ", 2)[1])
    assert status == 200 or body["status"] == status
    return status


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes; a reset is an end too, where more was sent than was read."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def send_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send until the other side has had enough."""
    try:
        for start in range(0, len(data), 1_024):
            writer.write(data[start : start + 1_024])
            await writer.drain()
    except ConnectionError:
        return


LONG_HEADS = {
    "one header without an end": LINE + b"X-Long: " + b"x" * 2**20,
    "many headers": LINE + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)),
    "an address without an end": b"GET /" + b"a" * 2**20,
    "a whole head": LINE + b"X-Long: " + b"x" * connections.HEAD_BYTES_MAX + b"\r\n\r\n",
}


@pytest.mark.parametrize("head", LONG_HEADS)
def test_a_head_without_an_end_is_refused_before_it_is_kept(doorstep: Any, head: str) -> None:
    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            reader, writer = await dial(node.url)
            sending = asyncio.create_task(send_all(writer, LONG_HEADS[head]))
            assert await status_of(reader) == 431
            await sending
            assert await rest_of(reader) == b""
            writer.close()

    run(story())


def test_what_follows_a_body_in_chunks_is_bounded_too(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            reader, writer = await dial(node.url)
            writer.write(LINE.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
            trailers = b"".join(b"X-%d: y\r\n" % number for number in range(100_000))
            await send_all(writer, trailers)
            assert len(await rest_of(reader)) < connections.HEAD_BYTES_MAX
            writer.close()

    run(story())


def test_a_head_that_trickles_in_has_a_deadline(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S_MAX", 0.1)

    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            for begun in (b"", b"GET /v1/hea", LINE):
                reader, writer = await dial(node.url, begun)
                assert await status_of(reader) == 408
                assert await rest_of(reader) == b""
                writer.close()
            reader, writer = await dial(node.url, LINE + b"\r\n")
            assert await status_of(reader) == 200
            writer.write(LINE)
            assert await status_of(reader) == 408
            writer.close()

    run(story())


def test_a_head_that_begins_in_the_packet_of_a_whole_ask_has_a_deadline_too(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S_MAX", 0.1)

    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            for begun in (b"G", b"GET /v1/hea", LINE):
                reader, writer = await dial(node.url, LINE + b"\r\n" + begun)
                assert await status_of(reader) == 200
                assert await status_of(reader) == 408
                writer.close()
            reader, writer = await dial(node.url, LINE + b"\r\n" + LINE + b"\r\n")
            assert await status_of(reader) == 200
            assert await status_of(reader) == 200
            with pytest.raises(TimeoutError):  # Who has begun nothing may idle for longer.
                await asyncio.wait_for(reader.read(1), 0.3)
            writer.close()

    run(story())


def test_who_begins_to_ask_again_gets_the_answer_before_the_deadline_of_the_next_head(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S_MAX", 0.05)
    asked, may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def story() -> None:
        routes = partial(waiting, asked=asked, may_answer=may_answer)
        async with doorstep.served(routes=routes) as node:
            reader, writer = await dial(node.url, LINE + b"\r\n")
            await asked.acquire()
            writer.write(LINE)
            with pytest.raises(TimeoutError):  # Several of its deadlines pass.
                await asyncio.wait_for(reader.read(1), 0.3)
            may_answer.set()
            assert await status_of(reader) == 200
            assert await status_of(reader) == 408
            writer.close()

    run(story())


def test_a_connection_is_used_again_and_again(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            reader, writer = await dial(node.url)
            for _ in range(2_000):  # together longer than one head may be
                writer.write(LINE + b"\r\n")
                assert await status_of(reader) == 200
            writer.close()

    run(story())


def test_what_is_no_http_is_a_problem_and_no_line_of_log(
    doorstep: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            reader, writer = await dial(node.url)
            writer.write(b"\x16\x03\x01 hello\r\n\r\n")
            assert await status_of(reader) == 400
            writer.close()
            said = [each for each in caplog.records if "Started" not in each.getMessage()]
            assert not said, "anybody could fill the log"

    run(story())


def test_a_crowd_leaves_room_for_the_nodes_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((256, 128), (1_024, 512), (4_096, 3_584), (65_536, 16_384)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert places.connections_max() == most
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert places.connections_max() == places.CONNECTIONS_MAX


def test_a_process_may_open_as_many_files_as_it_is_allowed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: said.append(limits))
    endless = resource.RLIM_INFINITY
    for given, got in (
        ((1_024, 4_096), 4_096),
        ((1_024, 10**9), 65_536),
        ((1_024, endless), 65_536),
        ((70_000, endless), 70_000),
        ((endless, endless), endless),
    ):
        said.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, given=given: given)
        assert places.raise_files_limit() == got
        assert said == ([(got, given[1])] if got != given[0] else [])


def test_at_a_full_door_who_is_idle_for_longest_gives_way(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CONNECTIONS_MAX", 3)

    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            inside = [await dial(node.url) for _ in range(3)]
            for reader, writer in inside:
                writer.write(LINE + b"\r\n")
                assert await status_of(reader) == 200, "who is in is served"
            for number in range(3):
                inside.append(await dial(node.url))
                reader, writer = inside[-1]
                writer.write(LINE + b"\r\n")
                assert await status_of(reader) == 200, "and so is who comes"
                assert await rest_of(inside[number][0]) == b"", "in place of the first"
            for _, writer in inside:
                writer.close()

    run(story())


def test_at_a_full_door_who_is_slow_to_ask_gives_way_and_who_waits_for_an_answer_does_not(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CONNECTIONS_MAX", 2)
    asked, may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def story() -> None:
        routes = partial(waiting, asked=asked, may_answer=may_answer)
        async with doorstep.served(routes=routes) as node:
            first, asking = await dial(node.url)
            asking.write(LINE + b"\r\n")
            await asked.acquire()
            second, sending = await dial(node.url)
            sending.write(b"POST /v1/auth/token HTTP/1.1\r\nHost: localhost\r\n")
            sending.write(b"Content-Length: 9\r\n\r\n{")
            third, asking_too = await dial(node.url)
            assert await rest_of(second) == b"", "it had begun to ask, and no more"
            asking_too.write(LINE + b"\r\n")
            await asked.acquire()
            fourth, outside = await dial(node.url)
            assert await status_of(fourth) == 503, "nobody is idle"
            may_answer.set()
            assert await status_of(first) == await status_of(third) == 200
            for writer in (asking, sending, asking_too, outside):
                writer.close()

    run(story())


def test_who_asks_for_much_at_once_is_hung_up_on(doorstep: Any) -> None:
    """A read of a quarter of a megabyte may hold ten thousand asks, each kept until its turn."""

    async def story() -> None:
        async with doorstep.served(routes=small) as node:
            reader, writer = await dial(node.url)
            writer.write((LINE + b"\r\n") * connections.PIPELINED_MAX)
            for _ in range(connections.PIPELINED_MAX):
                assert await status_of(reader) == 200
            writer.close()
            reader, writer = await dial(node.url)
            await send_all(writer, (LINE + b"\r\n") * 10_000)
            said = await rest_of(reader)
            assert said.count(b"HTTP/1.1 ") <= connections.PIPELINED_MAX + 1
            writer.close()

    run(story())


def test_an_answer_that_nobody_reads_is_not_kept_for_ever(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_S_MAX", 0.2)
    lose, lost = connections.BoundedConnection.connection_lost, asyncio.Event()
    size = 32 * 2**20

    def connection_lost(self: Any, exc: Exception | None) -> None:
        lose(self, exc)
        lost.set()

    monkeypatch.setattr(connections.BoundedConnection, "connection_lost", connection_lost)

    def routes(_store: Any) -> list[Any]:
        async def much(ask: AskHealth, caller: Any) -> Health:
            return Health.model_construct(status="x" * size)

        return [answer(LIVE, much)]

    async def story() -> None:
        async with doorstep.served(routes=routes) as node:
            reader, writer = await dial(node.url)
            writer.write(LINE + b"\r\n")
            await reader.readexactly(1)
            await lost.wait()  # Nothing is read: that is what must have an end.
            taken = 0
            try:
                while piece := await reader.read(2**20):
                    taken += len(piece)
            except ConnectionError:
                taken += 0
            assert taken < size
            writer.close()

    run(story())


def test_what_waits_to_be_read_is_bounded_over_all_connections(doorstep: Any) -> None:
    """Whoever asks for much and reads nothing fills so much of the node's memory and no more."""
    size = 32 * 2**20

    def routes(_store: Any) -> list[Any]:
        async def much(ask: AskHealth, caller: Any) -> Health:
            return Health.model_construct(status="x" * size)

        return [answer(LIVE, much)]

    async def story() -> None:
        limits = GatewayLimits(unread_bytes_per_reader_max=3 * size)
        async with doorstep.served(routes=routes, limits=limits) as node:

            async def ask() -> tuple[bytes, asyncio.StreamWriter]:
                reader, writer = await dial(node.url)
                writer.write(LINE + b"\r\n")
                status = (await reader.readuntil(b"\r\n")).split(b" ")[1]
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed lacks it
                return status, writer

            asked = [await ask() for _ in range(4)]
            assert [status for status, _ in asked] == [b"200", b"200", b"429", b"429"]
            for _, writer in asked:
                writer.transport.abort()
            status = b""
            while status != b"200":
                status, writer = await ask()
                writer.transport.abort()

    run(story())

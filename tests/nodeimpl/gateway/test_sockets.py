"""What a stream's reader may cost: next to nothing is heard of them, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from uvicorn.protocols.utils import ClientDisconnected

from nodeimpl.gateway import connections, server, sockets
from nodeimpl.gateway.limits import GatewayLimits
from opkit.wire.network import ClockMoved

TEXT, CONTINUED, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


def frame(opcode: int, data: bytes, *, last: bool = True) -> bytes:
    """Return a client's frame. Source: RFC 6455, section 5.2."""
    head = bytes([opcode | (0x80 if last else 0)])
    length = len(data)
    head += (
        bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack(">H", length)
    )
    return head + bytes(4) + data


async def stream_of(
    node: Any, *, receive_bytes: int = 0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a bare connection on which a stream is open, with so little room if it is said."""
    async with node.client("mill/ana") as ana:
        token = (await ana.login()).token
    at = urlsplit(node.url)
    near = socket.socket()
    if receive_bytes:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    near.connect((at.hostname, at.port))
    reader, writer = await asyncio.open_connection(sock=near, limit=2**16)
    writer.write(
        b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        + base64.b64encode(bytes(16))
        + b"\r\nAuthorization: Bearer "
        + token.encode()
        + b"\r\n\r\n"
    )
    assert b" 101 " in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
    return reader, writer


def figure(node: Any, name: str) -> float:
    """Return what the node's metrics say by this name."""
    lines = node.metrics.render().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def open_streams(node: Any) -> int:
    return int(figure(node, "opkit_event_streams"))


async def all_streams_ended(node: Any) -> None:
    while await open_streams(node):
        await asyncio.sleep(0.01)


async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send the same again and again until the node hangs up."""
    try:
        while True:
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


FLOODS = {
    "pings whose answers nobody reads": frame(PING, b"p" * 125) * 100,
    "answers that nobody asked for": frame(PONG, b"p" * 125) * 100,
    "parts of a message without an end": frame(TEXT, b"", last=False)
    + frame(CONTINUED, b"", last=False) * 5_000,
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_reader_that_says_more_than_readers_do_is_hung_up_on(doorstep: Any, what: str) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            _, writer = await stream_of(node)
            await flood(writer, FLOODS[what])
            await all_streams_ended(node)
            writer.close()

    run(story())


def test_a_reader_may_say_that_it_is_there_for_as_long_as_a_token_lives(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            reader, writer = await stream_of(node)
            hour = 2 * 3 * 60
            for _ in range(hour):
                writer.write(frame(PING, b"abcd") + frame(PONG, b"abcd"))
            heard = b""
            while heard.count(b"\x8a\x04abcd") < hour:
                heard += await reader.read(2**16)
            writer.write(frame(CLOSE, b""))
            await all_streams_ended(node)
            writer.close()

    run(story())


ODD = {
    "a text": frame(TEXT, b"hello"),
    "a text that is none": frame(TEXT, b"\xff\xfe"),
    "half a character": frame(TEXT, b"\xc3"),
    "an announced length beyond the limit": b"\x82\xff" + struct.pack(">Q", 2**62),
    "a long ping": frame(PING, bytes(4_096)),
    "a ping in parts": frame(PING, b"", last=False),
    "a part of no message": frame(CONTINUED, b"x"),
    "a frame that is not masked": b"\x81\x01x",
    "reserved bits": b"\xf1\x80\0\0\0\0",
    "a reserved opcode": b"\x83\x80\0\0\0\0",
    "a close with half a code": frame(CLOSE, b"\x03"),
    "a close with a reserved code": frame(CLOSE, struct.pack(">H", 1_005)),
    "a close whose reason is no text": frame(CLOSE, struct.pack(">H", 1_000) + b"\xff"),
    "no WebSocket at all": b"GET /v1/health/live HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("what", ODD)
def test_what_no_reader_says_ends_the_stream_and_nothing_else(doorstep: Any, what: str) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            reader, writer = await stream_of(node)
            writer.write(ODD[what])
            heard = b""
            while piece := await reader.read(2**16):
                heard += piece
                if b"\x88" in heard[-127:]:  # the node said farewell
                    writer.write(frame(CLOSE, b""))
            assert b"Traceback" not in heard
            await all_streams_ended(node)
            writer.close()
            async with node.tcp_client("mill/ana") as ana:
                await ana.login()

    run(story())


async def messages(reader: asyncio.StreamReader, upto: int) -> list[bytes]:
    """Return a server's whole text messages, until one tells of this entry."""
    found: list[bytes] = []
    while not found or json.loads(found[-1])["cursor"]["sequence"] < upto:
        first, size = await reader.readexactly(2)
        assert (first, size < 128) == (0x80 | TEXT, True), "a whole text that is not masked"
        if size > 125:
            width = 2 if size == 126 else 8
            size = int.from_bytes(await reader.readexactly(width), "big")
        found.append(await reader.readexactly(size))
    return found


def test_readers_get_the_same_bytes_and_who_has_said_farewell_gets_no_more(doorstep: Any) -> None:
    """A page is sent to many as it is: whole frames, and none into a stream that is closing."""

    async def story() -> None:
        async with doorstep.served() as node:
            streams = [await stream_of(node) for _ in range(3)]
            before = node.store.head().sequence
            entry: Any = node.app.entry
            while len(entry._streams._pulse._riders) < 3:  # None of them looks for itself any more.
                await asyncio.sleep(0.01)
            for _ in range(20):
                await node.store.write(lambda tx: tx.announce(ClockMoved(offset_ms=1)))
            upto = node.store.head().sequence
            heard = [await messages(reader, upto) for reader, _ in streams]
            entries = [
                [entry["sequence"] for one in each for entry in json.loads(one)["entries"]]
                for each in heard
            ]
            assert all(each[-20:] == list(range(before + 1, upto + 1)) for each in entries)
            leaving, writer = streams[0]
            writer.write(frame(CLOSE, struct.pack(">H", 1_000)))
            assert (await leaving.readexactly(2))[0] == 0x80 | CLOSE
            await node.store.write(lambda tx: tx.announce(ClockMoved(offset_ms=1)))
            await messages(streams[1][0], upto + 1)
            rest = await leaving.read()
            assert rest == struct.pack(">H", 1_000)
            for _, each in streams:
                each.close()

    run(story())


def test_what_a_reader_has_not_read_stays_in_the_journal_and_comes_when_they_read(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when pages are made for many at once: into a full connection goes none of them."""
    made, pages = sockets.BoundedSocket.connection_made, 100

    def connection_made(self: Any, transport: Any) -> None:
        made(self, transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)

    monkeypatch.setattr(sockets.BoundedSocket, "connection_made", connection_made)

    async def story() -> None:
        limits = GatewayLimits(stream_entries_max=500)
        async with doorstep.served(limits=limits) as node:
            reader, writer = await stream_of(node, receive_bytes=4_096)
            before = node.store.head().sequence
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed lacks it
            sent = 0.0
            for _ in range(pages):
                await node.store.write(
                    lambda tx: [tx.announce(ClockMoved(offset_ms=n)) for n in range(50)] and None
                )
                sent = figure(node, "opkit_event_pages_total")
                await asyncio.sleep(0.008)  # longer than a beat: each is a page of its own
            assert sent < pages / 2, "who does not read is sent no more after a while"
            writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            upto = node.store.head().sequence
            said = [json.loads(one) for one in await messages(reader, upto)]
            heard = [entry["sequence"] for one in said for entry in one["entries"]]
            assert heard[-50 * pages :] == list(range(before + 1, upto + 1))
            writer.close()

    run(story())


def test_a_stream_that_nobody_reads_is_gone_in_bounded_time(
    doorstep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport closes only when all was read; a reader who never reads must not hold it."""
    monkeypatch.setattr(server, "PING_S", 0.3)
    monkeypatch.setattr(connections, "READ_S_MAX", 0.3)

    async def story() -> None:
        limits = GatewayLimits(stream_stall_ms_max=300)
        async with doorstep.served(limits=limits) as node:
            _, writer = await stream_of(node)
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # typeshed lacks it
            while await open_streams(node):
                await node.store.write(
                    lambda tx: [tx.announce(ClockMoved(offset_ms=n)) for n in range(500)]
                )
            while any(
                task.get_coro().__qualname__.endswith("run_asgi") for task in asyncio.all_tasks()
            ):
                await asyncio.sleep(0.01)
            writer.transport.abort()

    run(story())


def test_a_server_that_stops_does_not_call_itself_broken_before_a_handshake_is_answered() -> None:
    """A client takes 500 for a broken node and gives up; a node that stops comes back."""

    async def story() -> None:
        asked, stop, started = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            asked.set()
            assert (await receive())["type"] == "websocket.disconnect"

        with server.bind_loopback("127.0.0.1", 0) as listening:
            where = listening.getsockname()
            serving = asyncio.create_task(
                server.run_server(app, sock=listening, stop=stop, started=started)
            )
            await started.wait()
            reader, writer = await asyncio.open_connection(*where)
            writer.write(
                b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                + base64.b64encode(bytes(16))
                + b"\r\n\r\n"
            )
            await asked.wait()
            stop.set()
            assert await reader.read() == b""
            writer.close()
            await serving

    run(story())


def test_a_reader_that_leaves_while_something_is_sent_is_no_fault(
    doorstep: Any,
) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            async with node.client("mill/ana") as ana:
                token = (await ana.login()).token
            asked = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if not asked.is_set():
                    asked.set()
                    return {"type": "websocket.connect"}
                await asyncio.Event().wait()
                raise AssertionError

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "websocket.send":
                    raise ClientDisconnected

            headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + token.encode())]
            scope = {"type": "websocket", "path": "/v1/events", "query_string": b""}
            with structlog.testing.capture_logs() as logs:
                await node.app({**scope, "headers": headers}, receive, send)
            assert [line["event"] for line in logs if line["log_level"] == "error"] == []

    run(story())

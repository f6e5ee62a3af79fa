"""Ten thousand who connect and say nothing: others are served meanwhile, and all of them go."""

from __future__ import annotations

import asyncio
import base64
import resource
import socket
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.usefixtures("unmeasured_processes"),
]

CROWD = 10_000
PER_ADDRESS = 2_500
"""Connections from one address: loopback has more addresses than an address has ports."""

BYTES_PER_IDLE_MAX = 16_384
LOOK_EVERY = 500
ASKS = 200
"""Few enough that on a slow machine, too, no stream is closed meanwhile and makes room."""


@pytest.fixture(autouse=True)
def room_for_a_crowd() -> Iterator[None]:
    """Let this process open as many files as a crowd needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CROWD + 1_000
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"not run: this process may open {hard} files, the crowd needs {needed}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 400))


class Crowd:
    """Sockets that were opened to a node, and what they said at once."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.held: list[socket.socket] = []
        self.slowest_s = 0.0

    async def grow(self, count: int, said: bytes = b"") -> None:
        """Open so many connections; look at the node's health all the while."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            number = len(self.held)
            one = socket.socket()
            one.setblocking(False)
            one.bind((f"127.0.1.{1 + number // PER_ADDRESS}", 0))
            self.held.append(one)
            await loop.sock_connect(one, ("127.0.0.1", self.node.port))
            if said:
                await loop.sock_sendall(one, said)
            if number % LOOK_EVERY == 0:
                self.slowest_s = max(self.slowest_s, await self.node.health_s())

    def leave(self) -> None:
        """Close all."""
        for one in self.held:
            one.close()

    def still_open(self) -> int:
        """Return how many the node has not closed."""
        return sum(not hung_up(one) for one in self.held)


def hung_up(one: socket.socket) -> bool:
    """Read what came, and say whether the other side has closed."""
    try:
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


HALF = (b"", b"GET /v1/health/live HTTP/1.1\r\nHost: local")
"""What an idle connection has said: nothing, or not all of a head."""


def test_ten_thousand_idle_connections_keep_nobody_out_and_are_gone_in_time(start: Any) -> None:
    async def story() -> None:
        node = start(files=(1_024, CROWD + 1_000))
        before, files = node.memory_bytes(), node.files()
        crowd = Crowd(node)
        try:
            for _ in range(CROWD // 1_000):
                for said in HALF:
                    await crowd.grow(500, said)
            assert node.files() > 1_024, "it took all the files that it may have"
            assert (node.memory_bytes() - before) / CROWD < BYTES_PER_IDLE_MAX
            async with node.client() as mara:
                await mara.login()
            while crowd.still_open():
                await asyncio.sleep(0.1)
        finally:
            crowd.leave()
        while node.files() > files + 50:
            await asyncio.sleep(0.1)

    run(story())


def test_where_few_files_may_be_open_a_newcomer_takes_the_place_of_who_idles(start: Any) -> None:
    async def story() -> None:
        few = 1_024
        node = start(files=(few, few))
        crowd = Crowd(node)
        try:
            await crowd.grow(CROWD)
            assert node.files() < few - 256, "the node's own files always have room"
            # The last to come still wait in the kernel's queue, where nobody has been judged yet.
            while crowd.still_open() > few // 2:
                await asyncio.sleep(0.05)
            assert crowd.still_open(), "half of the places are for who idles"
            async with node.client() as mara:
                await mara.login()
        finally:
            crowd.leave()

    run(story())


def test_ten_thousand_who_ask_for_a_stream_without_a_token_are_refused(attacked: Any) -> None:
    async def story() -> None:
        crowd = Crowd(attacked)
        key = base64.b64encode(bytes(16))
        ask = (
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
        ) % key
        try:
            await crowd.grow(CROWD, ask)
            while crowd.still_open():
                await asyncio.sleep(0.05)
        finally:
            crowd.leave()
        await attacked.health_s()

    run(story())


def test_one_member_opens_only_so_many_streams(attacked: Any) -> None:
    async def story() -> None:
        async with attacked.client() as mara:
            token = (await mara.login()).token.encode()
        ask = (
            b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
            b"Authorization: Bearer %b\r\n\r\n"
        ) % (base64.b64encode(bytes(16)), token)
        streams: list[asyncio.StreamWriter] = []
        statuses: list[bytes] = []
        for _ in range(ASKS):
            reader, writer = await asyncio.open_connection("127.0.0.1", attacked.port)
            streams.append(writer)
            writer.write(ask)
            statuses.append((await reader.readuntil(b"\r\n\r\n"))[9:12])
            if statuses[-1] == b"429":
                assert b"rate-exceeded" in await reader.read()
        assert statuses.count(b"101") == 16
        assert statuses.count(b"429") == ASKS - 16
        for writer in streams:
            writer.close()

    run(story())

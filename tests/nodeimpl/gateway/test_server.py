"""Serving: on loopback or not at all, from the first connection to the last."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from nodeimpl.gateway.server import NotLoopback, bind_loopback, run_server, running_server


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


@pytest.fixture
def store_engine() -> str:
    """How a node listens is the same on any store."""
    return "sqlite"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org", "192.168.0.1", ""])
def test_plain_http_is_not_bound_beyond_loopback(host: str) -> None:
    with pytest.raises(NotLoopback, match="loopback"):
        bind_loopback(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_is_bound(host: str) -> None:
    with bind_loopback(host, 0) as listening:
        assert listening.getsockname()[1] > 0


def test_a_taken_port_is_said(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.served() as node:
            port = int(node.url.rsplit(":", 1)[1])
            with pytest.raises(OSError, match="in use"):
                async with running_server(node.app, port=port):
                    pass

    run(story())


def test_a_server_ends_with_a_stream_open_and_within_its_deadline(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            async with running_server(node.app) as url:
                node.url = url
                async with node.tcp_client("mill/ana") as ana:
                    stream = ana.events()
                    await anext(stream)
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient(trust_env=False) as raw:
                    await raw.get(url)
            async with aclosing(stream):
                pass

    run(story())


def test_a_server_stops_when_its_event_is_set(doorstep: Any) -> None:
    async def story() -> None:
        async with doorstep.node() as node:
            stop, started = asyncio.Event(), asyncio.Event()
            serving = asyncio.create_task(run_server(node.app, stop=stop, started=started))
            await started.wait()
            stop.set()
            await serving

    run(story())


# Where the end comes between two of these turns, asyncio itself drops a connection half made and
# leaves its closing to the collector. Source: CPython, issue 109564.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("turns", range(6))
def test_who_connects_as_the_server_stops_does_not_hold_it_up(
    doorstep: Any, caplog: pytest.LogCaptureFixture, turns: int
) -> None:
    """A connection is accepted in several turns of the loop: in any of them the end may come."""

    async def story() -> None:
        async with doorstep.node() as node:
            stop, started = asyncio.Event(), asyncio.Event()
            listening = bind_loopback("127.0.0.1", 0)
            place = listening.getsockname()
            serving = asyncio.create_task(
                run_server(node.app, sock=listening, stop=stop, started=started)
            )
            await started.wait()
            with socket.create_connection(place):
                for _ in range(turns):
                    await asyncio.sleep(0)
                stop.set()
                await serving

    with caplog.at_level(logging.ERROR):
        run(story())
        gc.collect()
    assert not caplog.records, "the server waited until its deadline, for somebody who says nothing"


def test_an_accepted_connection_sends_small_answers_at_once() -> None:
    """Without TCP_NODELAY each of them would wait for an acknowledgement of the one before."""

    async def story() -> None:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            seen.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = bind_loopback("127.0.0.1", 0)
        async with await asyncio.start_server(accept, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            assert await seen, "the listening socket must name its protocol"
            writer.close()
            await writer.wait_closed()

    run(story())

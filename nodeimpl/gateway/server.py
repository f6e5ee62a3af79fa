"""Serving an app: a bounded server that starts when told and stops when told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from typing import Any

import uvicorn

from nodeimpl.gateway.connections import BoundedConnection
from nodeimpl.gateway.places import places_of
from nodeimpl.gateway.sockets import PING_S, BoundedSocket

KEEP_ALIVE_S = 30
BACKLOG = 512
SHUTDOWN_S = 5
HANDSHAKE_S = 5
"""How long a client may take to say who it wants to speak to: nothing is kept for it longer."""
MESSAGE_BYTES_MAX = 4_096
"""A stream's reader says nothing; what it says anyway is not kept."""


class NotLoopback(ValueError):
    """Plain HTTP carries tokens: it is bound to loopback only, or not at all."""

    def __init__(self, host: str) -> None:
        """Say which host it was."""
        super().__init__(
            f"{host!r} is not loopback: plain HTTP is served on 127.0.0.1, ::1 or localhost only"
        )
        self.host = host


def bind_loopback(host: str, port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 takes a free one.

    Raises:
        NotLoopback: `host` is another place than this machine itself.
        OSError: the port is taken.
    """
    try:
        loopback = ip_address(_address(host)).is_loopback
    except ValueError as bad:
        raise NotLoopback(host) from bad
    if not loopback:
        raise NotLoopback(host)
    return bind(host, port)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket at an address of this machine; port 0 takes a free one.

    Raises:
        ValueError: `host` is no address.
        OSError: the port is taken, or the machine has no such address.
    """
    address = _address(host)
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that name theirs;
    # without it every answer would wait 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _address(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host.strip("[]")


async def run_server(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    stop: asyncio.Event,
    started: asyncio.Event | None = None,
    hurry: asyncio.Event | None = None,
) -> None:
    """Serve `app` until `stop` is set, then let what is in hand end, within a deadline.

    Args:
        app: the ASGI app.
        sock: a socket from `bind_loopback`, if the caller wants to know the port first; or from
            `bind`, with `tls`.
        tls: how TLS is spoken; None serves plain HTTP.
        stop: ends the server.
        started: is set once connections are accepted.
        hurry: set beside `stop`, lets nothing end that is in hand.

    Raises:
        NotLoopback: `host` is another place than this machine itself.
        OSError: the port is taken.
    """
    listening = sock or bind_loopback(host, port)
    config = uvicorn.Config(
        app,
        loop="none",
        http=BoundedConnection,
        ws=BoundedSocket,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    try:
        server = _Server(config, tls=tls, stop=stop, started=started, hurry=hurry)
        await server.serve(sockets=[listening])
    finally:
        listening.close()


@contextlib.asynccontextmanager
async def running_server(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `app` while the context is held; give the URL at which it accepts connections.

    Raises:
        NotLoopback: `host` is another place than this machine itself.
        OSError: the port is taken.
    """
    listening = bind_loopback(host, port)
    address, bound = listening.getsockname()[:2]
    stop, started = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_server(app, sock=listening, stop=stop, started=started))
    try:
        telling = asyncio.create_task(started.wait())
        await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if running.done():
            running.result()
        yield f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    finally:
        stop.set()
        await running


class _Server(uvicorn.Server):
    """A uvicorn server that takes its end from an event and leaves signals to the process."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        tls: ssl.SSLContext | None,
        stop: asyncio.Event,
        started: asyncio.Event | None,
        hurry: asyncio.Event | None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._stop = stop
        self._told = started
        self._hurry = hurry or asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        if self._tls is None:
            await super().startup(sockets=sockets)
        else:
            await self._listen(sockets or [], self._tls)
        if self._told is not None:
            self._told.set()

    async def _listen(self, sockets: list[socket.socket], tls: ssl.SSLContext) -> None:
        """Accept TLS as the base class would, but wait for a handshake no longer than for an ask.

        Until the handshake is done a connection has no place that others could take.
        """

        def make() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn has it
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                make, sock=sock, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=HANDSHAKE_S
            )
            for sock in sockets
        ]
        self.started = True

    async def main_loop(self) -> None:
        """Wait for the end; there is nothing to do in between."""
        await self.on_tick(0)
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is in hand end, unless somebody is in a hurry; let nobody in any more."""
        places_of(self.server_state).is_closed = True
        hurrying = asyncio.create_task(self._end_at_once())
        try:
            await super().shutdown(sockets=sockets)
        finally:
            hurrying.cancel()

    async def _end_at_once(self) -> None:
        await self._hurry.wait()
        self.force_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

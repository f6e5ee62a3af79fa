"""Event streams to a node in the same process: the WebSocket protocol of ASGI, without a network.

Source: ASGI specification, WebSocket and its denial response extension.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from opkit.client.sockets import OPEN_MS_MAX, EventsSocket, SocketClosed, SocketRefused
from opkit.wire.errors import Unreachable

Message = MutableMapping[str, Any]
AsgiApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

MESSAGES_WAITING_MAX = 16
"""How many messages wait for the reader before the sender has to."""

CLOSE_MS_MAX = 5_000
"""How long the app may take to end after the reader went away."""


class AsgiEvents:
    """Opens sockets to an ASGI app."""

    def __init__(self, app: AsgiApp, *, host: str = "localhost") -> None:
        """Remember the app, and the name by which it is called."""
        self._app = app
        self._host = host

    @asynccontextmanager
    async def open(self, *, target: str, headers: dict[str, str]) -> AsyncIterator[EventsSocket]:
        """Hold one socket; the app runs in a task that ends with the context."""
        socket = _Socket()
        scope = _scope(target, headers, host=self._host)
        running = asyncio.create_task(socket.run(self._app, scope))
        try:
            await socket.opened(running)
            yield socket
        finally:
            await socket.leave(running)


class _Socket:
    """Both ends of one socket: what the app sends waits here for the reader, within bounds."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[Message] = asyncio.Queue(maxsize=MESSAGES_WAITING_MAX)
        self._asked: asyncio.Queue[Message] = asyncio.Queue(maxsize=2)
        self._asked.put_nowait({"type": "websocket.connect"})
        self._answered = asyncio.Event()
        self._left = False
        self._end: SocketClosed | None = None

    async def run(self, app: AsgiApp, scope: Message) -> None:
        """Run the app on this socket, and mark the end of what it sends."""
        try:
            await app(scope, self._asked.get, self._send)
        finally:
            self._answered.set()
            await self._send({"type": "websocket.close", "code": 1006, "reason": "the app ended"})

    async def opened(self, running: asyncio.Task[None]) -> None:
        """Return once the app accepted; raise what it answered instead."""
        try:
            async with asyncio.timeout(OPEN_MS_MAX / 1000):
                first = await self._sent.get()
        except TimeoutError as late:
            raise Unreachable(where="the app", why="it did not answer the handshake") from late
        if first["type"] == "websocket.accept":
            return
        if first["type"] == "websocket.http.response.start":
            body = await self._sent.get()
            raise SocketRefused(status=first["status"], body=body.get("body", b""))
        if running.done():
            running.result()
        raise SocketRefused(status=403, body=b"")

    async def receive(self) -> str:
        """Return the next text message."""
        if self._end is None:
            message = await self._sent.get()
            if message["type"] == "websocket.send":
                return str(message["text"])
            code = int(message.get("code", 1000))
            self._end = SocketClosed(code=code, reason=str(message.get("reason") or ""))
        raise self._end

    async def leave(self, running: asyncio.Task[None]) -> None:
        """Tell the app that the reader is gone, and wait until it ended."""
        self._left = True
        if not self._asked.full():
            self._asked.put_nowait({"type": "websocket.disconnect", "code": 1001})
        while not self._sent.empty():
            # Whoever waits for room is let go: nothing sent from now on is kept.
            self._sent.get_nowait()
        done, _ = await asyncio.wait({running}, timeout=CLOSE_MS_MAX / 1000)
        if not done:
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _send(self, message: Message) -> None:
        if not self._left:
            await self._sent.put(message)


def _scope(target: str, headers: dict[str, str], *, host: str) -> Message:
    path, _, query = target.partition("?")
    named = {"host": host, **headers}
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in named.items()
        ],
        "client": ("127.0.0.1", 0),
        "server": (host, 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }

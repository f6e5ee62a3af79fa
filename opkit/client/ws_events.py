"""Event streams over TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from opkit.client.sockets import (
    MESSAGE_BYTES_MAX,
    OPEN_MS_MAX,
    EventsSocket,
    SocketClosed,
    SocketRefused,
)
from opkit.wire.errors import Unreachable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect

    from opkit.client.pinning import Pin


class WebSocketEvents:
    """Opens WebSockets to the node at one URL. Source: RFC 6455."""

    def __init__(self, *, url: str, pin: Pin | None = None) -> None:
        """Remember where the node is, and the key that it shows."""
        self._pin = pin
        assert url.startswith(("http://", "https://")), url
        self._url = "ws" + url.removeprefix("http").rstrip("/")

    @asynccontextmanager
    async def open(self, *, target: str, headers: dict[str, str]) -> AsyncIterator[EventsSocket]:
        """Hold one socket.

        A peer that is gone without a word is noticed by pings; settings of the environment, such
        as proxies, are ignored.
        """
        from websockets.asyncio.client import connect

        connection = await _opened(
            connect(
                self._url + target,
                additional_headers=headers,
                proxy=None,
                compression=None,
                max_size=MESSAGE_BYTES_MAX,
                open_timeout=OPEN_MS_MAX / 1000,
                close_timeout=1,
                ssl=None if self._pin is None else self._pin.context,
            ),
            self._url,
            self._pin,
        )
        try:
            yield _Socket(connection)
        finally:
            await connection.close()


class _Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> str:
        """Return the next text message."""
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._connection.recv(decode=True)
        except ConnectionClosed as end:
            code = end.rcvd.code if end.rcvd else 1006
            reason = end.rcvd.reason if end.rcvd else "connection lost"
            raise SocketClosed(code=code, reason=reason) from end


async def _opened(connecting: connect, url: str, pin: Pin | None) -> ClientConnection:
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    try:
        return await connecting
    except InvalidStatus as no:
        body = bytes(no.response.body or b"")
        raise SocketRefused(status=no.response.status_code, body=body) from no
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as silent:
        if pin is not None:
            pin.complain(url)
        raise Unreachable(where=url, why=str(silent) or type(silent).__name__) from silent

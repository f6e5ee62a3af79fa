"""A stream's connection: its handshake, what its reader may say, and its end."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from nodeimpl.gateway import connections
from nodeimpl.gateway.connections import QUIET
from nodeimpl.gateway.replies import PROBLEM, blank_problem

HEARD_BYTES_MAX = 65_536
"""What a stream's reader may say in all: it has nothing to say, and lives for an hour at most.
Pings and their answers are a few bytes three times a minute."""

TAKES = "opkit.takes"
"""The name under which a stream's scope has how whole messages are sent at once. Source: ASGI,
extensions."""

PING_S = 20.0
"""How often a quiet stream is asked whether anybody is there, and how long that may take."""


class Handshake(ServerProtocol):
    """The protocol's own part; what it refuses, it refuses as the rest of this door does."""

    def reject(self, status: int, text: str) -> Response:
        """Return a problem. `text` repeats what was sent, and is left out."""
        assert text, "the base class says what is wrong; the client learns no more than the status"
        body = json.dumps(blank_problem(HTTPStatus(status))).encode()
        headers = Headers()
        headers["Connection"] = "close"
        headers["Content-Type"] = PROBLEM.decode()
        headers["Content-Length"] = str(len(body))
        return Response(int(status), HTTPStatus(status).phrase, headers, body)


class BoundedSocket(WebSocketsSansIOProtocol):
    """A stream's connection: its reader says next to nothing, and reads, or it ends."""

    def __init__(self, *args: Any, **named: Any) -> None:
        """Begin before the handshake, which the HTTP connection passes on."""
        super().__init__(*args, **named)
        self.logger = QUIET
        self.conn = Handshake(max_size=self.config.ws_max_size, logger=QUIET)
        self._heard_bytes = 0
        self._end_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._end_timer is not None:
            self._end_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what is said, within bounds: each ping would be answered, each fragment kept."""
        if self.handshake_initiated:
            self._heard_bytes += len(data)
        if self._heard_bytes > HEARD_BYTES_MAX:
            self.transport.abort()
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()
        self._bound_the_end()

    def keepalive_timeout(self) -> None:
        """End a stream whose reader does not answer a ping."""
        super().keepalive_timeout()
        self._bound_the_end()

    def shutdown(self) -> None:
        """End with the server; whose handshake is not answered yet, finds nobody there.

        The base class would answer it with 500: that the node is broken, though it only stops.
        """
        if self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Send; who is told the end has a while to read it.

        A text that comes with its `frame`, made once for many readers, goes out as it is. In any
        other state than that of an open stream that can be written to, the base class decides.
        """
        frame = message.get("frame")
        if frame is not None and self.take(frame):
            return
        await super().send(message)
        if self.close_sent:
            # A refusal completes it too, whatever the base class thinks.
            self.handshake_complete = True
        self._bound_the_end()

    async def run_asgi(self) -> None:
        """Run the app, which may have whole messages taken at once."""
        self.scope["extensions"][TAKES] = {"take": self.take}
        await super().run_asgi()

    def take(self, frame: bytes) -> bool:
        """Send a whole message, if it need not wait; say whether it was sent."""
        if not self.writable.is_set() or not self._is_open():
            return False
        self.transport.write(frame)
        return True

    def _is_open(self) -> bool:
        """Say whether both sides have said that it begins, and neither that it ends."""
        is_whole = self.handshake_complete and not self.close_sent and not self.disconnected
        return is_whole and self.conn.state is State.OPEN

    def _refuse_handshake(self) -> None:
        """Answer a handshake that the protocol cannot read, which the base class would not."""
        said = b"".join(self.conn.data_to_send())
        self.transport.write(said or self.conn.reject(HTTPStatus.BAD_REQUEST, "odd").serialize())
        self.close_sent = True
        self.transport.close()

    def _bound_the_end(self) -> None:
        """Have what nobody reads dropped: a transport closes only once all of it was read."""
        if self.close_sent and self._end_timer is None and not self.disconnected:
            self._end_timer = self.loop.call_later(connections.READ_S_MAX, self.transport.abort)

"""One HTTP connection and what it may cost: heads bounded in bytes and time, answers in time.

The server's parser takes heads of any length for as long as they last, and its answers stay in
memory until they are read. Both are bounded here, before anything of the node sees the request.
"""

from __future__ import annotations

import asyncio
import json
import resource
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nodeimpl.gateway.replies import PROBLEM

HEAD_BYTES_MAX = 32_768
"""The longest request line with headers, and the most that may come between pieces of a body."""

HEAD_S_MAX = 10.0
"""How long a head may take, from the connection or its first byte on."""

READ_S_MAX = 60.0
"""How long a client may take to read an answer; one machine's own network needs no longer."""

CONNECTIONS_MAX = 4_096


def connections_max() -> int:
    """Return how many connections are kept: half of the files that this process may open.

    The other half is for what the node itself opens: a crowd at the door must not stop it.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, soft // 2)


class HeadTooLong(Exception):
    """The head is longer than any that is meant."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that ends rather than grow."""

    def __init__(self, *args: Any, **named: Any) -> None:
        """Begin before the first head."""
        super().__init__(*args, **named)
        self._in_head = True
        self._unheard_bytes = 0
        self._head_too_long = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # the base class narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        """Take a connection, unless there are as many as may be."""
        super().connection_made(transport)
        if len(self.connections) > connections_max():
            self._turn_away(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_head_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is neither a whole head nor a body is counted."""
        self._unheard_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unheard_bytes > HEAD_BYTES_MAX:
            self._turn_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._in_head and self._unheard_bytes and self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Pass a head of the allowed length on."""
        self._stop_head_timer()
        self._in_head = False
        self._unheard_bytes = 0
        fields = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) + fields > HEAD_BYTES_MAX:
            self._head_too_long = True
            raise HeadTooLong
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._unheard_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._unheard_bytes = 0
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Give the client a while to read what was answered."""
        super().on_response_complete()
        self._stop_read_timer()
        if self.transport.get_write_buffer_size():
            self._read_timer = self.loop.call_later(READ_S_MAX, self._end_unread)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, or has too long a head, and close."""
        assert msg, "the base class says what is wrong; the client learns no more than the status"
        if self._head_too_long:
            self._turn_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._turn_away(HTTPStatus.BAD_REQUEST)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S_MAX, self._end_headless)

    def _end_headless(self) -> None:
        self._turn_away(HTTPStatus.REQUEST_TIMEOUT)

    def _end_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _turn_away(self, status: HTTPStatus) -> None:
        """Answer with a problem and close."""
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value}
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: {PROBLEM.decode()}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

"""One connection and what it may cost: heads bounded in bytes and time, answers in time.

The server's parser takes heads of any length for as long as they last, and its answers stay in
memory until they are read. Both are bounded here, before anything of the node sees the request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nodeimpl.gateway.places import connections_max, places_of
from nodeimpl.gateway.replies import PROBLEM, blank_problem

HEAD_BYTES_MAX = 32_768
"""The longest request line with headers, and the most that may come between pieces of a body."""

LINE_BYTES = 4
"""What a header's line has beside name and value."""

HEAD_S_MAX = 10.0
"""How long a head may take, from the connection or its first byte on."""

READ_S_MAX = 60.0
"""How long a client may take to read an answer; one machine's own network needs no longer."""

PIPELINED_MAX = 16
"""How many asks may wait for the answer before theirs on one connection. Nobody whom we know sends
more than one; what arrives in one piece may hold thousands, each of them a hundred times as large
here as it was on its way."""

QUIET = logging.getLogger("uvicorn.error.strangers")
"""What the server logs of a connection: its own failures. Anybody can connect and send nonsense,
and a line for each would let them fill the disk."""
QUIET.setLevel(logging.ERROR)


class HeadTooLong(Exception):
    """The head is longer than any that is meant."""


class HeadMistakable(Exception):
    """The head can be read in two ways: as one by us, and as another by who passed it on."""


class TooManyAtOnce(Exception):
    """More asks came at once than wait for an answer here."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that ends rather than grow."""

    def __init__(self, *args: Any, **named: Any) -> None:
        """Begin before the first head."""
        super().__init__(*args, **named)
        self.logger = QUIET
        self._places = places_of(self.server_state)
        self._in_head = True
        self._head_begun = False
        self._unheard_bytes = 0
        self._head_too_long = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # the base class narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        """Take a connection unless the server stops; if it is full, somebody who is idle leaves."""
        super().connection_made(transport)
        if self._places.is_closed:
            # It was accepted just before, so nobody else tells it that the server stops.
            transport.close()
            return
        if len(self.connections) > connections_max() and not self._places.make_room():
            self._turn_away(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._places.idle[self] = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._places.forget(self)
        self._stop_head_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def give_way(self) -> None:
        """End for somebody else, at once."""
        self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over."""
        self._places.forget(self)
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read on; what is neither a whole head nor a body is counted."""
        self._unheard_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unheard_bytes > HEAD_BYTES_MAX:
            self._turn_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._in_head and self._has_begun() and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Note the first byte of a head, also behind a whole ask that came in the same packet."""
        self._head_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Pass a head of the allowed length on."""
        self._stop_head_timer()
        self._in_head = self._head_begun = False
        self._unheard_bytes = 0
        self._check_head()
        if len(self.pipeline) >= PIPELINED_MAX:
            self.transport.abort()
            raise TooManyAtOnce
        self._places.idle.pop(self, None)
        self._places.sending[self] = None
        super().on_headers_complete()
        if self.parser.should_upgrade() and not self._should_upgrade():
            self.cycle.keep_alive = False  # The parser reads nothing after such a head.

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._unheard_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._unheard_bytes = 0
        self._in_head = True
        super().on_message_complete()
        self._places.sending.pop(self, None)
        self._await_next()

    def on_response_complete(self) -> None:
        """Give the client a while to read what was answered."""
        super().on_response_complete()
        self._await_next()
        self._await_reading()

    def pause_writing(self) -> None:
        """Give the client a while to read some of what it is sent."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Give the client as long again: it reads."""
        super().resume_writing()
        self._await_reading()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, or has too long a head, and close."""
        assert msg, "the base class says what is wrong; the client learns no more than the status"
        if self.transport.is_closing():
            return
        if self._head_too_long:
            self._turn_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._turn_away(HTTPStatus.BAD_REQUEST)

    def _check_head(self) -> None:
        """Raise unless the head is of the allowed length and can be read in one way only.

        A request target with a host in it overrides the header. Source: RFC 9112, sections 3.2
        and 6.1.
        """
        size, hosts = len(self.url), 0
        for place, (name, value) in enumerate(self.headers):
            size += len(name) + len(value) + LINE_BYTES
            if name == b"host":
                hosts += 1
                if not self.url.startswith(b"/"):
                    self.headers[place] = (name, urlsplit(self.url).netloc or value)
            elif name == b"transfer-encoding" and (
                value.lower() != b"chunked" or self.parser.get_http_version() != "1.1"
            ):
                raise HeadMistakable
        if size > HEAD_BYTES_MAX:
            self._head_too_long = True
            raise HeadTooLong
        if hosts > 1:
            raise HeadMistakable

    def _has_begun(self) -> bool:
        """Return whether anything came since the last ask, be it empty lines."""
        return self._head_begun or self._unheard_bytes > 0

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
        if self._is_answered():
            self._turn_away(HTTPStatus.REQUEST_TIMEOUT)
        else:  # Who waits for an answer and has begun the next head gets the answer first.
            self._await_head()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_next(self) -> None:
        """Be idle, if all that was asked is answered and nothing is being asked."""
        if self._in_head and self._is_answered() and not self.transport.is_closing():
            self._places.idle[self] = None

    def _await_reading(self) -> None:
        self._stop_read_timer()
        if self.transport.get_write_buffer_size():
            self._read_timer = self.loop.call_later(READ_S_MAX, self._end_unread)

    def _end_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _turn_away(self, status: HTTPStatus) -> None:
        """Answer with a problem and close; in the middle of another answer, just hang up."""
        if not self._is_answered() and self.cycle.response_started:
            self.transport.abort()
            return
        body = json.dumps(blank_problem(status)).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: {PROBLEM.decode()}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
        self._await_reading()

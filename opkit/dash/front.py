"""The listening end: how much anybody may send, and how slowly, before it is known who they are."""

from __future__ import annotations

from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

CONNECTIONS_MAX: Final = 256
"""Requests under way and connections that are kept open at once; WebSockets are counted elsewhere.

Well below the thousand files that a process may usually have open, for kernels need some, too.
"""

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 65_536
"""The largest form is that of the login page, with one field."""

BUFFER_BYTES_MAX: Final = 1_048_576
HEAD_DEADLINE_S: Final = 60
"""How long a connection may say nothing, or take to say what it wants."""

BODY_DEADLINE_S: Final = 20


class Front(HTTPServer):
    """Tornado's server within bounds: its own allow 100 MB a request, for an hour, to anybody."""

    connections_max = CONNECTIONS_MAX

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Set the bounds; everything else is as Tornado has it."""
        bounds = {
            "max_header_size": HEAD_BYTES_MAX,
            "max_body_size": BODY_BYTES_MAX,
            "max_buffer_size": BUFFER_BYTES_MAX,
            "idle_connection_timeout": HEAD_DEADLINE_S,
            "body_timeout": BODY_DEADLINE_S,
        }
        super().initialize(*args, **{**bounds, **kwargs})

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection; hang up on one too many."""
        if len(self._connections) >= self.connections_max:
            stream.close()
            return
        super().handle_stream(stream, address)

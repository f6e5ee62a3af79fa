"""The port to a node's event stream: a socket that receives text, however it is carried."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from opkit.wire.errors import CoopError

MESSAGE_BYTES_MAX = 8 * 2**20
"""The greatest message that is read: a page of events is far below."""

OPEN_MS_MAX = 10_000
"""How long the opening handshake may take."""


@dataclass(eq=False, kw_only=True)
class SocketClosed(CoopError):
    """The other side closed the socket, or the connection was lost (code 1006)."""

    code: int
    reason: str


@dataclass(eq=False, kw_only=True)
class SocketRefused(CoopError):
    """The node answered the handshake with an HTTP response instead of a socket."""

    status: int
    body: bytes


class EventsSocket(Protocol):
    """An open socket."""

    async def receive(self) -> str:
        """Return the next text message.

        Raises:
            SocketClosed: there will be none.
        """


class EventsPort(Protocol):
    """Opens sockets to one node."""

    def open(
        self, *, target: str, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[EventsSocket]:
        """Return a context that holds a socket to path and query `target`.

        Entering raises:
            SocketRefused: the node answered with an HTTP response.
            Unreachable: nobody answered in time.
        """

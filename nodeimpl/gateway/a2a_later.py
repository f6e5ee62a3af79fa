"""A2A before anybody asked for it: a node that no A2A client calls loads nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nodeimpl.gateway.admit import Admission
from nodeimpl.gateway.body import Room
from nodeimpl.gateway.door import Crowd
from nodeimpl.gateway.figures import Figures
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.replies import Receive, Send
from nodeimpl.gateway.replies import Scope as Asgi
from nodeimpl.gateway.request import Head
from nodeimpl.gateway.unread import Unread
from nodeimpl.kernel.clock import Clock
from opkit.wire.agents import A2A_JSONRPC_PATH


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the front door judges everybody by, whatever is asked for."""

    admission: Admission
    room: Room
    crowd: Crowd
    unread: Unread
    figures: Figures
    limits: GatewayLimits
    clock: Clock


class Served(Protocol):
    """What answers A2A."""

    async def serve(
        self, scope: Asgi, receive: Receive, send: Send, *, head: Head, path: str
    ) -> None:
        """Answer one request."""
        ...


class A2ALater:
    """What answers A2A once somebody asks."""

    def __init__(self, make: Callable[[], Served]) -> None:
        """Make it at the first ask."""
        self._make = make
        self._made: Served | None = None

    def is_for(self, path: str) -> bool:
        """Return whether an ask is for A2A, by its path."""
        return path.startswith(A2A_JSONRPC_PATH) or path == A2A_JSONRPC_PATH[:-1]

    async def serve(
        self, scope: Asgi, receive: Receive, send: Send, *, head: Head, path: str
    ) -> None:
        """Answer one request."""
        if self._made is None:
            self._made = self._make()
        await self._made.serve(scope, receive, send, head=head, path=path)

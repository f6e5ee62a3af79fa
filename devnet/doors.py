"""Front doors that are called over HTTP: a port, for worlds of processes and for one process.

Whoever calls dials an address that a record names. On a machine that is a socket on loopback; in
one process it is an entry in a table, so that whoever stands behind it is called without a socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx

from nodeimpl.gateway.server import running_server

AppOf = Callable[[], Any | None]
"""Returns the ASGI app that stands behind a door now; None while nobody does."""


class Doors(Protocol):
    """Where apps are served, and how they are called."""

    def serving(self, app: Any) -> AbstractAsyncContextManager[str]:
        """Serve an ASGI app until the context ends; give the URL at which it is called."""

    def caller(self) -> httpx.AsyncBaseTransport:
        """Return what carries requests to any door, by its URL."""


class LoopbackDoors:
    """Doors on this machine's loopback."""

    def serving(self, app: Any) -> AbstractAsyncContextManager[str]:
        """Serve an ASGI app until the context ends; give the URL at which it is called."""
        return running_server(app)

    def caller(self) -> httpx.AsyncBaseTransport:
        """Return what carries requests to any door, by its URL."""
        return httpx.AsyncHTTPTransport(trust_env=False)


class InProcessDoors:
    """Doors that only this process knows, at names that stand for the machine itself."""

    def __init__(self) -> None:
        """Begin without any."""
        self._apps: dict[str, AppOf] = {}
        self._made = 0

    def open(self, app_of: AppOf) -> str:
        """Return the URL of a new door; it stays for as long as the world does."""
        self._made += 1
        url = f"http://localhost:{self._made}"
        self._apps[url] = app_of
        return url

    @asynccontextmanager
    async def serving(self, app: Any) -> AsyncIterator[str]:
        """Serve an ASGI app until the context ends; give the URL at which it is called."""
        url = self.open(lambda: app)
        try:
            yield url
        finally:
            del self._apps[url]

    def behind(self, url: httpx.URL) -> Any | None:
        """Return the app behind the door of a URL; None if there is none, or nobody is in."""
        app_of = self._apps.get(f"{url.scheme}://{url.host}:{url.port}")
        return None if app_of is None else app_of()

    def caller(self) -> httpx.AsyncBaseTransport:
        """Return what carries requests to any door, by its URL."""
        return _Caller(self)


class _Caller(httpx.AsyncBaseTransport):
    """Carries requests to apps that may come and go meanwhile."""

    def __init__(self, doors: InProcessDoors) -> None:
        self._doors = doors

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        app = self._doors.behind(request.url)
        if app is None:
            raise httpx.ConnectError("nobody is behind that door", request=request)
        return await httpx.ASGITransport(app=app).handle_async_request(request)

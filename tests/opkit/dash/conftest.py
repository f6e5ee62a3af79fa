"""A console server over real sockets, on a network that is made up of one number."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from opkit.dash.access import Keys, Role
from opkit.dash.limits import Limits
from opkit.dash.server import ConsoleServer, Settings
from opkit.live.ports import Draw, PageRefused

TOKENS = {Role.PRESENTER: "presenters-token", Role.VIEWER: "viewers-token"}
DEADLINE_S = 100

KERNEL_CELL = """
import asyncio, contextlib
from opkit.live.widget import Board

class Live:
    revision = 0
    async def wait_change(self, after):
        await asyncio.Event().wait()
    def watched(self):
        return contextlib.nullcontext()

class Page:
    name = title = "network"
    def frame(self):
        return '<div data-card="number"></div>'
    def cards(self):
        return {"number": lambda: "<b>from the kernel</b>"}
    async def act(self, act, arguments):
        pass

Board(Page(), live=Live())
"""


class Number:
    """Live state that is one number. Satisfies what a session asks for."""

    def __init__(self) -> None:
        self.revision = 0
        self._changed = asyncio.Event()

    async def wait_change(self, after: int) -> int:
        while self.revision <= after:
            await self._changed.wait()
        return self.revision

    def watched(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def raise_(self) -> None:
        self.revision += 1
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass
class NumberPage:
    """Shows the number; `raise` raises it, anything else is refused."""

    live: Number
    name: str = "network"
    title: str = "Network"
    padding: int = 0

    def frame(self) -> str:
        return '<section><div data-card="number"></div></section>'

    def cards(self) -> Mapping[str, Draw]:
        return {"number": self._draw, "health": lambda: "well"}

    def _draw(self) -> str:
        return f"<b>{self.live.revision}</b>{' ' * self.padding}"

    async def act(self, act: str, arguments: Mapping[str, str]) -> None:
        if act != "raise":
            raise PageRefused(f"no {act} here")
        self.live.raise_()


@dataclass
class Served:
    """A server that listens, and what a test needs to speak to it."""

    server: ConsoleServer
    live: Number
    pages: list[NumberPage] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.port}{self.server.own.base}"

    @asynccontextmanager
    async def browser(self, role: Role | None, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        """Have somebody with cookies, who has logged in as `role`."""
        async with httpx.AsyncClient(base_url=self.base, timeout=DEADLINE_S, **options) as client:
            if role is not None:
                answer = await client.get("", params={"token": TOKENS[role]})
                assert answer.status_code in (200, 302)
            yield client

    def socket(
        self,
        path: str,
        *,
        client: httpx.AsyncClient | None = None,
        origin: str | None = "",
        **options: Any,
    ) -> Any:
        """Connect a WebSocket with somebody's cookies, from a page of this server."""
        cookies = "" if client is None else "; ".join(f"{k}={v}" for k, v in client.cookies.items())
        headers = {"Cookie": cookies} if cookies else {}
        where = f"http://127.0.0.1:{self.server.port}"
        return websockets.connect(
            self.base.replace("http", "ws", 1) + path,
            additional_headers=headers,
            origin=where if origin == "" else origin,
            open_timeout=DEADLINE_S,
            max_size=None,
            **options,
        )

    @asynccontextmanager
    async def viewer(self, path: str = "watch/network/ws") -> AsyncIterator[Any]:
        """Have a viewer's connection to a page."""
        async with self.browser(Role.VIEWER) as client, self.socket(path, client=client) as socket:
            yield socket


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    """A folder with one notebook for each page, which need no network."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("console", "network", "compute"):
        cell = {
            "cell_type": "code",
            "execution_count": None,
            "id": "board",
            "metadata": {},
            "outputs": [],
            "source": KERNEL_CELL,
        }
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        book = {"cells": [cell], "metadata": {"kernelspec": kernel}}
        (folder / f"{name}.ipynb").write_text(
            json.dumps({**book, "nbformat": 4, "nbformat_minor": 5})
        )
    return folder


@pytest.fixture
def serving(notebooks: Path) -> Callable[..., None]:
    """Return what serves a console, without kernels kept ready, while a test speaks to it."""

    def serve(
        talk: Callable[[Served], Coroutine[Any, Any, None]],
        *,
        passwords: Mapping[Role, str] | None = None,
        padding: int = 0,
        limits: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        async def run() -> None:
            live = Number()
            served = Served(server=None, live=live)

            def make_page(name: str) -> NumberPage:
                page = NumberPage(live, name=name, padding=padding)
                served.pages.append(page)
                return page

            said = {"network": "test", "notebooks": notebooks, "port": 0, **settings}
            own = Limits(**{"ready_per_page": 0, **(limits or {})})
            keys = Keys(
                tokens=TOKENS, passwords=passwords, tries_per_min_max=own.login_tries_per_min_max
            )
            served.server = ConsoleServer(
                Settings(**said, limits=own), keys=keys, live=live, make_page=make_page
            )
            await served.server.open()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await talk(served)
            finally:
                await served.server.close()

        logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
        asyncio.run(run())

    return serve


async def until(is_so: Callable[[], bool]) -> None:
    """Look again and again until something is so; the server's deadline bounds it."""
    while not is_so():
        await asyncio.sleep(0.01)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]:
    return until

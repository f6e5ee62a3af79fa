"""Behind a reverse proxy, under a path: a real one, a few lines long."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import websockets

from opkit.dash.access import Role

BASE = "/demo/opkit/"


class Proxy:
    """Passes on what is asked for under `BASE`, one request for each connection, and sockets.

    `host` is what it tells the server as the host: None leaves the browser's, as
    `ProxyPreserveHost` does; a name replaces it, as nginx does unless it is told otherwise.
    """

    def __init__(self, *, host: str | None) -> None:
        self.host = host
        self.target = 0
        self.port = 0

    @asynccontextmanager
    async def open(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            if not first.split(" ")[1].startswith(BASE):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            await self._pass_on(first, [line for line in lines if line], reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _pass_on(self, first, lines, reader, writer):
        upgrade = any(line.lower().startswith("upgrade:") for line in lines)
        kept = [line for line in lines if self.host is None or not line.lower().startswith("host:")]
        kept = [line for line in kept if upgrade or not line.lower().startswith("connection:")]
        kept += [] if self.host is None else [f"Host: {self.host}"]
        kept += ["X-Forwarded-Proto: http"] + ([] if upgrade else ["Connection: close"])
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            back.write("\r\n".join([first, *kept, "", ""]).encode("latin-1"))
            ways = {
                asyncio.ensure_future(pipe(reader, back)),
                asyncio.ensure_future(pipe(there, writer)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            back.close()


async def pipe(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize(
    ("host", "public"),
    [(None, False), ("localhost:7", True)],
    ids=["the browser's host is passed on", "the host is replaced and the address is said"],
)
def test_everything_works_under_a_path_behind_a_proxy(serving, host, public):
    async def talk(served):
        proxy = Proxy(host=host)
        proxy.target = served.server.port
        async with proxy.open():
            outside = f"http://127.0.0.1:{proxy.port}"
            if public:
                served.server.shared.public_origin = outside
            async with httpx.AsyncClient(base_url=outside + BASE, timeout=30) as browser:
                await visit(browser, outside)

    async def visit(browser, outside):
        entered = await browser.get("", params={"token": "viewers-token"})
        assert entered.headers["Location"] == BASE
        assert f"Path={BASE}" in entered.headers["Set-Cookie"]
        for path in ("", "watch/network"):
            page = await browser.get(path)
            assert page.status_code == 200
            assert f'data-board="{BASE}watch/' in page.text
            for link in {part.split('"')[0] for part in page.text.split('="/')[1:]}:
                assert f"/{link}".startswith(BASE), link
        sent = await browser.get("compute")
        assert sent.headers["Location"] == f"{BASE}watch/compute"
        posted = await browser.post("logout", headers={"Origin": outside})
        assert posted.headers["Location"] == f"{BASE}login"
        stranger = await browser.get("watch/network")
        assert urlsplit(stranger.headers["Location"]).path == f"{BASE}login"
        again = await browser.post(
            "login",
            data={"secret": "viewers-token", "next": f"{BASE}watch/network"},
            headers={"Origin": outside},
        )
        assert again.headers["Location"] == f"{BASE}watch/network"
        await connect(browser, outside)

    async def connect(browser, outside):
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        address = f"{outside.replace('http', 'ws', 1)}{BASE}watch/network/ws"
        options = {"additional_headers": {"Cookie": cookies}}
        async with websockets.connect(address, origin=outside, **options) as socket:
            await socket.send('{"do": "hello"}')
            assert json.loads(await socket.recv())["rev"] == 1
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(address, origin="http://elsewhere.example", **options)

    serving(talk, base=BASE)


def test_without_the_proxys_address_a_replaced_host_is_refused(serving):
    """What a proxy hides from the server, somebody has to say: `--base-url https://…`."""

    async def talk(served):
        proxy = Proxy(host="localhost:7")
        proxy.target = served.server.port
        async with proxy.open():
            outside = f"http://127.0.0.1:{proxy.port}"
            async with httpx.AsyncClient(base_url=outside + BASE, timeout=30) as browser:
                posted = await browser.post(
                    "login", data={"secret": "viewers-token"}, headers={"Origin": outside}
                )
                assert posted.status_code == 403

    serving(talk, base=BASE)


def test_the_addresses_that_are_printed_are_the_proxys(serving):
    async def talk(served):
        said = served.server.address(Role.PRESENTER)
        assert said == "https://demo.example/demo/opkit/?token=presenters-token"

    serving(talk, base=BASE, public="https://demo.example/demo/opkit/")

"""Who may do what, asked over real sockets: hiding buttons is never the protection."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets

from bench.browser import Visit
from bench.console import Console
from bench.pages import enter, open_page, wait_data

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ANSWER_S = 30


def status_of(seen: Visit, path: str, *, method: str = "GET", base: str) -> int:
    """Return what the server answers to the visitor's own request."""
    answer = seen.context.request.fetch(f"{base}{path}", method=method, max_redirects=0)
    return answer.status


def socket_of(seen: Visit, part: str) -> str:
    """Return the address of the WebSocket that the page itself opened."""
    with seen.page.expect_websocket(lambda socket: part in socket.url) as opened:
        seen.page.reload()
    return opened.value.url.split("?")[0]


def headers_of(seen: Visit, console: Console) -> dict[str, str]:
    """Return what the visitor's browser would send along."""
    cookies = seen.context.cookies(console.base)
    jar = "; ".join(f"{each['name']}={each['value']}" for each in cookies)
    return {"Cookie": jar, "Origin": console.origin}


def connect_to(address: str, headers: dict[str, str]) -> Any:
    """Connect a WebSocket with what a browser would send along."""
    return websockets.connect(address, additional_headers=headers, open_timeout=ANSWER_S)


def message(kind: str, content: dict[str, Any]) -> str:
    """Return a message to a kernel, as a page sends it."""
    header = {
        "msg_id": secrets.token_hex(8),
        "msg_type": kind,
        "session": "test",
        "username": "",
        "version": "5.3",
        "date": "2026-01-01T00:00:00Z",
    }
    return json.dumps(
        {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
    )


def test_a_kernel_runs_no_code_for_who_is_connected_to_it(
    visit, network, dash: Console, tmp_path: Path
):
    """A later question is answered, and what came before it was not done."""
    seen = visit()
    enter(seen, dash)
    open_page(seen, "Network")
    written = tmp_path / "written"
    code = f"open({str(written)!r}, 'w').close()"

    async def say(kind: str, content: dict[str, Any]) -> str:
        """Return the kernel's reply, or why there is none."""
        async with connect_to(address, headers) as socket:
            await socket.send(message(kind, content))
            try:
                while not (said := json.loads(await socket.recv()))["header"]["msg_type"].endswith(
                    "_reply"
                ):
                    continue
            except websockets.ConnectionClosed as closed:
                return f"{closed.rcvd.code if closed.rcvd else 0}"
            return str(said["header"]["msg_type"])

    async def ask() -> None:
        run = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
        assert await say("execute_request", run) == "4403"
        assert await say("shutdown_request", {"restart": False}) == "4403"
        assert await say("kernel_info_request", {}) == "kernel_info_reply"

    address, headers = socket_of(seen, "/channels"), headers_of(seen, dash)
    network.run(ask())
    assert not written.exists()


def test_a_viewer_reaches_no_kernel(visit, network, dash: Console):
    presenter, viewer = visit(), visit()
    enter(presenter, dash)
    open_page(presenter, "Network")
    enter(viewer, dash, as_viewer=True)
    address = socket_of(presenter, "/channels")
    kernel = urlsplit(address).path.split("/")[-2]
    headers = headers_of(viewer, dash)

    async def connect() -> None:
        async with connect_to(address, headers):
            pass

    with pytest.raises(websockets.InvalidStatus) as no:
        network.run(connect())
    assert no.value.response.status_code == 403
    for path, method in [
        ("api/kernels", "GET"),
        (f"api/kernels/{kernel}", "DELETE"),
        (f"api/kernels/{kernel}/interrupt", "POST"),
        (f"voila/api/shutdown/{kernel}", "POST"),
    ]:
        assert status_of(viewer, path, method=method, base=dash.base) in (403, 404, 405)
    wait_data(presenter)
    assert presenter.page.locator("[data-card=health]").inner_text()


@pytest.mark.parametrize(
    "path", ["", "watch/network", "voila/render/network.ipynb", "api/kernels", "api/contents"]
)
def test_nobody_comes_in_without_a_token(dash: Console, path):
    answer = httpx.get(f"{dash.base}{path}", follow_redirects=True, timeout=ANSWER_S)
    assert "data-card" not in answer.text
    assert answer.status_code in (401, 403, 404) or "/login" in str(answer.url)


def test_the_token_does_not_stay_in_the_address(visit, dash: Console):
    seen = visit()
    enter(seen, dash)
    assert "token" not in seen.page.url
    kept = seen.context.cookies(dash.base)
    assert kept
    assert any(each["httpOnly"] and each["sameSite"] in ("Lax", "Strict") for each in kept)


def test_sources_and_files_are_not_served(visit, dash: Console):
    seen = visit()
    enter(seen, dash)
    for path in ("api/contents", "tree", "files/network.ipynb", "voila/files/network.ipynb"):
        assert status_of(seen, path, base=dash.base) in (403, 404), path
    open_page(seen, "Network")
    assert "open_board" not in seen.page.content()


def test_a_viewer_may_not_act(visit, network, dash: Console):
    viewer = visit()
    enter(viewer, dash, as_viewer=True)
    open_page(viewer, "Console")
    viewer.page.locator(".tell-choices li").first.wait_for()
    assert viewer.page.locator("[data-act=run]").count() == 0
    address = socket_of(viewer, "/watch/")
    headers = headers_of(viewer, dash)

    async def ask() -> dict[str, Any]:
        async with connect_to(address, headers) as socket:
            await socket.send(json.dumps({"do": "hello"}))
            act = {"do": "act", "n": 1, "act": "run", "args": {"flow": "a"}}
            await socket.send(json.dumps(act))
            while True:
                said = json.loads(await socket.recv())
                if "flash" in said:
                    return dict(said["flash"])

    flash = network.run(asyncio.wait_for(ask(), ANSWER_S))
    assert flash["text"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_page_of_somebody_else_opens_no_socket(visit, network, dash: Console, origin):
    viewer = visit()
    enter(viewer, dash, as_viewer=True)
    open_page(viewer, "Network")
    address = socket_of(viewer, "/watch/")
    headers = {**headers_of(viewer, dash), "Origin": origin}

    async def connect() -> None:
        async with connect_to(address, headers):
            pass

    with pytest.raises(websockets.InvalidStatus) as no:
        network.run(connect())
    assert no.value.response.status_code == 403

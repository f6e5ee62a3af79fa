"""Presenters' pages with real kernels: what may be said to them, and that none is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
import websockets

from opkit.dash.access import Role

V1 = "v1.kernel.websocket.jupyter.org"
pytestmark = pytest.mark.slow


def message(kind, content=None):
    """Return a message of Jupyter's protocol as a browser's script writes it."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "s"}
    header |= {"version": "5.3", "date": "2026-01-01T00:00:00Z"}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content or {},
        "buffers": [],
        "channel": "shell",
    }


def as_v1(said):
    """Return a message in the protocol with offsets."""
    parts = [said["channel"].encode()]
    parts += [json.dumps(said[key]).encode() for key in ("header", "parent_header", "metadata")]
    parts += [json.dumps(said["content"]).encode()]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    head = b"".join(number.to_bytes(8, "little") for number in (len(offsets), *offsets))
    return head + b"".join(parts)


def kernel_in(html):
    """Return the id of the kernel that a page got."""
    found = re.search(r'"kernelId": "([\w-]+)"', html)
    assert found, html[-2_000:]
    return found[1]


def kernel_processes():
    """Return the kernels that this process has started and that live."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # A zombie has ended, too.
            if "ipykernel_launcher" in child.cmdline():
                found.append(child)
    return found


@asynccontextmanager
async def presenting(served, *, v1=False):
    """Have a presenter's page with its kernel, and a connection to that."""
    async with served.browser(Role.PRESENTER) as presenter:
        page = await presenter.get("network")
        assert page.status_code == 200
        kernel = kernel_in(page.text)
        path = f"api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        protocols = {"subprotocols": [V1]} if v1 else {}
        async with served.socket(path, client=presenter, **protocols) as socket:
            yield presenter, kernel, socket, page.text


async def answer_to(socket, kind):
    """Return the next message of a kind that a kernel sends."""
    async for said in socket:
        header = json.loads(said)["header"] if isinstance(said, str) else None
        if header and header["msg_type"] == kind:
            return json.loads(said)
    raise AssertionError(f"no {kind}: {socket.close_code} {socket.close_reason}")


OTHER_WIDGET = {"target_name": "jupyter.widget", "data": {"state": {"_esm": "/etc/passwd"}}}
NEW_STATE = {"comm_id": "x", "data": {"method": "update", "state": {"_esm": "/etc/passwd"}}}
FORBIDDEN = [
    "execute_request",
    "shutdown_request",
    "interrupt_request",
    "inspect_request",
    "complete_request",
    "history_request",
    "is_complete_request",
    "debug_request",
    "create_subshell_request",
    "input_reply",
    "unheard_of",
    "",
]


@pytest.mark.parametrize("v1", [False, True], ids=["json", "v1"])
def test_a_kernel_is_told_widget_messages_and_nothing_else(serving, v1):
    """Each kind that is not a widget's ends the connection, and the kernel lives on untouched."""

    async def talk(served):
        async with presenting(served, v1=v1) as (presenter, kernel, socket, _):
            evil = Path(served.server.own.notebooks) / "evil"
            code = {"code": f"open({str(evil)!r}, 'w')", "silent": False}
            forbidden = [(kind, code) for kind in FORBIDDEN]
            forbidden += [("comm_open", OTHER_WIDGET), ("comm_msg", NEW_STATE)]
            for kind, content in forbidden:
                path = f"api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
                options = {"subprotocols": [V1]} if v1 else {}
                async with served.socket(path, client=presenter, **options) as another:
                    said = message(kind, content)
                    for channel in ("shell", "control"):
                        said["channel"] = channel
                        await another.send(as_v1(said) if v1 else json.dumps(said))
                    await another.wait_closed()
                    assert another.close_code == 4403, kind
            if not v1:
                await socket.send(json.dumps(message("kernel_info_request")))
                await answer_to(socket, "kernel_info_reply")
            assert (await presenter.get(f"api/kernels/{kernel}")).json()["id"] == kernel
            assert not evil.exists()

    serving(talk)


def test_a_page_shows_no_source_and_talks_to_its_widget(serving):
    async def talk(served):
        served.live.raise_()
        async with presenting(served) as (_, __, socket, page):
            assert '<div data-card="number"><b>1</b></div>' in page, "what stands now, at once"
            for source in ("import asyncio", "class Page", "from opkit.live"):
                assert source not in page
            asked = message("comm_info_request", {"target_name": "jupyter.widget"})
            await socket.send(json.dumps(asked))
            comms = (await answer_to(socket, "comm_info_reply"))["content"]["comms"]
            (widget,) = re.findall(r'data-widget="(\w+)"', page)
            assert widget in comms
            hello = {"method": "custom", "content": {"do": "hello"}}
            await socket.send(json.dumps(message("comm_msg", {"comm_id": widget, "data": hello})))
            said = (await answer_to(socket, "comm_msg"))["content"]
            assert said["comm_id"] == widget
            assert said["data"]["content"]["cards"] == [["number", "<b>from the kernel</b>"]]

    serving(talk)


def test_a_presenters_page_loads_our_own_scripts_and_no_other(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            page = await presenter.get("network")
            files = re.findall(r'(?:src|href)="(/[^"]+\.\w+)"', page.text)
            assert any(path.endswith("/present.js") for path in files)
            for path in files:
                assert path.startswith("/assets/"), path
                assert (await presenter.get(path)).status_code == 200
            assert re.findall(r"<script(?![^>]* src=)[^>]*>", page.text) == [
                '<script id="kernel" type="application/json">'
            ], "it names the kernel, and runs nothing"
            policy = page.headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy
            assert "unsafe-eval" not in policy

    serving(talk)


def test_a_page_that_is_left_ends_its_kernel_however_often_it_says_so(serving, wait_until):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            kernel = kernel_in((await presenter.get("network")).text)
            assert len(kernel_processes()) == 1
            for _ in range(2):
                left = await presenter.post(f"voila/api/shutdown/{kernel}")
                assert left.status_code == 204
            await wait_until(lambda: not kernel_processes())
            assert (await presenter.get(f"api/kernels/{kernel}")).status_code == 404

    serving(talk)


def test_a_kernel_that_nobody_is_connected_to_ends_by_itself(serving, wait_until):
    async def talk(served):
        async with presenting(served) as (_, __, socket, ___):
            # Only now: to start a kernel may take a busy machine longer than this.
            served.server.kernel_manager.cull_idle_timeout = 2
            began = time.monotonic()
            while time.monotonic() - began < 4:
                await socket.send(json.dumps(message("kernel_info_request")))
                await answer_to(socket, "kernel_info_reply")
                assert kernel_processes(), "a kernel that somebody is connected to stays"
        await wait_until(lambda: not kernel_processes())

    serving(talk, limits={"idle_look_ms": 1_000})


def test_a_kernel_that_crashed_is_known_to_have_ended(serving, wait_until):
    """It is not started again: an empty kernel under the same address would show nothing."""

    async def talk(served):
        async with presenting(served) as (presenter, kernel, _, __):
            (process,) = kernel_processes()
            process.kill()
            await wait_until(lambda: not kernel_processes())
            # Its memory is gone a moment before the process is, and can be waited for.
            while (await presenter.get(f"api/kernels/{kernel}")).status_code != 404:
                await asyncio.sleep(0.01)

    serving(talk)


def test_presenters_places_are_limited_and_come_free(serving, wait_until):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            kernel = kernel_in((await presenter.get("network")).text)
            full = await presenter.get("compute")
            assert full.status_code == 503
            assert 'href="/watch/compute"' in full.text
            await presenter.post(f"voila/api/shutdown/{kernel}")
            assert kernel_in((await presenter.get("compute")).text) != kernel

    serving(talk, limits={"presenters_max": 1})


def test_kernels_are_kept_ready_and_used(serving, wait_until):
    async def talk(served):
        manager = served.server.kernel_manager
        await wait_until(lambda: len(manager.list_kernel_ids()) == 3)
        pools = manager._pools.values()
        await wait_until(lambda: all(one.done() for pool in pools for one in pool))
        ready = set(manager.list_kernel_ids())
        async with served.browser(Role.PRESENTER) as presenter:
            page = (await presenter.get("network")).text
            assert kernel_in(page) in ready
            assert served.server.shared.taken == {kernel_in(page)}
            assert '<div data-card="number"><b>0</b></div>' in page

    serving(talk, limits={"ready_per_page": 1})


def test_a_page_whose_cell_fails_says_so_and_tells_nothing_of_why(serving):
    async def talk(served):
        path = served.server.own.notebooks / "network.ipynb"
        book = json.loads(path.read_text())
        book["cells"][0]["source"] = "raise RuntimeError('the secret is 4711')"
        path.write_text(json.dumps(book))
        async with served.browser(Role.PRESENTER) as presenter:
            page = (await presenter.get("network")).text
            assert "4711" not in page
            assert "data-failed" in page
            assert "data-widget" not in page
            assert 'id="failed"' in page

    serving(talk)


def test_too_many_messages_to_a_kernel_end_the_connection(serving):
    async def talk(served):
        async with presenting(served) as (_, __, socket, ___):
            # Again and again: so many a second are allowed for ever.
            with suppress(websockets.ConnectionClosed):
                while True:
                    await socket.send(json.dumps(message("kernel_info_request")))
                    await asyncio.sleep(0)
            assert socket.close_code == 4429

    serving(talk, limits={"messages_burst_max": 10, "messages_per_s_max": 1})


def test_a_foreign_page_can_not_connect_to_a_kernel(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            kernel = kernel_in((await presenter.get("network")).text)
            path = f"api/kernels/{kernel}/channels?session_id=s"
            for origin in ("http://elsewhere.example", "null"):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await served.socket(path, client=presenter, origin=origin)
                assert refused.value.response.status_code == 403

    serving(talk)


def test_one_kernel_has_only_so_many_connections_and_they_come_free(serving, wait_until):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            kernel = kernel_in((await presenter.get("network")).text)
            # Jupyter closes an earlier connection of the same session.
            path = f"api/kernels/{kernel}/channels?session_id="
            first = await served.socket(path + "1", client=presenter)
            async with served.socket(path + "2", client=presenter):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await served.socket(path + "3", client=presenter)
                assert refused.value.response.status_code == 503
                await first.close()
                await wait_until(lambda: len(served.server.shared.channels) < 2)
                async with served.socket(path + "4", client=presenter):
                    await presenter.post("logout")
                    await wait_until(lambda: not served.server.shared.channels)

    serving(talk, limits={"channels_per_kernel_max": 2})


def test_nothing_of_kernels_is_left_when_the_server_ends(serving):
    kept = []

    async def talk(served):
        kept.append(Path(served.server.connection_dir))
        async with presenting(served):
            assert kept[0].stat().st_mode & 0o777 == 0o700

    serving(talk)
    assert not kernel_processes()
    assert not kept[0].exists()


def test_kernels_write_to_the_log_they_were_given(serving, notebooks, tmp_path):
    book = json.loads((notebooks / "network.ipynb").read_text())
    book["cells"][0]["source"] = "import os; os.write(2, b'a word to the log\\n')"
    (notebooks / "network.ipynb").write_text(json.dumps(book))

    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            await presenter.get("network")

    handle = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        serving(talk, log=handle)
    finally:
        os.close(handle)
    assert "a word to the log" in (tmp_path / "log").read_text()

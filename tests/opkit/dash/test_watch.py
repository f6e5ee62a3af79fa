"""Viewers' connections: what they get, what they may send, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
import websockets

from opkit.dash.access import Role


async def said(socket, wanted):
    """Return the next message that has `wanted`; answers to a browser's beats are left out."""
    async for text in socket:
        message = json.loads(text)
        if wanted in message:
            return message
    raise AssertionError("the server hung up")


async def closing(socket):
    """Return code and reason of a connection once it was closed."""
    await socket.wait_closed()
    return socket.close_code, socket.close_reason


async def flooded(socket, said):
    """Send again and again until the server hangs up: so many a second are allowed for ever."""
    with suppress(websockets.ConnectionClosed):
        while True:
            await socket.send(said)
            await asyncio.sleep(0)


def test_a_viewer_gets_the_page_whole_and_then_what_changes(serving):
    async def talk(served):
        async with served.viewer() as socket:
            await socket.send('{"do": "hello"}')
            first = await said(socket, "rev")
            assert 'data-card="number"' in first["frame"]
            assert dict(first["cards"]) == {"number": "<b>0</b>", "health": "well"}
            served.live.raise_()
            second = await said(socket, "rev")
            assert second["frame"] is None
            assert second["cards"] == [["number", "<b>1</b>"]]

    serving(talk)


def test_what_one_viewer_asks_for_is_done_on_a_page_of_its_own(serving):
    async def talk(served):
        async with served.viewer() as one, served.viewer("watch/compute/ws") as other:
            for socket in (one, other):
                await socket.send('{"do": "hello"}')
                await said(socket, "rev")
            await one.send('{"do": "act", "n": 5, "act": "explode", "args": {}}')
            assert "no explode here" in (await said(one, "flash"))["flash"]["text"]
            assert (await said(one, "done")) == {"done": 5}
            names = [page.name for page in served.pages]
            assert sorted(names) == ["compute", "network"]

    serving(talk)


def test_the_landing_page_is_live_too(serving):
    async def talk(served):
        async with served.viewer("watch/home/ws") as socket:
            await socket.send('{"do": "hello"}')
            assert dict((await said(socket, "rev"))["cards"])["health"] == "well"

    serving(talk)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRESENTER])
def test_a_foreign_page_can_not_connect(serving, role):
    async def talk(served):
        async with served.browser(role) as somebody:
            for origin in ("http://elsewhere.example", "null"):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await served.socket("watch/network/ws", client=somebody, origin=origin)
                assert refused.value.response.status_code == 403

    serving(talk)


def test_a_stranger_can_not_connect(serving):
    async def talk(served):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await served.socket("watch/network/ws")
        assert refused.value.response.status_code == 403

    serving(talk)


@pytest.mark.parametrize(
    ("sent", "code"),
    [("not json", 4400), (b"\xff", 4400), ("x" * 5_000, 1009)],
    ids=["not-json", "not-text", "too-long"],
)
def test_what_is_no_message_ends_the_connection(serving, sent, code):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            socket = await served.socket("watch/network/ws", client=viewer)
            await socket.send(sent)
            assert (await closing(socket))[0] == code

    serving(talk, limits={"message_bytes_max": 4_096})


@pytest.mark.parametrize("sent", ["1", "[]", "null", "{}", '{"do": 1}', '{"do": "grant"}'])
def test_a_message_that_means_nothing_is_ignored(serving, sent):
    async def talk(served):
        async with served.viewer() as socket:
            await socket.send(sent)
            await socket.send('{"do": "hello"}')
            assert "cards" in await said(socket, "rev")

    serving(talk)


def test_too_many_messages_end_the_connection(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            socket = await served.socket("watch/network/ws", client=viewer)
            await flooded(socket, '{"do": "here", "n": 1}')
            assert await closing(socket) == (4429, "too many messages")

    serving(talk, limits={"messages_burst_max": 10, "messages_per_s_max": 1})


def test_viewers_are_counted_and_make_room_when_they_leave(serving, wait_until):
    async def talk(served):
        async with served.viewer() as socket:
            await socket.send('{"do": "hello"}')
            await said(socket, "rev")
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with served.viewer():
                    pass
            assert refused.value.response.status_code == 503
        await wait_until(lambda: not served.server.shared.viewers)
        async with served.viewer() as socket:
            await socket.send('{"do": "hello"}')
            await said(socket, "rev")

    serving(talk, limits={"viewers_max": 1})


def test_a_page_that_does_not_exist_is_no_page_to_connect_to(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            socket = await served.socket("watch/nothing/ws", client=viewer)
            assert await closing(socket) == (4404, "no such page")
            assert not served.server.shared.viewers

    serving(talk)


def test_a_viewer_that_does_not_read_is_cut_off(serving, wait_until):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            socket = await served.socket("watch/network/ws", client=viewer, max_queue=1)
            await socket.send('{"do": "hello"}')
            socket.transport.pause_reading()
            await wait_until(lambda: bool(served.server.shared.viewers))

            async def go_on():
                while served.server.shared.viewers:
                    served.live.raise_()
                    await socket.send('{"do": "here", "n": 1}')
                    await asyncio.sleep(0.02)

            await go_on()
            socket.transport.abort()

    big = {"padding": 900_000, "limits": {"unsent_bytes_max": 1_000_000}}
    serving(talk, **big)


def test_a_session_that_fails_says_so_and_ends(serving, monkeypatch):
    async def talk(served):
        def broken(page):
            raise RuntimeError("no frame")

        async with served.browser(Role.VIEWER) as viewer:
            monkeypatch.setattr(type(served.server.shared.make_page("network")), "frame", broken)
            socket = await served.socket("watch/network/ws", client=viewer)
            await socket.send('{"do": "hello"}')
            assert await closing(socket) == (1011, "the session failed")

    serving(talk)


def test_the_server_tells_viewers_that_it_ends(serving):
    kept = []

    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            socket = await served.socket("watch/network/ws", client=viewer)
            await socket.send('{"do": "hello"}')
            await said(socket, "rev")
            kept.append(asyncio.ensure_future(closing(socket)))
            await served.server.close()
            assert (await kept[0])[0] in (1001, 1006)

    serving(talk)

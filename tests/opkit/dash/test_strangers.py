"""What anybody may try at the open port, byte by byte, and that it costs and tells them little."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from opkit.dash import front
from opkit.dash.access import Role

KERNEL = "00000000-0000-4000-8000-000000000000"
ANSWER_S = 20


async def sent(served, head, *, body=b""):
    """Send bytes as they are, and return everything that is answered until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    try:
        writer.write(head.encode("latin-1") + body)
        async with asyncio.timeout(ANSWER_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(method, path, *lines):
    said = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines)
    return "\r\n".join((*said, "", ""))


ASKED = (
    "/",
    "//[",
    "/nowhere",
    "/login",
    "/logout",
    "/assets/x/y",
    "/watch/x",
    "/watch/network/ws",
    "/voila/static/x",
    "/voila/api/themes/x",
    "/voila/labextensions/x",
    f"/api/kernels/{KERNEL}",
    f"/api/kernels/{KERNEL}/channels",
    f"/voila/api/shutdown/{KERNEL}",
)


def test_no_token_is_logged_whatever_goes_wrong(serving, caplog):
    """Tornado names whole addresses in what it logs of refusals and of faults."""

    async def talk(served):
        for path in ASKED:
            for query in ("token={}", "a=%ff&token={}", "token={}&token=%ff"):
                for method in ("GET", "POST"):
                    for token in ("presenters-token", "a-wrong-one"):
                        address = f"{path}?{query.format(token)}"
                        answer = await sent(served, head(method, address, "Content-Length: 0"))
                        assert b" 500 " not in answer.split(b"\r\n")[0], (method, address)
        logging.getLogger("tornado.general").warning("%s", "that a record is caught")

    caplog.set_level(logging.DEBUG)
    serving(talk)
    said = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert "that a record is caught" in said
    for token in ("presenters-token", "viewers-token", "a-wrong-one"):
        assert token not in said


@pytest.mark.parametrize("after", ["//[", "http://[", "/demo/../other", "/demo/..%2fother"])
def test_what_is_no_address_within_leads_to_the_first_page(serving, after):
    async def talk(served):
        async with served.browser(None) as somebody:
            form = await somebody.get("login", params={"next": after})
            assert 'name="next" value="/demo/"' in form.text

    serving(talk, base="/demo/")


def test_a_body_that_says_it_is_huge_is_refused_before_it_is_read(serving):
    async def talk(served):
        for line in ("Content-Length: 90000000", f"Content-Length: {front.BODY_BYTES_MAX + 1}"):
            answer = await sent(served, head("POST", "/login", line))
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413")) or not answer
        chunk = b"%x\r\n%s\r\n" % (32_768, b"x" * 32_768)
        many = head("POST", "/login", "Transfer-Encoding: chunked")
        answer = await sent(served, many, body=chunk * 8)
        assert b" 200 " not in answer.split(b"\r\n")[0]
        assert b"Too many" not in answer

    serving(talk)


def test_a_head_that_trickles_in_or_never_ends_has_a_deadline_and_a_size(serving, monkeypatch):
    monkeypatch.setattr(front, "HEAD_DEADLINE_S", 0.5)
    monkeypatch.setattr(front, "BODY_DEADLINE_S", 0.5)

    async def talk(served):
        assert await sent(served, "GET / HTTP/1.1\r\nX: ") == b""
        assert await sent(served, head("POST", "/login", "Content-Length: 9")) == b""
        assert b" 200 " not in await sent(served, "GET / HTTP/1.1\r\nX: " + "a" * 40_000)

    serving(talk)


def test_a_crowd_is_hung_up_on_and_makes_room_again(serving, monkeypatch, wait_until):
    monkeypatch.setattr(front.Front, "connections_max", 5)

    async def talk(served):
        port = served.server.port
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        await wait_until(lambda: len(served.server._server._connections) == 5)
        assert await sent(served, head("GET", "/login")) == b""
        for _, writer in crowd:
            writer.close()
        await wait_until(lambda: not served.server._server._connections)
        assert b" 200 " in await sent(served, head("GET", "/login"))

    serving(talk)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_sites_page_embeds_is_refused_and_what_it_links_to_is_not(serving, site):
    """Another port of this host is the same site to a browser, which sends it our cookies."""

    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            for where in ("image", "iframe", "script", "empty", "embed"):
                headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": where}
                for path in ("network", "watch/network", ""):
                    assert (await presenter.get(path, headers=headers)).status_code == 403
            assert not served.server.shared.taken
            assert not served.server.shared.opening
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"}
            assert (await presenter.get("watch/network", headers=headers)).status_code == 200

    serving(talk)


def test_a_viewer_that_says_what_is_no_text_is_answered(serving):
    async def talk(served):
        async with served.viewer() as socket:
            await socket.send('{"do": "act", "n": 1, "act": "\\ud800", "args": {"\\udfff": ""}}')
            assert "here" in json.loads(await socket.recv())["flash"]["text"]
            assert json.loads(await socket.recv()) == {"done": 1}

    serving(talk)


CLIMBS = (
    "../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "..\\..\\etc\\passwd",
    "x%00.js",
    "../app.py",
    "network.ipynb",
    "../../notebooks/network.ipynb",
)


def test_no_path_climbs_out_of_what_is_served(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            cookie = "; ".join(f"{name}={value}" for name, value in presenter.cookies.items())
        version = served.server.assets.version
        for under in ("/", "/watch/", "/voila/static/", f"/assets/{version}/", "/voila/files/"):
            for climb in CLIMBS:
                answer = await sent(served, head("GET", f"{under}{climb}", f"Cookie: {cookie}"))
                status = answer.split(b" ", 2)[1]
                assert status in (b"302", b"400", b"403", b"404", b"405"), (under, climb, status)
                assert b"root:" not in answer
                assert b"ipykernel" not in answer

    serving(talk)

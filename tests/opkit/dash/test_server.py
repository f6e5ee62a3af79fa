"""The server as browsers and others meet it: cookies, roles, and all that is not served."""

from __future__ import annotations

import asyncio
import json
import re

import httpx
import pytest
import websockets

from opkit.dash.access import Role
from opkit.dash.server import DashError

KERNEL = "00000000-0000-4000-8000-000000000000"
PAGES = ("", "network", "console", "compute", "watch/network")


@pytest.mark.parametrize("path", PAGES)
def test_without_a_token_every_page_leads_to_the_login_page(serving, path):
    async def talk(served):
        async with served.browser(None) as stranger:
            answer = await stranger.get(path)
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith("/login?next=")
            wrong = await stranger.get(path, params={"token": "wrong"})
            assert wrong.status_code == 302
            assert wrong.headers["Location"].startswith("/login?next=")
            assert "Set-Cookie" not in wrong.headers

    serving(talk)


def test_a_token_leaves_the_address_and_becomes_a_cookie_of_this_path(serving):
    async def talk(served):
        async with served.browser(None) as somebody:
            answer = await somebody.get("watch/network?a=1&token=viewers-token&b=2")
            assert answer.status_code == 302
            assert answer.headers["Location"] == "/demo/watch/network?a=1&b=2"
            cookie = answer.headers["Set-Cookie"]
            assert "viewers-token" not in cookie
            for part in ("HttpOnly", "SameSite=Lax", "Path=/demo/"):
                assert part in cookie
            assert "Secure" not in cookie
            page = await somebody.get("watch/network")
            assert page.status_code == 200

    serving(talk, base="/demo/")


def test_a_cookie_is_secure_where_browsers_come_over_https(serving):
    async def talk(served):
        assert served.server.address(Role.VIEWER).startswith("https://demo.example/demo/?token=")
        async with served.browser(None) as somebody:
            answer = await somebody.get("", params={"token": "viewers-token"})
            assert "Secure" in answer.headers["Set-Cookie"]

    serving(talk, base="/demo/", public="https://demo.example/demo/")


def test_a_forged_cookie_lets_nobody_in(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            (name, value), *_ = viewer.cookies.items()
            made = re.sub(r"\d+:[\w=]+\|(?=\w+$)", "12:cHJlc2VudGVy|", value.strip('"'))
            assert made != value.strip('"')
        async with served.browser(None) as forger:
            headers = {"Cookie": f'{name}="{made}"'}
            assert (await forger.get("watch/network", headers=headers)).status_code == 302

    serving(talk)


def test_a_presenter_who_opens_the_viewers_address_stays_a_presenter(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            await presenter.get("", params={"token": "viewers-token"})
            landing = await presenter.get("")
            assert "viewers-token" in landing.text

    serving(talk)


def test_the_landing_page_invites_viewers_and_tells_viewers_no_token(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            landing = (await presenter.get("")).text
            assert 'href="/console"' in landing
            assert "viewers-token" in landing
            assert "presenters-token" not in landing
        async with served.browser(Role.VIEWER) as viewer:
            landing = (await viewer.get("")).text
            assert 'href="/watch/console"' in landing
            assert 'href="/console"' not in landing
            assert "token" not in landing

    serving(talk)


@pytest.mark.parametrize("name", ["network", "console", "compute"])
def test_a_viewer_is_sent_from_a_presenters_page_to_the_viewers(serving, name):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            answer = await viewer.get(name)
            assert answer.status_code == 302
            assert answer.headers["Location"] == f"/watch/{name}"

    serving(talk)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"api/kernels/{KERNEL}"), ("POST", f"voila/api/shutdown/{KERNEL}")],
)
def test_what_concerns_kernels_is_forbidden_to_viewers(serving, method, path):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            assert (await viewer.request(method, path)).status_code == 403
        async with served.browser(None) as stranger:
            assert (await stranger.request(method, path)).status_code in (302, 403)

    serving(talk)


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_a_kernels_channels_are_forbidden_to_all_but_presenters(serving, role):
    async def talk(served):
        async with served.browser(role) as somebody:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await served.socket(f"api/kernels/{KERNEL}/channels", client=somebody)
            assert refused.value.response.status_code == 403

    serving(talk)


@pytest.mark.parametrize(
    "path",
    [
        "api/kernels",
        "api/kernelspecs",
        "api/sessions",
        "api/contents/network.ipynb",
        "api/terminals",
        "api/config/x",
        f"api/kernels/{KERNEL}/interrupt",
        f"api/kernels/{KERNEL}/restart",
        "files/network.ipynb",
        "network.ipynb",
        "notebooks/network.ipynb",
        "voila/tree",
        "voila/tree/",
        "voila/render/network.ipynb",
        "voila/files/network.ipynb",
        "voila/files/x.py",
        "voila/api/contents/network.ipynb",
        f"voila/query/{KERNEL}",
        f"voila/execution/{KERNEL}",
        "voila/static/voila.js",
        "voila/labextensions/anywidget/package.json",
        "voila/api/themes/@jupyterlab/theme-light-extension/index.css",
        "voila/static/../app.py",
        "voila/static/%2e%2e/app.py",
        "voila/templates/opkit/index.html.j2",
        "voila/templates/opkit/static/../index.html.j2",
        "assets/x/board.js",
        "watch/nothing",
        "home",
        "lab",
        "tree",
    ],
)
def test_nothing_else_is_served_even_to_presenters(serving, path):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                answer = await presenter.request(method, path, headers={"Origin": served.base[:-1]})
                assert answer.status_code in (403, 404, 405), (method, answer.status_code)
                assert "KERNEL" not in answer.text
                assert "Traceback" not in answer.text

    serving(talk)


def test_a_kernel_can_not_be_deleted_or_restarted_through_its_address(serving):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            for method in ("DELETE", "POST", "PUT", "PATCH"):
                answer = await presenter.request(method, f"api/kernels/{KERNEL}")
                assert answer.status_code in (403, 405)
            assert (await presenter.get(f"api/kernels/{KERNEL}")).status_code == 404

    serving(talk)


@pytest.mark.parametrize("path", ["login", "logout", f"voila/api/shutdown/{KERNEL}"])
def test_what_another_sites_page_posts_is_refused(serving, path):
    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            foreign = {"Origin": "http://elsewhere.example"}
            answer = await presenter.post(path, headers=foreign, data={"secret": "x"})
            assert answer.status_code == 403
            null = await presenter.post(path, headers={"Origin": "null"}, data={"secret": "x"})
            assert null.status_code == 403

    serving(talk)


def test_the_login_page_takes_a_token_or_a_password_and_goes_where_one_wanted(serving):
    async def talk(served):
        for secret in ("viewers-token", "look on"):
            async with served.browser(None) as somebody:
                form = await somebody.get("login", params={"next": "/watch/compute"})
                assert "Token or password" in form.text
                assert 'value="/watch/compute"' in form.text
                asked = {"secret": secret, "next": "/watch/compute"}
                answer = await somebody.post("login", data=asked)
                assert answer.status_code == 302
                assert answer.headers["Location"] == "/watch/compute"
                assert (await somebody.get("watch/compute")).status_code == 200

    serving(talk, passwords={Role.VIEWER: "look on"})


@pytest.mark.parametrize(
    "after",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "javascript:alert(1)",
        "/login",
        "/other/",
        "/demo/\r\nX: y",
    ],
)
def test_the_login_page_leads_nowhere_else(serving, after):
    async def talk(served):
        async with served.browser(None) as somebody:
            answer = await somebody.post("login", data={"secret": "viewers-token", "next": after})
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith("/demo/")
            assert "X" not in answer.headers

    serving(talk, base="/demo/")


def test_wrong_secrets_are_refused_and_after_too_many_nothing_is_looked_at(serving):
    async def talk(served):
        async with served.browser(None) as somebody:
            for _ in range(3):
                answer = await somebody.post("login", data={"secret": "guess"})
                assert answer.status_code == 403
                assert "not the one" in answer.text
            for secret in ("guess", "viewers-token"):
                answer = await somebody.post("login", data={"secret": secret})
                assert answer.status_code == 429
            by_address = await somebody.get("", params={"token": "viewers-token"})
            assert by_address.headers["Location"] == "/"

    serving(talk, limits={"login_tries_per_min_max": 3})


def test_who_logs_out_is_a_stranger_again(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            assert (await viewer.get("")).status_code == 200
            await viewer.post("logout")
            assert (await viewer.get("")).status_code == 302

    serving(talk)


def test_who_logs_out_takes_a_copied_cookie_and_what_is_open_along(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer, served.browser(Role.VIEWER) as other:
            thief = httpx.AsyncClient(base_url=served.base, cookies=dict(viewer.cookies))
            assert (await thief.get("")).status_code == 200
            path = "watch/network/ws"
            async with (
                served.socket(path, client=viewer) as mine,
                served.socket(path, client=other) as others,
            ):
                await viewer.post("logout")
                await mine.wait_closed()
                assert mine.close_code == 4401
                await others.send('{"do": "hello"}')
                assert json.loads(await others.recv())["rev"] == 1
            assert (await thief.get("")).status_code == 302
            assert (await other.get("")).status_code == 200
            await thief.aclose()

    serving(talk)


def test_only_so_many_browsers_are_logged_in_and_the_first_goes_first(serving):
    async def talk(served):
        async with (
            served.browser(Role.VIEWER) as first,
            served.browser(Role.VIEWER) as second,
            served.browser(Role.VIEWER) as third,
        ):
            statuses = [(await each.get("")).status_code for each in (first, second, third)]
            assert statuses == [302, 200, 200]

    serving(talk, limits={"sessions_max": 2})


FOREIGN = ("evil.example", "evil.example:8866", "127.0.0.1.evil.example")


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_whose_name_was_pointed_here_gets_nothing(serving, host):
    """Its browser takes us for its own server: DNS rebinding."""

    async def talk(served):
        async with served.browser(Role.PRESENTER) as presenter:
            for path in ("", "login", "network", "watch/network", "assets/x/y", "nowhere"):
                answer = await presenter.get(path, headers={"Host": host})
                assert answer.status_code == 421, path
                assert "test" not in answer.text, "not even the network's name"
            posted = await presenter.post("login", data={"secret": "x"}, headers={"Host": host})
            assert posted.status_code == 421

    serving(talk)


def test_a_session_ends_after_its_time(serving, monkeypatch):
    import tornado.web

    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            assert (await viewer.get("")).status_code == 200
            real = tornado.web.time.time
            monkeypatch.setattr(tornado.web.time, "time", lambda: real() + 3_700)
            assert (await viewer.get("")).status_code == 302

    serving(talk, limits={"session_ms": 3_600_000})


def test_pages_say_what_browsers_may_do_with_them(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            for path in ("", "watch/network", "login", "nowhere"):
                headers = (await viewer.get(path, follow_redirects=True)).headers
                policy = headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "script-src 'self';" in policy
                assert "frame-ancestors 'none'" in policy
                assert headers["Referrer-Policy"] == "same-origin"
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert "Access-Control-Allow-Origin" not in headers
            own = await viewer.get("", headers={"Origin": "http://elsewhere.example"})
            assert "Access-Control-Allow-Origin" not in own.headers

    serving(talk)


def test_every_file_that_a_page_names_is_there_and_no_other_host_is_named(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            page = (await viewer.get("watch/network")).text
            files = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
            assert len(files) >= 5
            for path in files:
                answer = await viewer.get(path)
                assert answer.status_code == 200
                assert "immutable" in answer.headers["Cache-Control"]
                assert answer.content
            assert not re.findall(r'(?:src|href)="(?!/)', page)
            assert "http://" not in page.replace("http://www.w3.org/", "")

    serving(talk)


def test_a_page_shows_what_stands_before_any_script_runs(serving):
    async def talk(served):
        served.live.raise_()
        async with served.browser(Role.VIEWER) as viewer:
            page = (await viewer.get("watch/network")).text
            assert '<div data-card="number"><b>1</b></div>' in page
            assert 'data-card="health">well</span>' in page

    serving(talk)


def test_a_taken_port_is_said_clearly(serving):
    async def talk(served):
        from dataclasses import replace

        from opkit.dash.access import Keys
        from opkit.dash.server import ConsoleServer

        own = replace(served.server.own, port=served.server.port)
        second = ConsoleServer(own, keys=Keys(), live=served.live, make_page=served.pages.append)
        with pytest.raises(DashError, match="is taken") as refused:
            await second.open()
        assert "--port" in refused.value.hint
        await second.close()

    serving(talk)


def test_many_requests_at_once_are_answered(serving):
    async def talk(served):
        async with served.browser(Role.VIEWER) as viewer:
            answers = await asyncio.gather(*(viewer.get("watch/network") for _ in range(50)))
            assert {answer.status_code for answer in answers} == {200}

    serving(talk)

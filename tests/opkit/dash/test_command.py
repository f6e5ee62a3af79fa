"""`opkit dash` as a user runs it, on a real devnet: what it prints, keeps, and leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import websockets

from devnet.board import served_source
from devnet.control import ask_supervisor
from devnet.state import DevnetError, is_running, list_devnets, load_state
from opkit import cli
from opkit.cli import exits
from opkit.cli.dash import _place
from opkit.cli.failing import Mistake
from opkit.live.ports import ControlRefused

PASSWORD = "a password that no kernel may see"


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A state directory of one's own."""
    monkeypatch.setenv("OPKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@contextmanager
def dash(*options: str):
    """Have a console running; yield its process and what it said once it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "opkit.cli", "dash", "--json", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPKIT_DASH_PASSWORD": PASSWORD},
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def opkit(*arguments: str) -> int:
    command = [sys.executable, "-m", "opkit.cli", *arguments, "--json"]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == exits.DONE, errors


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_console_brings_its_network_and_takes_everything_along_when_it_ends(own_home):
    with dash() as (process, said):
        state = load_state("default")
        assert is_running(state.folder)
        asyncio.run(look(said))
        asyncio.run(hold(own_home, state))
        kernels = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "ipykernel_launcher" in child.cmdline()
        ]
        for kernel in kernels:
            assert PASSWORD not in repr(kernel.environ())
        end(process, signal.SIGINT)
        assert not any(kernel.is_running() for kernel in kernels)
    assert not is_running(state.folder)
    assert not list((own_home / "dash").glob("*.json"))
    assert said["url"].partition("token=")[2] not in Path(said["log"]).read_text()


async def look(said):
    """Look at the console as a viewer, with the address that was printed."""
    base = said["viewer_url"].partition("?")[0]
    async with httpx.AsyncClient(base_url=base, timeout=30, follow_redirects=True) as viewer:
        landing = await viewer.get(said["viewer_url"])
        assert landing.status_code == 200
        assert "token" not in str(landing.url)
        cookies = "; ".join(f"{name}={value}" for name, value in viewer.cookies.items())
        async with asyncio.timeout(60):
            async with websockets.connect(
                base.replace("http", "ws", 1) + "watch/network/ws",
                additional_headers={"Cookie": cookies},
                origin=base.rstrip("/"),
                open_timeout=60,
            ) as socket:
                await socket.send('{"do": "hello"}')
                shown = {}
                while "3 of 3 nodes up" not in shown.get("health", ""):
                    said_now = json.loads(await socket.recv())
                    shown |= dict(said_now.get("cards", []))
                await socket.send('{"do": "act", "n": 1, "act": "kill", "args": {"org": "x"}}')
                while "flash" not in (answer := json.loads(await socket.recv())):
                    assert "done" not in answer
    async with httpx.AsyncClient(base_url=base, timeout=30) as somebody:
        entered = await somebody.post("login", data={"secret": PASSWORD})
        assert entered.status_code == 302


async def hold(own_home, state):
    """Check what a kernel is given: a file for the owner alone, with a token that cannot grant."""
    (path,) = (own_home / "dash").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    given = json.loads(path.read_text())
    assert given["may_act"] is True
    status = await ask_supervisor(state.socket, "status", token=given["token"])
    assert status["state"] == "ready"
    for forbidden in ("grant", "down", "pass-time"):
        with pytest.raises(DevnetError, match="may not"):
            await ask_supervisor(state.socket, forbidden, token=given["token"])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_console_attaches_to_the_running_network_and_leaves_it_running(own_home):
    assert opkit("devnet", "up", "mine") == exits.DONE
    try:
        with dash("--ready", "0", "--base-url", "/demo/") as (process, said):
            assert said["devnet"] == "mine"
            assert urlsplit(said["url"]).path == "/demo/"
            end(process, signal.SIGTERM)
        assert dict(list_devnets()) == {"mine": True}
        with dash("--ready", "0") as (process, said):
            taken = str(said["port"])
            assert opkit("dash", "--port", taken) == exits.FAILED
            # A slip of the pen starts no second network while one runs.
            assert opkit("dash", "--port", "0", "--devnet", "mime") == exits.USAGE
            assert dict(list_devnets()) == {"mine": True}
            end(process, signal.SIGTERM)
    finally:
        assert opkit("devnet", "reset", "mine") == exits.DONE


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_console_goes_on_when_its_network_was_started_again(tmp_path, monkeypatch):
    # Too long for a socket's path: the supervisor listens elsewhere, each time at a new place.
    own_home = tmp_path / ("long-" * 20) / "home"
    monkeypatch.setenv("OPKIT_HOME", str(own_home))
    assert opkit("devnet", "up", "again") == exits.DONE
    try:
        with dash("--ready", "0") as (process, said):
            (path,) = (own_home / "dash").glob("*.json")
            kernels = served_source(path)
            before = json.loads(path.read_text())["token"]
            assert opkit("devnet", "down", "again") == exits.DONE
            assert opkit("devnet", "up", "again") == exits.DONE
            asyncio.run(go_on(kernels, said, path, before))
            end(process, signal.SIGTERM)
    finally:
        assert opkit("devnet", "reset", "again") == exits.DONE


async def go_on(kernels, said, path, before):
    """Wait until a kernel may ask again, and what viewers look at is heard from again."""
    async with asyncio.timeout(120):
        while True:
            try:
                await kernels.ask("stage", after=0, wait_ms=0)
                break
            except ControlRefused:
                await asyncio.sleep(0.05)
        assert json.loads(path.read_text())["token"] != before
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ControlRefused, match="may not down"):
            await kernels.ask("down")
        async with httpx.AsyncClient(timeout=30, follow_redirects=True) as viewer:
            page = await viewer.get(said["viewer_url"])
            base = said["viewer_url"].partition("?")[0]
            while "3 of 3 nodes up" not in page.text or "supervisor" in page.text:
                page = await viewer.get(f"{base}watch/network")
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("given", "base", "public"),
    [
        ("/", "/", ""),
        ("/demo", "/demo/", ""),
        ("/demo/opkit/", "/demo/opkit/", ""),
        ("https://demo.example", "/", "https://demo.example/"),
        ("http://demo.example:8080/a.b/c~d", "/a.b/c~d/", "http://demo.example:8080/a.b/c~d/"),
    ],
)
def test_a_place_is_a_path_or_a_whole_address(given, base, public):
    assert _place(given) == (base, public)


@pytest.mark.parametrize(
    "given",
    ["", "demo", "//demo", "/a b", "/a?b", "ftp://x/", "/a//b", "https://", "/ä/", "/<b>"],
)
def test_a_place_that_cannot_be_is_a_mistake(given):
    with pytest.raises(Mistake, match="no place for a console"):
        _place(given)


def test_a_port_that_is_taken_is_said_before_a_network_is_started(own_home, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["dash", "--no-browser", "--port", port]) == exits.FAILED
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is taken" in said
    assert "starting" not in said
    assert not list_devnets()


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), "there are: none"),
        ((("default", True), ("old", False)), "there are: default, old (stopped)"),
    ],
)
def test_a_name_that_no_network_has_starts_none(own_home, monkeypatch, capsys, there, said):
    monkeypatch.setattr("devnet.state.list_devnets", lambda: there)

    assert cli.main(["dash", "--no-browser", "--devnet", "defualt"]) == exits.USAGE

    assert capsys.readouterr().err.splitlines() == [
        "opkit: there is no devnet called 'defualt'",
        f"  hint: {said}; to start one: --devnet defualt --profile three",
    ]
    assert not (own_home / "devnets" / "defualt").exists()


def test_a_name_with_a_profile_starts_a_network(own_home, monkeypatch, capsys):
    started = []

    def launch(*, name, profile, seed):
        started.append((name, profile))
        raise DevnetError("enough seen")

    monkeypatch.setattr("devnet.launch.launch", launch)
    for options in (["--devnet", "mine", "--profile", "federation"], ["--profile", "three"], []):
        assert cli.main(["dash", "--no-browser", "--port", "0", *options]) == exits.FAILED

    assert started == [("mine", "federation"), ("default", "three"), ("default", "three")]


def test_of_several_running_networks_one_must_be_named(own_home, monkeypatch, capsys):
    monkeypatch.setattr("devnet.state.list_devnets", lambda: [("a", True), ("b", True)])
    assert cli.main(["dash", "--no-browser", "--port", "0"]) == exits.USAGE
    assert "several devnets run: a, b" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--profile", "two"], "no profile"),
        (["--devnet", "No Name"], "is no name for a devnet"),
        (["--ready", "9"], "kernels can be kept ready for each page"),
    ],
)
def test_a_network_that_cannot_be_is_a_mistake(own_home, options, why, capsys):
    assert cli.main(["dash", *options]) == exits.USAGE
    assert why in capsys.readouterr().err

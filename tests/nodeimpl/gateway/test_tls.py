"""TLS at the front door: spoken to whoever takes its key for what it is, and to nobody else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodeimpl.config import GatewaySection
from nodeimpl.front import Front, names_of, open_front
from nodeimpl.gateway import server
from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.server import run_server
from opkit.client.errors import WrongKey
from opkit.client.pinning import Pin
from opkit.client.retry import Patience
from opkit.client.ws_events import WebSocketEvents
from opkit.wire.errors import Unreachable
from opkit.wire.membership import LIST_MEMBERS, ListMembers

ONCE = Patience(attempts_max=1)

Made = Callable[[str], GatewaySection]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


@pytest.fixture
def store_engine() -> str:
    """How a door is opened is the same on any store."""
    return "sqlite"


@pytest.fixture
def make(tmp_path: Path) -> Made:
    """Return what makes a door's configuration, with a certificate of its own."""

    def make(name: str) -> GatewaySection:
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        line = f"openssl req -x509 -newkey ed25519 -noenc -subj /CN={name} -keyout {key}"
        subprocess.run([*line.split(), "-out", certificate], check=True, capture_output=True)
        key.chmod(0o600)
        return GatewaySection(
            tls_certificate=certificate,
            tls_key=key,
            host="127.0.0.2",
            advertise=("https://tools.example:8443",),
        )

    return make


@asynccontextmanager
async def served(app: Any, gateway: GatewaySection) -> AsyncIterator[Front]:
    """Serve an app at a front door."""
    front = open_front(gateway)
    stop, started = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(
        run_server(app, sock=front.listening, tls=front.tls, stop=stop, started=started)
    )
    try:
        await started.wait()
        yield front
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def standing(doorstep: Any, gateway: GatewaySection) -> AsyncIterator[tuple[Any, Front]]:
    """Hold a node whose door speaks TLS."""
    limits = GatewayLimits(names=names_of(gateway), drain_ms_max=60_000)
    async with doorstep.node(limits=limits) as node, served(node.app, gateway) as front:
        node.url = front.url
        yield node, front


def test_a_client_that_knows_the_key_logs_in_asks_and_listens(doorstep: Any, make: Made) -> None:
    async def story() -> None:
        async with standing(doorstep, make("node")) as (node, front):
            shown = front.tls_key_hash
            async with node.tcp_client("mill/ana", tls_key_hash=shown, patience=ONCE) as ana:
                page = await ana.call(LIST_MEMBERS, ListMembers())
                assert page.members
                events = ana.events()
                assert (await anext(events)).entries
                await events.aclose()
                again = ana.with_token(ana.token)
                assert (await again.call(LIST_MEMBERS, ListMembers())) == page

    run(story())


def test_another_key_is_refused_before_anything_is_sent(doorstep: Any, make: Made) -> None:
    async def story() -> None:
        async with standing(doorstep, make("node")) as (node, front):
            wrong = "0" * 64
            async with node.tcp_client("mill/ana", tls_key_hash=wrong) as ana:
                with pytest.raises(WrongKey) as caught:
                    await ana.call(LIST_MEMBERS, ListMembers())
                assert caught.value.found == front.tls_key_hash
                assert "nothing was sent" in str(caught.value)
            events = WebSocketEvents(url=front.url, pin=Pin(wrong))
            with pytest.raises(WrongKey):
                async with events.open(target="/v1/events", headers={}):
                    pass
            assert not node.membership.revision

    run(story())


def test_a_rival_with_the_same_name_and_another_key_is_refused(doorstep: Any, make: Made) -> None:
    """A certificate says what its maker likes; the record names the key."""

    async def story() -> None:
        known = open_front(make("node"))
        known.listening.close()
        async with (
            standing(doorstep, make("node")) as (node, front),
            node.tcp_client("mill/ana", tls_key_hash=known.tls_key_hash) as ana,
        ):
            assert front.tls_key_hash != known.tls_key_hash
            with pytest.raises(WrongKey):
                await ana.call(LIST_MEMBERS, ListMembers())

    run(story())


def test_who_knows_no_key_trusts_no_certificate_that_nobody_vouches_for(
    doorstep: Any, make: Made
) -> None:
    async def story() -> None:
        async with standing(doorstep, make("node")) as (node, _front):
            async with node.tcp_client("mill/ana", patience=ONCE) as ana:
                with pytest.raises(Unreachable, match="certificate verify failed"):
                    await ana.call(LIST_MEMBERS, ListMembers())
            plain = node.url.replace("https://", "http://")
            async with httpx.AsyncClient(trust_env=False) as raw:
                with pytest.raises(httpx.TransportError):
                    await raw.get(f"{plain}/v1/health")

    run(story())


@pytest.mark.parametrize(
    ("host", "status"),
    [("tools.example:8443", 200), ("127.0.0.2", 200), ("localhost", 200), ("evil.example", 404)],
)
def test_the_door_answers_to_its_own_names_alone(
    doorstep: Any, make: Made, host: str, status: int
) -> None:
    async def story() -> None:
        async with standing(doorstep, make("node")) as (_node, front):
            pin = Pin(front.tls_key_hash)
            async with httpx.AsyncClient(verify=pin.context, trust_env=False) as raw:
                said = await raw.get(f"{front.url}/metrics", headers={"Host": host})
            assert said.status_code == status

    run(story())


def test_nothing_older_than_tls_1_3_is_spoken(doorstep: Any, make: Made) -> None:
    async def story() -> None:
        async with standing(doorstep, make("node")) as (_node, front):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            host, port = front.listening.getsockname()
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(host, port, ssl=context)

    run(story())


def test_who_shakes_no_hands_is_not_waited_for(
    doorstep: Any, make: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.2)

    async def story() -> None:
        async with standing(doorstep, make("node")) as (_node, front):
            reader, writer = await asyncio.open_connection(*front.listening.getsockname())
            assert not await reader.read()
            writer.close()

    run(story())


def test_a_large_body_and_a_large_answer_pass_through(doorstep: Any, make: Made) -> None:
    """Slow readers and writers make TLS wait, as they do plain sockets."""

    async def story() -> None:
        async with standing(doorstep, make("node")) as (_node, front):
            pin = Pin(front.tls_key_hash)
            body = b"x" * 8 * 2**20
            async with httpx.AsyncClient(verify=pin.context, trust_env=False) as raw:
                said = await raw.post(f"{front.url}/v1/auth/challenge", content=body)
                assert said.status_code == 413
                said = await raw.get(f"{front.url}/openapi.json")
                assert len(said.content) > 2**14

    run(story())


def test_the_server_ends_in_time_with_a_stream_open(doorstep: Any, make: Made) -> None:
    async def story() -> None:
        gateway = make("node")
        async with doorstep.node(limits=GatewayLimits(names=names_of(gateway))) as node:
            async with served(node.app, gateway) as front:
                node.url = front.url
                async with node.tcp_client("mill/ana", tls_key_hash=front.tls_key_hash) as ana:
                    stream = ana.events()
                    await anext(stream)
                    place = front.listening.getsockname()
            await stream.aclose()
            with pytest.raises(OSError, match="refused"), socket.create_connection(place, 5):
                pass

    run(story())

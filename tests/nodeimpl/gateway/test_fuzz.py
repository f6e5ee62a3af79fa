"""Asks made at random from the schema itself: none breaks the node, each answer is declared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from nodeimpl.gateway.limits import GatewayLimits, Rate
from opkit.wire.errors import refusal_from

FAST = Rate(per_second=1_000_000, burst=1_000_000)


@pytest.fixture
def fuzzed(doorstep: Any) -> Iterator[tuple[str, str]]:
    """A served node without rates, on a loop of its own thread: its URL and a token."""
    ready: list[tuple[str, str]] = []
    told, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        limits = GatewayLimits(address_rate=FAST, principal_rate=FAST, open_rate=FAST)
        async with doorstep.served(limits=limits) as node, node.client("mill/ana") as ana:
            ready.append((node.url, (await ana.login()).token))
            told.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="fuzzed node")
    thread.start()
    assert told.wait(10), "the node did not start"
    yield ready[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(15)
    loop.close()


@pytest.mark.slow
@pytest.mark.parametrize("bearing", [True, False], ids=["token", "no-token"])
def test_no_ask_made_from_the_schema_breaks_the_node(
    fuzzed: tuple[str, str], bearing: bool
) -> None:
    url, token = fuzzed
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    headers = {"Authorization": f"Bearer {token}"} if bearing else {}
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal tried
            tried += 1
            response = case.call(headers=headers, timeout=10)
            assert response.status_code < 500 or response.status_code == 503, response.text
            if response.status_code != 200:
                assert refusal_from(response.json()) is not None, response.text
            case.validate_response(response)

        ask()
    assert tried >= 100

"""Asks made at random from the schema itself: none breaks the node, each answer is declared.

`OPKIT_FUZZ_EXAMPLES` makes it long and different each time (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from nodeimpl.gateway.limits import GatewayLimits, Rate
from opkit.wire.errors import refusal_from

FAST = Rate(per_second=1_000_000, burst=1_000_000)
EXAMPLES = 20
WAIT_MS_MAX, WAIT_MS_ALLOWED = 20, 30_000
ENDS_TOKEN = "membership.revoke-token"


@pytest.fixture
def fuzzed(doorstep: Any) -> Iterator[tuple[str, Callable[[], str]]]:
    """A served node without rates, on a loop of its own thread: its URL, and what makes tokens."""
    ready: list[tuple[str, Callable[[], str]]] = []
    told, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        limits = GatewayLimits(
            address_rate=FAST, principal_rate=FAST, open_rate=FAST, fresh_rate=FAST
        )
        async with doorstep.served(limits=limits) as node, node.client("mill/ana") as ana:

            def login() -> str:
                made = asyncio.run_coroutine_threadsafe(ana.login(), loop).result(100)
                return str(made.token)

            ready.append((node.url, login))
            told.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="fuzzed node")
    thread.start()
    assert told.wait(100), "the node did not start"
    yield ready[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(100)
    loop.close()


def ask(case: Any, headers: dict[str, str]) -> int:
    """Send one ask; return its status. Whatever it is, it is declared and no fault."""
    asked = str(case.query.get("wait_ms", "")) if isinstance(case.query, dict) else ""
    if asked.isdecimal() and WAIT_MS_MAX < int(asked) <= WAIT_MS_ALLOWED:
        # None waits for long; what may not be asked stays as it is, to be refused.
        case.query["wait_ms"] = WAIT_MS_MAX
    response = case.call(headers=headers, timeout=100)
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code != 200:
        assert refusal_from(response.json()) is not None, response.text
    # A schema cannot say which signatures and places are good: others are refused.
    case.validate_response(response, excluded_checks=[positive_data_acceptance])
    return int(response.status_code)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("bearing", [True, False], ids=["token", "no-token"])
def test_no_ask_made_from_the_schema_breaks_the_node(
    fuzzed: tuple[str, Callable[[], str]], fuzzing: Any, bearing: bool, mode: GenerationMode
) -> None:
    url, login = fuzzed
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    token, statuses = login(), collections.Counter[int]()
    for result in schema.get_all_operations():
        operation = result.ok()

        @fuzzing(EXAMPLES)
        @given(case=operation.as_strategy(generation_mode=mode))
        def story(case: Any) -> None:
            ends_token = case.operation.definition.raw["operationId"] == ENDS_TOKEN
            bearer = f"Bearer {login() if bearing and ends_token else token}"
            statuses[ask(case, {"Authorization": bearer} if bearing else {})] += 1

        story()
    assert statuses.total() >= 50, statuses
    assert not bearing or set(statuses) != {401}, "whoever has a token gets further"

"""Doors: on loopback and in one process whoever is behind them is called by their URL."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from devnet.doors import Doors, InProcessDoors, LoopbackDoors


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path that was asked for."""
    assert scope["type"] == "http"
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.mark.parametrize("make", [LoopbackDoors, InProcessDoors])
def test_whoever_is_behind_a_door_is_called_while_it_is_open(make: type[Doors]) -> None:
    async def story() -> None:
        doors = make()
        async with httpx.AsyncClient(transport=doors.caller(), trust_env=False) as client:
            async with doors.serving(hello) as first, doors.serving(hello) as second:
                assert first != second
                for url in (first, second):
                    assert (await client.get(f"{url}/bread")).text == "/bread"
            with pytest.raises(httpx.ConnectError):
                await client.get(f"{first}/bread")

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_door_stays_while_nobody_is_in() -> None:
    async def story() -> None:
        doors, inside = InProcessDoors(), [hello]
        url = doors.open(lambda: inside[0] if inside else None)
        async with httpx.AsyncClient(transport=doors.caller()) as client:
            assert (await client.get(url)).text == "/"
            inside.clear()
            with pytest.raises(httpx.ConnectError, match="nobody is behind"):
                await client.get(url)
            inside.append(hello)
            assert (await client.get(url)).text == "/"

    asyncio.run(asyncio.wait_for(story(), 120))

"""The control protocol: one line per ask and answer, bounded, for the owner alone."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devnet import stage
from devnet.control import (
    CONNECTIONS_MAX,
    LINE_BYTES_MAX,
    ControlServer,
    Handler,
    ask_supervisor,
)
from devnet.state import DevnetError


async def echo(ask: Mapping[str, Any]) -> dict[str, Any]:
    """Answer an ask with itself; refuse `no`."""
    if ask.get("do") == "no":
        raise DevnetError("I will not", hint="ask for something else")
    return dict(ask)


def served(folder: Path, work: Any, *, handle: Handler = echo) -> Any:
    """Run `work(path)` beside a server that echoes, or answers otherwise."""

    async def both() -> Any:
        server = ControlServer(path=folder / "s", handle=handle)
        await server.open()
        try:
            async with asyncio.timeout(100):
                return await work(folder / "s")
        finally:
            await server.close()

    return asyncio.run(both())


def test_an_ask_is_answered(short_folder: Path) -> None:
    said = served(short_folder, lambda path: ask_supervisor(path, "greet", name="Mara"))
    assert said == {"do": "greet", "name": "Mara", "token": ""}


def test_the_longest_view_of_a_stage_is_answered(short_folder: Path) -> None:
    """What a teller may say, whoever looks at the stage must be able to hear."""
    long = "x" * stage.LINE_BYTES_MAX

    async def look(path: Path) -> dict[str, Any]:
        return await ask_supervisor(path, "view")

    async def answer(_: Mapping[str, Any]) -> dict[str, Any]:
        return {"view": long}

    assert served(short_folder, look, handle=answer) == {"view": long}


def test_a_refusal_keeps_its_text_and_hint(short_folder: Path) -> None:
    with pytest.raises(DevnetError, match="I will not") as refused:
        served(short_folder, lambda path: ask_supervisor(path, "no"))
    assert refused.value.hint == "ask for something else"


def test_the_socket_is_for_its_owner_alone(short_folder: Path) -> None:
    async def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert served(short_folder, mode) == 0o600


def test_the_socket_goes_with_the_server(short_folder: Path) -> None:
    served(short_folder, lambda path: ask_supervisor(path, "greet"))
    assert not (short_folder / "s").exists()


@pytest.mark.parametrize(
    "line",
    [b"nonsense\n", b"[1]\n", b"\xff\n", b"[" * 500_000 + b"\n"],
    ids=["nonsense", "a-list", "not-text", "too-deep"],
)
def test_what_is_no_ask_is_told_so_and_the_next_is_answered(
    short_folder: Path, line: bytes
) -> None:
    async def two(path: Path) -> list[dict[str, Any]]:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(line + b'{"do": "greet"}\n')
        answers = [json.loads(await reader.readline()) for _ in range(2)]
        writer.close()
        return answers

    first, second = served(short_folder, two)
    assert "error" in first
    assert second == {"ok": {"do": "greet"}}


def test_a_line_without_end_ends_the_connection(short_folder: Path) -> None:
    async def flood(path: Path) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x" * (LINE_BYTES_MAX + 2))
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert served(short_folder, flood) == b""


def test_a_connection_too_many_is_hung_up_on(short_folder: Path) -> None:
    async def crowd(path: Path) -> bytes:
        many = [await asyncio.open_unix_connection(str(path)) for _ in range(CONNECTIONS_MAX)]
        for reader, writer in many:
            writer.write(b'{"do": "stay"}\n')
            await reader.readline()
        reader, writer = await asyncio.open_unix_connection(str(path))
        answer = await reader.read()
        for _, one in [*many, (reader, writer)]:
            one.close()
        return answer

    assert served(short_folder, crowd) == b""


def test_nobody_there_is_told_as_such(short_folder: Path) -> None:
    with pytest.raises(DevnetError, match="does not answer"):
        asyncio.run(ask_supervisor(short_folder / "none", "status"))


def test_an_answer_that_does_not_come_is_given_up(short_folder: Path) -> None:
    async def silent() -> None:
        async def nothing(_: Mapping[str, Any]) -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        server = ControlServer(path=short_folder / "s", handle=nothing)
        await server.open()
        try:
            await ask_supervisor(short_folder / "s", "status", deadline_ms=50)
        finally:
            await server.close()

    with pytest.raises(DevnetError, match="within 50 ms"):
        asyncio.run(silent())

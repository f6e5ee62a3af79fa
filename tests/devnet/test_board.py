"""The console's end of a devnet: real nodes, a token with few rights, and a page in a cell."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devnet.attach import open_world
from devnet.board import (
    RUN_FILE_VARIABLE,
    DevnetSource,
    attached_source,
    find_source,
    open_board,
    open_live,
    served_source,
)
from devnet.control import ask_supervisor
from devnet.launch import Launched, launch
from devnet.state import DevnetError, load_state
from opkit.live.live import Live
from opkit.live.ports import ControlRefused

HARBOR = "harbor-homes-cooperative"


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def running() -> Iterator[Launched]:
    launched = launch(name="board", profile="three", seed=7)
    try:
        launched.wait_ready(lambda *_: None)
        yield launched
    finally:
        launched.down()


def run_file(folder: Path, **changes: Any) -> Path:
    """Write what a server would: a token that only reads."""
    state = load_state("board")
    granted = asyncio.run(ask_supervisor(state.socket, "grant", scopes=["read"], ttl_ms=600_000))
    said = {
        "devnet": state.name,
        "network": state.network,
        "genesis": state.genesis.read_text("ascii"),
        "socket": str(state.socket),
        "token": granted["token"],
        "may_act": False,
    }
    path = folder / "dash.json"
    path.write_text(json.dumps({**said, **changes}))
    return path


@pytest.mark.slow
def test_a_killed_node_is_seen_down_by_a_token_that_only_reads(
    running: Launched, tmp_path: Path
) -> None:
    source = served_source(run_file(tmp_path))
    assert not source.may_act

    async def story() -> None:
        live = Live(source)
        following = asyncio.get_running_loop().create_task(live.run())
        world = await open_world("board", run_id="t", seed=7)
        with live.watched():
            await eventually(
                lambda: live.followed and all(one.health == "up" for one in live.followed.values())
            )
            began = time.monotonic()
            await world.kill(HARBOR)
            await eventually(lambda: live.followed[HARBOR].health == "down")
            took = time.monotonic() - began
            await eventually(
                lambda: any(one.kind == "kill" for one in live.network_figures().happenings)
            )
            await world.restart(HARBOR)
            await eventually(lambda: live.followed[HARBOR].health == "up")
            # The bound is 2 s; a machine that does much else at once is given some more.
            assert took < 30, took
            with pytest.raises(ControlRefused, match="may not kill"):
                await source.ask("kill", org=HARBOR)
        await world.close()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 240))


@pytest.mark.slow
def test_a_cell_shows_a_page_and_all_cells_follow_one_network(
    running: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_FILE_VARIABLE, raising=False)

    async def story() -> None:
        board = await open_board("network", devnet="board")
        said: list[Any] = []
        monkeypatch.setattr(board, "send", said.append)
        assert await open_live("board") is await open_live("board")
        board._take(board, {"do": "hello"}, [])
        await eventually(lambda: any(HARBOR in json.dumps(message) for message in said))
        board.end()
        live = await open_live("board")
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("follow")]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert live.source.may_act

    asyncio.run(asyncio.wait_for(story(), 240))


def test_without_a_devnet_the_source_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_FILE_VARIABLE, raising=False)
    with pytest.raises(DevnetError) as refused:
        find_source("nowhere")
    assert "opkit devnet up" in refused.value.hint


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"devnet": 7}'])
def test_a_run_file_that_is_none_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dash.json"
    path.write_text(text)
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(path))
    with pytest.raises(DevnetError, match="cannot be read"):
        find_source()


def test_a_supervisor_that_is_not_there_is_a_refusal_with_a_hint(tmp_path: Path) -> None:
    unread: Any = None
    source = DevnetSource(
        name="gone", genesis=unread, socket=tmp_path / "none", token="t", may_act=False
    )
    with pytest.raises(ControlRefused) as refused:
        asyncio.run(source.nodes())
    assert refused.value.hint


@pytest.mark.slow
def test_a_stopped_devnet_is_not_attached_to(tmp_path: Path) -> None:
    launched = launch(name="stopped", profile="three", seed=7)
    launched.wait_ready(lambda *_: None)
    launched.down()
    with pytest.raises(DevnetError, match="is stopped"):
        attached_source("stopped")

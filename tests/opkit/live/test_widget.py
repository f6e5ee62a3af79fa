"""The widget carries a session over a notebook's channel, and is not silent when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opkit.live.widget import Board
from opkit.views.assets import board_js
from opkit.views.style import board_css


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What boards send to their browsers."""
    messages: list[Any] = []
    monkeypatch.setattr(Board, "send", lambda _, content: messages.append(content))
    return messages


async def until(holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0)


def test_a_board_answers_hello_with_the_page(slate: Any, ticker: Any, said: list[Any]) -> None:
    async def story() -> None:
        board = Board(slate, live=ticker)
        board._handle_custom_msg({"do": "hello"}, [])
        await until(lambda: said)
        assert said[0]["cards"] == [["one", "<p>1</p>"], ["two", "<p>2</p>"]]
        assert (board._esm, board._css) == (board_js(), board_css())
        bundle, _ = board._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle
        board.end()
        await until(board._task.done)
        assert len(said) == 1

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_board_says_why_it_ended(slate: Any, ticker: Any, said: list[Any]) -> None:
    async def failing() -> None:
        raise ConnectionError("the network is gone")

    async def story() -> None:
        following = asyncio.get_running_loop().create_task(failing())
        board = Board(slate, live=ticker, following=following)
        await until(lambda: said)
        assert "the network is gone" in said[0]["frame"]
        await asyncio.gather(board._task, return_exceptions=True)
        board._handle_custom_msg({"do": "hello"}, [])
        assert said[1:] == said[:1], "whoever comes later sees it too"

    asyncio.run(asyncio.wait_for(story(), 120))

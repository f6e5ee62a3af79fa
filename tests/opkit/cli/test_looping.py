"""Ctrl-C while a command makes its event loop: it ends the command, and nothing complains."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import warnings
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from opkit.cli.looping import run


class HitWhileMade(asyncio.SelectorEventLoop):
    """An event loop in whose making Ctrl-C is pressed, before it is whole."""

    def __init__(self) -> None:
        signal.raise_signal(signal.SIGINT)
        super().__init__()


class Hitting(asyncio.DefaultEventLoopPolicy):
    """Has loops made while Ctrl-C is pressed."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return HitWhileMade()


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let Ctrl-C be heard: whoever is started in the background begins without.

    Source: POSIX, Shell Command Language, section 2.11.
    """
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What destructors complain of, and what warnings would be printed."""
    said: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: said.append(str(seen.exc_value)))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield said
        gc.collect()
        said.extend(str(warning.message) for warning in warned)
    assert said == []


@pytest.fixture
def hit_while_made() -> Iterator[None]:
    """Press Ctrl-C whenever a loop is made."""
    kept = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Hitting())
    yield
    asyncio.set_event_loop_policy(kept)


async def three() -> int:
    """Return what nobody waits for."""
    return 3


def three_when_pressed() -> Coroutine[Any, Any, int]:
    """Make what is run while Ctrl-C is pressed."""
    signal.raise_signal(signal.SIGINT)
    return three()


@pytest.mark.usefixtures("hit_while_made")
def test_ctrl_c_while_a_loop_is_made_leaves_no_trace(complaints: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(three)
    gc.collect()
    assert complaints == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_what_is_run_is_made_leaves_no_trace(complaints: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(three_when_pressed)
    gc.collect()
    assert complaints == []


def test_ctrl_c_from_within_ends_what_runs_and_lets_it_clean_up() -> None:
    cleaned: list[str] = []

    async def waits() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append("cleaned")

    with pytest.raises(KeyboardInterrupt):
        run(waits)
    assert cleaned == ["cleaned"]


def test_what_it_returns_and_raises_comes_through() -> None:
    async def broken() -> int:
        raise LookupError("nothing there")

    assert run(three) == 3
    with pytest.raises(LookupError, match="nothing there"):
        run(broken)


def test_a_handler_of_ones_own_is_called_once_and_put_back() -> None:
    seen: list[int] = []

    def own(number: int, _frame: object) -> None:
        seen.append(number)

    kept = signal.signal(signal.SIGINT, own)
    try:
        assert run(three_when_pressed) == 3
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, kept)
    assert seen == [signal.SIGINT]


def test_a_thread_that_takes_no_signals_runs_it_too() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(run(three)))
    thread.start()
    thread.join(30)
    assert found == [3]

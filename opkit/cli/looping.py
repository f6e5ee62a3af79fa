"""Run a command's coroutine: Ctrl-C comes to it or before it, never into the making of its loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def run(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run what `make` returns in an event loop of its own, as `asyncio.run` does.

    `asyncio.run` is interrupted wherever it is: a loop that is half made complains in its
    destructor, and a coroutine that never began complains as well. Here an interrupt waits until
    both are whole.

    Args:
        make: makes the coroutine; called once.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; what ran was cancelled and has cleaned up.
        Exception: what the coroutine raised.
    """
    with ExitStack() as held:
        with _interrupts_later():
            coroutine = make()
            held.callback(coroutine.close)  # Does something only if it never began.
            runner = held.enter_context(asyncio.Runner())
        return runner.run(coroutine)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let an interrupt wait until the end of the block.

    The handler is replaced, not the signal blocked: a blocked one goes to another thread, and its
    handler runs in this one all the same. Only the main thread is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)

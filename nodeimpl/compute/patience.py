"""Asking a store that is busy again: for work in the background that has nobody to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nodeimpl.compute.rules import backoff_ms
from opkit.wire.gateway import StoreBusy

T = TypeVar("T")

TRIES_MAX = 86_400
"""How often a busy store is asked, at most a second apart: a disk may stay full for hours."""


async def until_taken(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what `ask` returns once the store is not busy.

    A task that was accepted must not end because a disk was full or a database away for a moment.

    Raises:
        StoreBusy: it was for a day. The node's own work ends by that, and the node with it; the
            next start goes on with the task.
    """
    for attempt in range(TRIES_MAX - 1):
        try:
            return await ask()
        except StoreBusy:
            await asyncio.sleep(backoff_ms(attempt) / 1000)
    return await ask()

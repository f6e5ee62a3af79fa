"""`Held`: something opened in one notebook cell and closed in another.

Each cell runs in an asyncio task of its own, and a task group must be closed by the task that
opened it. So one task owns the context manager from open to close; cells only signal it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

from opkit.story.world import World

T = TypeVar("T")


class Held(Generic[T]):
    """Own an asynchronous context manager over several tasks.

    Source: ADR 0010.
    """

    def __init__(self, manager: AbstractAsyncContextManager[T]) -> None:
        """Take the manager over; nothing is opened yet."""
        self._manager = manager
        self._owner: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[T] | None = None
        self._stop = asyncio.Event()

    async def open(self) -> T:
        """Enter the manager in a task of its own and return what it gives.

        Raises:
            Exception: whatever entering raised.
        """
        assert self._owner is None, "held already"
        self._ready = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(self._ready), name="held")
        try:
            return await asyncio.shield(self._ready)
        except asyncio.CancelledError:
            self._owner.cancel()
            raise

    async def close(self) -> None:
        """Leave the manager in the task that entered it. Closing twice is allowed.

        Raises:
            Exception: whatever the manager raised meanwhile, or on leaving.
        """
        if self._owner is None:
            return
        self._stop.set()
        await asyncio.shield(self._owner)

    async def _own(self, ready: asyncio.Future[T]) -> None:
        try:
            async with self._manager as value:
                ready.set_result(value)
                await self._stop.wait()
        except BaseException as early:
            if ready.done():
                raise
            # Whoever waits in `open` gets the failure; raising it here too would report it twice.
            ready.set_exception(early)


@asynccontextmanager
async def opened(opening: Awaitable[World]) -> AsyncIterator[World]:
    """Hold a world, from awaiting what opens it to closing it."""
    world = await opening
    try:
        yield world
    finally:
        await world.close()

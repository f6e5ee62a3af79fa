"""Many at work on a node that is killed meanwhile: started together, watched, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from opkit.wire.errors import Unreachable

LOOK_S = 0.002
"""How often it is looked at how much was acknowledged."""


@asynccontextmanager
async def at_work(
    works: Iterable[Coroutine[Any, Any, None]], *, acknowledged: Callable[[], int]
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Have works go on meanwhile; give what returns once so much more was acknowledged.

    Works may end by themselves. After the node was killed each hears silence, and nothing else.

    Raises:
        Exception: what a work ended with, if it is no silence of the node.
    """
    working = [asyncio.ensure_future(each) for each in works]
    before = acknowledged()

    async def until(more: int) -> None:
        while acknowledged() < before + more:
            for ended in (one for one in working if one.done()):
                ended.result()
            await asyncio.sleep(LOOK_S)

    try:
        yield until
    finally:
        for one in working:
            one.cancel()
        ends = await asyncio.gather(*working, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, Unreachable):
            raise end

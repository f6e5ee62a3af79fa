"""A story told in a town that is there for it alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.simulation.town import Town

AnyTown = TypeVar("AnyTown", bound=Town)


def tell_in(
    town: AnyTown, story: Callable[[AnyTown], Awaitable[None]], *, within_s: float = 120
) -> None:
    """Tell a story in a fresh town, and close that afterwards."""

    async def main() -> None:
        async with asyncio.timeout(within_s), town:
            await story(town)

    asyncio.run(main())

"""The first of what a node lists page after page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def first(listed: AsyncGenerator[T, None], count_max: int) -> list[T]:
    """Return what comes first, at most `count_max`; no page is asked for after those."""
    found: list[T] = []
    async with aclosing(listed):
        async for each in listed:
            found.append(each)
            if len(found) == count_max:
                break
    return found

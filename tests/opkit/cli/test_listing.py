"""The first of a list is read, and nothing after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from opkit.cli.listing import first


@pytest.mark.parametrize(("count_max", "read"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3])])
def test_what_comes_first_is_read_and_the_list_is_closed(count_max: int, read: list[int]) -> None:
    asked: list[int] = []
    closed: list[bool] = []

    async def listed() -> AsyncGenerator[int, None]:
        try:
            for number in range(4):
                asked.append(number)
                yield number
        finally:
            closed.append(True)

    async def story() -> None:
        assert await first(listed(), count_max) == read
        assert closed == [True], "at once, and not when somebody collects it"

    asyncio.run(story())
    assert asked == read


def test_a_shorter_list_is_read_to_its_end() -> None:
    async def listed() -> AsyncGenerator[str, None]:
        yield "only"

    assert asyncio.run(first(listed(), 9)) == ["only"]

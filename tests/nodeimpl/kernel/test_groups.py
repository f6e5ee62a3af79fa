"""Work for a task group that may be ending: done while it runs, else closed and never dropped."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from nodeimpl.kernel.groups import begin_in


async def answer() -> int:
    return 42


async def offered(group: asyncio.TaskGroup) -> tuple[asyncio.Task[int] | None, str]:
    """Offer work to a group, and return its task and what became of the coroutine."""
    work: Coroutine[Any, Any, int] = answer()
    return begin_in(group, work), inspect.getcoroutinestate(work)


def test_a_group_that_runs_does_the_work():
    async def story():
        async with asyncio.TaskGroup() as group:
            task, _ = await offered(group)
        assert task.result() == 42

    asyncio.run(story())


def test_a_group_that_is_over_takes_nothing_and_drops_nothing():
    async def story():
        async with asyncio.TaskGroup() as group:
            pass
        assert await offered(group) == (None, inspect.CORO_CLOSED)

    asyncio.run(story())


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_a_group_that_ends_takes_nothing_and_drops_nothing(how: str):
    seen: list[tuple[asyncio.Task[int] | None, str]] = []
    fail = asyncio.Event()

    async def last(group: asyncio.TaskGroup) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(await offered(group))

    async def failing() -> None:
        await fail.wait()
        raise ValueError(how)

    async def owner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(last(group))
            group.create_task(failing())

    async def story() -> None:
        owning = asyncio.create_task(owner())
        await asyncio.sleep(0)  # The owner begins its tasks ...
        await asyncio.sleep(0)  # ... and these wait.
        if how == "cancelled":
            owning.cancel()
        else:
            fail.set()
        await asyncio.wait({owning})
        assert owning.cancelled() == (how == "cancelled")
        assert owning.cancelled() or isinstance(owning.exception(), ExceptionGroup)

    asyncio.run(story())
    assert seen == [(None, inspect.CORO_CLOSED)]

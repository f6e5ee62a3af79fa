"""One task owns what is opened in one task and closed in another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from opkit.story import Held


def test_the_task_that_enters_also_leaves():
    tasks = []

    @asynccontextmanager
    async def room():
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup():
            yield "room"
        tasks.append(asyncio.current_task())

    async def cells() -> None:
        held = Held(room())
        assert await asyncio.create_task(held.open()) == "room"
        await asyncio.create_task(held.close())
        await asyncio.create_task(held.close())

    asyncio.run(asyncio.wait_for(cells(), 120))

    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


def test_a_failure_on_entering_reaches_who_opens():
    @asynccontextmanager
    async def locked():
        raise PermissionError("locked")
        yield

    async def cells() -> None:
        with pytest.raises(PermissionError):
            await Held(locked()).open()

    asyncio.run(asyncio.wait_for(cells(), 120))


def test_a_failure_on_leaving_reaches_who_closes():
    @asynccontextmanager
    async def stuck():
        yield 1
        raise OSError("stuck")

    async def cells() -> None:
        held = Held(stuck())
        await held.open()
        with pytest.raises(OSError, match="stuck"):
            await held.close()

    asyncio.run(asyncio.wait_for(cells(), 120))


def test_closing_what_was_never_opened_is_allowed():
    @asynccontextmanager
    async def room():
        yield 1

    asyncio.run(Held(room()).close())


def test_giving_up_while_opening_ends_the_owner():
    ended = []

    @asynccontextmanager
    async def slow():
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            ended.append(True)

    async def cells() -> None:
        held = Held(slow())
        opening = asyncio.create_task(held.open())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(cells(), 120))

    assert ended == [True]

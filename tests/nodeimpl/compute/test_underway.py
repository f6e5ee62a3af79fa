"""A job under way: stopped before, meanwhile or never, and what is journalled of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from nodeimpl.compute.underway import Live


@pytest.fixture
def store_engine() -> str:
    """Nothing here asks a store."""
    return "sqlite"


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


def live() -> Live:
    made: Any = Live
    return made(row=None, manifest=None)


def begun(job: Live, work: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
    """Return the task that sees a job through, which is its own."""
    made: Any = asyncio.create_task(job.unless_stopped(work))  # type: ignore[arg-type]  # any work
    job.task = made
    return made


async def for_ever() -> None:
    await asyncio.Event().wait()


async def soon() -> str:
    await asyncio.sleep(0)
    return "done"


def test_a_job_that_nobody_stops_ends_by_its_work() -> None:
    async def story() -> None:
        job = live()
        assert await begun(job, soon) == "done"
        job.stop()
        assert job.stopped

    run(story())


def test_a_job_that_was_stopped_before_does_not_begin() -> None:
    async def story() -> None:
        job, begins = live(), list[int]()

        async def work() -> None:
            begins.append(1)

        job.stop()
        assert await begun(job, work) is None
        assert begins == []

    run(story())


def test_a_job_is_stopped_in_the_middle_and_its_task_goes_on() -> None:
    async def story() -> None:
        job = live()

        async def through() -> list[Any]:
            ended = await job.unless_stopped(for_ever)
            await asyncio.sleep(0)  # What is recorded then is not interrupted any more.
            job.stop()
            await asyncio.sleep(0)
            return [ended, task.cancelling()]

        task: Any = asyncio.create_task(through())
        job.task = task
        await asyncio.sleep(0)
        job.stop()
        job.stop()
        assert await task == [None, 0]

    run(story())


@pytest.mark.parametrize("stopped", [False, True])
def test_the_end_of_the_node_goes_through_a_job_even_through_a_stopped_one(stopped: bool) -> None:
    async def story() -> None:
        job = live()
        task = begun(job, for_ever)
        await asyncio.sleep(0)
        if stopped:
            job.stop()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(story())


def test_what_waits_for_somebody_elses_end_has_nobody_to_blame() -> None:
    """Something that a run stands on is cancelled, not the run: that ends it as a stop would."""

    async def story() -> None:
        job, gone = live(), asyncio.get_running_loop().create_future()

        async def work() -> None:
            await gone

        task = begun(job, work)
        await asyncio.sleep(0)
        gone.cancel()
        assert await task is None

    run(story())


def test_what_happened_is_told_in_a_while_unless_the_end_tells_it() -> None:
    async def story() -> None:
        told, long, short = asyncio.Event(), live(), live()

        async def tell() -> None:
            told.set()

        short.tell_in(0.01, tell)
        await short.told()
        await asyncio.sleep(0.05)  # By then it would have been told.
        assert not told.is_set()
        long.tell_in(60, tell)
        long.tell_in(0.01, tell)
        await told.wait()
        await long.told()
        await long.leave()

    run(story())


def test_a_job_is_not_over_before_all_is_told_and_leaves_nothing_behind() -> None:
    async def story() -> None:
        job, begins, go_on = live(), list[int](), asyncio.Event()
        before = asyncio.all_tasks()

        async def tell() -> None:
            begins.append(1)
            await go_on.wait()

        job.tell_in(0, tell)
        while not begins:
            await asyncio.sleep(0.001)
        job.tell_in(0, tell)
        await asyncio.sleep(0.01)  # By then it would have begun once more.
        assert begins == [1], "one after the other"
        over = asyncio.create_task(job.told())
        await asyncio.sleep(0.01)  # By then it would be over.
        assert not over.done()
        go_on.set()
        await over
        go_on.clear()
        job.tell_in(0, tell)
        while begins == [1]:
            await asyncio.sleep(0.001)
        await job.leave()
        assert asyncio.all_tasks() == before

    run(story())

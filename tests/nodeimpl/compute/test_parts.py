"""The crew: who owns work that begins at any moment, and when nothing new begins."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from nodeimpl.compute.parts import Crew

TURNS = 10
"""More turns of the event loop than it takes a failure to reach the owner."""


async def nothing() -> None:
    """Leave no work from the last stop."""


async def breaks() -> None:
    raise ValueError("a defect")


async def begin_all_the_time(crew: Crew) -> int:
    """Begin work in every turn in which the crew says that it runs; return how often."""
    begun = 0
    for _ in range(TURNS):
        if crew.runs:
            crew.begin(nothing, name="more")
            begun += 1
        await asyncio.sleep(0)
    return begun


def run_without_loose_ends(story: Coroutine[Any, Any, None]) -> None:
    """Run a story in which no coroutine may be made and never awaited."""
    gc.collect()  # What others left behind is not told here.
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(asyncio.wait_for(story, 120))
        gc.collect()
    assert not [str(each.message) for each in said]


def test_nothing_begins_between_a_failure_and_the_end_that_it_brings():
    async def story() -> None:
        crew = Crew()
        owner = asyncio.create_task(crew.run(nothing))
        await asyncio.sleep(0)
        crew.begin(breaks, name="broken")
        assert 0 < await begin_all_the_time(crew) < TURNS
        with pytest.raises(ExceptionGroup):
            await owner

    run_without_loose_ends(story())


def test_nothing_begins_once_the_owner_was_told_to_end():
    async def story() -> None:
        crew = Crew()
        owner = asyncio.create_task(crew.run(nothing))
        await asyncio.sleep(0)
        owner.cancel()
        assert 0 < await begin_all_the_time(crew) < TURNS
        with pytest.raises(asyncio.CancelledError):
            await owner

    run_without_loose_ends(story())


def test_nothing_begins_before_somebody_owns_it():
    assert not Crew().runs
    with pytest.raises(AssertionError, match="nobody owns"):
        Crew().begin(nothing, name="early")

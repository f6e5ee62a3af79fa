"""`docs/architecture.md` walks a task and an event through the code: this walks along with it."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from opkit.live.network import NetworkPage
from opkit.live.session import Session

ROOT = Path(__file__).resolve().parents[3]

Place = tuple[str, str]
"""A module's path and a function's name in it."""

STEPS = ("opkit/a.py", "first"), ("opkit/a.py", "second"), ("nodeimpl/b.py", "third")


class Footprints:
    """Which functions were called, in order, in every thread begun since, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.places: list[Place] = []

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if self.on and event == "call" and frame.f_code.co_filename.startswith(f"{ROOT}/"):
            path = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
            # What is defined within a function counts as the function.
            self.places.append((path, frame.f_code.co_qualname.split(".<locals>", 1)[0]))


@pytest.fixture
def footprints() -> Iterator[Footprints]:
    """Note calls; begun before any thread that matters, and off until a test says so."""
    found = Footprints()
    threading.setprofile(found.note)
    sys.setprofile(found.note)
    try:
        yield found
    finally:
        found.on = False
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type] # typeshed does not know that it may


def walk(heading: str) -> list[Place]:
    """Return the functions that a section's table names, in order."""
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    section = text.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = "\n".join(re.findall(r"^\|.*\| (.*) \|$", section, re.MULTILINE))
    found, path = [], ""
    for said in re.findall(r"`([^`]+)`", rows):
        if said.endswith(".py"):
            path = said
        else:
            found.append((path, said))
    return found


def first_missed(steps: Sequence[Place], places: Sequence[Place]) -> Place | None:
    """Return the first step that was not called after the one before it; None if all were."""
    walked = iter(places)
    return next((step for step in steps if step not in walked), None)


@pytest.mark.parametrize(
    ("called", "missed"),
    [
        (STEPS, None),
        ((STEPS[2], *STEPS[:2], STEPS[0], STEPS[2]), None),
        (STEPS[:2], STEPS[2]),
        ((STEPS[1], STEPS[0], STEPS[2]), STEPS[1]),
        ((), STEPS[0]),
    ],
)
def test_a_step_left_out_or_taken_too_early_is_missed(
    called: Sequence[Place], missed: Place | None
) -> None:
    assert first_missed(STEPS, called) == missed


@contextmanager
def walking(footprints: Footprints) -> Iterator[None]:
    """Look where calls lead meanwhile."""
    footprints.on = True
    try:
        yield
    finally:
        footprints.on = False


@pytest.mark.slow
def test_a_task_goes_the_way_that_the_architecture_says(
    footprints: Footprints, tell: Callable[[Any], None]
) -> None:
    steps = walk("One task, from call to receipt")

    async def story(held: Any) -> None:
        wasm_hash = await held.deploy()
        with walking(footprints):
            await held.run_task(wasm_hash)

    tell(story)
    assert len(steps) > 40
    assert first_missed(steps, footprints.places) is None


@pytest.mark.slow
def test_an_event_goes_the_way_that_the_architecture_says(
    footprints: Footprints, tell: Callable[[Any], None]
) -> None:
    steps = walk("One event, from journal to screen")
    sent: list[str] = []

    async def story(held: Any) -> None:
        session = Session(
            NetworkPage(held.live), live=held.live, send=lambda message: sent.append(str(message))
        )
        showing = asyncio.get_running_loop().create_task(session.run())
        try:
            session.take({"do": "hello"})
            await held.eventually(lambda: sent)
            before = len(sent)
            with walking(footprints):
                # Who waits for a page was called before it is read. So that each step follows on
                # the one before, there are two: the first is read, the second handed on.
                for name in ("walked-in", "walked-out"):
                    await held.deploy(name)
                    await held.eventually(lambda name=name: name in "".join(sent[before:]))
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)

    tell(story)
    assert len(steps) > 15
    assert first_missed(steps, footprints.places) is None

"""Bars: how far, how long, how it ended; one for each wait, however much is done within."""

from __future__ import annotations

import asyncio
import sys

import pytest

from opkit.lab.bars import TICK_MS, Bar, in_notebook, progress, together
from opkit.story.states import State


class Shown:
    """What was shown, in order."""

    def __init__(self) -> None:
        self.moments: list[tuple[bool, dict[str, str]]] = []

    def __call__(self, bundle: dict[str, str], *, first: bool) -> None:
        self.moments.append((first, bundle))

    @property
    def texts(self) -> list[str]:
        return [bundle["text/plain"] for _, bundle in self.moments]


def test_a_wait_is_shown_at_once_and_at_its_end():
    shown = Shown()

    async def wait() -> None:
        async with progress("Baking", show=shown) as bar:
            bar.say("the oven heats")

    asyncio.run(wait())
    assert [first for first, _ in shown.moments] == [True, False]
    assert shown.texts[0].startswith(f"{State.RUNNING.shape} Baking: ")
    assert shown.texts[-1].startswith(f"{State.DONE.shape} Baking: ")


def test_a_failed_wait_says_so_and_what_it_was_at():
    shown = Shown()

    async def wait() -> None:
        async with progress("Baking", show=shown) as bar:
            bar.say("the oven heats")
            raise ValueError("cold")

    with pytest.raises(ValueError, match="cold"):
        asyncio.run(wait())
    assert shown.texts[-1].startswith(f"{State.FAILED.shape} Baking: the oven heats")


def test_time_is_seen_to_pass_while_nothing_else_happens():
    shown = Shown()

    async def wait() -> None:
        async with progress("Baking", show=shown):
            while len(shown.moments) < 3:
                await asyncio.sleep(TICK_MS / 1000)

    asyncio.run(asyncio.wait_for(wait(), 120))


def test_what_can_be_counted_is():
    bar = Bar("Loaves", total=12, now_s=lambda: 0.0)
    bar.advance(5, note="rye")
    assert bar.bundle()["text/plain"].endswith("Loaves: 5 of 12, rye, 0.0 s")
    assert 'value="5" max="12"' in bar.bundle()["text/html"]


def test_what_is_shown_is_escaped():
    bar = Bar("<b>", total=None, now_s=lambda: 0.0)
    bar.say("<i>")
    drawn = bar.bundle()["text/html"]
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_many_things_are_done_a_few_at_once_and_given_back_in_order():
    shown = Shown()
    running, most = 0, 0

    async def one(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20 - number):
            await asyncio.sleep(0)
        running -= 1
        return number

    async def all_of_them() -> list[int]:
        return await together("Loaves", map(one, range(20)), at_once=4, show=shown)

    assert asyncio.run(all_of_them()) == list(range(20))
    assert most == 4
    assert "20 of 20" in shown.texts[-1]


def test_one_that_fails_ends_the_others():
    ended: list[int] = []

    async def one(number: int) -> None:
        try:
            if number == 1:
                raise ValueError("burnt")
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def all_of_them() -> None:
        await together("Loaves", map(one, range(5)), at_once=3, show=Shown())

    with pytest.raises(ValueError, match="burnt"):
        asyncio.run(asyncio.wait_for(all_of_them(), 30))
    assert set(ended) >= {0, 1, 2}


def test_what_is_done_within_a_bar_has_none_of_its_own(capsys):
    async def inner(number: int) -> None:
        async with progress(f"inner {number}"):
            pass

    async def outer() -> None:
        await together("outer", map(inner, range(3)))
        async with progress("after"):
            pass

    asyncio.run(outer())
    said = capsys.readouterr().err
    assert [line.split(":")[0][2:] for line in said.splitlines()] == ["outer", "after"]


def test_outside_a_notebook_only_the_end_is_a_line(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert in_notebook() is None

    async def wait() -> None:
        async with progress("Baking"):
            pass

    asyncio.run(wait())
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(State.DONE.shape)

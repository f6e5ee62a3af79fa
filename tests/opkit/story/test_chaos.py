"""Harm in stories: what is asked of the supervisor, and that a block heals where it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opkit.story.chaos import Chaos, Lasting


class Desk:
    """A world that only remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def disturb(self, do: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append((do, arguments))
        return {"what": do, "id": len(self.asked)}

    async def lasting(self) -> list[dict[str, Any]]:
        return [{"what": "loss", "id": 5, "left_ms": 1}]


@pytest.mark.parametrize(
    ("begin", "asked"),
    [
        (lambda it: it.loss(0.2), ("loss", {"orgs": [], "share_permille": 200})),
        (
            lambda it: it.loss(0.05, "a", "b", seed=3, for_ms=500),
            ("loss", {"orgs": ["A", "B"], "share_permille": 50, "seed": 3, "for_ms": 500}),
        ),
        (
            lambda it: it.delay(50, "a", jitter_ms=10),
            ("delay", {"orgs": ["A"], "delay_ms": 50, "jitter_ms": 10}),
        ),
        (lambda it: it.rate(256, "a"), ("rate", {"orgs": ["A"], "rate_kbit_s": 256})),
        (lambda it: it.cut("a", "b"), ("cut", {"orgs": ["A", "B"]})),
        (lambda it: it.partition(["a"], ["b"]), ("partition", {"groups": [["A"], ["B"]]})),
        (lambda it: it.pause("a", for_ms=500), ("pause", {"org": "A", "for_ms": 500})),
        (lambda it: it.kill("a"), ("kill", {"org": "A"})),
        (lambda it: it.skew("a", 60_000), ("skew", {"org": "A", "ahead_ms": 60_000})),
        (lambda it: it.skew("a", -5), ("skew", {"org": "A", "behind_ms": 5})),
        (lambda it: it.rewind("a", "empty"), ("restart", {"org": "A", "state": "empty"})),
    ],
)
def test_each_asks_for_one_thing_and_is_healed_by_its_number(begin: Any, asked: Any) -> None:
    async def story() -> None:
        desk = Desk()
        async with await begin(Chaos(desk, org=str.upper)) as lasting:
            assert desk.asked == [asked]
            assert lasting.number == 1
            assert "number 1" in repr(lasting)
        assert desk.asked[1:] == [("heal", {"id": 1})]

    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_block_that_fails_is_healed_too() -> None:
    async def story() -> list[tuple[str, dict[str, Any]]]:
        desk = Desk()
        with pytest.raises(ZeroDivisionError):
            async with await Chaos(desk).loss(0.1):
                raise ZeroDivisionError
        return desk.asked

    assert [do for do, _ in asyncio.run(asyncio.wait_for(story(), 120))] == ["loss", "heal"]


def test_what_lasts_can_be_healed_by_whoever_finds_it() -> None:
    async def story() -> list[tuple[str, dict[str, Any]]]:
        desk = Desk()
        chaos = Chaos(desk)
        (found,) = await chaos.lasting()
        assert isinstance(found, Lasting)
        await found.heal()
        await chaos.save("a", "monday")
        await chaos.heal()
        return desk.asked

    assert asyncio.run(asyncio.wait_for(story(), 120)) == [
        ("heal", {"id": 5}),
        ("save", {"org": "a", "state": "monday"}),
        ("heal", {}),
    ]

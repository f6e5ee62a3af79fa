"""What was done to a network is written down before it is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from devnet.disturbances import ANSWERED_MAX, KEPT_MAX, Disturbances


def test_each_is_a_line_and_comes_back_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    first = Disturbances(path)
    note = first.note("kill", org="a")
    first.note("cut", a="a", b="b")
    assert note["what"] == "kill"
    assert [json.loads(line)["what"] for line in path.read_text("utf-8").splitlines()] == [
        "kill",
        "cut",
    ]
    assert Disturbances(path).all() == first.all()


def test_a_status_shows_a_bounded_number(tmp_path: Path) -> None:
    kept = Disturbances(tmp_path / "d.jsonl")
    for number in range(KEPT_MAX + 3):
        kept.note("cut", number=number)
    assert len(kept.all()) == KEPT_MAX
    assert kept.all()[-1]["number"] == KEPT_MAX + 2


def test_lines_are_numbered_from_one_and_numbers_stay_over_a_restart(tmp_path: Path) -> None:
    async def go() -> None:
        first = Disturbances(tmp_path / "d.jsonl")
        for org in ("a", "b", "c"):
            first.note("kill", org=org)
        again = Disturbances(tmp_path / "d.jsonl")
        for kept in (first, again):
            said = await kept.since(1, wait_ms=0)
            assert [(line["number"], line["org"]) for line in said["lines"]] == [(2, "b"), (3, "c")]
            assert said["next"] == 3

    asyncio.run(asyncio.wait_for(go(), 120))


def test_who_waits_is_answered_as_soon_as_something_is_done(tmp_path: Path) -> None:
    async def go() -> None:
        kept = Disturbances(tmp_path / "d.jsonl")
        waiting = asyncio.create_task(kept.since(0, wait_ms=20_000))
        await asyncio.sleep(0)
        assert not waiting.done()
        kept.note("cut", a="a", b="b")
        assert (await waiting)["next"] == 1

    asyncio.run(asyncio.wait_for(go(), 120))


def test_nothing_new_is_answered_when_the_time_is_over_or_the_network_ends(tmp_path: Path) -> None:
    async def go() -> None:
        kept = Disturbances(tmp_path / "d.jsonl")
        assert await kept.since(0, wait_ms=1) == {"lines": [], "next": 0}
        waiting = asyncio.create_task(kept.since(0, wait_ms=20_000))
        await asyncio.sleep(0)
        kept.close()
        assert await waiting == {"lines": [], "next": 0}
        assert await kept.since(0, wait_ms=20_000) == {"lines": [], "next": 0}

    asyncio.run(asyncio.wait_for(go(), 120))


def test_a_number_of_another_file_is_answered_with_where_this_one_ends(tmp_path: Path) -> None:
    kept = Disturbances(tmp_path / "d.jsonl")
    kept.note("kill", org="a")
    asked = kept.since(77, wait_ms=20_000)
    assert asyncio.run(asyncio.wait_for(asked, 120)) == {"lines": [], "next": 1}


def test_many_come_in_bounded_answers_without_gap_or_repeat(tmp_path: Path) -> None:
    async def go() -> list[int]:
        kept, numbers, after = Disturbances(tmp_path / "d.jsonl"), [], 0
        for _ in range(KEPT_MAX + 5):
            kept.note("cut")
        while lines := (await kept.since(after, wait_ms=0))["lines"]:
            assert len(lines) <= ANSWERED_MAX
            numbers += [line["number"] for line in lines]
            after = numbers[-1]
        return numbers

    assert asyncio.run(go()) == list(range(6, KEPT_MAX + 6))


def test_what_was_begun_and_never_ended_is_found_after_a_restart(tmp_path: Path) -> None:
    first = Disturbances(tmp_path / "d.jsonl")
    first.note("cut", a="a", b="b", id=1, ends_ms=5)
    first.note("loss", id=2, ends_ms=5)
    first.note("heal", a="a", b="b", ended=[1])
    again = Disturbances(tmp_path / "d.jsonl")
    for kept in (first, again):
        assert kept.last_id == 2
        assert [line["what"] for line in kept.left_open()] == ["loss"]
    again.note("restart", org="a", ended=[2])
    assert again.left_open() == []

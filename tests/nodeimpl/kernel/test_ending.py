"""The end of a node, told with work that ends when a test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.farewell import Farewell
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.vitals import Vitals

TEST_S_MAX = 120


class Tasks:
    """Pieces of work that end one by one."""

    def __init__(self, running: int) -> None:
        self.running = running
        self.calls: list[str] = []
        self._fewer = asyncio.Event()

    def rest(self) -> None:
        self.calls.append("rest")

    def end_one(self) -> None:
        self.running -= 1
        self._fewer.set()

    async def idle(self) -> None:
        while self.running:
            self._fewer.clear()
            await self._fewer.wait()

    def answer_all(self) -> None:
        self.calls.append("answer all")


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, TEST_S_MAX))


def test_what_is_waited_for_is_told_as_it_changes_and_then_all_are_answered() -> None:
    async def story() -> None:
        ending, work, told = Ending(), Tasks(2), []

        def hear(what: tuple[str, ...]) -> None:
            told.append(what)
            assert ending.begun and not ending.is_over
            work.end_one()

        whole = await ending.wind_down(work, most_ms=20_000, hurry=asyncio.Event(), told=hear)
        assert whole
        assert told[0] == ("2 running tasks",)
        assert work.calls == ["rest", "answer all"]
        assert ending.is_over and ending.waits_for == ()

    run(story())


@pytest.mark.parametrize("most_ms", [0, 30])
def test_a_deadline_ends_the_waiting(most_ms: int) -> None:
    async def story() -> None:
        ending, work = Ending(), Tasks(1)
        hurry = asyncio.Event()
        assert not await ending.wind_down(work, most_ms=most_ms, hurry=hurry, told=lambda _: None)
        assert work.calls == ["rest", "answer all"]

    run(story())


def test_a_hurry_ends_the_waiting() -> None:
    async def story() -> None:
        ending, hurry = Ending(), asyncio.Event()

        def hear(_: tuple[str, ...]) -> None:
            hurry.set()

        assert not await ending.wind_down(Tasks(1), most_ms=600_000, hurry=hurry, told=hear)

    run(story())


def test_who_must_say_goodbye_is_waited_for_and_who_hangs_is_not_for_long() -> None:
    async def story() -> None:
        ending, said = Ending(), asyncio.Event()

        async def stream() -> None:
            with ending.heard():
                await ending.over()
                await asyncio.sleep(0)
                said.set()

        async def hanging() -> None:
            with ending.heard():
                await asyncio.Event().wait()

        open_ = [asyncio.create_task(stream()), asyncio.create_task(hanging())]
        await asyncio.sleep(0)  # They listen now.
        hurry = asyncio.Event()
        assert (
            await ending.wind_down(Tasks(0), most_ms=0, hurry=hurry, told=lambda _: None)
            is not None
        )
        assert said.is_set()
        for each in open_:
            each.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    run(story())


def test_a_farewell_stands_in_a_file_while_it_lasts_and_a_full_disk_does_not_keep_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ending.json"
    said = Farewell(path, most_ms=5_000)
    said.begin()
    said.waits_for(("1 running task",))
    assert json.loads(path.read_text())["waits_for"] == ["1 running task"]
    said.waits_for(())
    said.end(whole=True)
    assert not path.exists()
    lost = Farewell(tmp_path / "gone" / "ending.json", most_ms=1)
    lost.begin()
    lost.end(whole=False)


def test_a_node_says_what_is_amiss_although_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=RealClock())
        blobs = BlobStore(tmp_path / "blobs", 1_000)
        ending = Ending()
        vitals = Vitals(folder=tmp_path, store=store, blobs=blobs, ending=ending)
        assert vitals.degraded() == ()
        await blobs.put(bytes(990))
        assert vitals.degraded() == ("the blobs' quota is reached: 0 of 0 MiB",)
        ending.begun, ending.waits_for = True, ("1 running task",)
        assert vitals.degraded()[0] == "stopping: waits for 1 running task"
        monkeypatch.setattr("nodeimpl.kernel.vitals.ROOM_BYTES_MIN", 2**62)
        assert vitals.degraded()[1].startswith("the disk is full")
        await store.close()

    run(story())

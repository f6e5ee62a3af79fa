"""Many streams at once: told together, each page made once, nothing lost by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.gateway.pulse import Pulse
from nodeimpl.gateway.tail import PAGES_MAX, Tail
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, StoreClosed
from opkit.wire.endpoint import Scope
from opkit.wire.network import ClockMoved

EVERY_MS = 40
ALL = frozenset(Scope)
FEW = frozenset({Scope.EVENTS_READ})


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


async def opened(folder: Path) -> Store:
    return await Store.open(url=f"sqlite:///{folder}/node.db", clock=VirtualClock())


def pulse_of(
    store: Store, *, every_ms: int, tail: Tail | None = None, entries_max: int = 50
) -> Pulse:
    tail = tail or Tail(store, entries_max=100)
    return Pulse(
        store, tail=tail, every_ms=every_ms, entries_max=entries_max, sent=lambda pages: None
    )


async def happen(store: Store, count: int = 1) -> None:
    await store.write(
        lambda tx: [tx.announce(ClockMoved(offset_ms=n)) for n in range(count)] and None
    )


async def beats(pulse: Pulse, store: Store, upto: int) -> list[tuple[int, float]]:
    """Return what a reader who reads all at each beat had read then, and when, up to `upto`."""
    seen: list[tuple[int, float]] = []
    while not seen or seen[-1][0] < upto:
        await pulse.after(seen[-1][0] if seen else 0)
        seen.append((store.tree().size, asyncio.get_running_loop().time()))
    return seen


def test_readers_are_told_of_all_there_is_and_not_more_often_than_set(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        pulse = pulse_of(store, every_ms=EVERY_MS)
        began = asyncio.get_running_loop().time()
        readers = [asyncio.ensure_future(beats(pulse, store, 60)) for _ in range(10)]
        for _ in range(60):
            await happen(store)
        seen = await asyncio.gather(*readers)
        for one in seen:
            places = [place for place, _ in one]
            assert places == sorted(set(places))
            assert places[-1] == 60
            assert len(one) <= (one[-1][1] - began) / (EVERY_MS / 1000) + 2
        await store.close()

    run(story())


def test_a_reader_who_was_slow_is_told_of_what_it_missed_without_another_event(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        pulse = pulse_of(store, every_ms=1)
        await happen(store)
        await pulse.after(0)
        await happen(store)
        await pulse.after(1)  # Somebody else is told of the second; nothing happens afterwards.
        await pulse.after(1)
        await store.close()

    run(story())


def test_who_leaves_takes_nobody_along_and_the_last_leaves_nothing_behind(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        pulse = pulse_of(store, every_ms=1)
        leaving, staying = (asyncio.ensure_future(pulse.after(0)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        await happen(store)
        await staying
        last = asyncio.ensure_future(pulse.after(1))
        await asyncio.sleep(0)
        last.cancel()
        next_one = asyncio.ensure_future(pulse.after(1))  # Comes before the old beat has ended.
        await happen(store)
        await next_one
        left = [task for task in asyncio.all_tasks() if task.get_name() == "pulse"]
        await asyncio.gather(*left, return_exceptions=True)
        assert all(task.done() for task in left)
        await store.close()

    run(story())


def test_closing_the_store_ends_the_waiting(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        pulse = pulse_of(store, every_ms=1)
        waiting = [asyncio.ensure_future(pulse.after(0)) for _ in range(3)]
        await asyncio.sleep(0)
        await store.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in ended] == [StoreClosed] * 3

    run(story())


def test_readers_at_one_place_with_equal_scopes_get_one_page_and_others_their_own(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        tail = Tail(store, entries_max=100)
        await happen(store)
        start = store.head()
        await happen(store, 3)
        first = await tail.page(start, scopes=ALL, entries_max=10)
        again = await tail.page(start, scopes=ALL, entries_max=10)
        few = await tail.page(start, scopes=FEW, entries_max=10)
        assert first is again
        assert first is not None and few is not None
        assert '"passed_through":0' in first.text
        assert '"passed_through":3' in few.text and '"entries":[]' in few.text
        await store.close()

    run(story())


@pytest.mark.parametrize("entries_max", [3, 500])
def test_pages_that_were_kept_never_hide_what_came_after_them(tmp_path, entries_max: int) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        tail = Tail(store, entries_max=20)
        await happen(store)
        places: list[Any] = [None, store.head()]
        seen = [0, 0]
        for _ in range(PAGES_MAX + 5):
            await happen(store, 2)
            for reader, place in enumerate(places):
                page = await tail.page(place, scopes=ALL, entries_max=entries_max)
                if page is not None:
                    places[reader] = page.cursor
                    seen[reader] += page.entries
        for reader in (0, 1):
            while page := await tail.page(places[reader], scopes=ALL, entries_max=entries_max):
                places[reader] = page.cursor
                seen[reader] += page.entries
        total = store.tree().size
        assert seen == [total, total - 1]
        assert [place.sequence for place in places] == [total, total]
        assert len(tail._pages) <= PAGES_MAX
        await store.close()

    run(story())


def entries_in(frames: list[bytes]) -> list[int]:
    """Return the sequence numbers in pages as they travel; what is not JSON is the frame's head."""
    pages = [json.loads(one[one.index(b"{") :]) for one in frames]
    return [entry["sequence"] for page in pages for entry in page["entries"]]


def test_riders_are_handed_every_page_once_and_in_order(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        # No page is ever full, however late a beat comes: that would end the ride.
        pulse, heard = pulse_of(store, every_ms=1, entries_max=99), list[list[bytes]]([[], [], []])
        await happen(store)
        start = store.head()
        await pulse.after(0)

        def taking(frames: list[bytes]) -> Any:
            return lambda frame: frames.append(frame) is None

        rides = [
            asyncio.ensure_future(pulse.ride(start, scopes=frozenset(ALL), take=taking(frames)))
            for frames in heard
        ]
        for _ in range(30):
            await happen(store, 2)
        while any(len(entries_in(frames)) < 60 for frames in heard):
            await asyncio.sleep(0.001)
        assert entries_in(heard[0]) == list(range(2, 62))
        assert heard[0] == heard[1] == heard[2]
        assert all(a is b for a, b in zip(heard[0], heard[1], strict=True)), "made once for all"
        assert not any(ride.done() for ride in rides)
        for ride in rides:
            ride.cancel()
        await asyncio.gather(*rides, return_exceptions=True)
        left = [task for task in asyncio.all_tasks() if task.get_name() == "pulse"]
        await asyncio.gather(*left, return_exceptions=True)
        assert all(task.done() for task in left) and not pulse._riders
        await store.close()

    run(story())


def test_who_does_not_take_a_page_looks_for_it_from_where_they_are(tmp_path) -> None:
    async def story() -> None:
        store = await opened(tmp_path)
        tail = Tail(store, entries_max=100)
        pulse, taken = pulse_of(store, every_ms=1, tail=tail), list[bytes]()
        await happen(store)
        start = store.head()
        await pulse.after(0)

        def take(frame: bytes) -> bool:
            """Take two pages, then be full."""
            if len(taken) == 2:
                return False
            taken.append(frame)
            return True

        riding = asyncio.ensure_future(pulse.ride(start, scopes=ALL, take=take))
        while not riding.done():
            await happen(store)
        place = await riding
        page = await tail.page(place, scopes=ALL, entries_max=50)
        assert page is not None
        seen = entries_in([*taken, page.frame])
        assert seen == list(range(2, 2 + len(seen)))
        assert await pulse.ride(start, scopes=ALL, take=take) is start, "something was told since"
        await store.close()

    run(story())


def test_who_is_behind_what_is_kept_in_memory_does_not_wait_for_another_event(tmp_path) -> None:
    """What is kept may end before the journal does: whoever gets no more than that looks again."""

    async def story() -> None:
        store = await opened(tmp_path)
        tail = Tail(store, entries_max=100)
        pulse, taken = pulse_of(store, every_ms=1, tail=tail), list[bytes]()
        await happen(store)
        start = store.head()
        await happen(store)
        await tail.page(start, scopes=ALL, entries_max=50)
        await happen(store)
        riding = pulse.ride(start, scopes=ALL, take=lambda frame: taken.append(frame) is None)
        place = await asyncio.wait_for(riding, 20)
        assert entries_in(taken) == [2] and place.sequence == 2
        assert await pulse.ride(place, scopes=ALL, take=lambda _: True) is place, "there is more"
        await store.close()

    run(story())


def test_who_is_far_behind_or_reads_from_nowhere_looks_for_themselves(tmp_path) -> None:
    """A full page may not be all there is, and a refusal is told to the one whom it concerns."""

    async def story() -> None:
        store = await opened(tmp_path)
        pulse = pulse_of(store, every_ms=1)
        await happen(store)
        start = store.head()
        nowhere = start.model_copy(update={"hash": "0" * len(start.hash)})
        await pulse.after(0)
        full, lost, last = (
            asyncio.ensure_future(pulse.ride(place, scopes=ALL, take=lambda frame: True))
            for place in (start, nowhere, start)
        )
        await asyncio.sleep(0)
        await happen(store, 50)
        assert await full is start and await last is start
        assert await lost is nowhere
        riding = asyncio.ensure_future(pulse.ride(store.head(), scopes=ALL, take=lambda _: True))
        await asyncio.sleep(0)
        await store.close()
        assert isinstance((await asyncio.gather(riding, return_exceptions=True))[0], StoreClosed)

    run(story())

"""What is due in world time is done in order, once, whatever happens meanwhile; on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.kernel.timers import DUE_PER_TRANSACTION_MAX, Timers
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import ClockFixed, ClockMoved

DAY_MS = 86_400_000
START_MS = 1_000_000


class Wheel:
    """Timers of a store, and what they did: each as kind, key and when it was due."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self.timers = Timers(store=store, clock=clock)
        self.done: list[tuple[str, str, int]] = []
        for kind in ("vote", "hold"):
            self.timers.on(kind, self._noting(kind))

    def _noting(self, kind: str) -> Callable[[Tx, str, int], None]:
        def note(tx: Tx, key: str, due_ms: int) -> None:
            tx.announce(ClockMoved(offset_ms=due_ms))
            tx.after_commit(lambda: self.done.append((kind, key, due_ms)))

        return note

    async def set(self, kind: str, key: str, due_ms: int) -> None:
        await self.store.write(lambda tx: self.timers.set(tx, kind=kind, key=key, due_ms=due_ms))

    async def until(self, count: int) -> None:
        """Return once so much was done."""
        while len(self.done) < count:
            await self.store.read(lambda tx: None)
            await asyncio.sleep(0.001)

    async def running(self, story: Callable[[], Awaitable[None]]) -> None:
        """Have the wheel turn during `story`; what breaks it breaks the test."""
        turning = asyncio.ensure_future(self.timers.run())
        told = asyncio.ensure_future(story())
        try:
            await asyncio.wait({turning, told}, return_when=asyncio.FIRST_COMPLETED)
            if turning.done():
                turning.result()
            await told
        finally:
            for each in (turning, told):
                each.cancel()
            await asyncio.gather(turning, told, return_exceptions=True)


def with_wheel(url: str, story: Callable[[Wheel], Awaitable[None]]) -> None:
    """Tell `story` with an open store and its timers."""

    async def main() -> None:
        clock = VirtualClock(START_MS)
        store = await Store.open(url=url, clock=clock)
        try:
            async with asyncio.timeout(60):
                await story(Wheel(store, clock))
        finally:
            await store.close()

    asyncio.run(main())


def test_what_is_due_is_done_in_order_of_its_time_also_after_a_jump(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        async def jump() -> None:
            await wheel.set("hold", "late", START_MS + 9 * DAY_MS)
            await wheel.set("vote", "b", START_MS + DAY_MS)
            await wheel.set("hold", "a", START_MS + DAY_MS)
            await wheel.set("hold", "never", START_MS + 99 * DAY_MS)
            wheel.clock.move_world(30 * DAY_MS)
            await wheel.until(3)

        await wheel.running(jump)
        assert [(kind, key) for kind, key, _ in wheel.done] == [
            ("hold", "a"),
            ("vote", "b"),
            ("hold", "late"),
        ]
        assert wheel.timers.due_ms == START_MS + 99 * DAY_MS
        assert not wheel.clock.when_moved, "who stopped is not told any more"

    with_wheel(store_url, story)


def test_what_something_due_sets_for_a_moment_that_has_passed_comes_in_its_place(
    store_url: str,
) -> None:
    async def story(wheel: Wheel) -> None:
        def close(tx: Tx, key: str, due_ms: int) -> None:
            wheel.timers.set(tx, kind="vote", key=f"window of {key}", due_ms=due_ms + 2 * DAY_MS)
            tx.after_commit(lambda: wheel.done.append(("close", key, due_ms)))

        wheel.timers.on("close", close)

        async def jump() -> None:
            await wheel.set("close", "p", START_MS + DAY_MS)
            await wheel.set("hold", "between", START_MS + 2 * DAY_MS)
            await wheel.set("hold", "after", START_MS + 4 * DAY_MS)
            wheel.clock.move_world(30 * DAY_MS)
            await wheel.until(4)

        await wheel.running(jump)
        assert [key for _, key, _ in wheel.done] == ["p", "between", "window of p", "after"]
        assert [due for *_, due in wheel.done] == sorted(due for *_, due in wheel.done)

    with_wheel(store_url, story)


def test_time_that_passes_does_it_too_and_not_before_its_moment(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        async def wait() -> None:
            await wheel.set("hold", "soon", START_MS + 5_000)
            while not wheel.clock.sleepers():
                await asyncio.sleep(0.001)
            wheel.clock.advance(4_999)
            while not wheel.clock.sleepers():
                await asyncio.sleep(0.001)
            assert not wheel.done
            wheel.clock.advance(1)
            await wheel.until(1)

        await wheel.running(wait)

    with_wheel(store_url, story)


def test_a_moment_can_be_changed_and_taken_back(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        async def change() -> None:
            for key in ("moved", "gone", "stays"):
                await wheel.set("hold", key, START_MS + DAY_MS)
            await wheel.set("hold", "moved", START_MS + 3 * DAY_MS)
            await wheel.store.write(lambda tx: wheel.timers.cancel(tx, kind="hold", key="gone"))
            wheel.clock.move_world(2 * DAY_MS)
            await wheel.until(1)
            wheel.clock.move_world(4 * DAY_MS)
            await wheel.until(2)

        await wheel.running(change)
        assert [key for _, key, _ in wheel.done] == ["stays", "moved"]

    with_wheel(store_url, story)


def test_what_was_due_while_the_node_was_down_is_done_once_it_runs(store_url: str) -> None:
    async def before(wheel: Wheel) -> None:
        await wheel.set("hold", "kept", START_MS + 1)

    async def after(wheel: Wheel) -> None:
        wheel.clock.advance(1)
        await wheel.running(lambda: wheel.until(1))
        assert wheel.done == [("hold", "kept", START_MS + 1)]

    with_wheel(store_url, before)
    with_wheel(store_url, after)


def test_more_than_one_transaction_takes_is_done_in_several(store_url: str) -> None:
    count = 3 * DUE_PER_TRANSACTION_MAX + 1

    async def story(wheel: Wheel) -> None:
        def set_all(tx: Tx) -> None:
            for number in range(count):
                wheel.timers.set(
                    tx, kind="hold", key=f"{number:05}", due_ms=START_MS + count - number
                )

        await wheel.store.write(set_all)
        wheel.clock.advance(count)
        with pytest.raises(StoreBusy):
            await wheel.store.write(wheel.timers.catch_up)
        assert not wheel.done, "what was begun there was undone there"
        await wheel.running(lambda: wheel.until(count))
        assert [key for _, key, _ in wheel.done] == [f"{n:05}" for n in reversed(range(count))]

    with_wheel(store_url, story)


def test_who_judges_by_world_time_finds_everything_done_that_was_due(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        await wheel.set("hold", "first", START_MS + DAY_MS)
        wheel.clock.move_world(2 * DAY_MS)

        def refuse(tx: Tx) -> None:
            wheel.timers.catch_up(tx)
            raise ClockFixed

        with pytest.raises(ClockFixed):
            await wheel.store.write(refuse)
        assert not wheel.done, "who refused took it back with them"
        await wheel.store.write(wheel.timers.catch_up)
        assert wheel.done == [("hold", "first", START_MS + DAY_MS)]
        await wheel.store.write(wheel.timers.catch_up)
        assert len(wheel.done) == 1

    with_wheel(store_url, story)


def test_what_was_taken_back_with_its_transaction_is_still_due(store_url: str) -> None:
    """The bound that spares a look must not outlive a transaction that did not."""

    async def story(wheel: Wheel) -> None:
        await wheel.set("hold", "x", START_MS)
        await wheel.store.write(wheel.timers.catch_up)
        await wheel.set("hold", "y", START_MS)

        def cancel_and_refuse(tx: Tx) -> None:
            wheel.timers.cancel(tx, kind="hold", key="y")
            wheel.timers.catch_up(tx)
            assert wheel.timers.due_ms > START_MS
            raise ClockFixed

        with pytest.raises(ClockFixed):
            await wheel.store.write(cancel_and_refuse)
        await wheel.store.write(wheel.timers.catch_up)
        assert [key for _, key, _ in wheel.done] == ["x", "y"]

    with_wheel(store_url, story)


def test_while_something_due_is_done_nothing_that_is_due_later_is(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        def close(tx: Tx, key: str, due_ms: int) -> None:
            wheel.timers.catch_up(tx)
            tx.after_commit(lambda: wheel.done.append(("close", key, due_ms)))

        wheel.timers.on("close", close)
        await wheel.set("hold", "later", START_MS + 2)
        await wheel.set("close", "first", START_MS + 1)
        wheel.clock.advance(2)
        await wheel.store.write(wheel.timers.catch_up)
        assert [key for _, key, _ in wheel.done] == ["first", "later"]

    with_wheel(store_url, story)


def test_work_that_is_due_and_fails_ends_the_wheel_and_stays_due(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        def fail(tx: Tx, key: str, due_ms: int) -> None:
            raise ZeroDivisionError

        wheel.timers.on("broken", fail)
        await wheel.set("broken", "b", START_MS)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(wheel.timers.run(), 20)
        with pytest.raises(ZeroDivisionError):
            await wheel.store.write(wheel.timers.catch_up)

    with_wheel(store_url, story)


def test_a_kind_has_one_handle_and_nothing_is_set_that_nobody_would_do(store_url: str) -> None:
    async def story(wheel: Wheel) -> None:
        with pytest.raises(AssertionError):
            wheel.timers.on("hold", lambda tx, key, due_ms: None)
        with pytest.raises(AssertionError):
            await wheel.set("nobody", "k", START_MS)

    with_wheel(store_url, story)

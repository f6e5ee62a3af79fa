from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Session
from nodeimpl.kernel.sqlite import SqliteEngine
from nodeimpl.kernel.store import Store, StoreClosed, StoreLimits, StoreLocked, Tx, engine_for
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import ClockFixed, NodeStarted

STARTED = NodeStarted(version="1", generation=1)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def told(
    url: str,
    notes: Any,
    story: Callable[[Store], Awaitable[None]],
    limits: StoreLimits | None = None,
) -> None:
    """Tell `story` with an open store that has the table of notes."""

    async def main() -> None:
        store = await Store.open(url=url, clock=VirtualClock(1_000), limits=limits)
        try:
            await store.write(notes.create)
            await story(store)
        finally:
            await store.close()

    run(main())


def test_what_was_written_is_read_also_after_reopening(store_url, notes) -> None:
    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        await store.write(notes.create)
        assert await store.write(lambda tx: notes.add(tx, 7)) == 7
        assert await store.read(notes.ids) == [7]
        generation, head = store.generation, store.head()
        await store.close()
        again = await Store.open(url=store_url, clock=VirtualClock())
        try:
            assert await again.read(notes.ids) == [7]
            assert (again.generation, again.head()) == (generation, head)
        finally:
            await again.close()

    run(main())


def test_a_refusal_undoes_its_own_work_and_reaches_its_caller(store_url, notes) -> None:
    async def story(store: Store) -> None:
        def refuse(tx: Tx) -> None:
            notes.add(tx, 1)
            tx.announce(STARTED)
            raise ClockFixed

        kept, refused, also = await asyncio.gather(
            store.write(lambda tx: notes.add(tx, 2)),
            store.write(refuse),
            store.write(lambda tx: notes.add(tx, 3)),
            return_exceptions=True,
        )
        assert (kept, also) == (2, 3)
        assert isinstance(refused, ClockFixed)
        assert await store.read(notes.ids) == [2, 3]
        assert store.head().sequence == 0
        assert store.figures().refusals == 1

    told(store_url, notes, story)


def test_a_savepoint_that_was_rolled_back_consumes_no_sequence_number(store_url, notes) -> None:
    async def story(store: Store) -> None:
        def announce(tx: Tx, number: int) -> None:
            tx.announce(STARTED)
            notes.add(tx, number)
            if number % 3 == 0:
                raise ClockFixed

        await asyncio.gather(
            *(store.write(lambda tx, n=n: announce(tx, n)) for n in range(9)),
            return_exceptions=True,
        )
        entries = await store.read_journal(after=None, entries_max=100)
        assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5, 6]

    told(store_url, notes, story)


def test_a_defect_in_the_database_s_words_is_raised_as_it_is(store_url, notes) -> None:
    async def story(store: Store) -> None:
        with pytest.raises(Exception, match="nowhere"):
            await store.write(lambda tx: tx.all(notes.BROKEN))
        with pytest.raises(Exception, match="nowhere"):
            await store.read(lambda tx: tx.all(notes.BROKEN))
        assert await store.write(lambda tx: notes.add(tx, 1)) == 1

    told(store_url, notes, story)


def test_a_swallowed_database_error_still_undoes_the_work(store_url, notes) -> None:
    async def story(store: Store) -> None:
        def swallow(tx: Tx) -> str:
            notes.add(tx, 1)
            with pytest.raises(Exception, match="nowhere"):
                tx.all(notes.BROKEN)
            with pytest.raises(Exception, match="nowhere"):
                notes.add(tx, 2)
            return "all is well"

        with pytest.raises(Exception, match="nowhere"):
            await store.write(swallow)
        assert await store.read(notes.ids) == []

    told(store_url, notes, story)


def test_two_hundred_writers_share_few_commits(store_url, notes, group) -> None:
    async def story(store: Store) -> None:
        before = store.figures()
        done = await asyncio.gather(
            *(store.write(lambda tx, n=n: notes.add(tx, n)) for n in range(200))
        )
        after = store.figures()
        assert done == list(range(200))
        assert after.changes - before.changes == 200
        # All that wait join, however slow the machine is. Alone it would be 200.
        assert after.commits - before.commits <= 100

    told(store_url, notes, story, group.LIMITS)


def test_after_a_commit_callbacks_run_before_the_caller_goes_on(store_url, notes) -> None:
    async def story(store: Store) -> None:
        seen: list[tuple[str, int]] = []

        def work(tx: Tx) -> None:
            tx.announce(STARTED)
            loop_thread = threading.get_ident()
            assert loop_thread != main_thread
            tx.after_commit(lambda: seen.append(("called", store.head().sequence)))

        def refuse(tx: Tx) -> None:
            tx.after_commit(lambda: seen.append(("never", 0)))
            raise ClockFixed

        main_thread = threading.get_ident()
        await store.write(work)
        seen.append(("answered", store.head().sequence))
        with pytest.raises(ClockFixed):
            await store.write(refuse)
        assert seen == [("called", 1), ("answered", 1)]

    told(store_url, notes, story)


def test_a_callback_that_fails_silences_neither_callers_nor_others(store_url, notes) -> None:
    async def story(store: Store) -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        seen: list[int] = []

        def work(tx: Tx) -> int:
            tx.after_commit(lambda: seen.append(1 // 0))
            tx.after_commit(lambda: seen.append(2))
            return 5

        assert await store.write(work) == 5
        assert seen == [2]
        assert isinstance(complaints[0]["exception"], ZeroDivisionError)

    told(store_url, notes, story)


def test_the_instant_of_a_transaction_is_the_clock_s(store_url, notes) -> None:
    async def main() -> None:
        clock = VirtualClock(5_000)
        store = await Store.open(url=store_url, clock=clock)
        clock.move_world(700)
        assert await store.write(lambda tx: (tx.now_ms, tx.world_ms)) == (5_000, 5_700)
        assert await store.read(lambda tx: (tx.now_ms, tx.world_ms)) == (5_000, 5_700)
        await store.close()

    run(main())


def test_a_full_queue_refuses_at_once_and_remembers_nothing(store_url, notes) -> None:
    async def story(store: Store) -> None:
        gate = threading.Event()
        first = [asyncio.ensure_future(store.write(lambda _: gate.wait(20))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy, match="waiting"):
            await store.write(lambda tx: notes.add(tx, 1))
        gate.set()
        await asyncio.gather(*first)
        assert await store.read(notes.ids) == []
        assert await store.write(lambda tx: notes.add(tx, 1)) == 1
        assert store.figures().busy == 1

    told(store_url, notes, story, StoreLimits(waiting_max=3))


def test_a_read_changes_nothing(store_url, notes) -> None:
    async def story(store: Store) -> None:
        with pytest.raises(AssertionError, match="only reads"):
            await store.read(lambda tx: notes.add(tx, 1))
        with pytest.raises(AssertionError):
            await store.read(lambda tx: tx.announce(STARTED))
        with pytest.raises(AssertionError):
            await store.read(lambda tx: tx.after_commit(lambda: None))
        with pytest.raises(Exception, match=r"(?i)read-?only"):
            await store.read(lambda tx: tx.all(notes.ADD, id=1, text="x"))

    told(store_url, notes, story)


def test_a_read_sees_one_snapshot_while_the_writer_goes_on(store_url, notes) -> None:
    async def story(store: Store) -> None:
        gate, going = threading.Event(), threading.Event()

        def slow(tx: Tx) -> None:
            notes.add(tx, 1)
            going.set()
            gate.wait(20)

        writing = asyncio.ensure_future(store.write(slow))
        await asyncio.to_thread(going.wait, 20)
        assert await store.read(notes.ids) == []
        gate.set()
        await writing
        assert await store.read(notes.ids) == [1]

    told(store_url, notes, story)


def test_a_transaction_is_over_when_its_function_returned(store_url, notes) -> None:
    async def story(store: Store) -> None:
        kept: list[Tx] = []
        await store.write(kept.append)
        with pytest.raises(AssertionError, match="over"):
            kept[0].all(notes.IDS)

    told(store_url, notes, story)


def test_work_of_a_caller_who_went_away_before_it_began_is_not_done(store_url, notes) -> None:
    async def story(store: Store) -> None:
        gate = threading.Event()
        first = asyncio.ensure_future(store.write(lambda _: gate.wait(20)))
        gone = asyncio.ensure_future(store.write(lambda tx: notes.add(tx, 1)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first
        assert await store.read(notes.ids) == []

    told(store_url, notes, story)


def test_closing_finishes_what_was_queued(store_url, notes) -> None:
    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        await store.write(notes.create)
        writes = [
            asyncio.ensure_future(store.write(lambda tx, n=n: notes.add(tx, n))) for n in range(20)
        ]
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        assert await asyncio.gather(*writes) == list(range(20))
        for late in (store.write(notes.ids), store.read(notes.ids)):
            with pytest.raises(StoreClosed):
                await late

    run(main())


def test_a_closing_whose_caller_was_cancelled_lets_go_of_the_store_all_the_same(
    store_url, notes
) -> None:
    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        await store.write(notes.create)
        gate = threading.Event()
        held = asyncio.ensure_future(store.write(lambda tx: (gate.wait(20), notes.add(tx, 1))[1]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(StoreLocked):
            await Store.open(url=store_url, clock=VirtualClock())
        gate.set()
        await store.close()
        assert await held == 1, "what was queued is finished"
        again = await Store.open(url=store_url, clock=VirtualClock())
        assert await again.read(notes.ids) == [1]
        await again.close()

    run(main())


def test_an_address_that_names_no_engine_is_refused() -> None:
    for url in ("mysql://host/db", "sqlite://", "sqlite:///", "sqlite://host/path", "node.db"):
        with pytest.raises(ValueError, match="no store at"):
            engine_for(url)


def test_a_relative_path_stays_relative(tmp_path: Path, monkeypatch, notes) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(store: Store) -> None:
        assert (tmp_path / "a folder" / "node.db").exists()
        assert await store.read(notes.ids) == []

    told("sqlite:///a%20folder/node.db", notes, story)


def test_a_group_is_bounded(store_url, notes) -> None:
    async def story(store: Store) -> None:
        before = store.figures().commits
        await asyncio.gather(*(store.write(lambda tx, n=n: notes.add(tx, n)) for n in range(12)))
        assert store.figures().commits - before >= 4

    told(store_url, notes, story, StoreLimits(group_max=3))


def test_an_opening_that_fails_lets_go_of_the_store(tmp_path, notes) -> None:
    class Unreadable(SqliteEngine):
        def reader(self) -> Session:
            raise OSError("no more files")

    async def main() -> None:
        path = tmp_path / "node.db"
        with pytest.raises(OSError, match="no more files"):
            await Store.open(url="", clock=VirtualClock(), engine=Unreadable(path))
        store = await Store.open(url=f"sqlite:///{path}", clock=VirtualClock())
        await store.close()

    run(main())

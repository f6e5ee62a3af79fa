"""What a transaction sends later is done with its work or undone with it, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, Tx
from opkit.wire.network import NodeStarted


def told(url: str, notes: Any, limits: Any, story: Callable[[Store], Awaitable[None]]) -> None:
    """Tell `story` with an open store that has the table of notes."""

    async def main() -> None:
        store = await Store.open(url=url, clock=VirtualClock(1_000), limits=limits)
        try:
            await store.write(notes.create)
            await story(store)
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def add_later(tx: Tx, notes: Any, number: int) -> None:
    tx.later(notes.ADD, id=number, text=f"note {number}")


def test_what_went_later_is_seen_by_the_statement_that_is_waited_for(
    store_url: str, notes: Any
) -> None:
    async def story(store: Store) -> None:
        def work(tx: Tx) -> list[int]:
            add_later(tx, notes, 2)
            add_later(tx, notes, 1)
            found: list[int] = notes.ids(tx)
            add_later(tx, notes, 3)
            return found

        assert await store.write(work) == [1, 2]
        assert await store.read(notes.ids) == [1, 2, 3]

    told(store_url, notes, None, story)


def test_an_error_in_what_went_later_undoes_its_own_work_and_no_other_of_the_group(
    store_url: str, notes: Any, group: Any
) -> None:
    """Wherever it comes out: in a statement behind it, or when the work is over."""

    async def story(store: Store) -> None:
        def work(tx: Tx, number: int) -> int:
            tx.announce(NodeStarted(version="1", generation=1))
            tx.after_commit(lambda: called.append(number))
            add_later(tx, notes, number)
            if number % group.CALLERS == 1:
                add_later(tx, notes, 100)
                if number < 20:
                    notes.ids(tx)
            return number

        called: list[int] = []
        add_first = await store.write(lambda tx: notes.add(tx, 100))
        for first in (9, 18, 27):
            ended = await group.write(store, work, first=first)
            assert [one for one in ended if isinstance(one, int)] == [first, first + 2]
            assert not isinstance(ended[1], int)
        kept = [9, 11, 18, 20, 27, 29]
        assert await store.read(notes.ids) == [*kept, add_first]
        assert called == kept
        assert store.head().sequence == len(kept)
        assert not store.has_failed

    told(store_url, notes, group.LIMITS, story)


def test_what_a_refusal_leaves_unsent_is_never_done(store_url: str, notes: Any, group: Any) -> None:
    async def story(store: Store) -> None:
        def work(tx: Tx, number: int) -> int:
            add_later(tx, notes, number)
            if number == 1:
                raise KeyError(number)
            return number

        first, refused, last = await group.write(store, work, first=0)
        assert (first, last) == (0, 2)
        assert isinstance(refused, KeyError)
        assert await store.read(notes.ids) == [0, 2]

    told(store_url, notes, group.LIMITS, story)


def test_an_outcome_is_told_by_the_end_of_the_work_unless_there_is_none(
    store_url: str, notes: Any
) -> None:
    async def story(store: Store) -> None:
        found: list[Any] = []

        def work(tx: Tx, numbers: list[int]) -> None:
            for number in numbers:
                tx.later(notes.ADD_SAYING, id=number, text="t", told=found.append)

        await store.write(lambda tx: work(tx, [1, 2]))
        assert found == [(1,), (2,)]
        found.clear()
        await store.write(lambda tx: tx.later(notes.ADD, id=3, text="t", told=found.append))
        assert found == [None]
        assert isinstance(
            (await asyncio.gather(store.write(lambda tx: work(tx, [3])), return_exceptions=True))[
                0
            ],
            Exception,
        )
        assert found == [None]

    told(store_url, notes, None, story)

"""Rows that wait for the end of their group: seen by who looks, undone with who added them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Statement, Store, Tx
from opkit.wire.gateway import StoreBusy

INSERT = "INSERT INTO note VALUES ({id}, {text})"
ADD = Statement(
    sqlite=INSERT.format(id=":id", text=":text"),
    postgresql=INSERT.format(id="%(id)s", text="%(text)s"),
    names=frozenset({"id", "text"}),
    fixed={},
    tables=frozenset({"note"}),
)
CHANGE = "UPDATE note SET text = {text} WHERE id = {id}"
PUT = Statement(
    sqlite=CHANGE.format(id=":id", text=":text"),
    postgresql=CHANGE.format(id="%(id)s", text="%(text)s"),
    names=frozenset({"id", "text"}),
    fixed={},
    tables=frozenset({"note"}),
)
LOOK = "SELECT id FROM note ORDER BY id"
IDS = Statement(
    sqlite=LOOK, postgresql=LOOK, names=frozenset(), fixed={}, tables=frozenset({"note"})
)
SAID = "SELECT text FROM note ORDER BY id"
TEXTS = Statement(
    sqlite=SAID, postgresql=SAID, names=frozenset(), fixed={}, tables=frozenset({"note"})
)


class Refused(Exception):
    """A function's own no."""


def add(tx: Tx, *numbers: int) -> None:
    tx.many(ADD, [(number, "") for number in numbers])


def ids(tx: Tx) -> list[int]:
    return [row[0] for row in tx.all(IDS)]


def texts(tx: Tx) -> list[str]:
    return [row[0] for row in tx.all(TEXTS)]


def ids_behind(tx: Tx) -> list[int]:
    return [row[0] for row in tx.all_behind(IDS)]


def told(
    url: str, notes: Any, story: Callable[[Store], Coroutine[Any, Any, None]], group: Any
) -> None:
    async def main() -> None:
        async with asyncio.timeout(120):
            store = await Store.open(url=url, clock=VirtualClock(), limits=group.LIMITS)
            try:
                await store.write(notes.create)
                await story(store)
            finally:
                await store.close()

    asyncio.run(main())


def test_a_statement_sees_the_rows_that_wait_for_its_table(store_url, notes, group) -> None:
    seen: dict[int, list[int]] = {}

    async def story(store: Store) -> None:
        def work(tx: Tx, number: int) -> None:
            add(tx, number)
            assert number not in ids_behind(tx)
            seen[number] = ids(tx)

        await group.write(store, work, first=1)
        assert seen == {1: [1], 2: [1, 2], 3: [1, 2, 3]}
        assert await store.read(ids) == [1, 2, 3]

    told(store_url, notes, story, group)


@pytest.mark.parametrize("looks", ["nobody", "who refuses", "everybody"])
@pytest.mark.parametrize("writes", [False, True])
def test_who_refuses_takes_back_their_own_rows_and_nobody_elses(
    store_url, notes, group, looks: str, writes: bool
) -> None:
    """Also if the others' rows were written within the savepoint that is undone."""

    async def story(store: Store) -> None:
        def work(tx: Tx, number: int) -> int:
            add(tx, number)
            if writes:
                notes.add(tx, number + 100)
            if looks == "everybody" or (looks == "who refuses" and number == 2):
                assert set(ids(tx)) >= {1, number}
            add(tx, number + 10)
            if number == 2:
                raise Refused
            return number

        ended = await group.write(store, work, first=1)
        assert [type(each) for each in ended] == [int, Refused, int]
        more = {101, 103} if writes else set()
        assert set(await store.read(ids)) == {1, 11, 3, 13} | more

    told(store_url, notes, story, group)


def test_a_function_is_undone_in_memory_alone_and_last_change_first(
    store_url, notes, group
) -> None:
    undone: list[str] = []

    async def story(store: Store) -> None:
        def work(tx: Tx, number: int) -> int:
            tx.if_undone(lambda: undone.append(f"{number} first"))
            tx.if_undone(lambda: undone.append(f"{number} last"))
            if number == 2:
                raise Refused
            return number

        await group.write(store, work, first=1)
        assert undone == ["2 last", "2 first"]

    told(store_url, notes, story, group)


def test_rows_that_the_database_refuses_lose_the_group_and_all_is_undone(
    store_url, notes, group
) -> None:
    undone: list[int] = []

    async def story(store: Store) -> None:
        await store.write(lambda tx: add(tx, 7))

        def work(tx: Tx, number: int) -> int:
            tx.if_undone(lambda: undone.append(number))
            add(tx, 7 if number == 2 else number)
            return number

        ended = await group.write(store, work, first=1)
        assert [type(each) for each in ended] == [StoreBusy] * 3
        assert undone == [3, 2, 1]
        assert await store.read(ids) == [7]
        assert not store.has_failed
        assert await store.write(lambda tx: add(tx, 1)) is None
        assert await store.read(ids) == [1, 7]

    told(store_url, notes, story, group)


def test_a_row_to_be_changed_that_is_not_there_loses_the_group(store_url, notes, group) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda tx: add(tx, 1, 2))

        def change(tx: Tx, number: int) -> None:
            tx.many(PUT, [("new", number)])

        ended = await group.write(store, change, first=1)
        assert [type(each) for each in ended] == [StoreBusy] * 3
        assert await store.read(texts) == ["", ""]
        await store.write(lambda tx: change(tx, 1))
        await store.write(lambda tx: change(tx, 2))
        assert await store.read(texts) == ["new", "new"]
        assert not store.has_failed

    told(store_url, notes, story, group)


def test_others_rows_that_cannot_be_written_are_not_one_functions_fault(
    store_url, notes, group
) -> None:
    """The second looks at the table; the first one's row is what the database refuses."""

    async def story(store: Store) -> None:
        await store.write(lambda tx: add(tx, 7))

        def work(tx: Tx, number: int) -> list[int]:
            add(tx, 7 if number == 1 else number)
            return ids(tx) if number == 2 else []

        ended = await group.write(store, work, first=1)
        assert {type(each) for each in ended[:2]} == {StoreBusy}
        assert 1 not in await store.read(ids)

    told(store_url, notes, story, group)


def test_what_is_asked_for_before_the_commit_is_done_once_and_can_write(
    store_url, notes, group
) -> None:
    calls: list[list[int]] = []

    async def story(store: Store) -> None:
        def close(tx: Tx) -> None:
            calls.append(ids(tx))
            add(tx, 50)

        def work(tx: Tx, number: int) -> None:
            tx.before_commit(close)
            add(tx, number)

        await group.write(store, work, first=1)
        assert calls == [[1, 2, 3]]
        assert await store.read(ids) == [1, 2, 3, 50]

    told(store_url, notes, story, group)


def test_a_defect_before_the_commit_commits_nothing_and_stops_the_store(
    store_url, notes, group
) -> None:
    undone: list[int] = []

    async def story(store: Store) -> None:
        def close(tx: Tx) -> None:
            raise ArithmeticError("it does not add up")

        def work(tx: Tx, number: int) -> None:
            tx.before_commit(close)
            tx.if_undone(lambda: undone.append(number))
            add(tx, number)

        ended = await group.write(store, work, first=1)
        assert {type(each) for each in ended} == {StoreBusy}
        assert "does not add up" in str(await store.failed())
        assert undone == [3, 2, 1]
        assert await store.read(ids) == []

    told(store_url, notes, story, group)


def test_memory_that_cannot_be_put_back_stops_the_store(store_url, notes, group) -> None:
    async def story(store: Store) -> None:
        def fail() -> None:
            raise ArithmeticError("lost")

        def work(tx: Tx) -> None:
            tx.if_undone(fail)
            raise Refused

        with pytest.raises(StoreBusy):
            await store.write(work)
        assert "not undone in memory" in str(await store.failed())

    told(store_url, notes, story, group)

"""Reads in threads: shared snapshots, and what one read does to those beside it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.reads import GROUP_MAX, ThreadedReads
from nodeimpl.kernel.sqlite import SqliteEngine
from nodeimpl.kernel.statements import Statement
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import StoreBusy

WAIT_S_MAX = 100


def _said(text: str) -> Statement:
    return Statement(sqlite=text, postgresql=text, names=frozenset(), fixed={}, tables=frozenset())


COUNT = _said("SELECT count(*) FROM things")
THIS = Statement(
    sqlite="SELECT id FROM things WHERE id = :id",
    postgresql="SELECT id FROM things WHERE id = %(id)s",
    names=frozenset({"id"}),
    fixed={},
    tables=frozenset(),
)
IDS = _said("SELECT id FROM things ORDER BY id")
ABSENT = _said("SELECT 1 FROM nothing_of_this_name")


class Counting(SqliteEngine):
    """An engine that counts the snapshots that were taken, and can be broken."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.snapshots = 0
        self.fails_to_begin = 0

    def reader(self) -> Any:
        session = super().reader()
        begin = session.begin

        def counted() -> None:
            self.snapshots += 1
            if self.fails_to_begin:
                self.fails_to_begin -= 1
                locked = sqlite3.OperationalError("database is locked")
                locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise locked
            begin()

        session.begin = counted
        return session


@pytest.fixture
def engine(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "some.db")


@pytest.fixture
def writer(engine: Counting, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE things (id INTEGER)")
    yield connection
    connection.close()


def told(
    engine: Counting, story: Callable[[ThreadedReads], Awaitable[Any]], *, readers: int = 1
) -> Any:
    async def tell() -> Any:
        reads = ThreadedReads(engine, clock=RealClock(), readers=readers)
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                return await story(reads)
        finally:
            reads.close()

    return asyncio.run(tell())


def count(tx: Tx) -> int:
    row = tx.one(COUNT)
    assert row is not None
    return int(row[0])


async def behind_one_that_waits(
    reads: ThreadedReads, works: list[Callable[[Tx], Any]], meanwhile: Callable[[], None]
) -> list[Any]:
    """Ask for `works` while the only reader is held up, so that it finds them all together."""
    inside, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        inside.set()
        assert go_on.wait(WAIT_S_MAX)

    holding = asyncio.ensure_future(reads.run(hold))
    assert await asyncio.to_thread(inside.wait, WAIT_S_MAX)
    asked = [asyncio.ensure_future(reads.run(work)) for work in works]
    await asyncio.sleep(0)  # Each has asked now; none can have been read.
    meanwhile()
    go_on.set()
    await holding
    return await asyncio.gather(*asked, return_exceptions=True)


def test_what_waits_is_read_from_one_snapshot_taken_after_all_of_it_was_asked_for(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    async def story(reads: ThreadedReads) -> list[int]:
        def write() -> None:
            writer.execute("INSERT INTO things VALUES (1)")

        return await behind_one_that_waits(reads, [count] * 8, write)

    assert told(engine, story) == [1] * 8
    assert engine.snapshots == 2


def test_a_group_is_bounded(engine: Counting, writer: sqlite3.Connection) -> None:
    async def story(reads: ThreadedReads) -> list[int]:
        return await behind_one_that_waits(reads, [count] * (GROUP_MAX + 1), lambda: None)

    assert told(engine, story) == [0] * (GROUP_MAX + 1)
    assert engine.snapshots == 3


def test_a_read_that_refuses_or_fails_spoils_none_beside_it(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    def refuse(tx: Tx) -> None:
        raise LookupError("no such thing")

    def fail(tx: Tx) -> None:
        tx.one(ABSENT)

    async def story(reads: ThreadedReads) -> list[Any]:
        return await behind_one_that_waits(reads, [count, refuse, count, fail, count], lambda: None)

    first, refused, second, failed, third = told(engine, story)
    assert (first, second, third) == (0, 0, 0)
    assert isinstance(refused, LookupError)
    assert isinstance(failed, sqlite3.OperationalError)


def test_a_session_that_was_lost_meanwhile_costs_no_read(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    async def story(reads: ThreadedReads) -> list[Any]:
        def lose() -> None:
            engine.fails_to_begin = 1

        return await behind_one_that_waits(reads, [count, count], lose)

    assert told(engine, story) == [0, 0]


def test_a_session_that_cannot_begin_costs_one_read_and_the_next_is_tried_again(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    async def story(reads: ThreadedReads) -> list[Any]:
        def fail_until_one_reads_alone() -> None:
            engine.fails_to_begin = 3

        return await behind_one_that_waits(reads, [count, count, count], fail_until_one_reads_alone)

    busy, second, third = told(engine, story)
    assert isinstance(busy, StoreBusy)
    assert (second, third) == (0, 0)


def test_functions_that_are_read_together_end_as_they_do_alone(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    """Whatever they ask for, in whatever number and order, and whatever they raise in between."""
    for number in range(3):
        writer.execute("INSERT INTO things VALUES (?)", (number,))

    def asking(times: int, *, refuses: bool = False) -> Callable[[Tx], list[Any]]:
        def work(tx: Tx) -> list[Any]:
            found = [tx.all(IDS) if turn % 2 else tx.one(COUNT) for turn in range(times)]
            if refuses:
                raise LookupError(str(found))
            return found

        return work

    async def story(reads: ThreadedReads) -> list[Any]:
        works = [asking(times) for times in range(6)]
        works += [asking(times, refuses=True) for times in range(6)]
        return await behind_one_that_waits(reads, works, lambda: None)

    ended = told(engine, story)
    expected = [[(3,), [(0,), (1,), (2,)]] * 3] * 6
    expected = [each[:times] for times, each in enumerate(expected)]
    assert ended[:6] == expected
    assert [str(one) for one in ended[6:]] == [str(each) for each in expected]
    assert all(isinstance(one, LookupError) for one in ended[6:])
    assert engine.snapshots == 2, "one for who held the reader up, one for all who waited"


@pytest.mark.parametrize("fails_at", range(5))
def test_a_statement_that_fails_is_told_to_who_asked_for_it_alone(
    engine: Counting, writer: sqlite3.Connection, fails_at: int
) -> None:
    def fail(tx: Tx) -> None:
        for _ in range(fails_at):
            tx.one(COUNT)
        tx.one(ABSENT)

    def thrice(tx: Tx) -> list[int]:
        return [count(tx) for _ in range(3)]

    async def story(reads: ThreadedReads) -> list[Any]:
        return await behind_one_that_waits(reads, [thrice, fail, thrice], lambda: None)

    first, failed, last = told(engine, story)
    assert (first, last) == ([0] * 3, [0] * 3)
    assert isinstance(failed, sqlite3.OperationalError)


def test_a_function_that_asks_for_something_else_when_begun_anew_is_told_that(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    writer.execute("INSERT INTO things VALUES (7), (8)")
    turns: list[int] = []
    numbers: list[int] = []

    def fickle(tx: Tx) -> list[Any]:
        turns.append(1)
        found = [tx.one(COUNT), tx.all(IDS)]
        return found if len(turns) % 2 else [*found[::-1], tx.all(IDS), tx.one(COUNT)]

    def fickle_in_what_it_names(tx: Tx) -> tuple[int, Any]:
        numbers.append(8 if numbers else 7)
        return numbers[-1], tx.all(THIS, id=numbers[-1])

    async def story(reads: ThreadedReads) -> list[Any]:
        works = [count, fickle, fickle_in_what_it_names, count]
        return await behind_one_that_waits(reads, works, lambda: None)

    first, second, third, last = told(engine, story)
    assert (first, last) == (2, 2)
    assert second in ([(2,), [(7,), (8,)]], [[(7,), (8,)], (2,), [(7,), (8,)], (2,)])
    assert third == (8, [(8,)])


def test_a_slow_read_holds_up_no_other_thread_for_longer_than_a_turn(
    engine: Counting, writer: sqlite3.Connection
) -> None:
    async def story(reads: ThreadedReads) -> list[Any]:
        inside, go_on = threading.Event(), threading.Event()

        def hold(tx: Tx) -> None:
            inside.set()
            assert go_on.wait(WAIT_S_MAX)

        holding = asyncio.ensure_future(reads.run(hold))
        assert await asyncio.to_thread(inside.wait, WAIT_S_MAX)
        found = [await reads.run(count) for _ in range(3)]
        go_on.set()
        await holding
        return found

    assert told(engine, story, readers=2) == [0, 0, 0]


def test_closing_finishes_what_was_asked_for(engine: Counting, writer: sqlite3.Connection) -> None:
    async def story() -> list[int]:
        reads = ThreadedReads(engine, clock=RealClock(), readers=3)
        asked = [asyncio.ensure_future(reads.run(count)) for _ in range(20)]
        await asyncio.sleep(0)
        reads.close()
        async with asyncio.timeout(WAIT_S_MAX):
            return await asyncio.gather(*asked)

    assert asyncio.run(story()) == [0] * 20

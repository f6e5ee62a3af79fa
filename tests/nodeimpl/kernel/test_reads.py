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

WAIT_S_MAX = 30


def _said(text: str) -> Statement:
    return Statement(sqlite=text, postgresql=text, names=frozenset(), fixed={})


COUNT = _said("SELECT count(*) FROM things")
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
        def fail_twice() -> None:
            engine.fails_to_begin = 2

        return await behind_one_that_waits(reads, [count, count, count], fail_twice)

    busy, second, third = told(engine, story)
    assert isinstance(busy, StoreBusy)
    assert (second, third) == (0, 0)


def test_closing_finishes_what_was_asked_for(engine: Counting, writer: sqlite3.Connection) -> None:
    async def story() -> list[int]:
        reads = ThreadedReads(engine, clock=RealClock(), readers=3)
        asked = [asyncio.ensure_future(reads.run(count)) for _ in range(20)]
        await asyncio.sleep(0)
        reads.close()
        async with asyncio.timeout(WAIT_S_MAX):
            return await asyncio.gather(*asked)

    assert asyncio.run(story()) == [0] * 20

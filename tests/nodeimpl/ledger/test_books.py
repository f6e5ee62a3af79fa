"""What the writer has of a ledger in memory is what the database has, whatever fails on the way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Cursor, Row, Session
from nodeimpl.kernel.sqlite import SqliteEngine, SqliteSession
from nodeimpl.kernel.store import Store, StoreLimits, Tx
from nodeimpl.ledger import store as tables
from nodeimpl.ledger.checking import LedgerDamaged, check
from nodeimpl.ledger.rules import Limits
from nodeimpl.ledger.service import Ledger
from opkit.wire import ledger as wire
from opkit.wire.gateway import StoreBusy
from tests.nodeimpl.ledger.desk import (
    COOP,
    GENESIS,
    NETWORK,
    OPENING,
    START_MS,
    Desk,
    at_desk,
    caller,
    key_of,
)

GROUP = StoreLimits(group_ms_max=20_000)


class Striking(SqliteSession):
    """A session that fails just before its n-th step, its transaction undone."""

    armed: int | None = None
    steps = 0

    def _step(self) -> None:
        if self.armed is None:
            return
        self.steps += 1
        if self.steps == self.armed:
            self.armed = None
            SqliteSession.rollback(self)
            full = sqlite3.OperationalError("injected")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        self._step()
        return super().execute(text, parameters)

    def many(self, text: str, rows: Sequence[Row], *, own_work: bool) -> None:
        self._step()
        super().many(text, rows, own_work=own_work)

    def release(self) -> None:
        self._step()
        super().release()

    def commit(self) -> None:
        self._step()
        super().commit()


class StrikingEngine(SqliteEngine):
    """The engine of such a session."""

    session: Striking

    def writer(self) -> Session:
        plain = super().writer()
        assert isinstance(plain, SqliteSession)
        self.session = Striking(plain._connection, begin="BEGIN IMMEDIATE")
        return self.session


def transfer(desk: Desk, number: int, *, unit: str = "usd-cents", fails: bool = False) -> Any:
    ask = wire.PostEntry(
        coop=COOP,
        entry_id=f"t{number}",
        postings=(
            wire.Posting(account=f"{COOP}:member/ada", unit=unit, amount=-1),
            wire.Posting(account=f"{COOP}:vendor/v{number}", unit=unit, amount=1),
        ),
        cause=wire.Cause(kind="agreement", id="tools"),
    )

    def work(tx: Tx) -> wire.Entry:
        entry = desk.ledger.post(tx, ask, caller("ada"))
        if fails:
            raise ArithmeticError("after it was posted")
        return entry

    return desk.store.write(work)


async def agrees(desk: Desk) -> None:
    """Return if what a fresh process reads is what this one has in memory, and it all adds up."""
    await check(desk.store, COOP, network=NETWORK)
    fresh = Ledger(own=key_of("home").did, genesis=GENESIS)

    def compare(tx: Tx) -> None:
        mine, other = desk.ledger.book(COOP), fresh.book(COOP)
        assert mine.end(tx) == other.end(tx)
        mine.account(tx, "nothing", "usd-cents")
        for name, account in mine._accounts.items():
            assert account == other.account(tx, *name), name
        kept = {unit: total for unit, total in mine._totals.items() if total.positive}
        assert kept == {unit: total for unit, total in other._totals.items() if total.positive}
        assert mine._count == other._count

    await desk.store.write(compare)


def test_a_failure_at_any_step_leaves_memory_as_the_database_is(tmp_path: Path) -> None:
    async def fail(at: int) -> int:
        engine = StrikingEngine(tmp_path / f"{at}.db")
        store = await Store.open(url="", clock=VirtualClock(START_MS), engine=engine, limits=GROUP)
        desk = Desk(store, VirtualClock(START_MS))
        desk.ledger = Ledger(own=key_of("home").did, genesis=GENESIS, limits=Limits(check_every=2))
        await desk.give("ada", 10)
        engine.session.armed = at
        ended = await asyncio.gather(
            transfer(desk, 1),
            transfer(desk, 2, fails=True),
            transfer(desk, 3),
            return_exceptions=True,
        )
        steps = engine.session.steps
        engine.session.armed = None
        kept = [each for each in ended if isinstance(each, wire.Entry)]
        assert all(isinstance(each, (wire.Entry, StoreBusy, ArithmeticError)) for each in ended)
        assert (await desk.account("member/ada")).balance == 10 - len(kept)
        await agrees(desk)
        again = await asyncio.gather(*(transfer(desk, number) for number in (1, 2, 3)))
        assert [each.entry_id for each in again] == ["t1", "t2", "t3"]
        assert (await desk.account("member/ada")).balance == 7
        await agrees(desk)
        await store.close()
        return steps

    async def main() -> int:
        at, steps = 0, 1
        while steps >= at:
            at += 1
            steps = await asyncio.wait_for(fail(at), 60)
        return at

    assert asyncio.run(main()) > 12, "entry, postings, cause, journal, accounts, checkpoint, commit"


def test_what_refuses_after_it_posted_leaves_nothing(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 10)
        with pytest.raises(ArithmeticError):
            await transfer(desk, 1, fails=True)
        ended = await asyncio.gather(
            transfer(desk, 2),
            transfer(desk, 1, fails=True),
            transfer(desk, 3),
            return_exceptions=True,
        )
        entries = [each for each in ended if isinstance(each, wire.Entry)]
        assert [each.sequence for each in entries] == [2, 3]
        assert entries[1].previous == entries[0].hash
        await agrees(desk)
        assert (await desk.account("vendor/v1")).balance == 0

    at_desk(store_url, story, limits=GROUP)


def test_accounts_that_leave_memory_are_read_again(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        limits = Limits(accounts_cached_max=2)
        desk.ledger = Ledger(own=key_of("home").did, genesis=GENESIS, limits=limits)
        await desk.give("ada", 10)
        for number in range(5):
            await transfer(desk, number)
            assert len(desk.ledger.book(COOP)._accounts) <= 4
        assert (await desk.account("member/ada")).balance == 5
        await agrees(desk)

    at_desk(store_url, story)


def test_the_check_at_the_start_goes_on_from_the_checkpoint(store_url: str) -> None:
    async def story(desk: Desk) -> None:
        limits = Limits(check_every=3)
        desk.ledger = Ledger(own=key_of("home").did, genesis=GENESIS, limits=limits)
        await desk.give("ada", 10)
        for number in range(4):
            await transfer(desk, number)
        checked = await desk.store.read(lambda tx: tx.one(tables.GET_CHECK, coop=COOP))
        assert checked is not None
        assert checked[0] == 3
        assert await check(desk.store, COOP, network=NETWORK) == 2
        assert await check(desk.store, COOP, network=NETWORK) == 0

    at_desk(store_url, story)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE ledger_accounts SET balance = 7 WHERE balance = 9", "sum"),
        ("UPDATE ledger_postings SET amount = -2, balance = 8 WHERE amount = -1", "postings"),
        ("DELETE FROM ledger_postings WHERE amount = -1", "postings"),
        ("DELETE FROM ledger_entries WHERE sequence = 1", "follow"),
        ("UPDATE ledger_entries SET body = replace(body, 'tools', 'rools')", "its own hash"),
        ("DELETE FROM ledger_accounts WHERE balance = 9", "not among"),
    ],
)
def test_a_ledger_that_something_else_changed_is_not_started_on(
    tmp_path: Path, change: str, why: str
) -> None:
    async def story(desk: Desk) -> None:
        await desk.give("ada", 10)
        await transfer(desk, 1)
        with sqlite3.connect(tmp_path / "node.db") as other:
            other.execute(change)
        other.close()
        with pytest.raises(LedgerDamaged, match=why):
            await check(desk.store, COOP, network=NETWORK)

    at_desk(f"sqlite:///{tmp_path}/node.db", story)


def test_an_account_is_not_lost_that_two_of_one_commit_use_first(store_url: str) -> None:
    """The first makes it and refuses; the second makes it anew."""

    async def story(desk: Desk) -> None:
        await desk.give("ada", 10)
        ended = await asyncio.gather(
            transfer(desk, 1, fails=True), transfer(desk, 1), return_exceptions=True
        )
        assert isinstance(ended[1], wire.Entry)
        assert (await desk.account("vendor/v1")).balance == 1
        await agrees(desk)
        assert (await desk.account(OPENING)).balance == -10

    at_desk(store_url, story, limits=GROUP)

"""Nothing leaves before COMMIT returned, whatever fails (ADR 0004)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Cursor, Session
from nodeimpl.kernel.idempotency import remember
from nodeimpl.kernel.sqlite import SqliteEngine, SqliteSession
from nodeimpl.kernel.store import Store, StoreFailed, Tx
from nodeimpl.kernel.tree import read_frontier
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import NodeStarted

STARTED = NodeStarted(version="1", generation=1)
CALLERS = 3


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def error(code: int) -> sqlite3.OperationalError:
    made = sqlite3.OperationalError(f"injected {code}")
    made.sqlite_errorcode = code
    return made


class FailingSession(SqliteSession):
    """A session whose n-th step from now fails as an engine would, the transaction undone."""

    armed: int | None = None
    steps = 0
    failure: sqlite3.OperationalError
    last_step = ""

    def _step(self, name: str) -> None:
        if self.armed is None:
            return
        self.steps += 1
        self.last_step = name
        if self.steps == self.armed:
            self.armed = None
            super().rollback()
            raise self.failure

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        self._step("execute")
        return super().execute(text, parameters)

    def begin(self) -> None:
        self._step("begin")
        super().begin()

    def savepoint(self) -> None:
        self._step("savepoint")
        super().savepoint()

    def release(self) -> None:
        self._step("release")
        super().release()

    def commit(self) -> None:
        self._step("commit")
        super().commit()


class FailingEngine(SqliteEngine):
    session: FailingSession

    def writer(self) -> Session:
        plain = super().writer()
        assert isinstance(plain, SqliteSession)
        self.session = FailingSession(plain._connection, begin="BEGIN IMMEDIATE")
        return self.session


async def one_group(store: Store, notes: Any) -> list[Any]:
    """Let three callers write in one group: the first holds the writer until all are queued."""
    gate = threading.Event()

    def work(tx: Tx, number: int) -> int:
        gate.wait(20)
        notes.add(tx, number)
        tx.announce(STARTED)
        return number

    writes = [
        asyncio.ensure_future(store.write(lambda tx, n=n: work(tx, n))) for n in range(CALLERS)
    ]
    await asyncio.sleep(0)
    gate.set()
    return await asyncio.gather(*writes, return_exceptions=True)


def steps_of_a_group(tmp_path: Path, notes: Any) -> int:
    engine = FailingEngine(tmp_path / "count.db")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        engine.session.armed = 10_000
        assert await one_group(store, notes) == list(range(CALLERS))
        await store.close()

    run(main())
    return engine.session.steps


def test_a_failure_at_any_step_leaves_nothing_and_every_caller_of_the_group_hears_busy(
    tmp_path, notes
) -> None:
    total = steps_of_a_group(tmp_path, notes)
    assert total == 1 + CALLERS * 4 + 1, "begin; savepoint, note, entry, release each; commit"
    seen = set()

    async def main(at: int) -> None:
        engine = FailingEngine(tmp_path / f"{at}.db")
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        await store.write(lambda tx: tx.announce(STARTED))
        head = store.head()
        engine.session.failure = error(sqlite3.SQLITE_FULL)
        engine.session.armed = at
        ended = await one_group(store, notes)
        seen.add(engine.session.last_step)
        # Who had not joined yet when the group was lost makes the next one.
        lost = [one for one in ended if isinstance(one, StoreBusy)]
        kept = [one for one in ended if isinstance(one, int)]
        assert len(lost) + len(kept) == CALLERS
        assert lost
        assert await store.read(notes.ids) == kept
        assert store.head().sequence == head.sequence + len(kept)
        if engine.session.last_step == "commit":
            assert len(lost) == CALLERS
        assert await store.write(lambda tx: (notes.add(tx, 99), tx.announce(STARTED))[0]) == 99
        entries = await store.read_journal(after=None, entries_max=100)
        assert [entry.sequence for entry in entries] == list(range(1, len(kept) + 3))
        whole = Frontier()
        for entry in entries:
            whole, _ = whole.append(leaf_hash(entry.stored))
        assert store.tree() == whole, "what was lost is no leaf of the journal's tree"
        await store.close()

    for at in range(1, total + 1):
        run(main(at))
    assert seen == {"begin", "savepoint", "execute", "release", "commit"}


FULL_SUBTREE = 256
"""How many entries complete a subtree that is kept as a row."""


async def remembering_group(store: Store, notes: Any, made: list[int]) -> list[Any]:
    """Let three callers write in one group, each remembered by its key."""
    gate = threading.Event()

    def make(tx: Tx, number: int) -> bytes:
        made.append(notes.add(tx, number))
        tx.announce(STARTED)
        return b"%d" % number

    def work(tx: Tx, number: int) -> tuple[bytes, bool]:
        gate.wait(20)
        key = {"principal": "mara", "endpoint": "e", "key": f"k{number}", "ask_hash": "h"}
        return remember(tx, **key, make=lambda: make(tx, number))

    writes = [
        asyncio.ensure_future(store.write(lambda tx, n=n: work(tx, n))) for n in range(CALLERS)
    ]
    await asyncio.sleep(0)
    gate.set()
    return await asyncio.gather(*writes, return_exceptions=True)


def test_a_failure_at_any_step_remembers_no_key_and_grows_no_tree(tmp_path, notes) -> None:
    """The group completes a subtree of the journal, which is a row too."""
    first = tmp_path / "first.db"

    async def prepare() -> None:
        store = await Store.open(url=f"sqlite:///{first}", clock=VirtualClock())
        await store.write(notes.create)
        for _ in range(FULL_SUBTREE - 2):
            await store.write(lambda tx: tx.announce(STARTED))
        await store.close()

    async def fail(at: int) -> int:
        path = tmp_path / f"{at}.db"
        shutil.copy(first, path)
        engine = FailingEngine(path)
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        engine.session.failure = error(sqlite3.SQLITE_FULL)
        engine.session.armed = at
        made: list[int] = []
        ended = await remembering_group(store, notes, made)
        steps = engine.session.steps
        lost = [n for n, one in enumerate(ended) if isinstance(one, StoreBusy)]
        assert lost or steps < at
        engine.session.armed = None
        made.clear()
        again = await remembering_group(store, notes, made)
        # Who was refused has the effect now, once; who was answered gets that answer again.
        assert made == lost
        assert again == [(b"%d" % n, n not in lost) for n in range(CALLERS)]
        assert await store.read(notes.ids) == list(range(CALLERS))
        entries = await store.read_journal(after=None, entries_max=1_000)
        whole = Frontier()
        for entry in entries:
            whole, _ = whole.append(leaf_hash(entry.stored))
        assert len(entries) == FULL_SUBTREE + 1
        assert store.tree() == whole
        assert await store.read(lambda tx: read_frontier(tx, size=len(entries))) == whole
        await store.close()
        return steps

    run(prepare())
    at, steps = 0, 1
    while steps >= at:
        at += 1
        steps = asyncio.run(asyncio.wait_for(fail(at), 30))
    assert at > 2 + CALLERS * 5, "begin; savepoint, key, note, entry, release each; tree; commit"


def test_a_commit_that_cannot_be_judged_stops_the_store(tmp_path, notes) -> None:
    engine = FailingEngine(tmp_path / "node.db")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        engine.session.failure = error(sqlite3.SQLITE_IOERR | (4 << 8))  # IOERR_FSYNC
        engine.session.armed = steps_until_commit
        ended = await one_group(store, notes)
        assert all(isinstance(one, StoreFailed) for one in ended)
        assert "injected" in str(await store.failed())
        assert store.has_failed
        with pytest.raises(StoreBusy, match="has failed"):
            await store.write(lambda tx: notes.add(tx, 5))
        assert await store.read(notes.ids) == []
        assert store.head().sequence == 0
        await store.close()

    steps_until_commit = steps_of_a_group(tmp_path, notes)
    run(main())


def test_a_sick_disk_before_the_commit_stops_the_store_but_nothing_happened(
    tmp_path, notes
) -> None:
    engine = FailingEngine(tmp_path / "node.db")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        engine.session.failure = error(sqlite3.SQLITE_CORRUPT)
        engine.session.armed = 3
        first, *others = await one_group(store, notes)
        assert all(isinstance(one, StoreBusy) for one in (first, *others))
        assert store.has_failed
        await store.close()

    run(main())


def test_a_full_disk_refuses_the_group_and_passes_when_space_returns(tmp_path, notes) -> None:
    engine = FailingEngine(tmp_path / "node.db")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        pages = engine.session._connection.execute("PRAGMA page_count").fetchone()[0]
        engine.session._connection.execute(f"PRAGMA max_page_count = {pages}")

        def fill(tx: Tx) -> None:
            for number in range(2_000):
                tx.run(notes.ADD, id=number, text="x" * 200)

        with pytest.raises(StoreBusy, match="full"):
            await store.write(fill)
        assert await store.read(notes.ids) == []
        assert not store.has_failed
        engine.session._connection.execute("PRAGMA max_page_count = 1000000")
        await store.write(fill)
        assert len(await store.read(notes.ids)) == 2_000
        await store.close()

    run(main())


def test_a_swallowed_loss_of_the_transaction_keeps_no_later_statement(tmp_path, notes) -> None:
    engine = FailingEngine(tmp_path / "node.db")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine)
        await store.write(notes.create)
        engine.session.failure = error(sqlite3.SQLITE_FULL)

        def stubborn(tx: Tx) -> None:
            engine.session.armed, engine.session.steps = 1, 0
            for number in range(3):
                try:
                    notes.add(tx, number)
                except sqlite3.OperationalError:
                    continue

        with pytest.raises(StoreBusy):
            await store.write(stubborn)
        assert await store.read(notes.ids) == []
        await store.close()

    run(main())

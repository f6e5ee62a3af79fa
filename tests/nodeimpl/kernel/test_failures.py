"""Nothing leaves before COMMIT returned, whatever fails (ADR 0004)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Session
from nodeimpl.kernel.idempotency import remember
from nodeimpl.kernel.sqlite import SqliteEngine, SqliteSession
from nodeimpl.kernel.store import Store, StoreFailed, Tx
from nodeimpl.kernel.tree import read_frontier
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import NodeStarted

STARTED = NodeStarted(version="1", generation=1)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def error(code: int) -> sqlite3.OperationalError:
    made = sqlite3.OperationalError(f"injected {code}")
    made.sqlite_errorcode = code
    return made


def strike(session: Any) -> None:
    """Fail as an engine would, the transaction undone."""
    SqliteSession.rollback(session)
    raise session.failure


class FailingEngine(SqliteEngine):
    """The engine whose writer's session fails at a step."""

    session: Any

    def __init__(self, path: Path, kind: Callable[..., Any]) -> None:
        super().__init__(path)
        self._kind = kind

    def writer(self) -> Session:
        plain = super().writer()
        assert isinstance(plain, SqliteSession)
        self.session = self._kind(plain._connection, begin="BEGIN IMMEDIATE")
        return self.session


@pytest.fixture
def failing(stepping: Any, tmp_path: Path) -> Callable[[str], FailingEngine]:
    """Give the engine of a database by its name."""
    return lambda name: FailingEngine(tmp_path / f"{name}.db", stepping(SqliteSession, strike))


def test_a_failure_at_any_step_leaves_nothing_and_every_caller_of_the_group_hears_busy(
    failing, group, notes
) -> None:
    seen = set()

    async def main(at: int) -> None:
        engine = failing(str(at))
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
        await store.write(notes.create)
        await store.write(lambda tx: tx.announce(STARTED))
        head = store.head()
        engine.session.failure = error(sqlite3.SQLITE_FULL)
        engine.session.armed = at
        ended = await group.add(store, notes)
        seen.add(engine.session.last_step)
        # Who had not joined yet when the group was lost makes the next one.
        lost = [one for one in ended if isinstance(one, StoreBusy)]
        kept = [one for one in ended if isinstance(one, int)]
        assert len(lost) + len(kept) == group.CALLERS
        assert lost
        assert await store.read(notes.ids) == kept
        assert store.head().sequence == head.sequence + len(kept)
        if engine.session.last_step == "commit":
            assert len(lost) == group.CALLERS
        assert await store.write(lambda tx: (notes.add(tx, 99), tx.announce(STARTED))[0]) == 99
        entries = await store.read_journal(after=None, entries_max=100)
        assert [entry.sequence for entry in entries] == list(range(1, len(kept) + 3))
        whole = Frontier()
        for entry in entries:
            whole, _ = whole.append(leaf_hash(entry.stored))
        assert store.tree() == whole, "what was lost is no leaf of the journal's tree"
        await store.close()

    for at in range(1, group.STEPS + 1):
        run(main(at))
    assert seen == {"begin", "savepoint", "execute", "many", "release", "commit"}


FULL_SUBTREE = 256
"""How many entries complete a subtree that is kept as a row."""


async def remembering(group: Any, store: Store, notes: Any, made: list[int]) -> list[Any]:
    """Let the callers write in one group, each remembered by its key."""

    def make(tx: Tx, number: int) -> bytes:
        made.append(notes.add(tx, number))
        tx.announce(STARTED)
        return b"%d" % number

    def work(tx: Tx, number: int) -> tuple[bytes, bool]:
        key = {"principal": "mara", "endpoint": "e", "key": f"k{number}", "ask_hash": "h"}
        return remember(tx, **key, make=lambda: make(tx, number))

    return await group.write(store, work, first=0)


def test_a_failure_at_any_step_remembers_no_key_and_grows_no_tree(
    tmp_path, failing, group, notes
) -> None:
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
        engine = failing(str(at))
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
        engine.session.failure = error(sqlite3.SQLITE_FULL)
        engine.session.armed = at
        made: list[int] = []
        ended = await remembering(group, store, notes, made)
        steps = engine.session.steps
        lost = [n for n, one in enumerate(ended) if isinstance(one, StoreBusy)]
        assert lost or steps < at
        engine.session.armed = None
        made.clear()
        again = await remembering(group, store, notes, made)
        # Who was refused has the effect now, once; who was answered gets that answer again.
        assert made == lost
        assert again == [(b"%d" % n, n not in lost) for n in range(group.CALLERS)]
        assert await store.read(notes.ids) == list(range(group.CALLERS))
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
    assert at > 2 + group.CALLERS * 4 + 3, "each has a key too, and the tree a row"


def test_a_commit_that_cannot_be_judged_stops_the_store(failing, group, notes) -> None:
    engine = failing("node")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
        await store.write(notes.create)
        engine.session.failure = error(sqlite3.SQLITE_IOERR | (4 << 8))  # IOERR_FSYNC
        engine.session.armed = group.STEPS
        ended = await group.add(store, notes)
        assert all(isinstance(one, StoreFailed) for one in ended)
        assert "injected" in str(await store.failed())
        assert store.has_failed
        with pytest.raises(StoreBusy, match="has failed"):
            await store.write(lambda tx: notes.add(tx, 5))
        assert await store.read(notes.ids) == []
        assert store.head().sequence == 0
        await store.close()

    run(main())


def test_a_sick_disk_before_the_commit_stops_the_store_but_nothing_happened(
    failing, group, notes
) -> None:
    engine = failing("node")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
        await store.write(notes.create)
        engine.session.failure = error(sqlite3.SQLITE_CORRUPT)
        engine.session.armed = 3
        first, *others = await group.add(store, notes)
        assert all(isinstance(one, StoreBusy) for one in (first, *others))
        assert store.has_failed
        await store.close()

    run(main())


def test_a_full_disk_refuses_the_group_and_passes_when_space_returns(failing, group, notes) -> None:
    engine = failing("node")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
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


def test_a_swallowed_loss_of_the_transaction_keeps_no_later_statement(
    failing, group, notes
) -> None:
    engine = failing("node")

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
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

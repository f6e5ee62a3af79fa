"""A commit that does not end: what is refused, what is said, what goes on (ADR 0022)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.ending import Ending
from nodeimpl.kernel.engine import Session
from nodeimpl.kernel.sqlite import SqliteEngine, SqliteSession
from nodeimpl.kernel.store import STALLED, Store, StoreLimits, StoreLocked
from nodeimpl.kernel.vitals import Vitals
from opkit.wire.gateway import StoreBusy

STALLED_MS = 50
CLOSING_MS = 100


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


class HangingSession(SqliteSession):
    """A session whose disk hangs in each commit while the gate is shut."""

    gate: threading.Event

    def commit(self) -> None:
        assert self.gate.wait(40), "somebody opens it"
        super().commit()


class HangingEngine(SqliteEngine):
    """The engine whose commits hang while `gate` is shut."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()

    def writer(self) -> Session:
        plain = super().writer()
        assert isinstance(plain, SqliteSession)
        session = HangingSession(plain._connection, begin="BEGIN IMMEDIATE")
        session.gate = self.gate
        return session


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)  # Looks again.


def told(
    folder: Path, notes: Any, story: Callable[[Store, HangingEngine], Awaitable[None]]
) -> None:
    """Tell `story` with an open store; its gate is open at the end."""
    engine = HangingEngine(folder / "node.db")
    limits = StoreLimits(stalled_ms=STALLED_MS, closing_ms=CLOSING_MS)

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=limits)
        try:
            await store.write(notes.create)
            await story(store, engine)
        finally:
            engine.gate.set()
            await store.close()

    run(main())


def test_what_waits_behind_a_commit_that_hangs_is_refused_and_never_happens(
    tmp_path, notes
) -> None:
    async def story(store: Store, engine: HangingEngine) -> None:
        engine.gate.clear()
        doubtful = asyncio.ensure_future(store.write(lambda tx: notes.add(tx, 1)))
        await until(lambda: store._writer._commit_began_s is not None)
        behind = [
            asyncio.ensure_future(store.write(lambda tx, n=n: notes.add(tx, n))) for n in (2, 3, 4)
        ]
        for one in behind:
            with pytest.raises(StoreBusy, match=STALLED):
                await one
        with pytest.raises(StoreBusy, match=STALLED):
            await store.write(lambda tx: notes.add(tx, 5))
        assert not doubtful.done(), "whether it happens nobody knows yet"
        assert await store.read(notes.ids) == [], "reads go on"
        assert not store.has_failed
        engine.gate.set()
        assert await doubtful == 1
        assert await store.write(lambda tx: notes.add(tx, 6)) == 6
        assert await store.read(notes.ids) == [1, 6]
        assert store.figures().waiting == 0

    told(tmp_path, notes, story)


def test_a_store_that_waits_for_a_commit_says_so(tmp_path, notes) -> None:
    async def story(store: Store, engine: HangingEngine) -> None:
        blobs = BlobStore(tmp_path / "blobs", quota_bytes=100)
        vitals = Vitals(folder=tmp_path, store=store, blobs=blobs, ending=Ending())
        assert vitals.degraded() == ()
        engine.gate.clear()
        writing = asyncio.ensure_future(store.write(lambda tx: notes.add(tx, 1)))
        await until(lambda: bool(vitals.degraded()))
        (said,) = vitals.degraded()
        assert "has not confirmed a commit" in said
        engine.gate.set()
        await writing
        assert vitals.degraded() == ()

    told(tmp_path, notes, story)


def test_closing_does_not_wait_for_ever_and_lets_nobody_else_in(tmp_path, notes) -> None:
    engine = HangingEngine(tmp_path / "node.db")

    async def main() -> None:
        limits = StoreLimits(stalled_ms=STALLED_MS, closing_ms=CLOSING_MS)
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=limits)
        await store.write(notes.create)
        engine.gate.clear()
        writing = asyncio.ensure_future(store.write(lambda tx: notes.add(tx, 1)))
        await until(lambda: store._writer._commit_began_s is not None)
        await store.close()
        with pytest.raises(StoreLocked):
            await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=VirtualClock())
        assert not writing.done(), "what is not known is not told"
        engine.gate.set()
        assert await writing == 1
        await asyncio.to_thread(store._writer._thread.join, 30)
        engine.disown()

    run(main())

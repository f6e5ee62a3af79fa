"""The session to PostgreSQL ended at each step of a group of changes, by a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Cursor, Session
from nodeimpl.kernel.store import Store, StoreLimits, Tx
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import NodeStarted

pytest.importorskip("psycopg", reason="not run: psycopg is missing")

from nodeimpl.kernel.postgres import PostgresEngine, PostgresWriter

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]

STARTED = NodeStarted(version="1", generation=1)
CALLERS = 3
STEPS = 1 + CALLERS * 4 + 1
"""Begin; savepoint, note, entry, release for each caller; commit."""


class CutWriter(PostgresWriter):
    """A session that the server ends just before its n-th step from now."""

    cluster: Any
    armed = 0
    steps = 0
    last_step = ""

    def _step(self, name: str) -> None:
        if not self.armed:
            return
        self.steps += 1
        if self.steps == self.armed:
            self.armed, self.last_step = 0, name
            pid = self._connection.info.backend_pid
            self.cluster.run(f"SELECT pg_terminate_backend({pid}, 20000)")

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


class CutEngine(PostgresEngine):
    """The engine whose writer can be cut."""

    session: CutWriter

    def __init__(self, url: str, cluster: Any) -> None:
        super().__init__(url)
        self._cluster = cluster

    def writer(self) -> Session:
        url = self._url
        self.session = CutWriter(url)
        self.session.cluster = self._cluster
        return self.session


async def one_group(store: Store, notes: Any, *, first: int) -> list[Any]:
    """Let three callers write in one group: the first holds the writer until all are queued."""
    gate = threading.Event()

    def work(tx: Tx, number: int) -> int:
        gate.wait(20)
        notes.add(tx, number)
        tx.announce(STARTED)
        return number

    numbers = range(first, first + CALLERS)
    writes = [asyncio.ensure_future(store.write(lambda tx, n=n: work(tx, n))) for n in numbers]
    await asyncio.sleep(0)
    gate.set()
    return await asyncio.gather(*writes, return_exceptions=True)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def test_a_session_ended_at_any_step_leaves_nothing_of_its_group(
    postgres_url: str, postgres_cluster: Any, notes: Any
) -> None:
    """Every caller of the lost group hears `Busy`; only a session that had not begun is replaced
    without anybody noticing.
    """
    engine = CutEngine(postgres_url, postgres_cluster)
    seen: set[str] = set()

    async def cut_at(store: Store, step: int) -> None:
        session = engine.session
        before, head = await store.read(notes.ids), store.head()
        session.steps, session.armed = 0, step
        ended = await one_group(store, notes, first=step * 10)
        seen.add(session.last_step)
        # Who had not joined yet when the group was lost makes the next one.
        lost = [one for one in ended if isinstance(one, StoreBusy)]
        kept = [one for one in ended if isinstance(one, int)]
        assert len(lost) + len(kept) == CALLERS
        assert bool(lost) is (session.last_step != "begin")
        if session.last_step == "commit":
            assert len(lost) == CALLERS
        assert await store.read(notes.ids) == [*before, *kept]
        assert store.head().sequence == head.sequence + len(kept)

    async def main() -> None:
        limits = StoreLimits(group_ms_max=20_000)
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=limits)
        await store.write(notes.create)
        for step in range(1, STEPS + 1):
            await cut_at(store, step)
        assert not store.has_failed
        entries = await store.read_journal(after=None, entries_max=100)
        assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
        whole = Frontier()
        for entry in entries:
            whole, _ = whole.append(leaf_hash(entry.stored))
        assert store.tree() == whole, "what was lost is no leaf of the journal's tree"
        await store.close()

    run(main())
    assert seen == {"begin", "savepoint", "execute", "release", "commit"}

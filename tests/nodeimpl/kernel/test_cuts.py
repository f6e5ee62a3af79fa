"""The session to PostgreSQL ended at each step of a group of changes, by a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.engine import Session
from nodeimpl.kernel.store import Store
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.gateway import StoreBusy

pytest.importorskip("psycopg", reason="not run: psycopg is missing")

from nodeimpl.kernel.postgres import PostgresEngine, PostgresWriter

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]


class CutEngine(PostgresEngine):
    """The engine whose writer's session the server ends at a step."""

    session: Any

    def __init__(self, url: str, kind: Callable[[str], Any]) -> None:
        super().__init__(url)
        self._kind = kind

    def writer(self) -> Session:
        self.session = self._kind(self._url)
        return self.session


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def test_a_session_ended_at_any_step_leaves_nothing_of_its_group(
    postgres_url: str, postgres_cluster: Any, notes: Any, group: Any, stepping: Any
) -> None:
    """Every caller of the lost group hears `Busy`; only a session that had not begun is replaced
    without anybody noticing.
    """

    def cut(session: Any) -> None:
        pid = session._connection.info.backend_pid
        postgres_cluster.run(f"SELECT pg_terminate_backend({pid}, 20000)")

    engine = CutEngine(postgres_url, stepping(PostgresWriter, cut))
    seen: set[str] = set()

    async def cut_at(store: Store, step: int) -> None:
        session = engine.session
        before, head = await store.read(notes.ids), store.head()
        session.steps, session.armed = 0, step
        ended = await group.add(store, notes, first=step * 10)
        seen.add(session.last_step)
        # Who had not joined yet when the group was lost makes the next one.
        lost = [one for one in ended if isinstance(one, StoreBusy)]
        kept = [one for one in ended if isinstance(one, int)]
        assert len(lost) + len(kept) == group.CALLERS
        assert bool(lost) is (session.last_step != "begin")
        if session.last_step == "commit":
            assert len(lost) == group.CALLERS
        assert await store.read(notes.ids) == [*before, *kept]
        assert store.head().sequence == head.sequence + len(kept)

    async def main() -> None:
        store = await Store.open(url="", clock=VirtualClock(), engine=engine, limits=group.LIMITS)
        await store.write(notes.create)
        for step in range(1, group.STEPS + 1):
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
    assert seen == {"begin", "savepoint", "execute", "many", "release", "commit"}

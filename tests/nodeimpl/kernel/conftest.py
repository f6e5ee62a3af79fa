"""A table that belongs to no domain, groups of changes and sessions that fail on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from nodeimpl.kernel.engine import Cursor, Row
from nodeimpl.kernel.store import Statement, Store, StoreLimits, Tx
from opkit.wire.network import NodeStarted

_POSTGRES = pytest.mark.postgres


def _text(plain: str, *names: str) -> Statement:
    """Return a statement of the tests' own, outside the node's schema."""
    postgresql = plain
    for name in names:
        postgresql = postgresql.replace(f":{name}", f"%({name})s")
    return Statement(
        sqlite=plain, postgresql=postgresql, names=frozenset(names), fixed={}, tables=frozenset()
    )


class Notes:
    """A table that belongs to no domain."""

    CREATE = _text("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)")
    ADD = _text("INSERT INTO note VALUES (:id, :text)", "id", "text")
    ADD_SAYING = _text("INSERT INTO note VALUES (:id, :text) RETURNING id", "id", "text")
    IDS = _text("SELECT id FROM note ORDER BY id")
    BROKEN = _text("SELECT id FROM nowhere")

    def create(self, tx: Tx) -> None:
        tx.run(self.CREATE)

    def add(self, tx: Tx, number: int) -> int:
        assert tx.run(self.ADD, id=number, text=f"note {number}") == 1
        return number

    def ids(self, tx: Tx) -> list[int]:
        return [row[0] for row in tx.all(self.IDS)]


@pytest.fixture(scope="session")
def notes() -> Notes:
    """A table of the tests' own; `store.write(notes.create)` makes it."""
    return Notes()


class Group:
    """Callers who write a note and its event in one commit."""

    CALLERS = 3
    STEPS = 1 + CALLERS * 3 + 2
    """Begin; savepoint, note, release for each caller; the entries of all; commit."""

    LIMITS = StoreLimits(group_ms_max=20_000)
    """A group stays open until all have joined, however busy the machine is."""

    async def write(self, store: Store, work: Callable[[Tx, int], Any], *, first: int) -> list[Any]:
        """Let them write in one group: the first holds the writer until all are queued."""
        gate = threading.Event()

        def gated(tx: Tx, number: int) -> Any:
            gate.wait(20)
            return work(tx, number)

        numbers = range(first, first + self.CALLERS)
        writes = [asyncio.ensure_future(store.write(lambda tx, n=n: gated(tx, n))) for n in numbers]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*writes, return_exceptions=True)

    async def add(self, store: Store, notes: Notes, *, first: int = 0) -> list[Any]:
        """Let each add a note; return their numbers, or what they were told."""

        def work(tx: Tx, number: int) -> int:
            tx.announce(NodeStarted(version="1", generation=1))
            return notes.add(tx, number)

        return await self.write(store, work, first=first)


@pytest.fixture(scope="session")
def group() -> Group:
    """Callers who write in one commit, if the store was opened with `group.LIMITS`."""
    return Group()


@pytest.fixture(scope="session")
def stepping() -> Callable[..., type[Any]]:
    """Give the kind of a session to which something happens just before its n-th step from now."""

    def make(kind: type[Any], strike: Callable[[Any], None]) -> type[Any]:
        class Stepping(kind):
            armed: int | None = None
            steps = 0
            last_step = ""

            def _step(self, name: str) -> None:
                if self.armed is None:
                    return
                self.steps += 1
                self.last_step = name
                if self.steps == self.armed:
                    self.armed = None
                    strike(self)

            def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
                self._step("execute")
                found: Cursor = super().execute(text, parameters)
                return found

            def later(
                self, text: str, parameters: Mapping[str, Any], take: Callable[[Cursor], None]
            ) -> None:
                self._step("later")
                super().later(text, parameters, take)

            def many(self, text: str, rows: Sequence[Row], *, own_work: bool) -> None:
                self._step("many")
                super().many(text, rows, own_work=own_work)

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

        return Stepping

    return make


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=_POSTGRES)])
def fresh_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Give the database of another store at each call: for tests of many examples."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('example')}/node.db"
    cluster, nodes = (request.getfixturevalue(name) for name in ("postgres_cluster", "made_nodes"))
    taken: list[str] = []

    def take() -> str:
        while taken:
            nodes.give_back(taken.pop())
        taken.append(nodes.take())
        url: str = cluster.url(taken[-1])
        return url

    return take

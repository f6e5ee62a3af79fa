"""A table that belongs to no domain, for tests of the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nodeimpl.kernel.store import Statement, Tx

_POSTGRES = pytest.mark.postgres


def _text(plain: str, *names: str) -> Statement:
    """Return a statement of the tests' own, outside the node's schema."""
    postgresql = plain
    for name in names:
        postgresql = postgresql.replace(f":{name}", f"%({name})s")
    return Statement(sqlite=plain, postgresql=postgresql, names=frozenset(names), fixed={})


class Notes:
    """A table that belongs to no domain."""

    CREATE = _text("CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)")
    ADD = _text("INSERT INTO note VALUES (:id, :text)", "id", "text")
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

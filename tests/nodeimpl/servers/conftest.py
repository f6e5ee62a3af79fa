"""PostgreSQL servers to stop, kill and promote, and a table to write into meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import pytest

from devnet.cluster import CARELESS, Cluster, find_binaries
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Statement, Store, StoreFailed, Tx
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import NodeStarted

WAIT_S_MAX = 100
DATABASE = "node"


@dataclass(eq=False)
class Servers:
    """Servers of one test, in one folder; all end with it."""

    folder: Path
    all: list[Cluster] = field(default_factory=list)

    def make(self, **settings: str) -> Cluster:
        """Start a server with an empty database called `node`."""
        folder = self.folder / f"s{len(self.all)}"
        made = Cluster.make(folder, settings={**CARELESS, **settings}, log_mb=1)
        self.all.append(made)
        made.start()
        made.create(DATABASE)
        return made

    def pair(self, *, synchronous: bool) -> tuple[Cluster, Cluster]:
        """Start a server and a standby that follows it."""
        one = self.make()
        other = one.standby(self.folder / f"s{len(self.all)}", name="other")
        self.all.append(other)
        other.start()
        if synchronous:
            one.follow_synchronously("other")
        look = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
        until(lambda: one.run(look) == [("sync",) if synchronous else ("async",)])
        return one, other

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        """Return once something is so."""
        until(condition)


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Servers of the test's own."""
    if find_binaries() is None:
        pytest.skip("not run: PostgreSQL's server is missing (scripts/install-debian)")
    # Short: a Unix socket's path has at most 107 bytes.
    folder = Path(mkdtemp(prefix="opkit-pg-", dir="/tmp"))
    folder.chmod(0o755)
    made = Servers(folder)
    yield made
    for server in reversed(made.all):
        if server.running:
            server.kill()
    shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], bool]) -> None:
    """Return once something is so."""
    from time import monotonic, sleep

    limit = monotonic() + WAIT_S_MAX
    while not condition():
        assert monotonic() < limit, "it did not come about"
        sleep(0.02)


class Book:
    """A table of numbers; each that is written comes with an event."""

    CREATE = "CREATE TABLE IF NOT EXISTS note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)"
    ADD = "INSERT INTO note VALUES (%(id)s, '')"
    IDS = "SELECT id FROM note ORDER BY id"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.acknowledged: list[int] = []
        self.busy: list[int] = []
        self.doubtful: list[int] = []

    @classmethod
    async def open(cls, url: str) -> Book:
        """Open the store, and make the table if it is not there."""
        book = cls(await Store.open(url=url, clock=VirtualClock()))
        await book.store.write(lambda tx: tx.run(text(cls.CREATE)))
        return book

    async def add(self, number: int) -> None:
        """Write one number; raises as the store does."""

        def work(tx: Tx) -> None:
            tx.run(text(self.ADD, "id"), id=number)
            tx.announce(NodeStarted(version=str(number), generation=1))

        await self.store.write(work)
        self.acknowledged.append(number)

    async def ids(self) -> list[int]:
        """Return what is there."""
        return await self.store.read(lambda tx: [row[0] for row in tx.all(text(self.IDS))])

    async def try_add(self, number: int) -> bool:
        """Write one number, and note what was told; return whether it was acknowledged."""
        try:
            await self.add(number)
        except StoreBusy:
            self.busy.append(number)
        except StoreFailed:
            self.doubtful.append(number)
        return number in self.acknowledged

    async def add_until(self, enough: Callable[[], bool], *, writers: int = 8) -> None:
        """Write numbers, several at once, until it is enough."""
        numbers = itertools.count(1 + max([0, *self.acknowledged, *self.busy, *self.doubtful]))

        async def one() -> None:
            while not enough() and not self.store.has_failed:
                await self.try_add(next(numbers))
                await asyncio.sleep(0.001)  # The server may be away: leave it some time.

        await asyncio.gather(*(one() for _ in range(writers)))

    async def check(self, *, doubt: bool = False) -> None:
        """Assert that what was acknowledged is there, what was refused is not, and the journal
        says the same.

        Args:
            doubt: whether something may be there about which nobody was told.
        """
        found = await self.ids()
        assert set(self.acknowledged) <= set(found), "nothing acknowledged is lost"
        assert not set(self.busy) & set(found), "nothing refused is there"
        if not doubt:
            assert sorted(self.acknowledged) == found
        entries, after = [], None
        while page := await self.store.read_journal(after=after, entries_max=1000):
            entries += page
            after = page[-1].cursor(self.store.generation)
        told = [NodeStarted.model_validate_json(entry.body).version for entry in entries]
        assert sorted(map(int, told)) == found, "each number with its event, and none half"


def text(plain: str, *names: str) -> Statement:
    """Return a statement of the tests' own."""
    return Statement(
        sqlite=plain, postgresql=plain, names=frozenset(names), fixed={}, tables=frozenset()
    )


@pytest.fixture
def book() -> type[Book]:
    """A table of numbers, to be opened on a URL."""
    return Book

"""Databases of released versions, as they were written then, under today's code.

`0.1.0/*.sql` are dumps of two nodes of a network of that release on which Flow A had been told and
a member added and revoked: brightworks-cooperative submitted the tasks, harbor-homes-cooperative
ran them. `genesis.jws` is that network's. Nothing here is made by today's code or ever changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl.compute import store as compute
from nodeimpl.kernel.birth import head_revision
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store
from nodeimpl.membership import store as membership
from nodeimpl.migrations import FOLDER, config, driver_url, upgrade
from nodeimpl.migrations.__main__ import import_all_tables
from opkit.proof.genesis import GenesisView, read_genesis
from opkit.proof.journal import JOURNAL_START, entry_hash
from opkit.proof.membership import fold_member
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.proof.receipt import verify_chain, verify_receipt
from opkit.wire.compute import ReceiptBundle, TaskState

RELEASED = Path(__file__).parent
RELEASES = {"0.1.0": "0001"}
"""Each release with its schema's revision."""
REVISIONS = {"0001_initial.py": "9be0b63b64927f7bee3b66f9cb51795bf729a04bc71e4356d3d3f1950a3f9729"}
"""Revisions that were released, by the hash of their file: none may be changed any more."""
BRIGHT, HARBOR = "brightworks-cooperative", "harbor-homes-cooperative"
ZOE = "brightworks-cooperative/zoe"
DEADLINE_S = 200

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(autouse=True, scope="module")
def all_tables() -> None:
    import_all_tables()


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Each released version in turn."""
    version: str = request.param
    return version


@pytest.fixture
def genesis(release: str) -> GenesisView:
    """The genesis of the network of which the dumps are."""
    return read_genesis((RELEASED / release / "genesis.jws").read_text("ascii"))


def dumped(release: str, org: str) -> sqlite3.Connection:
    """Return a dump as a database in memory."""
    connection = sqlite3.connect(":memory:")
    connection.executescript((RELEASED / release / f"{org}.sql").read_text("utf-8"))
    return connection


@pytest.fixture
def restore(store_url: str, release: str) -> Callable[[str], str]:
    """Return what puts a dump into the database of this test, and says its URL."""

    def restored(org: str) -> str:
        source = dumped(release, org)
        if store_url.startswith("sqlite:///"):
            with sqlite3.connect(store_url.removeprefix("sqlite:///")) as target:
                source.backup(target)
            target.close()
        else:
            fill_postgres(store_url, source, revision=RELEASES[release])
        source.close()
        return store_url

    return restored


def fill_postgres(url: str, source: sqlite3.Connection, *, revision: str) -> None:
    """Have the release's own revisions make the tables, and put the dump's rows into them."""
    from alembic import command

    command.upgrade(config(url), revision)
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    reflected = sa.MetaData()
    reflected.reflect(engine)
    with engine.begin() as connection:
        for table in reflected.sorted_tables:
            if table.name == "alembic_version":
                continue
            names = [column.name for column in table.columns]
            listed = ", ".join(f'"{name}"' for name in names)
            rows = source.execute(f'SELECT {listed} FROM "{table.name}"').fetchall()
            if rows:
                connection.execute(
                    table.insert(), [dict(zip(names, row, strict=True)) for row in rows]
                )


def rows_of(url: str, like: Rows | None = None) -> Rows:
    """Return every row of every table, of the columns that `like` has if it is given."""
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    found: Rows = {}
    with engine.connect() as connection:
        seen = sa.inspect(connection)
        for name in sorted(like if like is not None else seen.get_table_names()):
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').fetchall()
            width = len(like[name][0]) if like and like[name] else None
            found[name] = sorted((tuple(row)[:width] for row in rows), key=repr)
    return found


def within(url: str, work: Callable[[Store], Any]) -> Any:
    """Return what `work`, a coroutine function, makes of the opened store."""

    async def main() -> Any:
        store = await Store.open(url=url, clock=VirtualClock())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


def test_a_released_revision_is_never_changed() -> None:
    """Who has run it would have another schema than who runs it later."""
    for name, expected in REVISIONS.items():
        data = (FOLDER / "versions" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == expected, name
    assert {name[:4] for name in REVISIONS} == set(RELEASES.values())


@pytest.mark.parametrize("org", [BRIGHT, HARBOR])
def test_no_row_is_lost_or_changed(restore, org: str) -> None:
    url = restore(org)
    before = rows_of(url)
    assert sum(map(len, before.values())) > 60
    upgrade(url)
    after = rows_of(url, like=before)
    assert after.pop("alembic_version") == [(head_revision(),)]
    # Who owns the store is written anew by whoever opens it; migrating alone changes nothing.
    del before["alembic_version"]
    assert after == before


@pytest.mark.parametrize("org", [BRIGHT, HARBOR])
def test_the_journal_goes_on_where_it_stood(restore, org: str) -> None:
    url = restore(org)

    async def rebuilt(store: Store) -> None:
        entries = await store.read_journal(after=None, entries_max=1_000)
        frontier, previous = Frontier(), JOURNAL_START
        for entry in entries:
            assert entry.previous == previous
            previous = entry_hash(previous=previous, stored=entry.stored)
            assert entry.hash == previous
            frontier, _ = frontier.append(leaf_hash(entry.stored))
        assert len(entries) > 30
        assert (store.head().sequence, store.head().hash) == (len(entries), previous)
        assert store.tree() == frontier

    within(url, rebuilt)
    within(url, rebuilt)


def test_every_task_of_the_submitters_node_is_there_with_its_receipt(restore, genesis) -> None:
    url = restore(BRIGHT)

    async def judged(store: Store) -> list[TaskState]:
        listed = await store.read(
            lambda tx: tx.all(compute.sql(sa.select(compute.tasks.c.task_id)))
        )
        states = []
        for (task_id,) in listed:
            task = await store.read(lambda tx, wanted=task_id: compute.task(tx, wanted))
            states.append(task.state)
            if task.receipt:
                bundle = ReceiptBundle(receipt=task.receipt, manifest=task.manifest)
                assert verify_receipt(bundle, genesis=genesis).status == "verified"
        return states

    states = within(url, judged)
    assert len(states) == 7
    assert states.count(TaskState.DONE) >= 3


def test_the_executors_receipts_are_one_chain_that_verifies(restore, genesis) -> None:
    url = restore(HARBOR)

    async def chained(store: Store) -> tuple[int, Any]:
        columns = sa.select(compute.receipts.c.receipt).order_by(compute.receipts.c.sequence)
        found = await store.read(lambda tx: tx.all(compute.sql(columns)))
        verdict = verify_chain([row[0] for row in found], genesis=genesis)
        last = await store.read(lambda tx: compute.last_receipt(tx, store.generation))
        return last[0], verdict

    last, verdict = within(url, chained)
    assert verdict.status == "verified"
    assert last == 6


def test_a_member_is_who_they_were(restore, genesis) -> None:
    url = restore(HARBOR)

    async def folded(store: Store) -> tuple[Any, Any, int]:
        records = await store.read(lambda tx: membership.records_of(tx, ZOE))
        standing = await store.read(lambda tx: membership.get_member(tx, ZOE))
        count = await store.read(membership.count_members)
        return fold_member(ZOE, genesis=genesis, records=records), standing.member, count

    proven, known, count = within(url, folded)
    assert proven == known
    assert not known.active
    assert known.name == "Zoe Ångström"
    assert count == 17


KILLED = """
import os, signal, sys
import alembic.command
import sqlalchemy as sa
from nodeimpl.migrations import driver_url, upgrade
from nodeimpl.migrations.__main__ import import_all_tables

# Imported once, tables and driver, and not in each process that is killed.
import_all_tables()
sa.create_engine(driver_url(sys.argv[1]))

def migrate(url, left):
    def count(*_):
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(sa.engine.Engine, name, count)
    upgrade(url)
    os._exit(0)

for line in sys.stdin:
    child = os.fork() or migrate(sys.argv[1], int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Migrates, and is killed before or after the statement, or before the commit, that is asked."""


@contextmanager
def killing(url: str) -> Iterator[Callable[[int], bool]]:
    """Give what migrates in a process that is killed at a step, and says whether it came so far."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def killed_at(step: int) -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{step}\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        assert code in {0, -signal.SIGKILL}
        return code != 0

    try:
        yield killed_at
    finally:
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_a_migration_that_is_killed_leaves_the_old_database_or_the_new_one(restore) -> None:
    """At each statement and at the commit; and whoever opens it next finds nothing amiss."""
    url = restore(HARBOR)
    old = rows_of(url)
    killed, changed = 0, False
    with killing(url) as killed_at:
        while not changed and killed_at(killed):
            now = rows_of(url)
            changed = now["alembic_version"] != old["alembic_version"]
            assert changed or now == old, f"half migrated at step {killed}"
            killed += 1
    assert rows_of(url)["alembic_version"] == [(head_revision(),)]
    assert killed > 10

    async def opened(store: Store) -> int:
        return store.tree().size

    assert within(url, opened) == len(old["journal"])

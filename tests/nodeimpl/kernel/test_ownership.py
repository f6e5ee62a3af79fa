"""One process owns a store, and what it acknowledged is there after it was killed (ADR 0004)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.store import Store, StoreFailed, StoreLocked, Tx
from opkit.proof.journal import JOURNAL_START, entry_hash
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import NodeStarted

WRITER = """
import asyncio, os, sys
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store
from nodeimpl.migrations.__main__ import import_all_tables
from opkit.wire.network import NodeStarted

import_all_tables()

async def main():
    store = await Store.open(url=sys.argv[1], clock=RealClock())
    async def one(first):
        for number in range(first, 10**9, 8):
            event = NodeStarted(version=str(number), generation=1)
            await store.write(lambda tx: tx.announce(event))
            os.write(1, f"{number}\\n".encode())
    os.write(1, b"open\\n")
    if sys.argv[2] == "write":
        await asyncio.gather(*(one(first) for first in range(8)))
    await asyncio.sleep(60)

asyncio.run(main())
"""


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


@contextmanager
def another_process(url: str, what: str) -> Iterator[subprocess.Popen[bytes]]:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, what],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"open\n"
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_who_owns_the_store(store_url) -> None:
    async def refused(owner: int) -> None:
        with pytest.raises(StoreLocked) as no:
            await Store.open(url=store_url, clock=VirtualClock())
        assert "one process per store" in str(no.value)
        if store_url.startswith("sqlite"):
            assert f"process {owner}" in str(no.value)

    async def welcome() -> None:
        while True:
            try:
                store = await Store.open(url=store_url, clock=VirtualClock())
            except StoreLocked:
                # PostgreSQL frees the lock when it has noticed that the process is gone.
                await asyncio.sleep(0.02)
            else:
                return await store.close()

    with another_process(store_url, "wait") as process:
        run(refused(process.pid))
    run(welcome())


def test_one_process_cannot_open_a_store_twice(store_url) -> None:
    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        with pytest.raises(StoreLocked):
            await Store.open(url=store_url, clock=VirtualClock())
        await store.close()
        again = await Store.open(url=store_url, clock=VirtualClock())
        await again.close()

    run(main())


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_it_acknowledged(store_url) -> None:
    acknowledged: set[str] = set()
    with another_process(store_url, "write") as process:
        assert process.stdout is not None
        while len(acknowledged) < 400:
            acknowledged.add(process.stdout.readline().decode().strip())
        process.send_signal(signal.SIGKILL)
        acknowledged |= {line.decode().strip() for line in process.stdout if line.endswith(b"\n")}

    async def main() -> None:
        store = await reopened(store_url)
        found: list[str] = []
        previous, after = JOURNAL_START, None
        while entries := await store.read_journal(after=after, entries_max=1000):
            for entry in entries:
                assert entry.previous == previous
                previous = entry_hash(previous=previous, stored=entry.stored)
                assert entry.hash == previous
                found.append(NodeStarted.model_validate_json(entry.body).version)
            after = entries[-1].cursor(store.generation)
        await store.close()
        assert acknowledged <= set(found)
        assert len(found) == len(set(found)), "none twice"

    run(main())


async def reopened(url: str) -> Store:
    while True:
        try:
            return await Store.open(url=url, clock=VirtualClock())
        except StoreLocked:
            await asyncio.sleep(0.02)


def end_sessions(url: str) -> None:
    """End every session of this database but our own, as a server that restarts does."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.postgres
def test_a_connection_lost_while_nobody_asked_is_made_again(postgres_url, notes) -> None:
    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)
        await asyncio.to_thread(end_sessions, postgres_url)
        assert await store.write(lambda tx: notes.add(tx, 2)) == 2
        assert await store.read(notes.ids) == [2]
        assert not store.has_failed
        await store.close()

    run(main())


@pytest.mark.postgres
def test_a_connection_lost_within_the_work_undoes_the_group(postgres_url, notes) -> None:
    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)

        def work(tx: Tx) -> int:
            notes.add(tx, 1)
            tx.announce(NodeStarted(version="1", generation=1))
            end_sessions(postgres_url)
            return notes.add(tx, 2)

        with pytest.raises(StoreBusy):
            await store.write(work)
        assert await store.write(lambda tx: notes.add(tx, 3)) == 3
        assert await store.write(notes.ids) == [3]
        assert store.head().sequence == 0
        await store.close()

    run(main())


@pytest.mark.postgres
@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_that_was_cut_off_is_looked_up(postgres_url, notes, happened, monkeypatch) -> None:
    from nodeimpl.kernel.postgres import PostgresSession

    plain = PostgresSession.commit
    armed = False

    def cut_off(session: PostgresSession) -> None:
        nonlocal armed
        if armed and happened:
            plain(session)
        if armed:
            armed = False
            end_sessions(postgres_url)
        plain(session)

    monkeypatch.setattr(PostgresSession, "commit", cut_off)

    async def main() -> None:
        nonlocal armed
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)
        armed = True
        if happened:
            assert await store.write(lambda tx: notes.add(tx, 1)) == 1
        else:
            with pytest.raises(StoreBusy):
                await store.write(lambda tx: notes.add(tx, 1))
        assert await store.write(lambda tx: notes.add(tx, 2)) == 2
        assert await store.write(notes.ids) == ([1, 2] if happened else [2])
        assert not store.has_failed
        await store.close()

    run(main())


@pytest.mark.postgres
def test_an_owner_who_was_superseded_commits_nothing(postgres_url, notes) -> None:
    import psycopg

    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("UPDATE store_writer SET fence = fence + 1")
        with pytest.raises(Exception, match="owner"):
            await store.write(lambda tx: notes.add(tx, 1))
        assert "owner" in str(await store.failed())
        assert await store.read(notes.ids) == []
        await store.close()

    run(main())


@pytest.mark.postgres
def test_a_database_that_lost_acknowledged_commits_is_not_written_to(postgres_url, notes) -> None:
    import psycopg

    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("UPDATE store_writer SET commits = commits - 1")
        await asyncio.to_thread(end_sessions, postgres_url)
        for _ in range(2):
            with pytest.raises(StoreBusy, match="commits"):
                await store.write(lambda tx: notes.add(tx, 1))
        assert "commits" in str(await store.failed())
        await store.close()

    run(main())


@pytest.mark.postgres
def test_a_commit_that_nobody_can_look_up_stops_the_store(postgres_url, notes, monkeypatch) -> None:
    import psycopg

    from nodeimpl.kernel import postgres
    from nodeimpl.kernel.postgres import PostgresSession

    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)

        def cut_off(session: PostgresSession) -> None:
            end_sessions(postgres_url)
            session._connection.execute("COMMIT")

        def unreachable(session: PostgresSession) -> None:
            raise psycopg.OperationalError("no route to the server")

        monkeypatch.setattr(postgres, "DOUBT_MS_MAX", 100)
        monkeypatch.setattr(PostgresSession, "commit", cut_off)
        monkeypatch.setattr(PostgresSession, "_connect", unreachable)
        with pytest.raises(StoreFailed, match="nobody could say"):
            await store.write(lambda tx: notes.add(tx, 1))
        assert "nobody could say" in str(await store.failed())
        await store.close()

    run(main())


@pytest.mark.postgres
def test_a_server_that_is_away_for_a_while_is_busy_and_not_the_end(
    postgres_url, notes, monkeypatch
) -> None:
    import psycopg

    from nodeimpl.kernel import postgres
    from nodeimpl.kernel.postgres import PostgresSession

    async def main() -> None:
        store = await Store.open(url=postgres_url, clock=VirtualClock())
        await store.write(notes.create)

        def unreachable(session: PostgresSession) -> None:
            raise psycopg.OperationalError("no route to the server")

        with monkeypatch.context() as away:
            away.setattr(PostgresSession, "_connect", unreachable)
            await asyncio.to_thread(end_sessions, postgres_url)
            for _ in range(3):
                with pytest.raises(StoreBusy, match=postgres.AWAY):
                    await store.write(lambda tx: notes.add(tx, 1))
        while True:
            try:
                assert await store.write(lambda tx: notes.add(tx, 2)) == 2
            except StoreBusy:
                await asyncio.sleep(0.05)  # Looks again.
            else:
                break
        assert await store.write(notes.ids) == [2]
        await store.close()

    run(main())

"""What the server's errors mean to a node, by real ones: "ask again", "stop", or a defect."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nodeimpl.kernel import postgres
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.connecting import STATEMENT_MS_MAX
from nodeimpl.kernel.engine import Trouble
from nodeimpl.kernel.sqlstates import UNKNOWN, WRITER_TABLE, judge
from nodeimpl.kernel.store import Statement, Store, Tx
from opkit.wire.gateway import StoreBusy

BUSY_CODES = {
    "08006": "connection_failure",
    "25006": "read_only_sql_transaction",
    "40001": "serialization_failure",
    "40P01": "deadlock_detected",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "configuration_limit_exceeded",
    "55P03": "lock_not_available",
    "57014": "query_canceled",
    "58030": "io_error",
}
DEFECTS = {
    "22012": "division_by_zero",
    "23505": "unique_violation",
    "42P01": "undefined_table",
    "54000": "program_limit_exceeded",
    "XX000": "internal_error",
}
DAMAGE = {"XX001": "data_corrupted", "XX002": "index_corrupted"}


def test_every_line_of_the_table_is_a_code_or_a_class_and_none_hides_another() -> None:
    seen: list[str] = []
    for beginning, trouble, why in WRITER_TABLE:
        assert len(beginning) in (2, 5)
        assert trouble in (Trouble.BUSY, Trouble.ENDED), "no code is a doubt"
        assert why
        assert not any(beginning.startswith(earlier) for earlier in seen)
        seen.append(beginning)
    assert all(judge(code, writes=True) is Trouble.BUSY for code in UNKNOWN)


def test_a_reader_that_writes_has_a_defect_and_a_writer_that_may_not_is_busy() -> None:
    assert judge("25006", writes=False) is Trouble.NONE
    assert judge("25006", writes=True) is Trouble.BUSY
    assert judge(None, writes=True) is Trouble.NONE


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def told(url: str, notes: Any, story: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        store = await Store.open(url=url, clock=VirtualClock())
        await store.write(notes.create)
        try:
            await story(store)
        finally:
            await store.close()

    run(main())


def raising(code: str) -> Statement:
    """Return a statement that the server answers by an error of this code."""
    plain = f"DO $$ BEGIN RAISE EXCEPTION 'by the test' USING ERRCODE = '{code}'; END $$"
    return Statement(
        sqlite=plain, postgresql=plain, names=frozenset(), fixed={}, tables=frozenset()
    )


def text(plain: str) -> Statement:
    return Statement(
        sqlite=plain, postgresql=plain, names=frozenset(), fixed={}, tables=frozenset()
    )


@pytest.mark.postgres
@pytest.mark.parametrize("code", [*BUSY_CODES, *DEFECTS, *DAMAGE])
def test_an_error_of_each_kind_undoes_its_work_and_says_what_it_is(
    postgres_url: str, notes: Any, code: str
) -> None:
    """The neighbour in the same group is not concerned, unless the store has to stop."""

    async def story(store: Store) -> None:
        gate = threading.Event()

        def fails(tx: Tx) -> None:
            gate.wait(20)
            notes.add(tx, 1)
            tx.run(raising(code))

        first = asyncio.ensure_future(store.write(fails))
        beside = asyncio.ensure_future(store.write(lambda tx: notes.add(tx, 2)))
        await asyncio.sleep(0)
        gate.set()
        ended, neighbour = await asyncio.gather(first, beside, return_exceptions=True)
        if code in DEFECTS:
            assert getattr(ended, "sqlstate", None) == code, "it is raised as it is"
        else:
            assert isinstance(ended, StoreBusy)
        if code in DAMAGE:
            assert store.has_failed
            assert isinstance(neighbour, StoreBusy)
        else:
            assert neighbour == 2
            assert await store.read(notes.ids) == [2]

    told(postgres_url, notes, story)


@contextmanager
def other_session(url: str) -> Iterator[Any]:
    """Hold a foreign session with a transaction of its own."""
    import psycopg

    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


@pytest.mark.postgres
def test_a_lock_that_somebody_else_holds_is_waited_for_and_then_busy(
    postgres_url: str, notes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SETTINGS", postgres.SETTINGS.replace("2000", "100"))
    monkeypatch.setattr(postgres, "LOCK_MS_MAX", 100)

    async def story(store: Store) -> None:
        with other_session(postgres_url) as other:
            other.execute("LOCK TABLE note")
            with pytest.raises(StoreBusy, match="lock timeout"):
                await store.write(lambda tx: notes.add(tx, 1))
        assert await store.write(lambda tx: notes.add(tx, 2)) == 2
        with other_session(postgres_url) as other:
            other.execute("SELECT * FROM store_writer FOR UPDATE")
            with pytest.raises(StoreBusy, match="lock timeout"):
                await store.write(lambda tx: notes.add(tx, 3))
        assert await store.write(lambda tx: notes.add(tx, 4)) == 4
        assert await store.read(notes.ids) == [2, 4]

    told(postgres_url, notes, story)


@pytest.mark.postgres
def test_a_statement_that_takes_too_long_is_busy(postgres_url: str, notes: Any) -> None:
    """Each session has the bound; that of one statement alone is shortened, for others are slow."""

    def sleep(tx: Tx) -> None:
        assert tx.all(text("SHOW statement_timeout")) == [(f"{STATEMENT_MS_MAX // 1000}s",)]
        tx.all(text("SET LOCAL statement_timeout = 100"))
        tx.all(text("SELECT pg_sleep(20)"))

    async def story(store: Store) -> None:
        with pytest.raises(StoreBusy, match="statement timeout"):
            await store.write(sleep)
        with pytest.raises(StoreBusy, match="statement timeout"):
            await store.read(sleep)
        assert await store.write(lambda tx: notes.add(tx, 2)) == 2

    told(postgres_url, notes, story)


@pytest.mark.postgres
def test_a_deadlock_with_somebody_else_is_busy(postgres_url: str, notes: Any) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda tx: [notes.add(tx, number) for number in (1, 2)])
        touch = "UPDATE note SET text = 'x' WHERE id = {}"
        with other_session(postgres_url) as other:
            # The other one looks for deadlocks last, so that it is the store's session that ends.
            other.execute("SET deadlock_timeout = '30s'")
            other.execute(touch.format(2))
            waits = threading.Thread(target=lambda: other.execute(touch.format(1)))

            def work(tx: Tx) -> None:
                tx.run(text("SET LOCAL deadlock_timeout = '10ms'"))
                tx.run(text("SET LOCAL lock_timeout = '30s'"))
                tx.run(text(touch.format(1)))
                waits.start()
                blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = {}"
                while tx.all(text(blocked.format(other.info.backend_pid))) != [(1,)]:
                    continue
                tx.run(text(touch.format(2)))

            with pytest.raises(StoreBusy, match="deadlock"):
                await store.write(work)
            await asyncio.to_thread(waits.join, 30)
        assert await store.write(lambda tx: notes.add(tx, 3)) == 3

    told(postgres_url, notes, story)


@pytest.mark.postgres
def test_a_serialisation_failure_is_busy_and_nothing_is_half_done(
    postgres_url: str, notes: Any
) -> None:
    """None can come about by the node's own doing; by a stricter isolation and a foreign hand."""

    async def story(store: Store) -> None:
        await store.write(lambda tx: notes.add(tx, 1))
        session = store._writer._session
        session._begin = "BEGIN ISOLATION LEVEL SERIALIZABLE"

        def work(tx: Tx) -> None:
            tx.all(notes.IDS)
            notes.add(tx, 2)
            with other_session(postgres_url) as other:
                other.execute("UPDATE note SET text = 'theirs' WHERE id = 1")
                other.commit()
            tx.run(text("UPDATE note SET text = 'ours' WHERE id = 1"))

        with pytest.raises(StoreBusy, match="could not serialize"):
            await store.write(work)
        assert await store.read(notes.ids) == [1]
        assert await store.write(lambda tx: notes.add(tx, 3)) == 3

    told(postgres_url, notes, story)


@pytest.mark.postgres
def test_a_database_that_is_made_read_only_is_busy_until_it_is_not(
    postgres_url: str, postgres_cluster: Any, notes: Any
) -> None:
    name = postgres_url.split("/")[3].partition("?")[0]
    set_to = f"ALTER DATABASE {name} SET default_transaction_read_only = "
    end = f"SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE datname = '{name}'"

    async def story(store: Store) -> None:
        # Managed servers do so when their disk runs full.
        store._writer._session._connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreBusy, match="read-only"):
            await store.write(lambda tx: notes.add(tx, 1))
        assert await store.read(notes.ids) == []
        postgres_cluster.run(f"{set_to} on")
        postgres_cluster.run(end)
        with pytest.raises(StoreBusy, match=postgres.AWAY):
            await store.write(lambda tx: notes.add(tx, 1))
        postgres_cluster.run(f"{set_to} off")
        while True:
            try:
                await store.write(lambda tx: notes.add(tx, 2))
            except StoreBusy:
                await asyncio.sleep(0.05)  # Looks again.
            else:
                break
        assert await store.read(notes.ids) == [2]
        assert not store.has_failed

    told(postgres_url, notes, story)


@pytest.mark.postgres
def test_a_full_disk_of_the_server_is_busy_until_there_is_room(
    postgres_url: str, postgres_cluster: Any, notes: Any
) -> None:
    """The table's file is one on which the system writes nothing: /dev/full."""
    name = postgres_url.split("/")[3].partition("?")[0]

    async def story(store: Store) -> None:
        ((place,),) = postgres_cluster.run("SELECT pg_relation_filepath('note')", database=name)
        file = postgres_cluster.data / place
        aside = file.with_suffix(".aside")
        file.rename(aside)
        file.symlink_to("/dev/full")
        end_sessions(postgres_cluster, name)
        with pytest.raises(StoreBusy, match="No space left on device"):
            await store.write(lambda tx: notes.add(tx, 1))
        assert not store.has_failed
        end_sessions(postgres_cluster, name)
        file.unlink()
        aside.rename(file)
        assert await store.write(lambda tx: notes.add(tx, 2)) == 2
        assert await store.read(notes.ids) == [2]

    told(postgres_url, notes, story)


def end_sessions(cluster: Any, name: str) -> None:
    cluster.run(
        f"SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE datname = '{name}'"
    )


@pytest.mark.postgres
def test_too_many_connections_are_busy_until_one_is_free(
    postgres_url: str, postgres_cluster: Any, notes: Any
) -> None:
    """The server is full when the node comes back to it."""
    import psycopg

    name = postgres_url.split("/")[3].partition("?")[0]
    postgres_cluster.run("DROP ROLE IF EXISTS crowd")
    postgres_cluster.run("CREATE ROLE crowd LOGIN")
    postgres_cluster.run("GRANT ALL ON SCHEMA public TO crowd", database=name)
    url = postgres_url.replace(f"user={postgres_cluster.owner}", "user=crowd")

    async def story(store: Store) -> None:
        postgres_cluster.run("ALTER ROLE crowd CONNECTION LIMIT 5")
        end_sessions(postgres_cluster, name)
        crowd = [psycopg.connect(url) for _ in range(5)]
        with pytest.raises(StoreBusy, match=postgres.AWAY):
            await store.write(lambda tx: notes.add(tx, 1))
        with pytest.raises(StoreBusy, match=postgres.AWAY):
            await store.read(notes.ids)
        for one in crowd:
            one.close()
        while True:
            try:
                await store.write(lambda tx: notes.add(tx, 2))
            except StoreBusy:
                await asyncio.sleep(0.05)  # Looks again.
            else:
                break
        assert await store.write(notes.ids) == [2]

    told(url, notes, story)

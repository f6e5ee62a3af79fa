"""A session that reads from PostgreSQL: one snapshot, a new connection only before it has begun."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="not run: psycopg is missing")

import psycopg

from nodeimpl.kernel.postgres import PostgresReader

pytestmark = pytest.mark.postgres

WAIT_S_MAX = 100
COUNT = "SELECT count(*) FROM steps"


@pytest.fixture
def writer(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE steps (name text PRIMARY KEY)")
        yield connection


@pytest.fixture
def reader(postgres_url: str, writer: psycopg.Connection[Any]) -> Iterator[PostgresReader]:
    session = PostgresReader(postgres_url)
    yield session
    session.close()


def count(reader: PostgresReader) -> int:
    row = reader.execute(COUNT, {}).fetchone()
    assert row is not None
    return int(row[0])


def end(reader: PostgresReader, cluster: Any) -> None:
    pid = reader._connection.info.backend_pid
    cluster.run(f"SELECT pg_terminate_backend({pid}, 20000)")


def test_a_transaction_sees_what_was_there_at_its_first_statement_and_ends_soon_after_its_last(
    reader: PostgresReader, writer: psycopg.Connection[Any]
) -> None:
    open_now = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE state = 'idle in transaction' AND datname = current_database()"
    )
    for turn in range(4):
        reader.begin()
        writer.execute(f"INSERT INTO steps VALUES ('before {turn}')".encode())
        assert count(reader) == 2 * turn + 1
        assert reader.in_transaction()
        writer.execute(f"INSERT INTO steps VALUES ('after {turn}')".encode())
        assert count(reader) == 2 * turn + 1
        assert writer.execute(open_now).fetchone() == (1,)
        reader.rollback()
        reader.rollback()
        assert not reader.in_transaction()
    # It was told to end, and that it has is waited for nowhere else.
    limit = time.monotonic() + WAIT_S_MAX
    while writer.execute(open_now).fetchone() != (0,):
        assert time.monotonic() < limit
    writer.execute("DROP TABLE steps")


def test_a_transaction_that_asked_for_nothing_never_began(reader: PostgresReader) -> None:
    reader.begin()
    reader.rollback()
    assert not reader.in_transaction()
    reader.begin()
    assert count(reader) == 0
    reader.rollback()


def test_it_changes_nothing(reader: PostgresReader) -> None:
    reader.begin()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("INSERT INTO steps VALUES ('x')", {})
    reader.rollback()
    reader.begin()
    assert count(reader) == 0
    reader.rollback()


@pytest.mark.parametrize("when", ["before it begins", "once it is to begin", "after it has ended"])
def test_a_connection_lost_while_nobody_asked_is_made_again(
    reader: PostgresReader, postgres_cluster: Any, when: str
) -> None:
    if when == "after it has ended":
        reader.begin()
        assert count(reader) == 0
        reader.rollback()
    if when != "once it is to begin":
        end(reader, postgres_cluster)
        reader.begin()
    else:
        reader.begin()
        end(reader, postgres_cluster)
    assert count(reader) == 0
    assert reader.in_transaction()
    reader.rollback()


def test_a_connection_lost_within_a_transaction_is_an_error_and_no_other_snapshot(
    reader: PostgresReader, postgres_cluster: Any
) -> None:
    reader.begin()
    assert count(reader) == 0
    end(reader, postgres_cluster)
    reader.later(COUNT, {}, lambda _: None)
    with pytest.raises(psycopg.OperationalError):
        count(reader)
    reader.rollback()
    reader.begin()
    assert count(reader) == 0
    reader.rollback()

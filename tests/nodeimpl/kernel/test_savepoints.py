"""On PostgreSQL a savepoint is let go of with the next one: kept is kept, and undone is undone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from nodeimpl.kernel.postgres import PostgresSession

pytestmark = pytest.mark.postgres

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"


def session_on(postgres_url: str) -> PostgresSession:
    session = PostgresSession(postgres_url, begin=BEGIN)
    session.execute("CREATE TABLE steps (name text PRIMARY KEY)", {})
    return session


def step(session: PostgresSession, name: str) -> None:
    session.savepoint()
    session.execute("INSERT INTO steps VALUES (%(name)s)", {"name": name})


def names(session: PostgresSession) -> set[str]:
    rows: list[Any] = session.execute("SELECT name FROM steps", {}).fetchall()
    return {name for (name,) in rows}


def test_what_was_kept_stays_whatever_becomes_of_what_follows(postgres_url: str) -> None:
    session = session_on(postgres_url)
    session.begin()
    step(session, "kept")
    session.release()
    step(session, "undone")
    session.rollback_to()
    session.savepoint()
    session.rollback_to()  # Nothing was done since.
    step(session, "kept too")
    session.release()
    step(session, "undone as well")
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute("INSERT INTO steps VALUES ('kept')", {})
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        session.release()
    session.rollback_to()
    step(session, "the last")
    session.release()
    session.commit()
    assert names(session) == {"kept", "kept too", "the last"}
    session.close()


def test_a_transaction_that_was_undone_leaves_no_savepoint_to_let_go_of(postgres_url: str) -> None:
    session = session_on(postgres_url)
    session.begin()
    step(session, "gone")
    session.release()
    session.rollback()
    session.begin()
    step(session, "kept")
    session.release()
    session.commit()
    assert names(session) == {"kept"}
    session.close()


def test_letting_go_and_setting_anew_are_one_round_trip(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_on(postgres_url)
    sent, real = [], session._connection.execute

    def noted(query: Any, *more: Any) -> Any:
        sent.append(query)
        return real(query, *more)

    monkeypatch.setattr(session._connection, "execute", noted)
    session.begin()
    for name in "abc":
        step(session, name)
        session.release()
    session.commit()
    assert len(sent) == 2 + 2 * 3
    assert names(session) == set("abc")
    session.close()

"""On PostgreSQL savepoints travel with what is done: kept is kept, and undone is undone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from nodeimpl.kernel.pipeline import Pipeline
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


def later(session: PostgresSession, name: str) -> None:
    session.later("INSERT INTO steps VALUES (%(name)s)", {"name": name}, lambda _: None)


def test_work_that_is_undone_before_anything_of_it_was_sent_undoes_nothing_else(
    postgres_url: str,
) -> None:
    session = session_on(postgres_url)
    session.begin()
    step(session, "kept")
    session.release()
    session.savepoint()
    later(session, "never sent")
    session.rollback_to()
    session.savepoint()
    session.release()  # Nothing was done in it.
    step(session, "undone")
    later(session, "undone with it")
    session.rollback_to()
    session.savepoint()
    later(session, "kept too")
    session.release()
    session.commit()
    assert names(session) == {"kept", "kept too"}
    session.close()


def test_what_goes_later_fails_before_its_work_is_let_go_of(postgres_url: str) -> None:
    session = session_on(postgres_url)
    session.begin()
    step(session, "kept")
    session.release()
    for _ in range(2):
        step(session, "undone")
        later(session, "kept")
        with pytest.raises(psycopg.errors.UniqueViolation):
            session.release()
        session.rollback_to()
    step(session, "kept too")
    session.release()
    session.commit()
    assert names(session) == {"kept", "kept too"}
    session.close()


def test_a_savepoint_that_could_not_be_set_is_the_whole_transactions_end(
    postgres_url: str,
) -> None:
    session = session_on(postgres_url)
    session.begin()
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("SELECT 1 / 0", {})
    session.savepoint()
    later(session, "never done")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        session.release()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        session.rollback_to()
    session.rollback()
    assert names(session) == set()
    session.close()


def test_a_new_transaction_sends_nothing_of_the_one_before(postgres_url: str) -> None:
    session = session_on(postgres_url)
    session.begin()
    step(session, "gone")
    later(session, "gone with it")
    session.rollback()
    session.begin()
    step(session, "kept")
    session.release()
    session.commit()
    assert names(session) == {"kept"}
    session.close()


def test_a_savepoint_travels_with_the_first_statement_and_what_goes_later_with_the_end(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_on(postgres_url)
    sent: list[int] = []
    real = Pipeline._exchange

    def counted(pipeline: Pipeline, queue: list[Any]) -> Any:
        sent.append(len(queue))
        return real(pipeline, queue)

    monkeypatch.setattr(Pipeline, "_exchange", counted)
    monkeypatch.setattr(session._connection, "execute", None)
    session.begin()
    for name in "abc":
        step(session, name)
        for more in "xyz":
            later(session, name + more)
        session.release()
    session.commit()
    # BEGIN; what is before it let go of, the savepoint and the statement; the three; COMMIT.
    assert sent == [1, 2, 3, 3, 3, 3, 3, 1]
    assert len(names(session)) == 12
    session.close()

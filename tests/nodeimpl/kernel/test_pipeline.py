"""Statements that travel together to a real PostgreSQL: answered in order, or not done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="not run: psycopg is missing")

import psycopg

from nodeimpl.kernel import pipeline as module
from nodeimpl.kernel.pipeline import Answer, Pipeline

pytestmark = pytest.mark.postgres

ADD = "INSERT INTO held VALUES (%(id)s, %(text)s, %(bytes)s)"
ALL = "SELECT id, text, bytes FROM held ORDER BY id"


@pytest.fixture
def pipeline(postgres_url: str) -> Iterator[Pipeline]:
    """A pipeline to an empty table of a whole number, a text and bytes."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE held (id bigint PRIMARY KEY, text text, bytes bytea)")
        yield Pipeline(connection)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements each round trip carried."""
    counts: list[int] = []
    real = Pipeline._exchange

    def counted(one: Pipeline, queue: list[Any]) -> Any:
        counts.append(len(queue))
        return real(one, queue)

    monkeypatch.setattr(Pipeline, "_exchange", counted)
    return counts


def row(number: int, text: str | None = "t", content: bytes | None = b"") -> dict[str, Any]:
    return {"id": number, "text": text, "bytes": content}


def ids(pipeline: Pipeline) -> list[int]:
    return [number for (number,) in pipeline.run("SELECT id FROM held ORDER BY id", {}).fetchall()]


@pytest.mark.parametrize(
    "values",
    [
        (2**63 - 1, "", b""),
        (-(2**63), "ä€😀 %s %(id)s \\ ' \"", bytes(range(256))),
        (0, None, None),
        (1, "x" * 3_000_000, b"\0" * 3_000_000),
    ],
    ids=["greatest", "odd", "nothing", "long"],
)
def test_values_come_back_as_they_were_sent_whether_prepared_or_not(
    pipeline: Pipeline, values: tuple[int, str | None, bytes | None]
) -> None:
    for _ in range(4):
        added = pipeline.run(ADD, row(*values))
        assert (added.rowcount, added.said) == (1, "INSERT 0 1")
        assert pipeline.run(ALL, {}).fetchall() == [values]
        assert pipeline.run("DELETE FROM held WHERE id = %(id)s", {"id": values[0]}).rowcount == 1


def test_rows_are_given_once_each(pipeline: Pipeline) -> None:
    found = pipeline.run("SELECT * FROM generate_series(1, 3)", {})
    assert (found.rowcount, found.fetchone(), found.fetchall()) == (3, (1,), [(2,), (3,)])
    assert found.fetchone() is None
    assert pipeline.run("SELECT 7 %% 4, %(a)s::text || %(a)s", {"a": "b"}).fetchone() == (3, "bb")


def test_what_went_later_is_done_before_what_is_waited_for_by_one_round_trip(
    pipeline: Pipeline, sent: list[int]
) -> None:
    for turn in range(3):
        told: list[Answer] = []
        pipeline.later(ADD, row(turn * 2), told.append)
        pipeline.later(ADD + " RETURNING id", row(turn * 2 + 1), told.append)
        assert not told, "nothing was sent yet"
        assert ids(pipeline) == list(range(turn * 2 + 2))
        assert [answer.fetchall() for answer in told] == [[], [(turn * 2 + 1,)]]
    assert sent == [3, 3, 3]
    pipeline.flush()
    assert sent == [3, 3, 3], "nothing to send is not sent"


def test_the_first_error_is_told_and_nothing_after_it_is_done(pipeline: Pipeline) -> None:
    for _ in range(3):
        told: list[Answer] = []
        pipeline.later(ADD, row(1), told.append)
        pipeline.later(ADD, row(1), told.append)
        pipeline.later("SELECT 1 / 0", {}, told.append)
        pipeline.later(ADD, row(2), told.append)
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            pipeline.run(ADD, row(3))
        assert caught.value.sqlstate == "23505"
        assert len(told) == 1, "only what was done is told of"
        # Without a transaction around them, those that travel together are one.
        assert ids(pipeline) == []


def test_a_statement_whose_preparing_was_skipped_is_prepared_the_next_time(
    pipeline: Pipeline,
) -> None:
    pipeline.run(ADD, row(1))
    for _ in range(2):
        pipeline.later("SELECT 1 / 0", {}, lambda _: None)
        with pytest.raises(psycopg.errors.DivisionByZero):
            pipeline.run(ADD, row(2))
    pipeline.run(ADD, row(2))
    pipeline.run(ADD, row(3))
    assert ids(pipeline) == [1, 2, 3]


def test_one_prepared_twice_in_a_round_trip_is_prepared_once(pipeline: Pipeline) -> None:
    for number in range(1, 60):
        pipeline.later(ADD, row(number), lambda _: None)
    assert ids(pipeline) == list(range(1, 60))
    held = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%%'"
    assert pipeline.run(held, {}).fetchone() == (1,)


def test_no_more_is_prepared_than_may_be(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PREPARED_MAX", 2)
    for _ in range(4):
        for number in range(5):
            assert pipeline.run(f"SELECT {number}", {}).fetchone() == (number,)
    assert pipeline.run("SELECT count(*) FROM pg_prepared_statements", {}).fetchone() == (2,)


def test_so_many_that_wait_are_sent_without_company(
    pipeline: Pipeline, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX", 3)
    for number in range(7):
        pipeline.later(ADD, row(number), lambda _: None)
    assert sent == [3, 3]
    assert ids(pipeline) == list(range(7))
    assert sent == [3, 3, 2]


def test_much_in_both_directions_at_once_does_not_stand_still(pipeline: Pipeline) -> None:
    content = bytes(1_000_000)
    told: list[Answer] = []
    for number in range(20):
        pipeline.later(ADD + " RETURNING bytes", row(number, content=content), told.append)
    pipeline.flush()
    assert [answer.fetchone() for answer in told] == [(content,)] * 20


def test_text_that_the_server_has_no_room_for_is_refused_and_nothing_of_it_sent(
    pipeline: Pipeline,
) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        pipeline.run(ADD, row(1, "a\0b"))
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        pipeline.run(ADD, row(2**63))
    pipeline.run(ADD, row(2))
    assert ids(pipeline) == [2]


def test_what_is_left_is_done_and_heard_of_with_the_next(
    pipeline: Pipeline, sent: list[int]
) -> None:
    for number in range(3):
        pipeline.run("BEGIN", {})
        pipeline.run(ADD, row(number))
        pipeline.leave("COMMIT" if number else "ROLLBACK")
        with pytest.raises(psycopg.errors.UniqueViolation):
            pipeline.run(f"{ADD}, (2, '', NULL), (2, '', NULL)", row(9))
    assert sent == [1, 1, 1] * 3
    assert ids(pipeline) == [1, 2]
    assert pipeline.connection.execute("SELECT count(*) FROM held").fetchone() == (2,)


def test_a_connection_lost_behind_what_was_left_is_seen_with_the_next(
    pipeline: Pipeline, postgres_cluster: Any
) -> None:
    pipeline.run("BEGIN", {})
    pid = pipeline.connection.info.backend_pid
    pipeline.leave("ROLLBACK")
    postgres_cluster.run(f"SELECT pg_terminate_backend({pid}, 20000)")
    with pytest.raises(psycopg.OperationalError):
        ids(pipeline)
    assert pipeline.connection.closed


def test_what_is_dropped_is_never_sent(pipeline: Pipeline) -> None:
    pipeline.later(ADD, row(1), lambda _: None)
    pipeline.drop()
    assert ids(pipeline) == []


@pytest.mark.parametrize("waiting", [0, 3])
def test_a_lost_connection_is_an_error_of_the_servers_and_is_seen(
    pipeline: Pipeline, postgres_cluster: Any, waiting: int
) -> None:
    pid = pipeline.connection.info.backend_pid
    postgres_cluster.run(f"SELECT pg_terminate_backend({pid}, 20000)")
    for number in range(waiting):
        pipeline.later(ADD, row(number), lambda _: None)
    with pytest.raises(psycopg.OperationalError):
        pipeline.run(ADD, row(9))
    assert pipeline.connection.closed
    with pytest.raises(psycopg.OperationalError):
        pipeline.run(ADD, row(9))


def test_a_session_that_ends_itself_says_why(pipeline: Pipeline) -> None:
    with pytest.raises(psycopg.errors.AdminShutdown):
        pipeline.run("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(30)", {})
    assert pipeline.connection.closed


def test_who_cannot_take_an_answer_leaves_no_connection_with_answers_of_others(
    pipeline: Pipeline,
) -> None:
    def fail(_: Answer) -> None:
        raise ZeroDivisionError

    pipeline.later(ADD, row(1), fail)
    pipeline.later(ADD, row(2), lambda _: None)
    with pytest.raises(ZeroDivisionError):
        pipeline.flush()
    assert pipeline.connection.closed


def test_the_connection_may_be_used_directly_in_between(pipeline: Pipeline) -> None:
    with pipeline.connection.transaction():
        pipeline.run(ADD, row(1))
        pipeline.connection.execute("SAVEPOINT here; SELECT 1")
        pipeline.run(ADD, row(2))
        pipeline.connection.execute("ROLLBACK TO here")
    assert ids(pipeline) == [1]

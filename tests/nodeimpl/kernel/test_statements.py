from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    exists,
    select,
)
from sqlalchemy.schema import CreateTable

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import Statement, insert_new, sql, tally, upsert
from nodeimpl.kernel.store import Store

book = Table(
    "book",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("title", Text),
    Column("state", Text),
)


def test_a_statement_is_text_for_both_engines() -> None:
    made = sql(select(book.c.title).where(book.c.id == bindparam("wanted")).limit(3))
    assert ":wanted" in made.sqlite
    assert "%(wanted)s" in made.postgresql
    assert made.names == {"wanted"}
    assert 3 in made.fixed.values()


def test_a_list_known_now_is_spelled_out_beside_values_given_later() -> None:
    made = sql(
        select(book.c.id)
        .where(book.c.state.in_(["new", "used"]), book.c.id > bindparam("after"))
        .limit(bindparam("books_max"))
    )
    assert made.names == {"after", "books_max"}
    assert {"new", "used"} <= set(made.fixed.values())
    assert "POSTCOMPILE" not in made.sqlite + made.postgresql


def test_a_list_that_comes_later_is_a_mistake_at_import() -> None:
    with pytest.raises(Exception, match=r"(?i)list|expanding|wanted"):
        sql(select(book.c.id).where(book.c.id.in_(bindparam("wanted", expanding=True))))


def test_an_insert_takes_every_column_or_those_it_names() -> None:
    assert sql(book.insert()).names == {"id", "title", "state"}
    some = sql(book.insert().values(id=bindparam("id"), state="new"))
    assert some.names == {"id"}
    assert "RETURNING" not in some.postgresql


def test_a_row_is_replaced_or_left_alone_by_the_same_words_on_both_engines() -> None:
    for made in (upsert(book), insert_new(book)):
        for text in (made.sqlite, made.postgresql):
            assert "ON CONFLICT" in text
    assert "DO UPDATE SET title = excluded.title" in upsert(book).sqlite


def test_a_number_is_added_to_from_nothing_on_and_told_and_a_row_of_two_numbers_is_a_mistake() -> (
    None
):
    account = Table("account", MetaData(), Column("who", Text, primary_key=True), Column("n", Text))
    for text in (tally(account).sqlite, tally(account).postgresql):
        assert text.endswith(
            "ON CONFLICT (who) DO UPDATE SET n = account.n + excluded.n RETURNING n"
        )
    with pytest.raises(ValueError, match="unpack"):
        tally(book)


def test_what_is_added_unless_is_not_added_and_not_told(store_url: str) -> None:
    account = Table(
        "account", MetaData(), Column("who", Text, primary_key=True), Column("n", BigInteger)
    )
    richer = exists().where(account.c.who == bindparam("who"), account.c.n >= bindparam("n_max"))
    add = tally(account, unless=richer)
    text = str(CreateTable(account))
    create = Statement(
        sqlite=text, postgresql=text, names=frozenset(), fixed={}, tables=frozenset()
    )

    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        await store.write(lambda tx: tx.run(create))
        steps = [("a", 3), ("b", 9), ("a", 4), ("a", 1), ("b", -9)]
        seen = await store.write(
            lambda tx: [tx.one(add, who=who, n=number, n_max=7) for who, number in steps]
        )
        assert seen == [(3,), (9,), (7,), None, None]
        await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_every_column_has_a_type_that_works_alike_on_both_engines() -> None:
    for table in metadata.sorted_tables:
        assert table.primary_key.columns, f"{table.name} has no primary key"
        for column in table.columns:
            assert isinstance(column.type, BigInteger | Text | LargeBinary), column


CODE = """
import sys
import nodeimpl.kernel.store, nodeimpl.kernel.metrics
print(sorted({"psycopg", "alembic", "httpx", "fastapi"} & set(sys.modules)))
"""


def test_statements_import_no_driver_and_no_alembic() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            CODE,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.strip() == "[]"

"""What of the shelf is in the database, on both engines, and in one of an earlier version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.references import References
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Store
from nodeimpl.migrations import config, driver_url
from nodeimpl.migrations.__main__ import import_all_tables
from nodeimpl.network import store as network_store
from nodeimpl.records import store as table
from nodeimpl.records.store import PAGE, KeptRow
from opkit.proof.cid import cid_of
from opkit.wire.records import Carried

NOW_MS = 1_767_225_600_000


def row(number: int, *, until_ms: int = NOW_MS + 5, jws: str = "a.b.c", proof=()) -> KeptRow:
    carried = Carried.model_construct(jws=jws, proof=proof)
    return KeptRow(
        key=("note", f"name {number:04d}", "did:key:a"), carried=carried, until_ms=until_ms
    )


@pytest.fixture
def inside(store_url: str) -> Callable[[Callable[[Store], Coroutine[Any, Any, None]]], None]:
    """Run an async function with an open store."""

    def run(work: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            store = await Store.open(url=store_url, clock=VirtualClock(NOW_MS))
            try:
                await work(store)
            finally:
                await store.close()

        asyncio.run(asyncio.wait_for(main(), 120))

    return run


def test_rows_come_back_as_they_were_written_page_by_page(inside) -> None:
    rows = [row(number, proof=("d.e.f", "g.h.i")) for number in range(PAGE + 3)]

    async def story(store: Store) -> None:
        await store.write(lambda tx: table.write(tx, rows, ()))
        first = await store.read(table.read)
        assert first == rows[:PAGE]
        after = first[-1].key
        assert await store.read(lambda tx: table.read(tx, after)) == rows[PAGE:]

    inside(story)


def test_of_one_owner_under_one_name_one_row_is_kept(inside) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda tx: table.write(tx, [row(1), row(2)], ()))
        await store.write(lambda tx: table.write(tx, [row(1, jws="new")], [row(2).key]))
        assert await store.read(table.read) == [row(1, jws="new")]

    inside(story)


def test_what_is_over_goes(inside) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda tx: table.write(tx, [row(1), row(2, until_ms=NOW_MS)], ()))
        assert await store.write(table.drop_lapsed) == 1
        assert await store.read(table.read) == [row(1)]

    inside(story)


def test_a_providers_word_is_no_reason_to_keep_a_blob(inside) -> None:
    said = KeptRow(
        key=("blob", cid_of(b"x"), "did:key:a"), carried=row(1).carried, until_ms=NOW_MS + 5
    )

    async def story(store: Store) -> None:
        await store.write(lambda tx: table.write(tx, [said], ()))
        assert not await store.read(lambda tx: References(metadata).hold(tx, cid_of(b"x")))

    inside(story)


def test_a_database_of_before_keeps_what_it_had_and_takes_records(store_url, inside) -> None:
    from alembic import command

    import_all_tables()
    command.upgrade(config(store_url), "0005")
    engine = sa.create_engine(driver_url(store_url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO store_meta VALUES ('generation', 1)"))
        connection.execute(sa.text("INSERT INTO store_writer VALUES (1, 0, 0)"))
        liar = {"did": "did:key:liar", "cid": cid_of(b"x"), "at_ms": 5}
        connection.execute(network_store.liars.insert(), liar)

    async def story(store: Store) -> None:
        assert await store.read(network_store.liars_known) == ("did:key:liar",)
        assert await store.read(table.read) == []
        await store.write(lambda tx: table.write(tx, [row(1)], ()))
        assert await store.read(table.read) == [row(1)]

    inside(story)

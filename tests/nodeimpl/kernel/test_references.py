"""No domain keeps names of blobs without saying whether what they name must be kept."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import Column, MetaData, Table, Text

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.references import NAMES_BLOBS, NAMES_NOTHING, References, says
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Statement, Store, sql
from nodeimpl.migrations.__main__ import import_all_tables
from opkit.proof.cid import cid_of

SOUNDS_LIKE_A_NAME = re.compile(r"(^|_)(cid|cids|hash|content|blob)$")
OF_THE_KERNEL = ("journal", "idempotency")
"""How tables of the kernel's own begin: they keep hashes of entries, heads and asks."""


def silent(tables: MetaData) -> list[str]:
    """Return the columns that sound like names of blobs and do not say whether they are."""
    return [
        f"{table.name}.{column.name}"
        for table in tables.sorted_tables
        if not table.name.startswith(OF_THE_KERNEL)
        for column in table.columns
        if isinstance(column.type, Text) and SOUNDS_LIKE_A_NAME.search(column.name)
        if says(column) is None
    ]


def unindexed(tables: MetaData) -> list[str]:
    """Return the columns that name blobs and lead no index: each look would read the table."""
    found = []
    for table in tables.sorted_tables:
        leading = {next(iter(table.primary_key.columns.keys()), "")}
        leading |= {next(iter(index.columns.keys())) for index in table.indexes}
        found += [
            f"{table.name}.{column.name}"
            for column in table.columns
            if says(column) and column.name not in leading
        ]
    return found


def test_every_column_that_sounds_like_a_blobs_name_says_whether_it_is() -> None:
    import_all_tables()
    assert silent(metadata) == []
    assert unindexed(metadata) == []


def test_a_domain_that_forgets_to_say_is_caught() -> None:
    tables = MetaData()
    Table(
        "letters",
        tables,
        Column("id", Text, primary_key=True),
        Column("scan_cid", Text, nullable=False),
        Column("seal_hash", Text, nullable=False, info=NAMES_NOTHING),
        Column("attached_cid", Text, nullable=False, info=NAMES_BLOBS),
    )
    assert silent(tables) == ["letters.scan_cid"]
    assert unindexed(tables) == ["letters.attached_cid"]


@pytest.mark.parametrize("info", [NAMES_BLOBS, NAMES_NOTHING])
def test_what_a_declared_column_names_is_held(store_url, info) -> None:
    tables = MetaData()
    letters = Table("letters", tables, Column("scan_cid", Text, primary_key=True, info=info))
    references = References(tables)

    async def main() -> None:
        store = await Store.open(url=store_url, clock=VirtualClock())
        create = "CREATE TABLE letters (scan_cid TEXT PRIMARY KEY)"
        made = sql(letters.insert())
        await store.write(
            lambda tx: tx.run(
                Statement(
                    sqlite=create,
                    postgresql=create,
                    names=frozenset(),
                    fixed={},
                    tables=frozenset(),
                )
            )
        )
        await store.write(lambda tx: tx.run(made, scan_cid=cid_of(b"scan")))
        assert await store.read(lambda tx: references.hold(tx, cid_of(b"scan"))) is says(
            letters.c.scan_cid
        )
        assert not await store.read(lambda tx: references.hold(tx, cid_of(b"other")))
        await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))

"""The journal's tree: its root is that of the bytes that are stored, and it never runs ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl.kernel import tree
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.errors import SchemaBroken
from nodeimpl.kernel.schema import journal as journal_table
from nodeimpl.kernel.schema import journal_tree
from nodeimpl.kernel.store import Store
from nodeimpl.migrations import __main__ as migrations_command
from nodeimpl.migrations import config, driver_url
from opkit.proof.canonical import canonical
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from opkit.wire.network import ClockFixed, NodeStarted

GROWTH = (1, 254, 1, 1, 255, 1, 88)
"""Entries at a time, so that the sizes lie on, before and after the edges of what is kept."""


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def started(number: int) -> NodeStarted:
    return NodeStarted(version=str(number), generation=1)


async def opened(url: str) -> Store:
    return await Store.open(url=url, clock=VirtualClock(1_000))


async def announce(store: Store, count: int) -> None:
    await store.write(lambda tx: [tx.announce(started(number)) for number in range(count)])


async def frontiers(store: Store) -> list[Frontier]:
    """Return the tree over the first 0, 1, 2, … entries, hashed from all that is stored."""
    found, after = [Frontier()], None
    while entries := await store.read_journal(after=after, entries_max=1_000):
        found += [Frontier()] * len(entries)
        for entry in entries:
            found[entry.sequence] = found[entry.sequence - 1].append(leaf_hash(entry.stored))[0]
        after = entries[-1].cursor(store.generation)
    return found


def change(url: str, *statements: sa.Executable) -> None:
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def test_the_tree_is_that_of_the_stored_bytes_also_after_each_restart(store_url) -> None:
    async def main() -> None:
        for count in GROWTH:
            store = await opened(store_url)
            await announce(store, count)
            found = await frontiers(store)
            assert store.tree() == found[-1]
            assert store.tree().size == store.head().sequence
            await store.close()
            again = await opened(store_url)
            assert again.tree() == found[-1]
            await again.close()

    run(main())


def test_proofs_from_what_is_stored_hold_at_every_edge(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 600)
        found = await frontiers(store)
        entries = await store.read_journal(after=None, entries_max=1_000)
        for size in (1, 2, 255, 256, 257, 511, 512, 513, 600):
            for index in {0, 1, 127, 128, 254, 255, 256, 383, 511, 512, size - 1}:
                if index < size:
                    path = await store.read(reads_inclusion(index=index, size=size))
                    leaf = leaf_hash(entries[index].stored)
                    root = found[size].root()
                    verify_inclusion(leaf=leaf, index=index, size=size, path=path, root=root)
            path = await store.read(reads_consistency(first=size, second=600))
            verify_consistency(
                first=size,
                first_root=found[size].root(),
                second=600,
                second_root=store.tree().root(),
                path=path,
            )
        await store.close()

    run(main())


def reads_inclusion(**place: int) -> Callable[[Any], tuple[bytes, ...]]:
    return lambda tx: tree.inclusion_path(tx, **place)


def reads_consistency(**place: int) -> Callable[[Any], tuple[bytes, ...]]:
    return lambda tx: tree.consistency_path(tx, **place)


def test_a_journal_of_more_than_two_kept_levels_is_proved_from_few_rows(tmp_path) -> None:
    """A tree of 70,000 leaves without their entries: kept nodes alone answer for most of it."""
    asked: list[int] = []

    class Rows:
        def __init__(self) -> None:
            self.frontier, self.kept = Frontier(), {}
            for at in range(70_000):
                self.frontier, done = self.frontier.append(leaf_hash(self.stored(at)))
                tree.keep(self, size=self.frontier.size, completed=done)

        def stored(self, at: int) -> bytes:
            return stored_bytes(sequence=at + 1, type_name="t", at_ms=0, body=b"{}")

        def many(self, _: object, rows: tuple[tuple[int, int, bytes], ...]) -> None:
            for level, position, digest in rows:
                self.kept[level, position] = digest

        def all(self, _: object, **asks: int) -> list[tuple[Any, ...]]:
            if "at_level" in asks:
                places = range(asks["first"], asks["end"])
                found = [(self.kept[asks["at_level"], place],) for place in places]
            else:
                found = [(at + 1, "t", 0, b"{}") for at in range(asks["after"], asks["upto"])]
            asked.append(len(found))
            return found

    rows: Any = Rows()
    assert {level for level, _ in rows.kept} == {8, 16}
    assert tree.read_frontier(rows, size=70_000) == rows.frontier
    for index in (0, 65_535, 65_536, 69_999):
        asked.clear()
        path = tree.inclusion_path(rows, index=index, size=70_000)
        leaf, root = leaf_hash(rows.stored(index)), rows.frontier.root()
        verify_inclusion(leaf=leaf, index=index, size=70_000, path=path, root=root)
        assert sum(asked) <= 1_600, "some hundred rows, however many entries there are"


def test_a_refusal_and_a_lost_commit_add_no_leaf(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 255)
        before = store.tree()

        def refuses(tx: Any) -> None:
            tx.announce(started(0))
            raise ClockFixed

        with pytest.raises(ClockFixed):
            await store.write(refuses)
        assert store.tree() == before
        kept = asyncio.gather(store.write(refuses), announce(store, 2), return_exceptions=True)
        await kept
        assert store.tree() == (await frontiers(store))[257]
        await store.close()

    run(main())


def test_a_tree_that_misses_a_part_is_refused_when_it_is_opened(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 300)
        await store.close()
        change(store_url, journal_tree.delete())
        with pytest.raises(SchemaBroken, match="tree lacks nodes of level 8"):
            await opened(store_url)

    run(main())


@pytest.mark.parametrize("count", [0, 1, 256, 2_600])
def test_a_journal_that_grew_before_there_was_a_tree_gets_its_tree(store_url, count) -> None:
    from alembic import command

    migrations_command.import_all_tables()
    command.upgrade(config(store_url), "0001")
    rows, previous, whole = [], JOURNAL_START, Frontier()
    for at in range(1, count + 1):
        body = canonical(started(at).model_dump(mode="json"))
        row = {"sequence": at, "type": "node.started", "at_ms": at, "body": body}
        stored = stored_bytes(sequence=at, type_name="node.started", at_ms=at, body=body)
        digest = entry_hash(previous=previous, stored=stored)
        rows.append({**row, "scope": "node:read", "previous": previous, "hash": digest})
        previous, (whole, _) = digest, whole.append(leaf_hash(stored))
    change(
        store_url,
        sa.text("INSERT INTO store_meta VALUES ('generation', 1)"),
        sa.text("INSERT INTO store_writer VALUES (1, 0, 0)"),
        *([journal_table.insert().values(rows[at : at + 100]) for at in range(0, count, 100)]),
    )

    async def main() -> None:
        store = await opened(store_url)
        assert store.tree() == whole
        assert store.head().hash == previous
        await announce(store, 300)
        assert store.tree() == (await frontiers(store))[-1]
        await store.close()
        again = await opened(store_url)
        assert again.tree().size == count + 300
        await again.close()

    run(main())

"""A journal whose oldest entries went: the same tree, the same proofs, and a place to begin."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl.kernel import cutting, generations, tree
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.journal import read_cut
from nodeimpl.kernel.schema import journal as journal_table
from nodeimpl.kernel.store import Store
from nodeimpl.migrations import __main__ as migrations_command
from nodeimpl.migrations import config, driver_url
from opkit.proof.canonical import canonical
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.events import Cursor, JournalCut, JournalDiverged
from opkit.wire.network import NodeStarted

HEAD = "a.b.c"
EDGES = (1, 2, 127, 128, 129, 255, 256, 257, 383, 384, 511, 512, 513, 600, 767, 768, 769, 900)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 90))


async def opened(url: str) -> Store:
    return await Store.open(url=url, clock=VirtualClock(5_000_000))


async def announce(store: Store, count: int) -> None:
    said = [NodeStarted(version=str(number), generation=1) for number in range(count)]
    await store.write(lambda tx: [tx.announce(each) for each in said])


async def proofs(store: Store, *, size: int) -> dict[tuple[str, int, int], tuple[bytes, ...]]:
    """Return every proof at the edges, over the first `size` entries."""

    def read(tx: Any) -> dict[tuple[str, int, int], tuple[bytes, ...]]:
        found = {}
        for at in (edge for edge in EDGES if edge <= size):
            found["in", at, size] = tree.inclusion_path(tx, index=at - 1, size=size)
            for to in (edge for edge in EDGES if at <= edge <= size):
                found["grew", at, to] = tree.consistency_path(tx, first=at, second=to)
        return found

    return await store.read(read)


async def checkpoint(store: Store, size: int) -> None:
    await store.write(lambda tx: cutting.checkpoint(tx, size=size, head=HEAD))


async def remove_all(store: Store) -> int:
    """Remove what goes, a block at a time; return how many blocks there were."""
    blocks = 0
    while await store.write(cutting.remove_block):
        blocks += 1
    return blocks


async def count(store: Store) -> int:
    entries = await store.read_journal(after=None, entries_max=1_000)
    return len(entries)


def test_every_proof_is_what_it_was_before_the_entries_went(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 900)
        entries = await store.read_journal(after=None, entries_max=1_000)
        before, early = await proofs(store, size=900), store.tree()
        await checkpoint(store, 512)
        assert await remove_all(store) == 2
        assert await proofs(store, size=900) == before
        kept = await store.read_journal(after=None, entries_max=1_000)
        assert [each.sequence for each in kept] == list(range(513, 902))
        assert kept[:-1] == entries[512:]
        assert (kept[0].previous, kept[-1].type) == (entries[511].hash, "journal.checkpointed")
        made = await store.read(cutting.last_checkpoint)
        assert made is not None
        assert (made.size, made.hash, made.head) == (512, entries[511].hash, HEAD)
        found = Frontier(made.size, tuple(bytes.fromhex(peak) for peak in made.peaks))
        for entry in kept:
            found, _ = found.append(leaf_hash(entry.stored))
        assert found == store.tree()
        await store.close()
        again = await opened(store_url)
        assert again.tree() == found
        assert await proofs(again, size=900) == before
        assert early.size == 900
        await again.close()

    run(main())


def test_who_reads_from_before_a_checkpoint_is_told_where_to_go_on(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 600)
        entries = await store.read_journal(after=None, entries_max=1_000)
        cursors = {each.sequence: each.cursor(1) for each in entries}
        cursors[0] = Cursor(generation=1, sequence=0, hash=JOURNAL_START)
        await checkpoint(store, 256)
        for gone in ("going", "gone"):
            for sequence in (0, 1, 255):
                with pytest.raises(JournalCut) as cut:
                    await store.read_journal(after=cursors[sequence], entries_max=10)
                assert cut.value.resume == str(cursors[256]), gone
            resumed = await store.read_journal(after=Cursor.parse(cut.value.resume), entries_max=10)
            assert resumed[0] == entries[256]
            assert (await store.read_journal(after=None, entries_max=10))[0] == entries[256]
            later = await store.read_journal(after=cursors[400], entries_max=10)
            assert later[0] == entries[400]
            other = cursors[256].model_copy(update={"hash": "0" * 64})
            beyond = cursors[256].model_copy(update={"sequence": 9_999})
            stranger = cursors[1].model_copy(update={"generation": 2})
            for cursor in (other, beyond, stranger):
                with pytest.raises(JournalDiverged) as no:
                    await store.read_journal(after=cursor, entries_max=10)
                assert not isinstance(no.value, JournalCut)
                assert no.value.head == str(store.head())
            await remove_all(store)
        await store.close()

    run(main())


def test_a_process_that_ends_while_entries_go_leaves_nothing_to_see(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 900)
        before = await proofs(store, size=900)
        await checkpoint(store, 768)
        for left in (3, 2, 1, 0):
            assert await count(store) == 901 - 768
            assert await proofs(store, size=900) == before
            assert await store.read(cutting.is_going) is (left > 0)
            await store.close()
            store = await opened(store_url)
            assert await store.write(cutting.remove_block) is (left > 0)
        await announce(store, 300)
        await checkpoint(store, 1_024)
        assert await remove_all(store) == 1
        assert await proofs(store, size=900) == before
        assert (await store.read(read_cut))[0] == 1_024
        await store.close()

    run(main())


def test_a_block_that_could_not_be_removed_is_there_still(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 300)
        before = await proofs(store, size=300)
        await checkpoint(store, 256)

        def fails(tx: Any) -> None:
            assert cutting.remove_block(tx)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await store.write(fails)
        assert await store.read(cutting.is_going)
        assert await proofs(store, size=300) == before
        assert await remove_all(store) == 1
        assert await proofs(store, size=300) == before
        await store.close()

    run(main())


def test_a_generation_is_opened_behind_a_checkpoint_too(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 300)
        await checkpoint(store, 256)
        await remove_all(store)
        last = (await store.read(read_cut))[1]
        assert await store.read(lambda tx: generations.hash_at(tx, 256)) == last
        assert await store.read(lambda tx: generations.hash_at(tx, 255)) is None
        assert await store.read(lambda tx: generations.hash_at(tx, 0)) is None
        done = await store.write(
            lambda tx: generations.open_next(tx, lost=None, at_least=0, reason="")
        )
        await store.close()
        again = await opened(store_url)
        assert done.after.size == 301
        old = Cursor(generation=1, sequence=1, hash=JOURNAL_START)
        with pytest.raises(JournalDiverged) as no:
            await again.read_journal(after=old, entries_max=1)
        assert not isinstance(no.value, JournalCut)
        await again.close()

    run(main())


def test_nothing_goes_that_a_listener_has_not_read(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 3)
        assert await store.read(lambda tx: cutting.heard_by_all(tx, size=3)) == 3
        heard: list[int] = []

        async def hear(entry: Any) -> None:
            heard.append(entry.sequence)

        listening = asyncio.create_task(store.follow("ear", hear))
        async with asyncio.timeout(30):
            while await store.read(lambda tx: cutting.heard_by_all(tx, size=99)) == 99:
                await asyncio.sleep(0.01)
        assert await store.read(lambda tx: cutting.heard_by_all(tx, size=99)) == 3
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await store.close()

    run(main())


def test_a_database_from_before_there_were_checkpoints_is_whole_and_can_be_cut(store_url) -> None:
    from alembic import command

    migrations_command.import_all_tables()
    command.upgrade(config(store_url), "0001")
    rows, previous = [], JOURNAL_START
    for at in range(1, 301):
        body = canonical({"generation": 1, "version": str(at)})
        stored = stored_bytes(sequence=at, type_name="node.started", at_ms=at, body=body)
        digest = entry_hash(previous=previous, stored=stored)
        row = {"sequence": at, "type": "node.started", "scope": "node:read", "at_ms": at}
        rows.append({**row, "body": body, "previous": previous, "hash": digest})
        previous = digest
    engine = sa.create_engine(driver_url(store_url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO store_meta VALUES ('generation', 1)"))
        connection.execute(sa.text("INSERT INTO store_writer VALUES (1, 0, 0)"))
        connection.execute(journal_table.insert(), rows)
    command.upgrade(config(store_url), "0003")

    async def main() -> None:
        store = await opened(store_url)
        assert await store.read(read_cut) == (0, JOURNAL_START)
        assert await store.read(cutting.last_checkpoint) is None
        assert not await store.read(cutting.is_going)
        before = await proofs(store, size=300)
        assert await store.read(lambda tx: cutting.at_ms(tx, 256)) == 256
        await checkpoint(store, 256)
        assert await remove_all(store) == 1
        assert await proofs(store, size=300) == before
        await store.close()

    run(main())

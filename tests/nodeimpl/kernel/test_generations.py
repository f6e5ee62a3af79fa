"""Generations: another history behind the same entries, in the same chain and tree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import sqlalchemy as sa

from nodeimpl.kernel import generations, tree
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.schema import journal as journal_table
from nodeimpl.kernel.schema import journal_listener
from nodeimpl.kernel.store import Store
from nodeimpl.migrations import __main__ as migrations_command
from nodeimpl.migrations import config, driver_url
from opkit.proof.canonical import canonical
from opkit.proof.history import Rebuilding
from opkit.proof.journal import JOURNAL_START, entry_hash, stored_bytes
from opkit.proof.merkle import verify_consistency
from opkit.wire.events import JournalDiverged, JournalEntry
from opkit.wire.journal import GenerationOpened, HistoryPlace
from opkit.wire.network import NodeStarted

NOW_MS = 5_000_000


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


async def opened(url: str) -> Store:
    return await Store.open(url=url, clock=VirtualClock(NOW_MS))


async def announce(store: Store, count: int) -> None:
    said = [NodeStarted(version=str(number), generation=1) for number in range(count)]
    await store.write(lambda tx: [tx.announce(each) for each in said])


async def renew(url: str, **how: Any) -> GenerationOpened:
    """Open a generation on a store that nobody uses."""
    store = await opened(url)
    asked = {"lost": None, "at_least": 0, "reason": "", **how}
    done = await store.write(lambda tx: generations.open_next(tx, **asked))
    await store.close()
    return done


async def rebuilt(store: Store) -> Rebuilding:
    entries = await store.read_journal(after=None, entries_max=1_000)
    found = Rebuilding()
    for entry in entries:
        said = JournalEntry.model_validate_json(
            b'{"sequence":%d,"type":"%b","at_ms":%d,"body":%b,"previous":"%b","hash":"%b"}'
            % (
                entry.sequence,
                entry.type.encode(),
                entry.at_ms,
                entry.body,
                entry.previous.encode(),
                entry.hash.encode(),
            )
        )
        found.add(said)
    return found


def test_a_generation_goes_on_in_the_same_chain_and_tree_and_cites_where_it_began(
    store_url,
) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 300)
        early, head = store.tree(), store.head()
        await store.close()
        done = await renew(store_url, reason="disk lost")
        again = await opened(store_url)
        assert again.generation == done.generation == NOW_MS // 1000
        assert done.after == HistoryPlace(
            generation=1, size=300, root=early.root().hex(), hash=head.hash
        )
        await announce(again, 2)
        (first, *_) = await again.read_journal(
            after=head.model_copy(update={"generation": done.generation}), entries_max=10
        )
        assert (first.sequence, first.type) == (301, "journal.generation-opened")
        assert first.previous == head.hash
        found = await rebuilt(again)
        assert found.place.root == again.tree().root().hex()
        assert found.place.generation == done.generation
        assert found.openings == [done]
        assert await again.read(generations.openings) == (done,)
        assert await again.read(generations.opened_at_ms) == NOW_MS
        path = await again.read(lambda tx: tree.consistency_path(tx, first=300, second=303))
        verify_consistency(
            first=300,
            first_root=early.root(),
            second=303,
            second_root=again.tree().root(),
            path=path,
        )
        await again.close()

    run(main())


def test_a_cursor_of_the_generation_before_is_refused_and_listeners_go_on(store_url) -> None:
    async def main() -> None:
        store = await opened(store_url)
        await announce(store, 3)
        old = store.head()
        heard: list[int] = []

        async def hear(entry: Any) -> None:
            heard.append(entry.sequence)

        async def listen(to: Store, upto: int) -> None:
            listening = asyncio.create_task(to.follow("ear", hear))
            while not heard or heard[-1] < upto or not await to.read(lambda tx: kept(tx, upto)):
                await asyncio.sleep(0.01)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

        await listen(store, 3)
        await store.close()
        done = await renew(store_url)
        again = await opened(store_url)
        with pytest.raises(JournalDiverged) as no:
            await again.read_journal(after=old, entries_max=10)
        assert no.value.head == f"{done.generation}.4.{again.head().hash}"
        await listen(again, 4)
        assert heard == [1, 2, 3, 4]
        await again.close()

    run(main())


def kept(tx: Any, sequence: int) -> bool:
    from nodeimpl.kernel.statements import sql

    row = tx.one(sql(sa.select(journal_listener.c.sequence)))
    return row is not None and row[0] == sequence


def test_a_number_is_never_used_twice_and_tells_when_it_was_given(store_url) -> None:
    """It is the second of the opening, or the next one if the clock is behind."""

    async def main() -> None:
        first = await renew(store_url)
        second = await renew(store_url)
        third = await renew(store_url, at_least=9_999)
        numbers = [each.generation for each in (first, second, third)]
        assert numbers == [5_000, 5_001, 9_999]
        store = await opened(store_url)
        assert await store.read(generations.openings) == (first, second, third)
        assert await store.read(generations.opened_at_ms) == NOW_MS
        await store.close()

    run(main())


def test_a_database_from_before_there_were_generations_is_the_first(store_url) -> None:
    from alembic import command

    migrations_command.import_all_tables()
    command.upgrade(config(store_url), "0002")
    body = canonical(NodeStarted(version="1", generation=1).model_dump(mode="json"))
    stored = stored_bytes(sequence=1, type_name="node.started", at_ms=7, body=body)
    digest = entry_hash(previous=JOURNAL_START, stored=stored)
    row = {"sequence": 1, "type": "node.started", "at_ms": 7, "body": body, "scope": "node:read"}
    engine = sa.create_engine(driver_url(store_url), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO store_meta VALUES ('generation', 1)"))
        connection.execute(sa.text("INSERT INTO store_writer VALUES (1, 0, 0)"))
        connection.execute(
            journal_table.insert().values(**row, previous=JOURNAL_START, hash=digest)
        )

    async def main() -> None:
        store = await opened(store_url)
        assert (store.generation, store.head().hash) == (1, digest)
        assert await store.read(generations.openings) == ()
        assert await store.read(generations.opened_at_ms) == 0
        assert not await store.read(generations.is_marked)
        await store.close()
        assert (await renew(store_url)).after.hash == digest

    run(main())

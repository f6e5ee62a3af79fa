"""What a home keeps of names, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store
from nodeimpl.naming import store as table
from nodeimpl.naming.rules import Used


def with_store(url: str, main: Callable[[Store], Awaitable[None]]) -> None:
    """Run `main` with a store that is closed at its end."""

    async def run() -> None:
        store = await Store.open(url=url, clock=RealClock())
        try:
            async with asyncio.timeout(30):
                await main(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_what_was_countersigned_last_is_read_as_it_was_kept(store_url: str, home: Any) -> None:
    held = home.hand_in(home.claim())
    home.now_ms += 5
    gone = home.hand_in(home.claim(target=None))

    async def main(store: Store) -> None:
        assert await store.read(lambda tx: table.get(tx, held.name)) is None
        for standing in (held, gone):
            await store.write(partial(table.put, standing=standing))
            assert await store.read(lambda tx: table.get(tx, held.name)) == standing
        await store.write(lambda tx: table.drop(tx, held.name))
        assert await store.read(lambda tx: table.get(tx, held.name)) is None

    with_store(store_url, main)


def test_names_are_due_when_their_time_or_their_use_is_over(store_url: str, home: Any) -> None:
    held = home.hand_in(home.claim())
    lapsed = replace(held, name="plane.yard", state="lapsed", keep_until_ms=held.until_ms + 9)

    async def main(store: Store) -> None:
        assert await store.read(table.next_due_ms) is None
        for standing in (held, lapsed):
            await store.write(partial(table.put, standing=standing))
        assert await store.read(table.next_due_ms) == held.until_ms

        def due(now_ms: int) -> Any:
            return store.read(lambda tx: [it.name for it in table.due(tx, now_ms=now_ms)])

        assert await due(held.until_ms - 1) == []
        assert await due(held.until_ms) == [held.name]
        assert await due(held.until_ms + 9) == [held.name, "plane.yard"]
        await store.write(lambda tx: table.look_at(tx, "yard/b"))
        assert await store.read(table.next_due_ms) == held.until_ms
        await store.write(lambda tx: table.look_at(tx, "yard/a"))
        assert (await store.read(table.next_due_ms) or 0) < held.until_ms

    with_store(store_url, main)


def test_rows_are_counted_and_paged_in_order(store_url: str, home: Any) -> None:
    held = home.hand_in(home.claim())
    count = table.PAGE + 3
    rows = [
        replace(held, name=f"n{number:04}.yard", member_id=f"yard/{'ab'[number % 2]}")
        for number in range(count)
    ]

    async def main(store: Store) -> None:
        await store.write(lambda tx: [table.put(tx, row) for row in rows] and None)
        first = await store.read(lambda tx: table.page(tx, after=""))
        rest = await store.read(lambda tx: table.page(tx, after=first[-1].name))
        assert [*first, *rest] == rows
        used = await store.read(lambda tx: table.used(tx, member_id="yard/a", coop="yard"))
        assert used == Used(member=(count + 1) // 2, coop=count)
        none = await store.read(lambda tx: table.used(tx, member_id="yard/x", coop="other"))
        assert none == Used(member=0, coop=0)

    with_store(store_url, main)

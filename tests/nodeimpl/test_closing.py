"""A node whose own work failed is closed like any other: what it holds is let go of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history.mark import MarkFile
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.store import Store

RIVER = "river-city-tool-library"


def test_a_node_whose_own_work_failed_says_so_and_still_lets_go_of_its_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        victim: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        async def run(self: Collector) -> None:
            if await asyncio.shield(victim) is not self._store:
                await asyncio.Event().wait()
            raise RuntimeError("a defect of its own")

        monkeypatch.setattr(Collector, "run", run)
        async with asyncio.timeout(60), inprocess_world("three") as world:
            one: Any = world.node(RIVER)
            node = one.node
            victim.set_result(node.store)
            assert "a defect of its own" in repr(await node.broke())
            await world.kill(RIVER)
            mark = MarkFile(one.config.node.folder).read()
            assert mark is not None
            assert mark.size == node.store.head().sequence
            again = await Store.open(url=one.config.store_url(), clock=world.clock)
            await again.close()

    asyncio.run(main())


def test_a_node_whose_own_work_fails_as_it_is_ended_does_not_hide_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async def run(self: Collector) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("a defect as it ends")

        async with asyncio.timeout(60), inprocess_world("three") as world:
            monkeypatch.setattr(Collector, "run", run)
            await world.kill(RIVER)
            await world.restart(RIVER)
            one: Any = world.node(RIVER)
            with pytest.raises(ExceptionGroup) as told:
                await world.kill(RIVER)
            assert "a defect as it ends" in repr(told.value)
            again = await Store.open(url=one.config.store_url(), clock=world.clock)
            await again.close()

    asyncio.run(main())

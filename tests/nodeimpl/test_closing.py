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

"""Waiting for a node that was forked: it is over when the node is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devnet.layout import unless_it_ends
from devnet.reaper import Child
from devnet.state import DevnetError

WAIT_S = 100


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of a node that has said why it ends."""
    (tmp_path / "river").mkdir()
    path = tmp_path / "river" / "node.log"
    path.write_text('{"event": "this node signs nothing any more"}\n', "utf-8")
    return path


def test_nobody_waits_for_a_node_that_has_ended(log: Path) -> None:
    async def story() -> None:
        child, cancelled = Child(pid=7), asyncio.Event()

        async def never() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async def ends() -> None:
            child.status = 3
            child.ended.set()

        ending = asyncio.create_task(ends())
        why = "of river ended with status 3 before it was ready: this node signs nothing any more"
        with pytest.raises(DevnetError, match=why):
            await unless_it_ends(never(), child=child, log=log)
        await ending
        assert cancelled.is_set()

    asyncio.run(asyncio.wait_for(story(), WAIT_S))


def test_what_comes_to_be_or_fails_before_is_passed_on(log: Path) -> None:
    async def story() -> None:
        async def done() -> None:
            await asyncio.sleep(0)

        async def fails() -> None:
            raise DevnetError("not ready in time")

        await unless_it_ends(done(), child=Child(pid=7), log=log)
        with pytest.raises(DevnetError, match="not ready in time"):
            await unless_it_ends(fails(), child=Child(pid=7), log=log)

    asyncio.run(asyncio.wait_for(story(), WAIT_S))

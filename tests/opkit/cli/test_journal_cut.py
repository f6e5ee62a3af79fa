"""`opkit journal` against a node that has removed old entries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.history.retention import Retention
from nodeimpl.history.rules import Keeping
from opkit.cli import journal
from opkit.cli.failing import Mistake
from opkit.wire.network import NodeStarted

HARBOR = "harbor-homes-cooperative"


def test_a_journal_that_was_cut_is_verified_from_its_checkpoint_on_and_says_so() -> None:
    async def main() -> None:
        async with inprocess_world("three") as world:
            target: Any = target_of(world)
            _, early, _ = await journal._verify_node(target, world.genesis, None)
            node = world.node(HARBOR).node
            said = [NodeStarted(version=str(at), generation=1) for at in range(600)]
            await node.store.write(lambda tx: [tx.announce(each) for each in said])
            _, middle, _ = await journal._verify_node(target, world.genesis, early)
            retention: Retention = node._retention
            retention._keeping = Keeping(entries_min=50, step_min=256)
            assert await retention.cut() == 512
            for kept in (early, middle):
                verdict, late, about = await journal._verify_node(target, world.genesis, kept)
                assert verdict.status == "verified", verdict.failures
                assert about["removed"] == "entries 1 to 512, behind a checkpoint"
                names = {check.name for check in verdict.checks}
                assert {"checkpoint-head-signature", "grew-from-checkpoint", "only-grew"} <= names
            with pytest.raises(Mistake, match="removed its entries up to 512"):
                await journal._prove(target, 512)
            proof = await journal._prove(target, 513)
            assert proof.entry.sequence == 513
            assert late != middle

    asyncio.run(asyncio.wait_for(main(), 100))


def target_of(world: Any) -> SimpleNamespace:
    """Return a node of a network in this process as a target of commands."""

    @asynccontextmanager
    async def client() -> AsyncIterator[Any]:
        yield world.operator(HARBOR)

    return SimpleNamespace(did=world.node(HARBOR).did, client=client)

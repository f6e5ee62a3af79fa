"""A teller with a flow that never ends, for showing what becomes of it when it is ended midway.

The devnet's fork server calls `run` of this module in place of that of `flows.teller`.
"""

from __future__ import annotations

import asyncio
import os

from flows import FLOWS
from flows.teller import run
from opkit.story import Evidence, Flow, World, expect, that

__all__ = ["run"]

HARBOR = "harbor-homes-cooperative"


class Memory:
    """What the steps hand on: nothing."""


slow: Flow[Memory] = Flow(
    name="slow",
    title="A story without end",
    story="A stranger comes, and then nothing happens.",
    memory=Memory,
    needs=frozenset({"hostile"}),
)
elsewhere: Flow[Memory] = Flow(
    name="elsewhere",
    title="A story of another network",
    story="It cannot be told here.",
    memory=Memory,
    profiles=("federation",),
)


@slow.step("STRANGER_HERE")
async def _stranger(world: World, _: Memory) -> Evidence:
    """A stranger connects."""
    peer = await world.hostile("silent", against=(HARBOR,))
    return expect(that("it has a key", bool(peer.did)), pid=os.getpid())


@slow.step("NEVER_ENDS")
@elsewhere.step("NEVER_ENDS")
async def _never(_: World, __: Memory) -> Evidence:
    """Nothing happens."""
    await asyncio.Event().wait()
    raise AssertionError("nothing sets it")


@slow.step("AFTERWARDS")
async def _afterwards(_: World, __: Memory) -> Evidence:
    """This is never told."""
    raise AssertionError("the step before never ends")


FLOWS.clear()
FLOWS.update({slow.name: slow, elsewhere.name: elsewhere})

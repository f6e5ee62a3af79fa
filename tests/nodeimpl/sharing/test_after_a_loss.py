"""A home that lost its database asks what it had said, and goes on once it was answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nodeimpl.sharing.replicating import Replicator
from opkit.wire import objects as wire
from opkit.wire.base import Did
from opkit.wire.gateway import StoreBusy
from tests.nodeimpl.sharing.conftest import TOOLS, Home

TWO = "ada ben"


class Cable:
    """The connections of one home to another one, which answers and never begins to talk."""

    def __init__(self, own: Home, there: Home, clock: Any) -> None:
        self.own, self.peer = own.did, there.did
        self.there = Replicator(there.sharing, store=there.store, links=self, clock=clock)

    def connected(self) -> tuple[Did, ...]:
        return (self.peer,)

    async def ask(self, peer: Did, method: Any, ask: Any) -> Any:
        assert peer == self.peer
        answers = {
            wire.TELL_HEADS.name: self.there.heard,
            wire.LACKING.name: self.there.lacking,
            wire.GIVE.name: self.there.give,
        }
        return await answers[method.name](self.own, ask)

    def ban(self, peer: Did, *, why: str, ms: int) -> None:
        raise AssertionError(f"{peer} is honest, and banned for {ms} ms: {why}")


async def until_it_may_say(ada: Home, ben: Home, clock: Any) -> None:
    """Run ada's replicator until she goes on; that she does not is the test's time limit."""
    cable = Cable(ada, ben, clock)
    replicator = Replicator(ada.sharing, store=ada.store, links=cable, clock=clock)
    running = asyncio.create_task(replicator.run())
    try:
        while not await ada.store.write(lambda tx: ada.sharing.may_say(tx, TOOLS)):
            assert not running.done(), "the replicator ended"
            await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("known", ["never", "opened", "said"])
def test_what_was_said_is_asked_of_who_tells_nothing_by_itself(
    within: Any, home_at: Any, url_of: Any, clock: Any, known: str
) -> None:
    async def work() -> None:
        async with home_at(url_of("ben"), "ben") as ben:
            if known != "never":
                await ben.open(TOOLS, TWO)
            if known == "said":
                async with home_at(url_of("lost")) as ada:
                    await ada.open(TOOLS, TWO)
                    await ada.add("first")
                    await ben.pull(ada)
            async with home_at(url_of("ada"), generation=2) as ada:
                await ada.open(TOOLS, TWO)
                with pytest.raises(StoreBusy):
                    await ada.add("second")
                await until_it_may_say(ada, ben, clock)
                await ada.add("second")
                await ben.pull(ada)
            said = ("first", "second") if known == "said" else ("second",)
            assert await ben.elements() == said
            assert not await ben.store.read(ben.sharing.forks)

    within(work)

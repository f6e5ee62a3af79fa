"""A peer that is killed and back within seconds, over both transports.

Its new connection comes while the one before looks as if it had crossed it on the way; and that one
is dead, which nobody was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from devnet.links import Link
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.memory import MemoryTransport
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.errors import Unreachable
from opkit.wire.events import Event
from opkit.wire.network import EngineId
from opkit.wire.peer import LOAD, AskLoad, Load

ASK = AskLoad(member_id="coop/ana")
SAID = Load(
    running=0,
    waiting=0,
    slots=2,
    accepts=True,
    engine=EngineId(name="test", version="1", settings="none"),
)
LONG_MS = 30_000


class Way:
    """How Ana reaches Ben's first life, which can be silenced as if it were killed."""

    def __init__(self, first: Transport) -> None:
        self.link = Link("ana", "ben")
        self._first = first

    async def open(self) -> str:
        (address, *_) = self._first.addresses()
        if isinstance(self._first, MemoryTransport):
            return address
        here = await self.link.open()
        self.link.aim(address)
        return here

    def close(self) -> None:
        if isinstance(self._first, MemoryTransport):
            self._first.die()
        else:
            self.link.close()


@dataclass
class Pair:
    """Ana, who dialled Ben and has the lower DID, and Ben's two lives."""

    ana: Peers
    first: Peers
    second: Peers
    way: Way
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    asked_count: int = 0

    def run(self, *peers: Peers) -> None:
        self.tasks += [asyncio.create_task(each.run()) for each in peers]

    async def come_back(self) -> None:
        self.run(self.second)
        await self.second.wait_connected(self.ana.did, LONG_MS)

    async def ask(self, *, deadline_ms: int = LONG_MS) -> Load:
        return await self.ana.ask(self.second.did, LOAD, ASK, deadline_ms=deadline_ms)

    async def hold(self, _peer: str, _ask: Any) -> Load:
        """Hear a question, in Ben's first life, and never answer it."""
        self.asked_count += 1
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("it waits for ever")

    async def answer(self, _peer: str, _ask: Any) -> Load:
        self.asked_count += 1
        return SAID


def peers(of: Transport, genesis: GenesisView, *known: PeerAddress) -> Peers:
    return Peers(
        transport=of,
        genesis=genesis,
        org="coop",
        version="test",
        clock=RealClock(),
        announce=nobody,
        bootstrap=known,
    )


async def nobody(_event: Event) -> None:
    """Tell nobody."""


def in_order() -> tuple[Identity, Identity]:
    """Return two keys: of two connections made at once the one that the first dialled stays."""
    one, other = Identity.generate(), Identity.generate()
    return (one, other) if one.did < other.did else (other, one)


@pytest.fixture
def pair(transports: Any, genesis_for: Any) -> Any:
    """Let Ana be connected with Ben's first life, which hears questions and answers none."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Pair]:
        ana, ben = in_order()
        genesis = genesis_for(ana, ben)
        async with asyncio.timeout(60), transports(ana, ben, ben) as (end, first, second):
            way = Way(first)
            there = Pair(
                ana=peers(end, genesis, PeerAddress(did=ben.did, addresses=(await way.open(),))),
                first=peers(first, genesis),
                second=peers(second, genesis, PeerAddress(did=ana.did, addresses=end.addresses())),
                way=way,
            )
            there.first.serve(LOAD, there.hold)
            there.second.serve(LOAD, there.answer)
            there.run(there.first, there.ana)
            try:
                await there.ana.wait_connected(ben.did, LONG_MS)
                assert there.ana.dialled(ben.did)
                yield there
            finally:
                way.link.close()
                for task in there.tasks:
                    task.cancel()
                await asyncio.gather(*there.tasks, return_exceptions=True)

    return opened


def test_who_is_killed_and_back_at_once_is_asked_over_the_new_link(pair: Any) -> None:
    async def story() -> None:
        async with pair() as there:
            there.way.close()
            await there.come_back()
            assert await there.ask() == SAID
            assert not there.ana.dialled(there.second.did)
            assert there.ana.connected() == (there.second.did,)

    asyncio.run(story())


def test_a_question_under_way_is_asked_once_more_when_another_link_stands(pair: Any) -> None:
    async def story() -> None:
        async with pair() as there:
            asking = asyncio.create_task(there.ask())
            await there.asked.wait()
            there.way.close()
            await there.come_back()
            assert await asking == SAID
            assert there.asked_count == 2

    asyncio.run(story())


def test_a_question_that_had_its_time_is_not_asked_once_more(pair: Any) -> None:
    async def story() -> None:
        async with pair() as there:
            there.way.close()
            with pytest.raises(Unreachable, match="silent for 50 ms"):
                await there.ask(deadline_ms=50)
            await there.come_back()
            assert there.asked_count == 0

    asyncio.run(story())


def test_the_end_of_the_only_link_ends_its_questions(pair: Any) -> None:
    async def story() -> None:
        async with pair() as there:
            asking = asyncio.create_task(there.ask())
            await there.asked.wait()
            there.way.close()
            with pytest.raises(Unreachable) as gone:
                await asking
            assert "silent for" not in gone.value.why
            assert there.asked_count == 1

    asyncio.run(story())

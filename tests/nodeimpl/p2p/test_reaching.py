"""Connections that are wanted for a question, as far as no transport is needed to show it."""

from __future__ import annotations

import asyncio

import pytest

from nodeimpl.kernel.clock import RealClock, VirtualClock
from nodeimpl.p2p import limits as module
from nodeimpl.p2p.limits import Bans, PeersLimits
from nodeimpl.p2p.reaching import PeerAddress, Reaching
from opkit.wire.errors import Unreachable

ANA, BEN, CAT = (PeerAddress(did=f"did:{name}", addresses=("x",)) for name in ("a", "b", "c"))


class Dials:
    """Attempts that end when the test says so."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Future[bool]] = {}
        self.begun = 0

    async def connect(self, peer: PeerAddress) -> bool:
        self.begun += 1
        self.ends[peer.did] = asyncio.get_running_loop().create_future()
        return await self.ends[peer.did]


def test_one_attempt_serves_all_who_want_the_peer_and_outlives_who_gave_up():
    async def story():
        dials = Dials()
        reaching = Reaching(connect=dials.connect, clock=RealClock(), limits=PeersLimits())
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:

            def want() -> asyncio.Task[None]:
                return tasks.create_task(reaching.reach(ANA, tasks=tasks, deadline_ms=20_000))

            first, second = want(), want()
            while not dials.ends:
                await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(Unreachable, match="not connected in 1 ms"):
                await reaching.reach(ANA, tasks=tasks, deadline_ms=1)
            dials.ends[ANA.did].set_result(True)
            await second
            assert dials.begun == 1
            await asyncio.gather(first, return_exceptions=True)

    asyncio.run(story())


def test_only_so_many_are_dialled_at_once():
    async def story():
        dials = Dials()
        limits = PeersLimits(dialling_max=2)
        reaching = Reaching(connect=dials.connect, clock=RealClock(), limits=limits)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            wanted = [
                tasks.create_task(reaching.reach(peer, tasks=tasks, deadline_ms=20_000))
                for peer in (ANA, BEN)
            ]
            while len(dials.ends) < 2:
                await asyncio.sleep(0)
            with pytest.raises(Unreachable, match="too many others"):
                await reaching.reach(CAT, tasks=tasks, deadline_ms=20_000)
            for end in dials.ends.values():
                end.set_result(True)
            await asyncio.gather(*wanted)
            late = tasks.create_task(reaching.reach(CAT, tasks=tasks, deadline_ms=20_000))
            while CAT.did not in dials.ends:
                await asyncio.sleep(0)
            dials.ends[CAT.did].set_result(True)
            await late

    asyncio.run(story())


def test_a_ban_passes_and_the_oldest_gives_way(monkeypatch):
    monkeypatch.setattr(module, "GUARDS_MAX", 2)
    clock = VirtualClock()
    bans = Bans(clock)
    bans.add("did:a", ms=100)
    assert bans.left_ms("did:a") == 100
    clock.advance(99)
    assert bans.standing() == ("did:a",)
    clock.advance(1)
    assert bans.standing() == ()
    assert bans.left_ms("did:a") == 0
    for name in "abc":
        bans.add(f"did:{name}", ms=100)
    assert bans.standing() == ("did:b", "did:c")

"""Connections that are wanted for a question, as far as no transport is needed to show it."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable

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


async def _ended(group: asyncio.TaskGroup, then: Callable[[], Awaitable[None]]) -> None:
    """Run a group that is cancelled, and in its last moments do something."""

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await then()

    async with group:
        group.create_task(last())


def test_who_is_wanted_while_the_node_ends_is_unreachable_and_nothing_is_left_undone():
    async def story():
        dials = Dials()
        reaching = Reaching(connect=dials.connect, clock=RealClock(), limits=PeersLimits())
        group = asyncio.TaskGroup()
        refused: list[Unreachable] = []

        async def want() -> None:
            with pytest.raises(Unreachable, match="this node ends") as no:
                await reaching.reach(ANA, tasks=group, deadline_ms=20_000)
            refused.append(no.value)

        ending = asyncio.create_task(_ended(group, want))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait({ending})
        assert ending.cancelled()
        await want()
        assert [no.where for no in refused] == [ANA.did] * 2
        assert dials.begun == 0

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(story())
        gc.collect()
    assert [str(one.message) for one in told] == []


@pytest.mark.parametrize("began", [False, True])
def test_whose_attempt_ends_with_the_node_is_unreachable_and_is_not_cancelled_itself(began: bool):
    """Another task than the group's waits: the end of the attempt is no end of its own."""

    async def story():
        dials = Dials()
        reaching = Reaching(connect=dials.connect, clock=RealClock(), limits=PeersLimits())
        group = asyncio.TaskGroup()
        asking: list[asyncio.Task[None]] = []

        async def owner() -> None:
            async with group:
                wanted = reaching.reach(ANA, tasks=group, deadline_ms=20_000)
                asking.append(asyncio.create_task(wanted))
                while not reaching._under_way or (began and not dials.ends):
                    await asyncio.sleep(0)
                raise asyncio.CancelledError

        await asyncio.wait({asyncio.create_task(owner())})
        with pytest.raises(Unreachable, match="this node ends"):
            await asking[0]
        assert dials.begun == began
        assert not reaching._under_way

    asyncio.run(asyncio.wait_for(story(), 20))

"""Faults of the in-memory transport, under a virtual clock: they repeat themselves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.memory import MemoryNetwork
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import DialFailed, StreamEnded
from opkit.proof.keys import Identity
from opkit.wire.network import PeerConnected, PeerLost

ANA, BEN = Identity.generate(), Identity.generate()


@asynccontextmanager
async def joined(seed=0):
    """A network, its clock, and both ends of a connection."""
    clock = VirtualClock()
    network = MemoryNetwork(clock=clock, seed=seed)
    ana, ben = network.transport(ANA), network.transport(BEN)
    await ana.start()
    await ben.start()
    async with asyncio.timeout(30):
        here = await ana.dial(BEN.did, addresses=ben.addresses(), deadline_ms=1_000)
        there = await ben.accept()
        yield network, clock, here, there
        await ana.close()
        await ben.close()


async def settle() -> None:
    """Let everything that is due happen."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_delay_is_the_clocks_time_and_nothing_arrives_before():
    async def story():
        async with joined() as (network, clock, here, there):
            network.delay(ANA.did, BEN.did, ms=40)
            stream = await here.open_stream()
            await stream.send(b"late")
            accepting = asyncio.create_task(there.accept_stream())
            clock.advance(39)
            await settle()
            assert not accepting.done()
            clock.advance(1)
            await settle()
            assert await (await accepting).receive(10) == b"late"
            assert here.figures().round_trip_us == 80_000

    asyncio.run(story())


def test_what_a_link_loses_is_counted_where_it_was_sent():
    async def story():
        async with joined() as (network, clock, here, there):
            network.lossy(ANA.did, BEN.did, percent=50)
            stream = await here.open_stream()
            for _ in range(50):
                await stream.send(b"often")
            figures = here.figures()
            assert 20 < figures.lost_packets < 120
            assert figures.sent_packets >= 50 + figures.lost_packets
            assert there.figures().lost_packets == 0
            clock.advance(60_000)
            await settle()

    asyncio.run(story())


def test_a_cut_holds_everything_until_the_heal():
    async def story():
        async with joined() as (network, clock, here, there):
            stream = await here.open_stream()
            await stream.send(b"before")
            far = await there.accept_stream()
            assert await far.receive(10) == b"before"
            network.cut(ANA.did, BEN.did)
            await stream.send(b"during")
            reading = asyncio.create_task(far.receive(10))
            before = here.figures().received_bytes
            here.probe()
            clock.advance(60_000)
            await settle()
            assert not reading.done()
            assert here.figures().received_bytes == before
            network.heal(ANA.did, BEN.did)
            assert await reading == b"during"
            await settle()
            assert here.figures().received_bytes > before

    asyncio.run(story())


def test_dialling_over_a_cut_fails_when_its_time_is_up():
    async def story():
        async with joined() as (network, clock, here, there):
            network.cut(ANA.did, BEN.did)
            other = network.transport(ANA)
            await other.start()
            dialling = asyncio.create_task(
                other.dial(BEN.did, addresses=("memory:2",), deadline_ms=500)
            )
            await settle()
            clock.advance(500)
            with pytest.raises(DialFailed, match="no answer within 500 ms"):
                await dialling
            assert here.peer != there.peer

    asyncio.run(story())


async def _arrival_times(seed):
    async with joined(seed) as (network, clock, here, there):
        network.lossy(ANA.did, BEN.did, percent=30)
        stream = await here.open_stream()
        for number in range(20):
            await stream.send(b"%02d" % number)
        await stream.finish()
        times, got = [], b""
        accepting = asyncio.create_task(there.accept_stream())
        for _ in range(200):
            clock.advance(50)
            await settle()
        far = await accepting
        while piece := await far.receive(100):
            times.append(len(piece))
            got += piece
        assert got == b"".join(b"%02d" % number for number in range(20))
        return clock.now_ms(), network._chance.random()


def test_loss_delays_and_reorders_nothing_and_repeats_itself_by_seed():
    assert asyncio.run(_arrival_times(1)) == asyncio.run(_arrival_times(1))
    assert asyncio.run(_arrival_times(1)) != asyncio.run(_arrival_times(2))


def test_a_killed_end_falls_silent_without_a_goodbye():
    async def story():
        async with joined() as (network, _, here, there):
            stream = await here.open_stream()
            await stream.send(b"x")
            await there.accept_stream()
            network.listening["memory:2"].die()
            before = here.figures().received_bytes
            here.probe()
            await settle()
            assert here.figures().received_bytes == before
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(here.ended(), 0.02)

    asyncio.run(story())


def test_after_a_reset_nothing_more_can_be_sent():
    async def story():
        async with joined() as (_, _, here, there):
            stream = await here.open_stream()
            await stream.send(b"x")
            far = await there.accept_stream()
            await far.reset()
            with pytest.raises(StreamEnded):
                await stream.send(b"more")
            with pytest.raises(StreamEnded):
                await stream.finish()

    asyncio.run(story())


def test_a_deadline_on_a_virtual_clock_passes_when_the_clock_says_so():
    async def story():
        clock = VirtualClock()

        async def wait():
            async with deadline(clock, 100):
                await asyncio.get_running_loop().create_future()

        waiting = asyncio.create_task(wait())
        await settle()
        clock.advance(99)
        await settle()
        assert not waiting.done()
        clock.advance(1)
        with pytest.raises(TimeoutError):
            await waiting
        async with deadline(clock, 100):
            pass
        await settle()
        assert clock.sleepers() == 0

    asyncio.run(story())


def test_peers_lose_and_find_each_other_in_virtual_time(genesis_for):
    """Seconds of network in milliseconds of test, the same every time."""

    async def story():
        clock = VirtualClock()
        network = MemoryNetwork(clock=clock)
        genesis, events = genesis_for(ANA, BEN), []

        async def announce(event):
            events.append(type(event))

        ends = [network.transport(who) for who in (ANA, BEN)]
        for end in ends:
            await end.start()
        both = [
            Peers(
                transport=end,
                genesis=genesis,
                org=None,
                version="test",
                clock=clock,
                announce=announce,
                bootstrap=[PeerAddress(did=BEN.did, addresses=ends[1].addresses())],
            )
            for end in ends
        ]
        tasks = [asyncio.create_task(peers.run()) for peers in both]

        async def pass_time(ms):
            for _ in range(ms // 50):
                clock.advance(50)
                await settle()

        async with asyncio.timeout(30):
            await pass_time(200)
            assert all(peers.connected() for peers in both)
            await pass_time(5_000)
            assert events == [PeerConnected] * 2, "an idle link is kept"
            network.cut(ANA.did, BEN.did)
            await pass_time(2_100)
            assert not any(peers.connected() for peers in both)
            network.heal(ANA.did, BEN.did)
            await pass_time(1_000)
            assert all(peers.connected() for peers in both)
            assert events == [PeerConnected] * 2 + [PeerLost] * 2 + [PeerConnected] * 2
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                await end.close()

    asyncio.run(story())

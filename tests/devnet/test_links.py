"""Links: what passes, what a cut stops, and how peers find each other again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.chaos_lane import NONE, Hindrance
from devnet.links import FLOWS_MAX, Link, parse_address
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.genesis import read_genesis, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.genesis import Genesis, GenesisNode
from opkit.wire.network import PeerConnected, PeerLost

TELL_DID = """
import asyncio, sys
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.peers import Peers
from opkit.proof.genesis import read_genesis
from opkit.proof.keys import Identity

async def forget(event):
    pass

async def main(seed, genesis):
    transport = IrohTransport(identity=Identity.from_seed(bytes.fromhex(seed)), fixed_paths=True)
    await transport.start()
    peers = Peers(
        transport=transport, genesis=read_genesis(genesis), org="ben", version="test",
        clock=RealClock(), announce=forget,
    )
    print(transport.addresses()[0], flush=True)
    await peers.run()

asyncio.run(main(*sys.argv[1:]))
"""


class Echo(asyncio.DatagramProtocol):
    """Answers every datagram with itself, and counts them."""

    def __init__(self):
        self.received = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.append(data)
        self.transport.sendto(data, addr)


class Caller(asyncio.DatagramProtocol):
    """Collects what comes back."""

    def __init__(self):
        self.answers = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.answers.put_nowait(data)


@asynccontextmanager
async def aimed_link():
    """A link aimed at an echo, a caller that dials it, and both."""
    loop = asyncio.get_running_loop()
    link = Link("a", "b")
    there, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    address = parse_address(await link.open())
    here, caller = await loop.create_datagram_endpoint(Caller, remote_addr=address)
    link.aim("{}:{}".format(*there.get_extra_info("sockname")))
    try:
        async with asyncio.timeout(60):
            yield link, here, caller, echo
    finally:
        here.close()
        there.close()
        link.close()
        link.close()


async def arrives(caller, within=30.0) -> bytes | None:
    try:
        return await asyncio.wait_for(caller.answers.get(), within)
    except TimeoutError:
        return None


def test_datagrams_pass_both_ways():
    async def story():
        async with aimed_link() as (link, here, caller, _):
            for size in (1, 1200, 9000):
                here.sendto(b"x" * size)
                assert await arrives(caller) == b"x" * size
            assert link.passed >= 6

    asyncio.run(story())


def test_a_cut_stops_both_directions_and_what_was_under_way_and_a_heal_ends_it():
    async def story():
        async with aimed_link() as (link, here, caller, echo):
            link.hinder(Hindrance(delay_ms=30_000))
            here.sendto(b"under way")
            while not link._there.waiting:
                await asyncio.sleep(0.001)
            link.hinder(Hindrance(cut=True))
            here.sendto(b"cut")
            assert await arrives(caller, 0.4) is None
            assert echo.received == []
            assert link.lost == 2
            link.hinder(NONE)
            here.sendto(b"healed")
            assert await arrives(caller) == b"healed"

    asyncio.run(story())


def test_a_delay_holds_each_direction_that_long_and_keeps_the_order():
    async def story():
        async with aimed_link() as (link, here, caller, _):
            link.hinder(Hindrance(delay_ms=50))
            began = time.monotonic()
            for number in range(5):
                here.sendto(b"%d" % number)
            got = [await arrives(caller) for _ in range(5)]
            assert got == [b"0", b"1", b"2", b"3", b"4"]
            assert time.monotonic() - began >= 0.1

    asyncio.run(story())


def test_loss_is_about_as_much_as_told_and_the_same_for_the_same_seed():
    async def arrivals(seed):
        async with aimed_link() as (link, here, _, echo):
            link.hinder(Hindrance(loss_permille=500), seed=seed)
            for number in range(200):
                here.sendto(b"%d" % number)
                await asyncio.sleep(0)
            while link._there.lost + len(echo.received) < 200:
                await asyncio.sleep(0.001)
            assert link._there.lost > 0
            return list(echo.received)

    async def story():
        got = await arrivals(1)
        assert 60 < len(got) < 140
        assert await arrivals(1) == got
        assert await arrivals(2) != got

    asyncio.run(story())


def test_total_loss_lets_nothing_through():
    async def story():
        async with aimed_link() as (link, here, caller, _):
            link.hinder(Hindrance(loss_permille=1_000))
            here.sendto(b"x")
            assert await arrives(caller, 0.2) is None

    asyncio.run(story())


def test_nothing_passes_before_it_is_aimed_and_a_new_aim_moves_it():
    async def story():
        loop = asyncio.get_running_loop()
        async with aimed_link() as (link, here, caller, echo):
            other, second = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
            link.aim("{}:{}".format(*other.get_extra_info("sockname")))
            here.sendto(b"moved")
            assert await arrives(caller) == b"moved"
            assert (echo.received, second.received) == ([], [b"moved"])
            other.close()
        blind = Link("a", "b")
        address = parse_address(await blind.open())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", address)
            while not blind.lost:
                await asyncio.sleep(0.005)
        assert (blind.lost, blind.passed) == (1, 0)
        blind.close()

    asyncio.run(story())


def test_it_serves_only_so_many_senders_and_the_newest_ones():
    async def story():
        async with aimed_link() as (link, *_):
            address = link._front.getsockname()
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
            for number, sender in enumerate(sockets):
                sender.sendto(b"%d" % number, address)
                await asyncio.sleep(0)
            sockets[-1].settimeout(30)
            assert await asyncio.to_thread(sockets[-1].recv, 100) == b"99"
            assert len(link._flows) <= FLOWS_MAX
            for sender in sockets:
                sender.close()

    asyncio.run(story())


def test_addresses_of_both_families_are_understood():
    assert parse_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_address("[::1]:80") == ("::1", 80)
    with pytest.raises(ValueError, match="invalid literal"):
        parse_address("nowhere")


# Peers over links.


class Pair:
    """Ana dials Ben over a link; both are iroh endpoints that stay on it."""

    def __init__(self):
        self.ana, self.ben, operator = (Identity.generate() for _ in range(3))
        record = Genesis(
            network="a" * 26,
            devnet=True,
            operator=operator.did,
            created_ms=1,
            nodes=tuple(
                GenesisNode(org=org, title="A node", did=who.did, coop=None)
                for org, who in (("ana", self.ana), ("ben", self.ben))
            ),
            charters=(),
        )
        self.token = sign_genesis(record, operator)
        self.link = Link("ana", "ben")
        self.events = {self.ana.did: [], self.ben.did: []}

    def transport(self, who):
        return IrohTransport(identity=who, fixed_paths=True)

    def peers(self, transport, *bootstrap):
        async def announce(event):
            self.events[transport.did].append(event)

        return Peers(
            transport=transport,
            genesis=read_genesis(self.token),
            org=None,
            version="test",
            clock=RealClock(),
            announce=announce,
            bootstrap=bootstrap,
        )


@asynccontextmanager
async def running(transport, peers):
    task = asyncio.create_task(peers.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await transport.close()


@asynccontextmanager
async def linked():
    """Ana's and Ben's peers, connected over the link."""
    pair = Pair()
    address = await pair.link.open()
    ana, ben = pair.transport(pair.ana), pair.transport(pair.ben)
    await ana.start()
    await ben.start()
    pair.link.aim(ben.addresses()[0])
    here = pair.peers(ana, PeerAddress(did=ben.did, addresses=(address,)))
    there = pair.peers(ben)
    try:
        async with asyncio.timeout(150), running(ana, here), running(ben, there):
            await here.wait_connected(ben.did, 30_000)
            await there.wait_connected(ana.did, 30_000)
            yield pair, here, there
    finally:
        pair.link.close()


async def until(condition, within: float) -> float:
    """Return after how many seconds the condition held."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.slow
def test_a_cut_truly_parts_two_nodes_and_a_heal_joins_them_again():
    """Were iroh to go round the link, the cut would never be noticed."""

    async def story():
        async with linked() as (pair, here, there):
            await asyncio.sleep(1)  # Time for iroh to find a way round the link.
            pair.link.hinder(Hindrance(cut=True))
            passed = pair.link.passed
            await until(lambda: not here.connected() and not there.connected(), 30)
            assert pair.link.passed == passed
            await asyncio.sleep(1)  # Time for them to try in vain.
            assert not here.connected()
            pair.link.hinder(NONE)
            await until(lambda: here.connected() and there.connected(), 30)
            await until(lambda: all(len(events) == 3 for events in pair.events.values()), 30)
            for events in pair.events.values():
                kinds = [type(event) for event in events]
                assert kinds == [PeerConnected, PeerLost, PeerConnected]

    asyncio.run(story())


@pytest.mark.slow
def test_all_traffic_stays_on_the_link_for_as_long_as_it_lasts():
    """iroh would move to the peer's own address within a second if it knew it."""

    async def story():
        async with linked() as (pair, here, _):
            dialled = "{}:{}".format(*pair.link._front.getsockname())
            (session,) = here._company.current.values()
            for _ in range(12):
                await asyncio.sleep(0.5)  # Over several of iroh's attempts to leave the link.
                assert session.connection.remote_addresses() == (dialled,)

    asyncio.run(story())


@pytest.mark.slow
def test_without_fixed_paths_traffic_leaves_the_link():
    """Why the option exists. When this fails, see whether iroh still needs it (ADR 0006)."""

    async def story():
        ana = IrohTransport(identity=Identity.generate())
        ben = IrohTransport(identity=Identity.generate())
        link = Link("ana", "ben")
        address = await link.open()
        await ana.start()
        await ben.start()
        link.aim(ben.addresses()[0])
        # iroh leaves a path for one that is 5 ms quicker, not for less.
        link.hinder(Hindrance(delay_ms=20))
        try:
            here, there = await asyncio.gather(
                ana.dial(ben.did, addresses=(address,), deadline_ms=20_000), ben.accept()
            )
            async with asyncio.timeout(60):
                while address in here.remote_addresses():
                    here.probe()
                    there.probe()
                    await asyncio.sleep(0.05)
        finally:
            await ana.close()
            await ben.close()
            link.close()

    asyncio.run(story())


@pytest.mark.slow
def test_a_lossy_slow_link_keeps_its_peers_connected():
    async def story():
        async with linked() as (pair, here, _):
            pair.link.hinder(Hindrance(loss_permille=100, delay_ms=20))
            await asyncio.sleep(5)  # Ten times the pause after which a silent link is probed.
            assert here.connected()
            await until(lambda: here.links()[0].round_trip_us >= 10_000, 30)
            assert [type(event) for event in pair.events[pair.ana.did]] == [PeerConnected]

    asyncio.run(story())


@pytest.mark.slow
def test_a_killed_process_is_noticed_and_its_successor_found(tmp_path):
    async def story():
        pair = Pair()
        address = await pair.link.open()
        ana = pair.transport(pair.ana)
        await ana.start()
        here = pair.peers(ana, PeerAddress(did=pair.ben.did, addresses=(address,)))
        async with asyncio.timeout(150), running(ana, here):
            for _ in range(2):
                ben = await born(pair)
                await here.wait_connected(pair.ben.did, 30_000)
                ben.send_signal(signal.SIGKILL)
                await ben.wait()
                await until(lambda: not here.connected(), 30)
        pair.link.close()

    asyncio.run(story())


async def born(pair):
    """Start Ben in a process of its own and aim the link at it."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        TELL_DID,
        pair.ben.seed.hex(),
        pair.token,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    pair.link.aim((await process.stdout.readline()).decode().strip())
    return process


@pytest.mark.slow
def test_a_blob_passes_a_link_whole(tmp_path):
    async def story():
        async with linked() as (_, here, there):
            blobs = BlobStore(tmp_path / "there", 2**30)
            there.serve_blobs(blobs)
            data = os.urandom(5 * 2**20)
            cid = await blobs.put(data)
            mine = BlobStore(tmp_path / "here", 2**30)
            await here.fetch(cid, size_max=2**23, blobs=mine)
            assert await mine.get(cid) == data

    asyncio.run(story())

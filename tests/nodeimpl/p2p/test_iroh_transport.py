"""What only the real transport can get wrong."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import psutil
import pytest

from nodeimpl.p2p.iroh_transport import CANDIDATES_MAX, IrohTransport
from nodeimpl.p2p.transport import DialFailed, TransportLimits
from opkit.proof.keys import Identity

ANA, BEN = Identity.generate(), Identity.generate()


def test_nothing_listens_beyond_loopback():
    async def story():
        transport = IrohTransport(identity=ANA)
        await transport.start()
        bound = psutil.Process().net_connections("udp")
        assert {socket.laddr.ip for socket in bound} <= {"127.0.0.1", "::1"}
        assert len(transport.addresses()) == 2
        await transport.close()

    asyncio.run(story())


def test_it_binds_the_port_it_is_told():
    async def story():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            wanted = f"127.0.0.1:{free.getsockname()[1]}"
        transport = IrohTransport(identity=ANA, bind=(wanted, "[::1]:0"))
        await transport.start()
        assert transport.addresses()[0] == wanted
        await transport.close()

    asyncio.run(story())


def is_free(address):
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError:
            return False
    return True


def test_addresses_are_given_back_at_the_end():
    """A moment after the end: iroh's own threads drop the sockets, once nothing refers to them.

    Nothing does, without Python's collector, which comes by when it likes.
    """

    async def story():
        transport = IrohTransport(identity=ANA)
        await transport.start()
        first = transport.addresses()
        await transport.close()
        async with asyncio.timeout(45):
            while not all(is_free(address) for address in first):
                await asyncio.sleep(0.01)
        again = IrohTransport(identity=ANA, bind=first)
        await again.start()
        assert again.addresses() == first
        await again.close()

    asyncio.run(story())


def test_noise_and_failed_handshakes_end_nothing():
    async def story():
        async with asyncio.timeout(60):
            ana = IrohTransport(identity=ANA, fixed_paths=True)
            ben = IrohTransport(identity=BEN, fixed_paths=True)
            await ana.start()
            await ben.start()
            host, _, port = ben.addresses()[0].rpartition(":")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
                for size in (0, 1, 20, 1200, 1400):
                    noise.sendto(os.urandom(size), (host, int(port)))
            with pytest.raises(DialFailed):
                await ana.dial(
                    Identity.generate().did, addresses=ben.addresses(), deadline_ms=2_000
                )
            here, there = await asyncio.gather(
                ana.dial(BEN.did, addresses=ben.addresses(), deadline_ms=20_000), ben.accept()
            )
            assert (here.peer, there.peer) == (BEN.did, ANA.did)
            await ana.close()
            await ben.close()

    asyncio.run(story())


def test_connections_nobody_takes_are_closed_beyond_a_few():
    async def story():
        async with asyncio.timeout(60):
            ana = IrohTransport(identity=ANA, fixed_paths=True)
            ben = IrohTransport(
                identity=BEN, fixed_paths=True, limits=TransportLimits(waiting_max=2)
            )
            await ana.start()
            await ben.start()
            dialled = []
            for waiting in (1, 2):
                dialled.append(
                    await ana.dial(BEN.did, addresses=ben.addresses(), deadline_ms=20_000)
                )
                # Who dialled knows it before the other side has put the connection in line.
                while ben._arrived.qsize() < waiting:
                    await asyncio.sleep(0.005)
            last = await ana.dial(BEN.did, addresses=ben.addresses(), deadline_ms=20_000)
            assert "too many" in await last.ended()
            await ben.accept()
            await ben.accept()
            await ana.close()
            await ben.close()

    asyncio.run(story())


def test_with_fixed_paths_a_peer_is_told_no_address_of_ours():
    """The peer learns at most so many, in this order, and ours come last."""

    async def story():
        transport = IrohTransport(identity=ANA, fixed_paths=True)
        await transport.start()
        known = transport._endpoint.addr().direct_addresses()
        assert all(address.startswith("127.0.0.0:") for address in known[:CANDIDATES_MAX])
        assert set(known[CANDIDATES_MAX:]) == set(transport.addresses())
        await transport.close()

    asyncio.run(story())


def test_a_did_that_is_no_key_cannot_be_dialled():
    async def story():
        transport = IrohTransport(identity=ANA)
        await transport.start()
        with pytest.raises(DialFailed):
            await transport.dial("did:key:zNonsense", addresses=("127.0.0.1:1",), deadline_ms=100)
        await transport.close()

    asyncio.run(story())


_FAILED_HANDSHAKE = """
import asyncio
from pathlib import Path

from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.transport import DialFailed
from opkit.proof.keys import Identity


def mapped():
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(line.endswith((".so", ".debug")) or ".so." in line for line in lines)


async def story():
    ana, ben = (IrohTransport(identity=Identity.generate()) for _ in range(2))
    await ana.start()
    await ben.start()
    before = mapped()
    stranger = Identity.generate().did
    try:
        await ana.dial(stranger, addresses=ben.addresses(), deadline_ms=20_000)
    except DialFailed:
        pass
    await ana.close()
    await ben.close()
    print(mapped() - before)


asyncio.run(story())
"""


def test_a_failed_handshake_reads_no_debug_symbols():
    """Reading them maps libraries once more, takes 65 ms and 50 MB; strangers can cause it."""
    environment = {name: value for name, value in os.environ.items() if "BACKTRACE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _FAILED_HANDSHAKE],
        env={**environment, "RUST_BACKTRACE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0"


def test_an_endpoint_says_at_what_place_an_address_is():
    ana = IrohTransport(identity=Identity.generate())
    assert ana.place_of("127.0.0.1:7001") is None
    assert ana.place_of("8.8.8.8:7001") == ana.place_of("8.8.8.9:1") == "8.8.8.0/24"

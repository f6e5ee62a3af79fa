"""Hostile providers, over both transports: the fetch goes on elsewhere, the lie is remembered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devnet.hostile import KINDS, hostile_peer
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import RealClock
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.memory import MemoryNetwork
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.cid import cid_of
from opkit.proof.genesis import read_genesis, sign_genesis
from opkit.proof.keys import Identity
from opkit.wire.compute import BlobUnknown
from opkit.wire.genesis import Genesis, GenesisNode
from opkit.wire.network import ProviderLied

LIARS = ("tampering-provider", "short-provider", "endless-provider")
MEBIBYTE = 2**20
LIMITS = PeersLimits(piece_ms_max=2_000, offer_ms_max=30_000)
"""Whoever offers is heard, and who provides may stand still for a moment, as a busy machine does:
else it is chance whether a liar is asked at all, and whether an honest peer is heard out."""


def transport_maker(kind):
    """Return what makes a transport for an identity, not started yet."""
    if kind == "memory":
        return MemoryNetwork().transport
    return lambda identity: IrohTransport(identity=identity, fixed_paths=True)


class World:
    """An honest provider, a node that fetches, and whoever comes."""

    def __init__(self, kind, folder):
        self.make = transport_maker(kind)
        honest, victim, operator = (Identity.generate() for _ in range(3))
        record = Genesis(
            network="a" * 26,
            devnet=True,
            operator=operator.did,
            created_ms=1,
            nodes=tuple(
                GenesisNode(org=org, title="A node", did=who.did, coop=None)
                for org, who in (("honest", honest), ("victim", victim))
            ),
            charters=(),
        )
        self.genesis = read_genesis(sign_genesis(record, operator))
        self.events = []
        self.transports = {"honest": self.make(honest), "victim": self.make(victim)}
        self.blobs = {org: BlobStore(folder / org, 2**30) for org in self.transports}
        self.peers = {}

    async def start(self):
        for transport in self.transports.values():
            await transport.start()
        for org in self.transports:
            self.peers[org] = self._peers(org)
            self.peers[org].serve_blobs(self.blobs[org])

    def _peers(self, org):
        async def announce(event):
            self.events.append(event)

        return Peers(
            transport=self.transports[org],
            genesis=self.genesis,
            org=org,
            version="test",
            clock=RealClock(),
            announce=announce,
            bootstrap=[self.address("honest")],
            limits=LIMITS,
        )

    def address(self, org):
        transport = self.transports[org]
        return PeerAddress(did=transport.did, addresses=transport.addresses())

    def hostile(self, kind):
        return hostile_peer(
            kind,
            make=self.make,
            genesis=self.genesis,
            targets=[self.address("victim")],
        )


@pytest.fixture(params=["iroh", "memory"])
def world(request, tmp_path):
    """Open a world of two honest nodes that are connected."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[World]:
        made = World(request.param, tmp_path)
        await made.start()
        tasks = [asyncio.create_task(peers.run()) for peers in made.peers.values()]
        try:
            async with asyncio.timeout(100):
                await made.peers["victim"].wait_connected(made.transports["honest"].did, 30_000)
                yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for transport in made.transports.values():
                await transport.close()

    return opened


@pytest.mark.parametrize("kind", LIARS)
def test_a_liar_costs_at_most_one_blob_and_the_fetch_goes_on(world, kind):
    async def story():
        async with world() as made, made.hostile(kind) as liar:
            data = os.urandom(MEBIBYTE)
            cid = await made.blobs["honest"].put(data)
            victim = made.peers["victim"]
            fetched = await victim.fetch(cid, size_max=2 * MEBIBYTE, blobs=made.blobs["victim"])
            assert fetched.peer == made.transports["honest"].did
            assert await made.blobs["victim"].get(cid) == data
            assert victim.liars() == (liar.did,)
            assert liar.stats()["fetched"] == 1

            (lie,) = [event for event in made.events if isinstance(event, ProviderLied)]
            assert (lie.peer, lie.cid) == (liar.did, cid)
            assert lie.received_bytes <= 2 * MEBIBYTE

            other = await made.blobs["honest"].put(os.urandom(1000))
            await victim.fetch(other, size_max=MEBIBYTE, blobs=made.blobs["victim"])
            assert liar.stats()["fetched"] == 1, "a liar is not asked again"

    asyncio.run(story())


def test_a_silent_provider_costs_a_moment_and_is_not_called_a_liar(world):
    async def story():
        async with world() as made, made.hostile("silent") as mute:
            cid = await made.blobs["honest"].put(b"x" * 1000)
            victim = made.peers["victim"]
            async with asyncio.timeout(60):
                await victim.fetch(cid, size_max=MEBIBYTE, blobs=made.blobs["victim"])
            assert mute.stats()["fetched"] == 1
            assert victim.liars() == ()

    asyncio.run(story())


def test_bytes_that_only_a_liar_has_are_unknown_and_nothing_of_them_stays(world):
    async def story():
        async with world() as made, made.hostile("tampering-provider") as liar:
            victim = made.peers["victim"]
            with pytest.raises(BlobUnknown):
                await victim.fetch(cid_of(b"?"), size_max=MEBIBYTE, blobs=made.blobs["victim"])
            assert victim.liars() == (liar.did,)
            assert made.blobs["victim"].usage() == (0, 0)

    asyncio.run(story())


def test_several_hostile_peers_at_once_only_delay(world):
    async def story():
        async with (
            world() as made,
            made.hostile("tampering-provider"),
            made.hostile("endless-provider"),
            made.hostile("short-provider"),
            made.hostile("silent"),
        ):
            data = os.urandom(MEBIBYTE)
            cid = await made.blobs["honest"].put(data)
            victim = made.peers["victim"]
            await victim.fetch(cid, size_max=2 * MEBIBYTE, blobs=made.blobs["victim"])
            assert await made.blobs["victim"].get(cid) == data
            assert len(victim.liars()) == len(LIARS)

    asyncio.run(story())


def test_an_unknown_kind_is_the_callers_mistake(world):
    async def story():
        async with world() as made:
            with pytest.raises(KeyError):
                async with made.hostile("polite"):
                    pytest.fail("nobody is polite here")
            assert set(LIARS) < set(KINDS)

    asyncio.run(story())


def test_no_hostile_peer_exists_on_an_ordinary_network():
    async def story():
        operator = Identity.generate()
        record = Genesis(
            network="a" * 26,
            devnet=False,
            operator=operator.did,
            created_ms=1,
            nodes=(),
            charters=(),
        )
        genesis = read_genesis(sign_genesis(record, operator))
        make = MemoryNetwork().transport
        for kind in KINDS:
            with pytest.raises(ValueError, match="devnets only"):
                async with hostile_peer(kind, make=make, genesis=genesis, targets=()):
                    pass

    asyncio.run(story())

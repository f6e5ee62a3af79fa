"""Fetching blobs from honest peers and from others."""

from __future__ import annotations

import asyncio
import os

import pytest

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.p2p.handlers import Streamed
from nodeimpl.p2p.limits import PeersLimits
from opkit.proof.cid import cid_of
from opkit.wire.compute import BlobUnknown, HashMalformed, StorageFull, StorageQuotaExceeded
from opkit.wire.peer import FETCH_BLOB, HAVE_BLOB, BlobHeader, BlobOffer, MethodUnknown

MEBIBYTE = 2**20


def test_a_blob_arrives_whole_and_says_where_it_came_from(network):
    async def story():
        async with network(3, prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben, _):
            data = os.urandom(3 * MEBIBYTE + 17)
            cid = await ben.blobs.put(data)
            fetched = await ana.peers.fetch(cid, size_max=4 * MEBIBYTE, blobs=ana.blobs)
            assert (fetched.peer, fetched.size_bytes) == (ben.did, len(data))
            assert fetched.took_us > 0
            assert await ana.blobs.get(cid) == data

    asyncio.run(story())


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145])
def test_small_and_odd_sizes_arrive(network, size):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            cid = await ben.blobs.put(b"x" * size)
            await ana.peers.fetch(cid, size_max=size, blobs=ana.blobs)
            assert await ana.blobs.get(cid) == b"x" * size

    asyncio.run(story())


def test_what_nobody_has_or_is_too_large_or_is_no_name_is_refused(network):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            with pytest.raises(BlobUnknown):
                await ana.peers.fetch(cid_of(b"?"), size_max=MEBIBYTE, blobs=ana.blobs)
            with pytest.raises(HashMalformed):
                await ana.peers.fetch("bafkrei-no", size_max=MEBIBYTE, blobs=ana.blobs)
            cid = await ben.blobs.put(b"x" * 1000)
            with pytest.raises(BlobUnknown):
                await ana.peers.fetch(cid, size_max=999, blobs=ana.blobs)
            assert ana.blobs.usage() == (0, 0)

    asyncio.run(story())


def test_a_full_store_says_so_and_blames_nobody(network, tmp_path):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            cid = await ben.blobs.put(b"x" * 1000)
            small = BlobStore(tmp_path / "small", 999)
            with pytest.raises(StorageFull):
                await ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=small)
            assert ana.peers.liars() == ()

    asyncio.run(story())


def test_bytes_that_nobody_has_room_for_do_not_come_and_who_announces_fewer_is_asked(network):
    """A provider's word about a size is its own: it does not decide alone what fits."""
    data = os.urandom(1_000)
    cid = cid_of(data)

    def at_most(limit):
        def judge(size_bytes):
            if size_bytes > limit:
                raise StorageQuotaExceeded(asked_bytes=size_bytes, used_bytes=0, limit_bytes=limit)

        return judge

    async def story():
        async with network(3, connected=False) as (ana, ben, cat):

            async def have(peer, ask):
                return BlobOffer(size_bytes=len(data))

            async def boast(peer, ask):
                return Streamed(BlobHeader(size_bytes=500_000), endless())

            async def endless():
                while True:
                    yield data

            ben.peers.serve(HAVE_BLOB, have)
            ben.peers.serve(FETCH_BLOB, boast)
            cat.peers.serve_blobs(cat.blobs)
            for other in (ben, cat):
                await ana.peers.wait_connected(other.did, 30_000)
            judged = at_most(2_000)
            with pytest.raises(StorageQuotaExceeded):
                await ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs, judge=judged)
            assert ana.blobs.usage() == (0, 0)
            await cat.blobs.put(data)
            fetched = await ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs, judge=judged)
            assert fetched.peer == cat.did
            assert ana.peers.liars() == (), "what did not come was no lie yet"

    asyncio.run(story())


def test_those_who_want_the_same_bytes_at_once_share_one_fetch(network):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            cid = await ben.blobs.put(os.urandom(MEBIBYTE))
            before = ben.peers.links()[0].sent_bytes
            wants = [ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs) for _ in range(8)]
            assert len(set(await asyncio.gather(*wants))) == 1
            assert ben.peers.links()[0].sent_bytes - before < 2 * MEBIBYTE

    asyncio.run(story())


def test_the_load_is_spread_over_those_who_provide(network):
    """The least used provider is asked first, so each of two gets one of two blobs."""
    # However late the second of them says that it has it, too.
    limits = PeersLimits(offer_ms_max=30_000)

    async def story():
        async with network(3, prepare=lambda it: it.peers.serve_blobs(it.blobs), limits=limits) as (
            ana,
            ben,
            cat,
        ):
            came_from = []
            for size in (1000, 2000):
                data = os.urandom(size)
                cid = await ben.blobs.put(data)
                await cat.blobs.put(data)
                fetched = await ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs)
                came_from.append(fetched.peer)
            assert sorted(came_from) == sorted([ben.did, cat.did])

    asyncio.run(story())


def test_a_provider_that_stops_in_the_middle_is_passed_over_without_blame(network):
    limits = PeersLimits(piece_ms_max=3_000)
    data = os.urandom(MEBIBYTE)
    cid = cid_of(data)

    async def story():
        async with network(3, limits=limits, connected=False) as (ana, ben, cat):

            async def have(peer, ask):
                return BlobOffer(size_bytes=len(data))

            async def hang(peer, ask):
                return Streamed(BlobHeader(size_bytes=len(data)), stalling())

            async def stalling():
                yield data[:1000]
                await asyncio.sleep(300)

            ben.peers.serve(HAVE_BLOB, have)
            ben.peers.serve(FETCH_BLOB, hang)
            cat.peers.serve_blobs(cat.blobs)
            await cat.blobs.put(data)
            for other in (ben, cat):
                await ana.peers.wait_connected(other.did, 30_000)
            for _ in range(2):
                fetched = await ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs)
                assert fetched.peer == cat.did
            assert ana.peers.liars() == ()

    asyncio.run(story())


@pytest.mark.parametrize("broken", [1, 2])
def test_a_stream_that_breaks_is_asked_for_once_more_and_no_oftener(network, broken):
    """Whoever broke off has not said that there is no such blob."""
    data = os.urandom(1_000)
    cid = cid_of(data)

    async def story():
        async with network(connected=False) as (ana, ben):
            asked = []

            async def have(peer, ask):
                return BlobOffer(size_bytes=len(data))

            async def send(peer, ask):
                asked.append(peer)
                return Streamed(BlobHeader(size_bytes=len(data)), pieces(len(asked) <= broken))

            async def pieces(breaks):
                yield data[:500]
                if breaks:
                    raise ConnectionError("the link is bad")
                yield data[500:]

            ben.peers.serve(HAVE_BLOB, have)
            ben.peers.serve(FETCH_BLOB, send)
            await ana.peers.wait_connected(ben.did, 30_000)
            fetching = ana.peers.fetch(cid, size_max=MEBIBYTE, blobs=ana.blobs)
            if broken == 1:
                assert (await fetching).peer == ben.did
                assert await ana.blobs.get(cid) == data
            else:
                with pytest.raises(BlobUnknown) as unknown:
                    await fetching
                assert unknown.type is BlobUnknown
            assert len(asked) == 2
            assert ana.peers.liars() == ()

    asyncio.run(story())


def test_a_peer_without_blobs_is_no_obstacle(network):
    async def story():
        async with network() as (ana, ben):
            with pytest.raises(MethodUnknown):
                await ana.peers.have_blob(ben.did, cid_of(b""))
            with pytest.raises(BlobUnknown):
                await ana.peers.fetch(cid_of(b""), size_max=1, blobs=ana.blobs)

    asyncio.run(story())

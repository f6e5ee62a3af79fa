"""What every transport promises, tested over each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nodeimpl.p2p.transport import (
    Connection,
    ConnectionEnded,
    DialFailed,
    Stream,
    StreamEnded,
)
from opkit.proof.keys import Identity

ANA, BEN, EVE = Identity.generate(), Identity.generate(), Identity.generate()


async def received(stream: Stream) -> bytes:
    """Return all that arrives until the end."""
    pieces = []
    while piece := await stream.receive(65_536):
        pieces.append(piece)
    return b"".join(pieces)


@asynccontextmanager
async def joined(transports) -> AsyncIterator[tuple[Connection, Connection]]:
    """Ana's and Ben's ends of one connection that Ana dialled."""
    async with asyncio.timeout(60), transports(ANA, BEN) as (ana, ben):
        here, there = await asyncio.gather(
            ana.dial(BEN.did, addresses=ben.addresses(), deadline_ms=20_000), ben.accept()
        )
        yield here, there


def test_both_ends_know_the_others_key(transports):
    async def story():
        async with joined(transports) as (here, there):
            assert (here.peer, here.dialled) == (BEN.did, True)
            assert (there.peer, there.dialled) == (ANA.did, False)

    asyncio.run(story())


def test_bytes_arrive_whole_and_in_order_both_ways(transports):
    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            sent = bytes(range(256)) * 20_000

            async def answer():
                far = await there.accept_stream()
                got = await received(far)
                await far.send(got[::-1])
                await far.finish()

            answering = asyncio.create_task(answer())
            await stream.send(sent)
            await stream.finish()
            assert await received(stream) == sent[::-1]
            await answering

    asyncio.run(story())


def test_a_reader_that_does_not_read_stops_the_sender(transports):
    """Otherwise a slow peer would make this side hold any amount."""

    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            sent = 0

            async def send_for_ever():
                nonlocal sent
                while True:
                    await stream.send(b"x" * 65_536)
                    sent += 65_536

            sending = asyncio.create_task(send_for_ever())
            while not sent:
                await asyncio.sleep(0.005)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sending, 1)
            assert sent < 32 * 2**20
            await stream.reset()
            assert there.peer == ANA.did

    asyncio.run(story())


def test_a_reset_ends_the_stream_on_the_other_side_and_leaves_the_connection_sound(transports):
    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            await stream.send(b"begun")
            far = await there.accept_stream()
            assert await far.receive(100) == b"begun"
            await stream.reset()
            with pytest.raises(StreamEnded):
                await far.receive(100)
            await far.reset()

            stream = await here.open_stream()
            await stream.send(b"again")
            await stream.finish()
            assert await received(await there.accept_stream()) == b"again"

    asyncio.run(story())


def test_a_cancelled_receive_leaves_the_connection_sound(transports):
    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            await stream.send(b"?")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stream.receive(100)
            await stream.reset()
            stream = await here.open_stream()
            await stream.send(b"again")
            await stream.finish()
            first = await there.accept_stream()
            with pytest.raises(StreamEnded):
                await received(first)
            assert await received(await there.accept_stream()) == b"again"

    asyncio.run(story())


def test_closing_ends_streams_and_tells_the_peer_why(transports):
    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            await stream.send(b"x")
            far = await there.accept_stream()
            await far.receive(1)
            await here.close("we are done")
            assert "we are done" in await there.ended()
            await here.ended()
            with pytest.raises(StreamEnded):
                await far.receive(100)
            with pytest.raises(ConnectionEnded):
                await there.accept_stream()
            with pytest.raises(ConnectionEnded):
                await here.open_stream()
            await here.close("twice does no harm")
            await stream.reset()

    asyncio.run(story())


def test_whoever_answers_with_another_key_is_refused_and_accepting_goes_on(transports):
    async def story():
        async with asyncio.timeout(60), transports(ANA, BEN, EVE) as (ana, ben, eve):
            with pytest.raises(DialFailed):
                await ana.dial(BEN.did, addresses=eve.addresses(), deadline_ms=2_000)
            here, there = await asyncio.gather(
                ana.dial(EVE.did, addresses=eve.addresses(), deadline_ms=20_000), eve.accept()
            )
            assert (here.peer, there.peer) == (EVE.did, ANA.did)
            assert ben.addresses()

    asyncio.run(story())


def test_dialling_nobody_fails_within_the_deadline(transports):
    async def story():
        async with asyncio.timeout(60), transports(ANA, BEN) as (ana, ben):
            nowhere = ben.addresses()
            await ben.close()
            with pytest.raises(DialFailed):
                await ana.dial(BEN.did, addresses=nowhere, deadline_ms=300)
            with pytest.raises(DialFailed):
                await ana.dial(BEN.did, addresses=(), deadline_ms=300)

    asyncio.run(story())


def test_a_closed_transport_stops_accepting(transports):
    async def story():
        async with asyncio.timeout(60), transports(ANA) as (ana,):
            waiting = asyncio.create_task(ana.accept())
            await asyncio.sleep(0)
            await ana.close()
            with pytest.raises(ConnectionEnded):
                await waiting
            await ana.close()

    asyncio.run(story())


def test_figures_grow_with_what_passes_and_a_probe_is_acknowledged(transports):
    async def story():
        async with joined(transports) as (here, there):
            stream = await here.open_stream()
            await stream.send(b"x" * 100_000)
            await stream.finish()
            await received(await there.accept_stream())
            assert here.figures().sent_bytes >= 100_000
            assert there.figures().received_bytes >= 100_000
            assert here.figures().sent_packets >= 2
            assert here.figures().lost_packets <= here.figures().sent_packets
            before = here.figures().received_bytes
            here.probe()
            while here.figures().received_bytes == before:
                await asyncio.sleep(0.005)

    asyncio.run(story())


def test_a_peer_opens_no_more_streams_than_it_may(transports):
    async def story():
        async with joined(transports) as (here, there):
            streams = []

            async def open_for_ever():
                while True:
                    streams.append(await here.open_stream())
                    await streams[-1].send(b"x")

            opening = asyncio.create_task(open_for_ever())
            while len(streams) <= 500:
                await asyncio.sleep(0.005)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opening, 1)
            assert len(streams) <= 640
            assert there.peer == ANA.did

    asyncio.run(story())


def test_many_streams_run_beside_each_other(transports):
    async def story():
        async with joined(transports) as (here, there):

            async def echo_all():
                async with asyncio.TaskGroup() as echoes:
                    for _ in range(100):
                        echoes.create_task(echo(await there.accept_stream()))

            async def echo(stream):
                await stream.send(await received(stream))
                await stream.finish()

            async def ask(number):
                stream = await here.open_stream()
                await stream.send(b"%d" % number)
                await stream.finish()
                return await received(stream)

            echoing = asyncio.create_task(echo_all())
            answers = await asyncio.gather(*(ask(number) for number in range(100)))
            assert answers == [b"%d" % number for number in range(100)]
            await echoing

    asyncio.run(story())

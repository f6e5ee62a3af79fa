"""Peers that break the protocol: each costs itself its stream or connection, and nobody else."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.transport import StreamEnded, TransportError
from opkit.wire.errors import refusal_from
from opkit.wire.network import EngineId
from opkit.wire.peer import (
    AWAIT_TASK,
    FRAME_BYTES_MAX,
    LOAD,
    AskLoad,
    FrameMalformed,
    Load,
    MethodUnknown,
    PeerRateExceeded,
    WrongNetwork,
)

LOADED = Load(
    running=0,
    waiting=0,
    slots=1,
    accepts=True,
    engine=EngineId(name="test", version="1", settings="none"),
)


def framed(body) -> bytes:
    """Return a frame of these bytes, or of this value as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return len(data).to_bytes(4, "big") + data


def asking(method: str, body) -> bytes:
    return framed({"v": 1, "method": method, "body": body})


async def said(stream):
    """Return the refusal that the stream's one frame carries, or its value."""
    held = b""
    while piece := await stream.receive(65_536):
        held += piece
    assert int.from_bytes(held[:4], "big") == len(held) - 4, "one whole frame and nothing else"
    frame = json.loads(held[4:])
    return refusal_from(frame["problem"]) if "problem" in frame else frame["ok"]


async def send_for_ever(stream):
    while True:
        await stream.send(b"x" * 65_536)


async def dribble(stream, data):
    for byte in data:
        await asyncio.sleep(0.05)  # The slow sender's own pace.
        await stream.send(bytes([byte]))


class Stranger:
    """A peer that speaks bytes, not the protocol."""

    def __init__(self, connection):
        self.connection = connection

    async def say(self, data: bytes, *, finish: bool = True):
        stream = await self.connection.open_stream()
        await stream.send(data)
        if finish:
            await stream.finish()
        return stream

    async def greet(self, **changes):
        return await said(await self.say(asking("peer.hello", self.connection.hello | changes)))


@pytest.fixture
def scene(network, stranger_to):
    """Two honest peers, connected, and a stranger connected to the first of them."""

    @asynccontextmanager
    async def opened(*, serve=True, greeted=True, **limits):
        def prepare(member):
            async def answer(peer, ask):
                return LOADED

            async def wait(peer, ask):
                started.append(peer)
                try:
                    await asyncio.sleep(30)
                finally:
                    ended.append(peer)

            member.peers.serve(LOAD, answer)
            member.peers.serve(AWAIT_TASK, wait)

        started, ended = [], []
        async with network(prepare=prepare, limits=PeersLimits(**limits)) as (ana, ben):
            async with stranger_to(ana) as connection:
                stranger = Stranger(connection)
                stranger.started, stranger.ended = started, ended
                stranger.account = ana.peers._company.guards.of(connection.here)
                if greeted:
                    assert (await stranger.greet())["org"] == "n0"
                yield stranger
            ask = AskLoad(member_id="x/y")
            assert await ben.peers.ask(ana.did, LOAD, ask, deadline_ms=30_000) == LOADED

    return opened


def test_a_stranger_that_says_hello_may_ask(scene):
    async def story():
        async with scene() as stranger:
            answer = await said(await stranger.say(asking(LOAD.name, {"member_id": "x/y"})))
            assert answer["slots"] == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        b'{"v":1}',
        b"[" * 100_000,
        json.dumps({"v": 2, "method": "peer.hello", "body": {}}).encode(),
        json.dumps({"v": 1, "method": "peer.hello", "body": {}, "more": 1}).encode(),
        json.dumps({"v": 1, "method": LOAD.name, "body": {"member_id": 7}}).encode(),
        json.dumps({"v": 1, "method": LOAD.name, "body": {"member_id": "x", "z": 0}}).encode(),
        json.dumps({"v": 1, "method": "m" * 65, "body": {}}).encode(),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_frame_of_another_shape_is_refused(scene, body):
    async def story():
        async with scene() as stranger:
            no = await said(await stranger.say(framed(body)))
            assert isinstance(no, FrameMalformed)
            assert len(no.why) <= 512

    asyncio.run(story())


def test_an_announced_length_beyond_the_limit_ends_the_stream_unread(scene):
    async def story():
        async with scene() as stranger:
            length = (FRAME_BYTES_MAX + 1).to_bytes(4, "big")
            stream = await stranger.say(length, finish=False)
            assert isinstance(await said(stream), FrameMalformed)
            with pytest.raises(StreamEnded):
                await asyncio.wait_for(send_for_ever(stream), 30)

    asyncio.run(story())


def test_an_unknown_method_is_refused_by_its_name(scene):
    async def story():
        async with scene() as stranger:
            no = await said(await stranger.say(asking("ledger.forge", {})))
            assert isinstance(no, MethodUnknown)
            assert no.method == "ledger.forge"

    asyncio.run(story())


def test_nothing_but_hello_is_answered_before_it(scene):
    async def story():
        async with scene(greeted=False) as stranger:
            no = await said(await stranger.say(asking(LOAD.name, {"member_id": "x/y"})))
            assert isinstance(no, WrongNetwork)

    asyncio.run(story())


@pytest.mark.parametrize("changes", [{"network": "b" * 26}, {"genesis": "0" * 64}])
def test_a_peer_of_another_network_is_refused_and_sent_away(scene, changes):
    async def story():
        async with scene(greeted=False) as stranger:
            assert isinstance(await stranger.greet(**changes), WrongNetwork)
            async with asyncio.timeout(30):
                assert "another network" in await stranger.connection.ended()

    asyncio.run(story())


def test_who_says_no_hello_is_sent_away(scene):
    async def story():
        async with scene(greeted=False, hello_ms_max=1_000) as stranger:
            async with asyncio.timeout(30):
                assert "no hello" in await stranger.connection.ended()

    asyncio.run(story())


def test_a_request_that_dribbles_in_ends_when_its_time_is_up(scene):
    """The slow loris: a byte now and then must not hold a stream for ever."""

    async def story():
        async with scene(request_ms_max=1_000) as stranger:
            whole = asking(LOAD.name, {"member_id": "x/y"})
            stream = await stranger.say(whole[:1], finish=False)
            with pytest.raises(StreamEnded):
                await asyncio.wait_for(dribble(stream, whole[1:]), 30)

    asyncio.run(story())


def test_a_half_open_stream_is_answered_all_the_same(scene):
    async def story():
        async with scene() as stranger:
            request = asking(LOAD.name, {"member_id": "x/y"})
            stream = await stranger.say(request, finish=False)
            assert (await said(stream))["slots"] == 1

    asyncio.run(story())


def test_a_stream_that_ends_within_a_frame_is_given_up(scene):
    async def story():
        async with scene() as stranger:
            stream = await stranger.say(asking(LOAD.name, {"member_id": "x/y"})[:-1])
            with pytest.raises(StreamEnded):
                await stream.receive(1)

    asyncio.run(story())


def test_who_asks_too_fast_is_told_so_and_served_again_later(scene):
    async def story():
        async with scene(asks_per_second_max=2) as stranger, asyncio.timeout(30):
            question = asking("no.such", {})
            kinds = [MethodUnknown]
            while kinds[-1] is MethodUnknown:
                kinds.append(type(await said(await stranger.say(question))))
            assert kinds[-1] is PeerRateExceeded
            while kinds[-1] is PeerRateExceeded:
                await asyncio.sleep(0.05)  # Time itself earns the next questions.
                kinds.append(type(await said(await stranger.say(question))))
            assert kinds[-1] is MethodUnknown

    asyncio.run(story())


def test_a_peer_has_only_so_many_questions_under_way(scene):
    async def story():
        async with scene(streams_max=3) as stranger:
            wait = asking(AWAIT_TASK.name, {"manifest_hash": "0" * 64, "wait_ms": 30_000})
            waiting = [await stranger.say(wait) for _ in range(3)]
            no = await said(await stranger.say(wait))
            assert isinstance(no, PeerRateExceeded)
            assert no.limit == 3
            # What was taken before is not yet read when the one too many is refused.
            while len(stranger.started) < 3:
                await asyncio.sleep(0.01)
            for stream in waiting:
                await stream.reset()
            async with asyncio.timeout(30):
                while len(stranger.ended) < 3:
                    await asyncio.sleep(0.01)
            assert len(stranger.started) == 3, "who gives a question up ends the work on it"

    asyncio.run(story())


def test_requests_of_one_peer_fill_only_so_much_memory(scene):
    async def story():
        async with scene(frame_bytes_max=100_000) as stranger:
            half = (60_000).to_bytes(4, "big") + b"x" * 1000
            first = await stranger.say(half, finish=False)
            room = stranger.account
            while not room.frame_bytes:
                await asyncio.sleep(0.005)
            no = await said(await stranger.say(half, finish=False))
            assert isinstance(no, PeerRateExceeded)
            await first.reset()
            while room.frame_bytes:
                await asyncio.sleep(0.005)
            again = await stranger.say(framed(b"x" * 60_000))
            assert isinstance(await said(again), FrameMalformed)

    asyncio.run(story())


def test_who_does_not_read_the_answers_harms_only_itself(scene):
    async def story():
        async with scene(request_ms_max=1_000) as stranger:
            request = asking(LOAD.name, {"member_id": "x/y"})
            for _ in range(200):
                stream = await stranger.say(request)
                await stream.reset()
            assert (await said(await stranger.say(request)))["slots"] == 1

    asyncio.run(story())


def test_a_connection_that_vanishes_in_the_middle_of_everything_is_no_harm(scene):
    async def story():
        async with scene() as stranger:
            wait = asking(AWAIT_TASK.name, {"manifest_hash": "0" * 64, "wait_ms": 30_000})
            streams = [await stranger.say(wait) for _ in range(20)]
            while len(stranger.started) < 20:
                await asyncio.sleep(0.005)
            await stranger.connection.close("bye")
            with pytest.raises(TransportError):
                await streams[0].receive(1)

    asyncio.run(story())

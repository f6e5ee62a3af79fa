"""What peers ask each other, over both transports."""

from __future__ import annotations

import asyncio
import json

import pytest

from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.session import Session
from opkit.proof.cid import cid_of
from opkit.wire.compute import HashMalformed, QueueFull
from opkit.wire.errors import Fault, Unreachable
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import EngineId, PeerConnected, PeerLost
from opkit.wire.peer import HAVE_BLOB, LOAD, AskLoad, HaveBlob, Load, MethodUnknown

ENGINE = EngineId(name="test", version="1", settings="none")
ASK = AskLoad(member_id="coop/ana")
SLOW = AskLoad(member_id="coop/ben")
LONG_MS = 30_000
"""How long is waited for what comes: a busy machine takes longer than nodes wait."""


def framed(value) -> bytes:
    data = json.dumps(value).encode()
    return len(data).to_bytes(4, "big") + data


async def settled(*members) -> None:
    """Return once each member has no connection beside the one for each other."""
    async with asyncio.timeout(60):
        while any(len(one.peers._company.all) != len(members) - 1 for one in members):
            await asyncio.sleep(0.005)


def load(running: int = 0) -> Load:
    return Load(running=running, waiting=0, slots=2, accepts=True, engine=ENGINE)


def test_a_question_is_answered_by_the_peer_it_was_asked(network):
    def prepare(member):
        async def answer(peer, ask):
            assert ask == ASK
            return load(running=len(peer))

        member.peers.serve(LOAD, answer)

    async def story():
        async with network(3, prepare=prepare) as (ana, ben, _):
            said = await ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS)
            assert said.running == len(ana.did)
            assert ana.peers.connected() == tuple(sorted((ben.did, _.did)))

    asyncio.run(story())


def test_a_declared_refusal_arrives_as_it_was_raised(network):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            with pytest.raises(HashMalformed) as no:
                await ana.peers.ask(
                    ben.did, HAVE_BLOB, HaveBlob(cid="nonsense"), deadline_ms=LONG_MS
                )
            assert no.value.value == "nonsense"

    asyncio.run(story())


def test_an_undeclared_refusal_and_a_broken_handler_arrive_as_faults_with_an_incident(network):
    failures = [QueueFull(limit=1), RuntimeError("secret detail")]

    def prepare(member):
        async def answer(peer, ask):
            raise failures.pop()

        member.peers.serve(LOAD, answer)

    async def story():
        async with network(prepare=prepare) as (ana, ben):
            for _ in range(2):
                with pytest.raises(Fault) as broken:
                    await ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS)
                assert len(broken.value.incident) == 16
                assert "secret" not in str(broken.value)

    asyncio.run(story())


def test_a_method_nobody_serves_is_refused(network):
    async def story():
        async with network() as (ana, ben):
            with pytest.raises(MethodUnknown):
                await ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS)

    asyncio.run(story())


def test_a_peer_that_is_not_connected_is_unreachable_at_once(network):
    async def story():
        async with network() as (ana, _):
            stranger = "did:key:z6MkfU7erm3UgkyPA128tnj9VmFoBS5T84MZPnpRXLCprQ6Q"
            with pytest.raises(Unreachable):
                await ana.peers.ask(stranger, LOAD, ASK, deadline_ms=LONG_MS)
            with pytest.raises(Unreachable):
                await ana.peers.wait_connected(stranger, 20)

    asyncio.run(story())


def test_an_answer_that_takes_too_long_is_unreachable_and_leaves_the_connection_sound(network):
    def prepare(member):
        async def answer(peer, ask):
            if ask == SLOW:
                await asyncio.sleep(30)
            return load()

        member.peers.serve(LOAD, answer)

    async def story():
        async with network(prepare=prepare) as (ana, ben):
            with pytest.raises(Unreachable):
                await ana.peers.ask(ben.did, LOAD, SLOW, deadline_ms=100)
            assert await ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS) == load()

    asyncio.run(story())


def test_a_cancelled_question_leaves_the_connection_sound(network):
    calls = []

    def prepare(member):
        async def answer(peer, ask):
            calls.append(peer)
            if len(calls) == 1:
                await asyncio.sleep(30)
            return load()

        member.peers.serve(LOAD, answer)

    async def story():
        async with network(prepare=prepare) as (ana, ben):
            asking = asyncio.create_task(ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS))
            while not calls:
                await asyncio.sleep(0.005)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS) == load()

    asyncio.run(story())


def test_questions_run_beside_each_other(network):
    together = 0
    everyone = asyncio.Event()

    def prepare(member):
        async def answer(peer, ask):
            nonlocal together
            together += 1
            if together == 50:
                everyone.set()
            await everyone.wait()
            return load()

        member.peers.serve(LOAD, answer)

    async def story():
        async with network(prepare=prepare) as (ana, ben):
            asks = [ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS) for _ in range(50)]
            assert await asyncio.gather(*asks) == [load()] * 50

    asyncio.run(story())


def test_coming_and_going_is_announced_once(network):
    async def story():
        async with network(3) as (ana, ben, cat):
            # Both dial at once: the connection that stays is decided, the other one goes quietly.
            await asyncio.sleep(1.3)  # Longer than a replaced connection may live on.
            await settled(ana, ben, cat)  # On a busy machine they may cross each other later.
            assert [type(event) for event in ana.events] == [PeerConnected] * 2
            assert {event.org for event in ana.events} == {"n1", "n2"}
            ben.task.cancel()
            lost = await ana.seen(PeerLost)
            assert lost.peer == ben.did
            assert "the node stops" in lost.why
            assert ana.peers.connected() == (cat.did,)
            await asyncio.gather(ben.task, return_exceptions=True)

    asyncio.run(story())


def test_links_carry_the_transports_figures(network):
    async def story():
        async with network() as (ana, ben):
            (link,) = ana.peers.links()
            assert (link.did, link.org) == (ben.did, "n1")
            assert link.sent_bytes > 0
            assert link.received_bytes > 0
            assert link.since_ms > 1_700_000_000_000

    asyncio.run(story())


def test_of_two_connections_made_at_once_both_keep_the_same_one(network):
    async def story():
        async with network(prepare=lambda it: it.peers.serve_blobs(it.blobs)) as (ana, ben):
            await asyncio.sleep(1.3)  # Longer than a replaced connection may live on.
            await settled(ana, ben)
            (here,), (there,) = (
                ana.peers._company.current.values(),
                ben.peers._company.current.values(),
            )
            assert here.connection.dialled != there.connection.dialled
            for _ in range(3):
                ask = HaveBlob(cid=cid_of(b""))
                said = await ana.peers.ask(ben.did, HAVE_BLOB, ask, deadline_ms=LONG_MS)
                assert said.size_bytes is None

    asyncio.run(story())


def test_questions_under_way_survive_that_a_connection_is_replaced(network):
    """Who asks at once after the first connection must not lose the answer to the second."""

    def prepare(member):
        async def answer(peer, ask):
            await asyncio.sleep(0.3)  # Longer than it takes to replace a connection.
            return load()

        member.peers.serve(LOAD, answer)

    async def story():
        for _ in range(3):
            async with network(prepare=prepare) as (ana, ben):
                asks = [
                    ana.peers.ask(ben.did, LOAD, ASK, deadline_ms=LONG_MS),
                    ben.peers.ask(ana.did, LOAD, ASK, deadline_ms=LONG_MS),
                ]
                assert await asyncio.gather(*asks) == [load()] * 2

    asyncio.run(story())


def test_strangers_have_only_so_much_room(network, stranger_to):
    async def story():
        async with network(limits=PeersLimits(strangers_max=1)) as (ana, ben):
            async with stranger_to(ana) as first:
                # Who dialled knows it before the other side has taken the connection.
                while first.here not in {session.peer for session in ana.peers._company.all}:
                    await asyncio.sleep(0.005)
                async with stranger_to(ana) as second:
                    assert "too many connections" in await second.ended()
                assert first.peer == ana.did
            assert ana.peers.connected() == (ben.did,)

    asyncio.run(story())


def test_an_answer_outside_the_protocol_is_a_fault_of_the_peer(network, stranger_to):
    """The asker is told who is broken, and never takes it for a refusal or a value."""
    odd = [
        b"\0\0\0\x02{}",
        b"\0\0\0\x04null",
        b"\xff\xff\xff\xff",
        framed({"v": 1, "ok": {"size_bytes": "many"}}),
        framed({"v": 1, "problem": {"code": "no-such-code"}}),
        framed({"v": 1, "problem": {"code": "queue-full", "details": {"limit": 1}}}),
        framed({"v": 1, "ok": {"size_bytes": 1}, "problem": {}}),
    ]

    async def story():
        async with network() as (ana, _), stranger_to(ana, hello=True) as connection:
            await ana.peers.wait_connected(connection.here, LONG_MS)
            for answer in odd:
                ask = HaveBlob(cid=cid_of(b""))
                asked = ana.peers.ask(connection.here, HAVE_BLOB, ask, deadline_ms=LONG_MS)
                asking = asyncio.create_task(asked)
                stream = await connection.accept_stream()
                await stream.send(answer)
                await stream.finish()
                with pytest.raises(Fault):
                    await asking

    asyncio.run(story())


def test_nodes_of_different_networks_never_count_as_connected(network, genesis_for):
    async def story():
        strange = [genesis_for(), genesis_for()]
        async with network(genesis=strange, connected=False) as (ana, ben):
            with pytest.raises(Unreachable):
                await ana.peers.wait_connected(ben.did, 500)
            assert ana.peers.connected() == ben.peers.connected() == ()
            assert ana.events == ben.events == []

    asyncio.run(story())


def test_a_peer_that_ends_before_it_has_welcomed_anybody_is_dialled_again_at_once(network):
    """It stops or starts again just then: that is no refusal, after which one waits for long."""

    def prepare(member):
        accept, first = member.transport.accept, [True]

        async def close_the_first():
            connection = await accept()
            if first:
                first.pop()
                await connection.close("the node stops")
                connection = await accept()
            return connection

        member.transport.accept = close_the_first

    async def story():
        limits = PeersLimits(refused_ms=60_000)
        async with network(prepare=prepare, limits=limits) as (ana, ben):
            assert ana.peers.connected() == (ben.did,)

    asyncio.run(story())


def test_a_journal_that_is_busy_stops_nobody(network, monkeypatch):
    async def story():
        async with network(connected=False) as (ana, ben):

            async def busy(event):
                raise StoreBusy(why="full")

            monkeypatch.setattr(ana.peers, "_announce", busy)
            await ana.peers.wait_connected(ben.did, LONG_MS)
            ben.task.cancel()
            while ana.peers.connected():
                await asyncio.sleep(0.005)
            await asyncio.gather(ben.task, return_exceptions=True)
            assert not ana.task.done()

    asyncio.run(story())


def test_a_break_on_one_connection_leaves_the_others_alone(network, monkeypatch):
    async def story():
        async with network(3) as (ana, ben, cat):
            take = Session._take

            async def break_(session, stream, answers):
                if session in ana.peers._company.all and session.peer == ben.did:
                    raise RuntimeError("a bug in taking streams")
                await take(session, stream, answers)

            # Both dialled: another connection may come yet, over which it would be asked once more.
            with monkeypatch.context() as broken:
                broken.setattr(Session, "_take", break_)
                with pytest.raises(Unreachable):
                    await ben.peers.have_blob(ana.did, cid_of(b""))
            assert cat.did in ana.peers.connected()
            await ana.peers.wait_connected(ben.did, LONG_MS)
            await cat.peers.wait_connected(ana.did, LONG_MS)

    asyncio.run(story())

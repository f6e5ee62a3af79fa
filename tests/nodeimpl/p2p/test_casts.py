"""Casts: in order, bounded, and nothing a peer casts hurts anybody else. Over both transports."""

from __future__ import annotations

import asyncio

import pytest

from nodeimpl.p2p import frames
from nodeimpl.p2p.company import Watcher
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.reaching import PeerAddress
from opkit.wire.base import Wire
from opkit.wire.errors import Unreachable
from opkit.wire.network import PeerConnected, PeerLost
from opkit.wire.peer import (
    LOAD,
    OPEN_CASTS,
    AskLoad,
    MethodUnknown,
    OpenCasts,
    PeerRateExceeded,
)

KIND = "numbers"


class Number(Wire):
    """What is cast here."""

    value: int
    padding: str = ""


def said(value: int, *, size: int = 0) -> bytes:
    return frames.cast(Number(value=value, padding="x" * size))


class Ear:
    """What one node heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.more = asyncio.Event()

    def __call__(self, peer: str, number: Number) -> None:
        self.heard.append((peer, number.value))
        self.more.set()

    async def until(self, count: int) -> list[int]:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self.more.clear()
                await self.more.wait()
        return [value for _, value in self.heard]


def hearing(ears: list[Ear]):
    def prepare(member):
        ear = Ear()
        ears.append(ear)
        member.peers.hear(KIND, Number, ear)

    return prepare


def at(member) -> PeerAddress:
    return PeerAddress(did=member.did, addresses=member.transport.addresses())


async def eventually(holds) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def test_casts_arrive_in_order_and_say_from_whom(network):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears)) as (ana, ben):
            for value in range(1_000):
                assert ana.peers.cast(ben.did, KIND, said(value)) is not None
            assert await ears[1].until(1_000) == list(range(1_000))
            assert {peer for peer, _ in ears[1].heard} == {ana.did}
            assert not ears[0].heard

    asyncio.run(story())


def test_both_sides_cast_on_one_connection(network):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears)) as (ana, ben):
            ana.peers.cast(ben.did, KIND, said(1))
            ben.peers.cast(ana.did, KIND, said(2))
            assert await ears[1].until(1) == [1]
            assert await ears[0].until(1) == [2]

    asyncio.run(story())


def test_a_cast_to_a_peer_that_is_not_connected_is_dropped(network):
    async def story():
        async with network(connected=False) as (ana, _):
            stranger = "did:key:z6MkfU7erm3UgkyPA128tnj9VmFoBS5T84MZPnpRXLCprQ6Q"
            assert ana.peers.cast(stranger, KIND, said(1)) is None

    asyncio.run(story())


def test_what_waits_for_a_peer_that_does_not_read_is_bounded(network):
    limits = PeersLimits(unsent_bytes_max=300_000, cast_bytes_per_second_max=1)

    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears), limits=limits) as (ana, ben):
            taken = [ana.peers.cast(ben.did, KIND, said(n, size=100_000)) for n in range(100)]
            assert taken.count(None) > 90, "the sender is told that there is no room"
            assert max(waits for waits in taken if waits is not None) <= 300_000
            assert await ears[1].until(1) == [0]

    asyncio.run(story())


def test_a_peer_that_casts_too_much_waits_and_its_questions_do_not(network):
    limits = PeersLimits(cast_bytes_per_second_max=10_000)

    async def story():
        ears: list[Ear] = []

        async with network(prepare=hearing(ears), limits=limits) as (ana, ben):
            for value in range(200):
                ana.peers.cast(ben.did, KIND, said(value))
            await ears[1].until(30)
            assert len(ears[1].heard) < 200, "the rest is read when the peer has earned it"
            with pytest.raises(MethodUnknown):
                await ana.peers.ask(ben.did, LOAD, AskLoad(member_id="coop/ana"))

    asyncio.run(story())


def test_casts_of_a_kind_that_nobody_hears_are_lost_and_the_link_stands(network):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears)) as (ana, ben):
            ana.peers.cast(ben.did, "unheard", said(1))
            ana.peers.cast(ben.did, KIND, said(2))
            assert await ears[1].until(1) == [2]
            assert ana.peers.connected() == (ben.did,)

    asyncio.run(story())


NOT_JSON, NO_NUMBER = b"\x00\x00\x00\x02{]", b"\x00\x00\x00\x02{}"
TOO_LONG, TOO_DEEP = b"\xff\xff\xff\xff", b"\x00\x00\x80\x00" + b"[" * 32_768


@pytest.mark.parametrize("bad", [NOT_JSON, NO_NUMBER, TOO_LONG, TOO_DEEP])
def test_who_casts_what_cannot_be_read_is_banned_for_a_while(network, bad):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears)) as (ana, ben):
            ana.peers.cast(ben.did, KIND, said(1))
            await ears[1].until(1)
            ana.peers.cast(ben.did, KIND, bad)
            await ben.seen(PeerLost)
            assert ben.peers.banned() == (ana.did,)
            with pytest.raises(Unreachable, match="banned"):
                await ben.peers.reach(at(ana), deadline_ms=5_000)

    asyncio.run(story())


def test_once_a_ban_has_passed_the_two_find_each_other_again(network):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears), limits=PeersLimits(ban_ms=1)) as (ana, ben):
            ana.peers.cast(ben.did, KIND, NOT_JSON)
            await ben.seen(PeerLost)
            await ben.peers.wait_connected(ana.did, 30_000)

            def heard() -> bool:
                ana.peers.cast(ben.did, KIND, said(2))
                return bool(ears[1].heard)

            await eventually(heard)

    asyncio.run(story())


def test_a_listener_that_breaks_ends_the_stream_and_not_the_link(network):
    async def story():
        ears: list[Ear] = []

        def prepare(member):
            ear = Ear()
            ears.append(ear)

            def heard(peer, number):
                if number.value == 13:
                    raise RuntimeError("secret")
                ear(peer, number)

            member.peers.hear(KIND, Number, heard)

        async with network(prepare=prepare) as (ana, ben):
            ana.peers.cast(ben.did, KIND, said(13))

            def again() -> bool:
                # What was under way when the stream ended is lost: that is what a cast is.
                ana.peers.cast(ben.did, KIND, said(14))
                return bool(ears[1].heard)

            await eventually(again)
            assert ana.peers.connected() == (ben.did,)
            assert ana.events == [each for each in ana.events if isinstance(each, PeerConnected)]

    asyncio.run(story())


def test_a_kind_is_read_of_a_connection_once(network):
    async def story():
        ears: list[Ear] = []
        async with network(prepare=hearing(ears), connected=False, bootstrap=()) as (ana, ben):
            await ana.peers.reach(at(ben), deadline_ms=20_000)
            ana.peers.cast(ben.did, KIND, said(1))
            await ears[1].until(1)
            session = ana.peers._company.session(ben.did)
            with pytest.raises(PeerRateExceeded):
                await session.ask(OPEN_CASTS, OpenCasts(kind=KIND), deadline_ms=30_000)

    asyncio.run(story())


def test_a_cast_on_a_connection_that_is_ending_is_dropped(network):
    async def story():
        async with network(connected=False, bootstrap=()) as (ana, ben):
            await ana.peers.reach(at(ben), deadline_ms=20_000)
            session = ana.peers._company.session(ben.did)
            group = session._under_way
            assert group is not None
            # What a group is in while its tasks are cancelled, because the connection ended.
            group._aborting = True
            group._exiting = True
            group._tasks = set()
            assert session.cast(KIND, said(1)) is None
            assert not session._outlets

    asyncio.run(story())


class Notes(Watcher):
    """What one node was told of its links."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.unsent: list[int] = []

    def joined(self, peer: str) -> None:
        self.told.append(("joined", peer))

    def left(self, peer: str) -> None:
        self.told.append(("left", peer))

    def relieved(self, peer: str, kind: str, unsent_bytes: int) -> None:
        assert kind == KIND
        self.unsent.append(unsent_bytes)


def test_whoever_watches_is_told_of_each_peer_that_comes_and_goes(network):
    async def story():
        notes: list[Notes] = []

        def prepare(member):
            notes.append(Notes())
            member.peers.watch(notes[-1])

        async with network(prepare=prepare) as (ana, ben):
            told = notes[0].told
            await eventually(lambda: ("joined", ben.did) in told)
            ben.task.cancel()
            await eventually(lambda: told[-1] == ("left", ben.did))
            await asyncio.gather(ben.task, return_exceptions=True)
            assert [what for what, _ in told] == ["joined", "left"] * (len(told) // 2)
            assert ana.peers.connected() == ()

    asyncio.run(story())


def test_whoever_watches_is_told_what_still_waits(network):
    async def story():
        ears: list[Ear] = []
        notes = Notes()

        def prepare(member):
            hearing(ears)(member)
            member.peers.watch(notes)

        async with network(prepare=prepare, connected=False, bootstrap=()) as (ana, ben):
            await ana.peers.reach(at(ben), deadline_ms=20_000)
            for value in range(3):
                ana.peers.cast(ben.did, KIND, said(value))
            await ears[1].until(3)
            await eventually(lambda: notes.unsent and notes.unsent[-1] == 0)

    asyncio.run(story())


def test_many_who_want_one_peer_dial_it_once(network):
    async def story():
        async with network(2, connected=False, bootstrap=()) as (ana, ben):
            await asyncio.gather(*(ana.peers.reach(at(ben), deadline_ms=20_000) for _ in range(20)))
            assert ana.peers.connected() == (ben.did,)
            assert len(ana.peers._company.all) == 1
            await ana.peers.reach(at(ben), deadline_ms=1)

    asyncio.run(story())


def test_who_dials_by_the_operators_word_is_not_dialled_by_anybody_elses(network):
    def only_names(where: list[PeerAddress]) -> list[PeerAddress]:
        return [PeerAddress(did=each.did, addresses=()) for each in where]

    async def story():
        async with network(2, connected=False, knowing=only_names) as (ana, ben):
            with pytest.raises(Unreachable, match="nobody said where it can be dialled"):
                await ana.peers.reach(at(ben), deadline_ms=20_000)
            assert ana.peers.connected() == ()

    asyncio.run(story())


def test_whose_key_is_not_there_is_unreachable(network):
    async def story():
        async with network(2, connected=False, bootstrap=()) as (ana, ben):
            stranger = "did:key:z6MkfU7erm3UgkyPA128tnj9VmFoBS5T84MZPnpRXLCprQ6Q"
            nobody = PeerAddress(did=stranger, addresses=ben.transport.addresses())
            with pytest.raises(Unreachable, match="cannot be connected"):
                await ana.peers.reach(nobody, deadline_ms=20_000)

    asyncio.run(story())


def test_beyond_a_number_the_connection_that_was_longest_not_used_gives_way(network):
    limits = PeersLimits(linked_max=2, retire_ms=1)

    async def story():
        async with network(4, connected=False, bootstrap=(), limits=limits) as (ana, *others):
            for each in others:
                await ana.peers.reach(at(each), deadline_ms=20_000)
            await eventually(lambda: len(ana.peers.connected()) == 2)
            assert ana.peers.connected() == tuple(sorted(each.did for each in others[1:]))

    asyncio.run(story())

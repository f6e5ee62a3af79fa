"""The overlay over real connections: what one node publishes, every other one finds."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from nodeimpl.kernel.clock import RealClock, VirtualClock
from nodeimpl.overlay.node import OverlayNode
from nodeimpl.overlay.port import Contact, Outbox
from nodeimpl.overlay.search import Outcome
from nodeimpl.p2p import driving
from nodeimpl.p2p.deadline import set_or_passed
from nodeimpl.p2p.driving import Driver
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.record import Verifier, sign_record
from opkit.wire.base import Cid
from opkit.wire.dht import FIND, PING, FindNodes, Ping
from opkit.wire.errors import Unreachable
from opkit.wire.events import Event
from opkit.wire.gossip import GOSSIP, Envelope, Gossip
from opkit.wire.peer import MethodUnknown
from opkit.wire.records import Carried, RecordBody, RecordOutdated

HOUR_MS = 3_600_000


@dataclass
class Spot:
    """One node of a test."""

    identity: Identity
    peers: Peers
    driver: Driver
    contact: Contact

    @property
    def overlay(self) -> OverlayNode:
        return self.driver.overlay

    def note(self, text: str | None, *, label: str = "hours", sequence: int = 0) -> Carried:
        """Sign a note of this node's."""
        now_ms = time.time_ns() // 1_000_000
        body = RecordBody(
            network="a" * 26,
            aud="note",
            name=f"{self.identity.did}/{label}",
            owner=self.identity.did,
            sequence=sequence or now_ms,
            issued_at_ms=now_ms,
            lapses_at_ms=now_ms + 24 * HOUR_MS,
            value={"text": text},
        )
        return Carried(jws=sign_record(body, self.identity))

    async def publish(self, carried: Carried) -> Outcome:
        return await self.driver.search(lambda done, now: self.overlay.publish(carried, done, now))

    async def get(self, name: str) -> Outcome:
        return await self.driver.search(
            lambda done, now: self.overlay.dht.get("note", name, done, now)
        )

    def keeps(self, name: str) -> bool:
        return bool(self.overlay.shelf.get("note", name))


async def _unheard(_event: Event) -> None:
    """Announce nothing."""


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def spots(transports: Any, genesis_for: Callable[..., GenesisView]) -> Callable[..., Any]:
    """Open nodes that know the first one and nobody else."""

    @asynccontextmanager
    async def opened(count: int = 3) -> AsyncIterator[list[Spot]]:
        identities = [Identity.generate() for _ in range(count)]
        genesis, clock = genesis_for(*identities), RealClock()
        async with asyncio.timeout(200), transports(*identities) as ends:
            made = []
            first = Contact(did=ends[0].did, addresses=ends[0].addresses())
            for who, end in zip(identities, ends, strict=True):
                peers = Peers(
                    transport=end,
                    genesis=genesis,
                    org=None,
                    version="test",
                    clock=clock,
                    announce=_unheard,
                    bootstrap=[PeerAddress(did=first.did, addresses=first.addresses)],
                )
                contact, outbox = Contact(did=end.did, addresses=end.addresses()), Outbox()
                overlay = OverlayNode(
                    contact=contact,
                    verifier=Verifier(genesis),
                    outbox=outbox,
                    chance=random.Random(7),
                )
                driver = Driver(
                    overlay, outbox=outbox, peers=peers, clock=clock, told=lambda _: None
                )
                if end is not ends[0]:
                    overlay.join([first], clock.now_ms())
                made.append(Spot(who, peers, driver, contact))
            running = [asyncio.create_task(each.peers.run()) for each in made]
            running += [asyncio.create_task(each.driver.run()) for each in made]
            try:
                for each in made[1:]:
                    await each.peers.wait_connected(first.did, 30_000)
                await eventually(lambda: all(len(it.overlay.dht.table) > count - 2 for it in made))
                yield made
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    return opened


def test_what_one_node_publishes_every_other_one_finds_and_keeps(spots: Any) -> None:
    async def story() -> None:
        async with spots(4) as nodes:
            note = nodes[1].note("Mon 9-12")
            # On a busy machine a question may come to nothing, and is asked again.
            while (await nodes[1].publish(note)).kept < 1:
                await asyncio.sleep(0.01)
            name = f"{nodes[1].identity.did}/hours"
            for each in nodes:
                while (await each.get(name)).records != (note,):
                    await asyncio.sleep(0.01)
            # Notes are announced too: each node has it, whoever was asked to keep it.
            await eventually(lambda: all(each.keeps(name) for each in nodes))

    asyncio.run(story())


def test_nodes_that_were_never_introduced_find_each_other_and_connect(spots: Any) -> None:
    async def story() -> None:
        async with spots(4) as nodes:
            # The fixture waits until each has heard of all the others from the first one.
            last = nodes[-1]
            await last.peers.reach(
                PeerAddress(did=nodes[1].contact.did, addresses=nodes[1].contact.addresses),
                deadline_ms=20_000,
            )
            assert nodes[1].contact.did in last.peers.connected()

    asyncio.run(story())


def test_an_older_record_is_refused_and_the_newer_one_stays(spots: Any) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            old = nodes[0].note("old", sequence=1)
            await nodes[0].publish(nodes[0].note("new"))
            with pytest.raises(RecordOutdated):
                await nodes[0].publish(old)
            found = await nodes[2].get(f"{nodes[0].identity.did}/hours")
            assert "new" not in old.jws
            assert [carried.jws for carried in found.records] != [old.jws]

    asyncio.run(story())


def test_who_comes_later_gets_what_was_said_before_it_came(spots: Any) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            names = []
            for number in range(20):
                note = nodes[0].note("early", label=f"n{number}")
                nodes[0].overlay.shelf.offer(note, RealClock().now_ms())
                names.append(f"{nodes[0].identity.did}/n{number}")
            # Nobody was told of them; two that compare what they keep find the difference.
            for each in nodes[1:]:
                each.overlay.reconciler.suspect(nodes[0].identity.did, RealClock().now_ms())
                each.driver.touch()
            await eventually(lambda: all(nodes[2].keeps(name) for name in names))

    asyncio.run(story())


def test_who_keeps_a_blob_is_found_by_its_name(spots: Any) -> None:
    cid: Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

    async def story() -> None:
        async with spots(3) as nodes:
            assert await nodes[2].driver.providers(cid) == ()
            now_ms = RealClock().now_ms()
            body = RecordBody(
                network="a" * 26,
                aud="blob",
                name=cid,
                owner=nodes[1].identity.did,
                sequence=now_ms,
                issued_at_ms=now_ms,
                lapses_at_ms=now_ms + HOUR_MS,
                value={"size_bytes": 7, "addresses": list(nodes[1].contact.addresses)},
            )
            said = Carried(jws=sign_record(body, nodes[1].identity))
            await nodes[1].publish(said)
            while not (found := await nodes[2].driver.providers(cid)):
                await asyncio.sleep(0.01)
            (told,) = found
            assert told.did == nodes[1].identity.did
            assert told.addresses == nodes[1].contact.addresses

    asyncio.run(story())


def test_what_is_heard_and_handed_on_is_sent_at_once_and_not_at_the_next_beat(spots: Any) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            middle, author = nodes[0], nodes[1]
            message = Gossip(publish=(Envelope(topic="records", carried=author.note("news")),))
            await eventually(lambda: len(middle.overlay.gossip.mesh()["records"]) == 2)
            middle.driver._wanted.clear()
            middle.driver._heard(author.contact.did, message)
            assert middle.driver._wanted.is_set()

    asyncio.run(story())


def test_a_forged_record_is_believed_by_nobody_and_its_sender_is_cut_off(spots: Any) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            liar, victim = nodes[2], nodes[0]
            await eventually(lambda: victim.contact.did in liar.peers.connected())
            jws = liar.note("forged").jws
            forged = [jws[:-4] + f"{number:04d}" for number in range(500)]
            for each in forged:
                frame = Gossip(publish=(Envelope(topic="records", carried=Carried(jws=each)),))
                body = frame.model_dump_json(exclude_defaults=True).encode()
                liar.peers.cast(
                    victim.contact.did, GOSSIP.name, len(body).to_bytes(4, "big") + body
                )
            await eventually(lambda: liar.identity.did in victim.peers.banned())
            assert not victim.keeps(f"{liar.identity.did}/hours")
            assert not nodes[1].keeps(f"{liar.identity.did}/hours")

    asyncio.run(story())


def test_a_question_to_nobody_fails_in_time_and_the_search_goes_on(spots: Any) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            nobody = Identity.generate().did
            with pytest.raises(Unreachable):
                await nodes[2].peers.ask(nobody, PING, Ping())
            found = 0
            while found != 2:
                near = await nodes[2].driver.search(
                    lambda done, now: nodes[2].overlay.dht.locate(nobody, done, now)
                )
                found = len(near.contacts)
                await asyncio.sleep(0.01)

    asyncio.run(story())


def test_every_method_of_the_overlay_is_served(spots: Any) -> None:
    async def story() -> None:
        async with spots(2) as (one, other):
            answer = await other.peers.ask(one.contact.did, FIND, FindNodes(target="0" * 64))
            assert len(answer.contacts) <= 20
            try:
                await other.peers.ask(one.contact.did, PING, Ping())
            except MethodUnknown:
                pytest.fail("a ping is answered")

    asyncio.run(story())


def test_a_defect_that_a_peer_finds_in_the_overlay_costs_what_it_said_and_not_the_node(
    spots: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with spots(3) as nodes:
            victim = nodes[0]
            honest = victim.overlay.answered
            met: list[int] = []

            def breaks(token: int, answer: Any, now_ms: int) -> None:
                met.append(token)
                if len(met) < 4:
                    raise RuntimeError("found by a peer")
                honest(token, answer, now_ms)

            monkeypatch.setattr(victim.overlay, "answered", breaks)
            note, name = nodes[1].note("Mon 9-12"), f"{nodes[1].identity.did}/hours"
            await nodes[1].publish(note)
            # Whoever's answer broke has failed, and is asked again later, as whoever is late.
            while len(met) <= 4 or (await victim.get(name)).records != (note,):
                await victim.driver.search(
                    lambda done, now: victim.overlay.dht.locate(7 + len(met), done, now)
                )
                await asyncio.sleep(0.01)

    asyncio.run(story())


def test_time_that_breaks_the_overlay_is_told_again_later(
    spots: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "BROKEN_MS", 5)

    async def story() -> None:
        async with spots(2) as (one, other):
            honest, broken = one.overlay.tick, 0

            def breaks(now_ms: int) -> None:
                nonlocal broken
                broken += 1
                if broken < 4:
                    raise RuntimeError("not now")
                honest(now_ms)

            monkeypatch.setattr(one.overlay, "tick", breaks)
            one.driver.touch()
            await eventually(lambda: broken >= 4)
            note = other.note("Mon 9-12")
            await other.publish(note)
            await eventually(lambda: one.keeps(f"{other.identity.did}/hours"))

    asyncio.run(story())


def test_a_link_is_told_to_be_relieved_only_after_too_much_waited_for_it(
    spots: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with spots(2) as (one, other):
            peer, gossip = other.identity.did, one.overlay.gossip
            told: list[int] = []
            monkeypatch.setattr(gossip, "congested", lambda _, unsent, __: told.append(unsent))
            relieved = one.driver.relieved
            # What the real link says of itself meanwhile is not what is told here.
            monkeypatch.setattr(one.driver, "relieved", lambda *_: None)
            told.clear()
            relieved(peer, GOSSIP.name, 5)
            assert told == []
            much = 2 * gossip.limits.quick_bytes
            monkeypatch.setattr(one.peers, "cast", lambda *_: much)
            await one.publish(one.note("Mon 9-12"))
            await eventually(lambda: much in told)
            monkeypatch.setattr(one.peers, "cast", lambda *_: 0)
            told.clear()
            for unsent in (much - 1, 5, 4):
                relieved(peer, GOSSIP.name, unsent)
            relieved(peer, "another", 3)
            assert [unsent for unsent in told if unsent] == [much - 1, 5]

    asyncio.run(story())


@pytest.mark.parametrize("passes", [True, False])
def test_a_wait_for_an_event_ends_when_it_is_set_or_time_has_passed(passes: bool) -> None:
    async def story(clock: RealClock | VirtualClock) -> bool:
        event = asyncio.Event()
        waiting = asyncio.create_task(
            set_or_passed(event, clock=clock, ms=5 if passes else 3_600_000)
        )
        await asyncio.sleep(0)
        if not passes:
            event.set()
        elif isinstance(clock, VirtualClock):
            await asyncio.sleep(0)
            clock.advance(5)
        async with asyncio.timeout(30):
            await waiting
        if passes:
            assert event.is_set()
        event.clear()
        for _ in range(3):
            await asyncio.sleep(0)
        return event.is_set()

    for clock in (RealClock(), VirtualClock()):
        assert not asyncio.run(story(clock)), "what is over sets nothing"

"""What the overlay noticed stands in the journal, to be verified by anybody, and floods it not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from devnet.sim.keys import identity_of, network_of
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.overlay.gossip_state import MeshJoined, MeshLeft, MessageMissed, PeerBanned
from nodeimpl.overlay.reconcile import PeerLied, Repaired
from nodeimpl.overlay.shelf import EquivocationSeen
from nodeimpl.records import telling
from nodeimpl.records.telling import Ration, Telling, event_of
from opkit.proof.keys import Identity
from opkit.proof.record import Equivocation, make_record, read_equivocation
from opkit.wire import overlay as wire
from opkit.wire.events import READ_JOURNAL, Event, ReadJournal
from opkit.wire.gateway import StoreBusy
from opkit.wire.overlay import PUBLISH, PublishRecord
from opkit.wire.records import Carried, RecordOutdated

NODES = [identity_of(1, "node", number) for number in range(3)]
GENESIS = network_of(1, NODES)
PEER = NODES[1].did
RIVER = "river-city-tool-library"
DAY_MS = 86_400_000
PLENTY_S = 120


def two_notes(owner: Identity, network: str, at_ms: int) -> tuple[str, str]:
    """Return two records of one owner, name and sequence."""
    tokens = [
        make_record(
            owner,
            network=network,
            namespace="note",
            name=f"{owner.did}/hours",
            value={"text": text},
            at_ms=at_ms,
            term_ms=DAY_MS,
        )
        for text in ("Mon 9-12", "closed")
    ]
    return tokens[0], tokens[1]


def seen(owner: Identity = NODES[2], *, sponsored: bool = True) -> EquivocationSeen:
    first, second = two_notes(owner, GENESIS.network, 5)
    evidence = read_equivocation(first, second, network=GENESIS.network)
    return EquivocationSeen(evidence=evidence, sponsored=sponsored)


def told(story: Callable[[Telling, VirtualClock, list[Event]], Any]) -> None:
    """Run a story with a telling that runs, its clock, and what it journalled."""

    async def main() -> None:
        clock, journal = VirtualClock(), []

        async def announce(events: Sequence[Event]) -> None:
            journal.extend(events)

        made = Telling(clock=clock, announce=announce)
        running = asyncio.create_task(made.run())
        try:
            await story(made, clock, journal)
        finally:
            running.cancel()

    asyncio.run(asyncio.wait_for(main(), PLENTY_S))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.001)


def test_an_owner_who_signs_two_things_is_in_the_journal_and_anybody_can_verify_it() -> None:
    async def journalled(client: Any) -> dict[str, Any]:
        while True:
            page = await client.call(READ_JOURNAL, ReadJournal(entries_max=1_000))
            for entry in page.entries:
                if entry.type == wire.OwnerEquivocated.type:
                    return entry.body
            await asyncio.sleep(0.02)

    async def story() -> None:
        async with inprocess_world() as world:
            client, owner = world.operator(RIVER), Identity.generate()
            network = world.genesis.network
            tokens = two_notes(owner, network, time.time_ns() // 1_000_000)
            await client.call(PUBLISH, PublishRecord(carried=Carried(jws=tokens[0])))
            with suppress(RecordOutdated):  # Of two with one sequence chance says which stands.
                await client.call(PUBLISH, PublishRecord(carried=Carried(jws=tokens[1])))
            body = await journalled(client)
            proof = read_equivocation(body["second"], body["first"], network=network)
            assert isinstance(proof, Equivocation)
            assert proof.owner == owner.did == body["owner"]
            assert {proof.first, proof.second} == set(tokens)
            assert (proof.first, proof.second) == (body["first"], body["second"])

    asyncio.run(asyncio.wait_for(story(), PLENTY_S))


def test_what_is_for_a_journal_becomes_an_event_and_the_rest_does_not() -> None:
    assert event_of(PeerBanned(peer=PEER, why="x" * 2_000)) == wire.PeerBanned(
        peer=PEER, why="x" * 1_024
    )
    lied = PeerLied(peer=PEER, why="the ids are not in order", strikes=2)
    assert event_of(lied) == wire.PeerLied(peer=PEER, why=lied.why, strikes=2)
    repaired = event_of(Repaired(peer=PEER, kept=3, pushed=4, questions=9))
    assert repaired == wire.RecordsRepaired(peer=PEER, kept=3, pushed=4)
    for note in (
        MeshJoined(topic="records", peer=PEER),
        MeshLeft(topic="records", peer=PEER, why="it left"),
        MessageMissed(topic="records", id=b"x"),
    ):
        assert event_of(note) is None


def test_every_event_of_a_note_has_a_ration() -> None:
    kinds = (seen(), PeerBanned(peer=PEER, why=""), PeerLied(peer=PEER, why="", strikes=1))
    events = [
        event_of(note) for note in (*kinds, Repaired(peer=PEER, kept=1, pushed=0, questions=1))
    ]
    assert {event.type for event in events if event} | {telling.STRANGERS} == set(telling.rations())


def test_a_flood_of_notes_is_a_few_events_and_a_number() -> None:
    async def story(made: Telling, clock: VirtualClock, journal: list[Event]) -> None:
        few = telling.rations()[telling.STRANGERS].at_once
        for _ in range(1_000):
            made.note(seen(sponsored=False))
        made.note(seen())
        await until(lambda: len(journal) == few + 2)
        assert [event.type for event in journal[: few + 1]] == [wire.OwnerEquivocated.type] * (
            few + 1
        )
        counted = wire.Counted(name=wire.OwnerEquivocated.type, count=1_000 - few)
        assert journal[-1] == wire.EventsLeftOut(counts=(counted,))

    told(story)


def test_what_is_left_out_is_said_once_a_minute() -> None:
    async def story(made: Telling, clock: VirtualClock, journal: list[Event]) -> None:
        for _ in range(20):
            made.note(PeerBanned(peer=PEER, why="it floods"))
        await until(lambda: len(journal) == 17)
        for _ in range(5):
            made.note(PeerBanned(peer=PEER, why="it floods"))
        await until(lambda: not made._wanted.is_set())
        assert len(journal) == 17
        clock.advance(telling.LEFT_OUT_MS)
        await until(lambda: len(journal) == 18)
        counted = wire.Counted(name=wire.PeerBanned.type, count=5)
        assert journal[-1] == wire.EventsLeftOut(counts=(counted,))

    told(story)


def test_more_than_wait_for_a_slow_journal_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(telling, "QUEUE_MAX", 2)

    async def story(made: Telling, clock: VirtualClock, journal: list[Event]) -> None:
        for _ in range(3):
            made.note(PeerBanned(peer=PEER, why="it floods"))
        await until(lambda: len(journal) == 3)
        counted = wire.Counted(name=wire.PeerBanned.type, count=1)
        assert journal[-1] == wire.EventsLeftOut(counts=(counted,))

    told(story)


def test_a_store_that_is_busy_costs_the_events_and_no_more() -> None:
    async def main() -> None:
        journal: list[Event] = []
        busy = [True]

        async def announce(events: Sequence[Event]) -> None:
            if busy.pop():
                raise StoreBusy(why="full")
            journal.extend(events)

        busy.insert(0, False)
        made = Telling(clock=VirtualClock(), announce=announce)
        running = asyncio.create_task(made.run())
        made.note(PeerBanned(peer=PEER, why="first"))
        await until(lambda: len(busy) == 1)
        made.note(PeerBanned(peer=PEER, why="second"))
        await until(lambda: bool(journal))
        assert journal == [wire.PeerBanned(peer=PEER, why="second")]
        running.cancel()

    asyncio.run(asyncio.wait_for(main(), PLENTY_S))


@pytest.mark.parametrize("began_ms", [0, 1_767_225_600_000])
def test_a_ration_is_some_at_once_and_then_one_every_so_often(began_ms: int) -> None:
    ration = Ration(at_once=3, every_ms=100)
    assert [ration.take(began_ms) for _ in range(5)] == [True, True, True, False, False]
    assert not ration.take(began_ms + 99)
    assert ration.take(began_ms + 100)
    assert not ration.take(began_ms + 100)
    assert [ration.take(began_ms + 10_000) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_starves_nobody_for_long() -> None:
    ration = Ration(at_once=2, every_ms=100)
    assert ration.take(1_000_000)
    assert not ration.take(500_000)
    assert ration.take(500_100)

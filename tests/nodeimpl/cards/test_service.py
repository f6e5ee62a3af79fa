"""What a node remembers of cards, for how long, and what it keeps from being collected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from nodeimpl.cards.rules import Limits, node_card
from nodeimpl.cards.service import Cards
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.overlay.search import Outcome
from opkit.proof import jws
from opkit.proof.cards import sign_card, value_of
from opkit.proof.keys import Identity
from opkit.proof.record import Record, make_record, read_record
from opkit.wire.agents import AgentParams
from opkit.wire.base import Cid, Did
from opkit.wire.cards import CardRevoked, CardUnfetched, CardUnknown, PublishCard
from opkit.wire.compute import BlobUnknown, StorageFull
from opkit.wire.records import Carried

NETWORK = "a" * 26
NOW_MS = 1_767_225_600_000
TERM_MS = 7 * 86_400_000
BARE = node_card(title="Translator", version="1", urls=["http://127.0.0.1:1"])
LARGE = {**BARE, "iconUrl": "i" * 4_000, "documentationUrl": "d" * 4_000}


class Overlay:
    """A network that has what it was given."""

    def __init__(self) -> None:
        self.records: dict[Did, Carried] = {}
        self.asked = 0

    async def find(self, did: Did) -> Outcome:
        self.asked += 1
        return Outcome(records=(self.records[did],) if did in self.records else (), hops=2)

    async def spread(self, carried: Carried) -> Outcome:
        self.records[self.read(carried).body.owner] = carried
        return Outcome(kept=3)

    def read(self, carried: Carried) -> Record:
        body = read_record(carried.jws, network=NETWORK)
        return Record(carried.jws, body, bytes.fromhex(jws.record_id(carried.jws)))

    def check(self, carried: Carried) -> Record:
        return self.read(carried)

    def standing(self, did: Did) -> Carried | None:
        return self.records.get(did)


class Blobs:
    """A store that keeps what it was given."""

    def __init__(self) -> None:
        self.kept: dict[Cid, bytes] = {}
        self.touched: list[Cid] = []
        self.full = False

    async def put(self, data: bytes, cid: Cid) -> None:
        self.kept[cid] = data

    async def get(self, cid: Cid, size_bytes: int) -> bytes:
        if self.full:
            raise StorageFull(limit_bytes=1)
        if cid not in self.kept:
            raise BlobUnknown(cid=cid)
        return self.kept[cid]

    def touch(self, cid: Cid) -> None:
        self.touched.append(cid)


class Scene:
    """The domain on a clock that is moved by hand."""

    def __init__(self, **limits: int) -> None:
        self.clock = VirtualClock(start_ms=NOW_MS)
        self.overlay, self.blobs = Overlay(), Blobs()
        self.cards = Cards(
            network=NETWORK,
            overlay=self.overlay,
            blobs=self.blobs,
            clock=self.clock,
            limits=Limits(**limits),
        )

    def ask(
        self,
        owner: Identity,
        bare: dict[str, Any] | None = BARE,
        *,
        at_ms: int = NOW_MS,
        term_ms: int = TERM_MS,
    ) -> PublishCard:
        card = None
        if bare is not None:
            agent = AgentParams(network=NETWORK, did=owner.did, sequence=at_ms)
            card = sign_card(bare, agent=agent, identity=owner)
        value = None if card is None else value_of(card)
        record = make_record(
            owner,
            network=NETWORK,
            namespace="card",
            name=owner.did,
            value=None if value is None else value.model_dump(mode="json"),
            at_ms=at_ms,
            term_ms=term_ms,
        )
        large = value is not None and value.card is None
        return PublishCard(carried=Carried(jws=record), card=card if large else None)

    async def publish(self, owner: Identity, *bare: Any, **others: Any) -> None:
        await self.cards.spread(self.ask(owner, *bare, **others), None)


def told(story: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(story(), 120))


def test_a_card_is_believed_for_a_moment_and_then_looked_for_again() -> None:
    async def story() -> None:
        scene, owner = Scene(cached_ms=1_000), Identity.generate()
        await scene.publish(owner)
        first = await scene.cards.resolve(owner.did)
        assert (first.cached, first.hops) == (False, 2)
        again = await scene.cards.resolve(owner.did)
        assert (again.cached, again.hops, again.card) == (True, 0, first.card)
        scene.clock.advance(1_000)
        assert not (await scene.cards.resolve(owner.did)).cached
        assert scene.overlay.asked == 2

    told(story)


def test_what_comes_meanwhile_ends_belief_at_once() -> None:
    async def story() -> None:
        scene, owner = Scene(), Identity.generate()
        await scene.publish(owner)
        await scene.cards.resolve(owner.did)
        scene.overlay.records[owner.did] = scene.ask(owner, None, at_ms=NOW_MS + 1).carried
        assert (await scene.cards.resolve(owner.did)).cached, "nobody told it yet"
        scene.cards.told(owner.did)
        with pytest.raises(CardRevoked):
            await scene.cards.resolve(owner.did)
        del scene.overlay.records[owner.did]
        with pytest.raises(CardUnknown):
            await scene.cards.resolve(owner.did)

    told(story)


def test_a_card_is_never_believed_beyond_its_record() -> None:
    async def story() -> None:
        scene, owner = Scene(), Identity.generate()
        await scene.publish(owner, term_ms=1_000)
        await scene.cards.resolve(owner.did)
        scene.clock.advance(1_000)
        with pytest.raises(CardUnknown):
            await scene.cards.resolve(owner.did)

    told(story)


@pytest.mark.parametrize("limits", [{"cached_max": 2}, {"cached_bytes_max": 4_000}])
def test_what_is_remembered_is_bounded(limits: dict[str, int]) -> None:
    async def story() -> None:
        scene, owners = Scene(**limits), [Identity.generate() for _ in range(3)]
        for owner in owners:
            await scene.publish(owner)
            await scene.cards.resolve(owner.did)
        cached = [(await scene.cards.resolve(owner.did)).cached for owner in reversed(owners)]
        assert cached == [True, True, False]

    told(story)


def test_a_large_card_is_kept_from_being_collected_while_it_stands() -> None:
    async def story() -> None:
        scene, owner = Scene(touched_ms=1_000), Identity.generate()
        ask = scene.ask(owner, LARGE)
        said = await scene.cards.spread(ask, None)
        running = asyncio.create_task(scene.cards.run())
        await turn(scene)
        assert scene.blobs.touched == [said.cid]
        await scene.publish(owner, BARE, at_ms=NOW_MS + 1)
        await turn(scene)
        assert scene.blobs.touched == [said.cid], "nothing names it any more"
        again = await scene.cards.spread(scene.ask(owner, LARGE, at_ms=NOW_MS + 2), None)
        await turn(scene)
        assert scene.blobs.touched == [said.cid, again.cid]
        del scene.overlay.records[owner.did]
        for _ in range(2):
            await turn(scene)
        assert scene.blobs.touched == [said.cid, again.cid]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def turn(scene: Scene) -> None:
        """Let time pass, and wait until what it woke sleeps again."""
        while not scene.clock.sleepers():
            await asyncio.sleep(0)
        scene.clock.advance(1_000)
        while not scene.clock.sleepers():
            await asyncio.sleep(0)

    told(story)


def test_a_large_card_that_nobody_gives_or_that_finds_no_room_is_not_here_now() -> None:
    async def story() -> None:
        scene, owner = Scene(), Identity.generate()
        ask = scene.ask(owner, LARGE)
        await scene.cards.spread(ask, None)
        assert (await scene.cards.resolve(owner.did)).card == ask.card
        scene.cards.told(owner.did)
        scene.blobs.full = True
        with pytest.raises(CardUnfetched):
            await scene.cards.resolve(owner.did)
        scene.blobs.full, scene.blobs.kept = False, {}
        with pytest.raises(CardUnfetched):
            await scene.cards.resolve(owner.did)

    told(story)

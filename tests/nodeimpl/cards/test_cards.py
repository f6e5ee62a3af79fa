"""The cards domain on three nodes: what agents publish is found, checked and taken back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from nodeimpl.cards.rules import node_card
from nodeimpl.node import Node
from opkit.client import NodeClient
from opkit.proof.canonical import canonical
from opkit.proof.cards import read_card, sign_card, value_of
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import make_record, read_record
from opkit.wire.agents import CARD_BYTES_MAX, CARD_PATH, AgentParams
from opkit.wire.base import Did
from opkit.wire.cards import (
    PUBLISH_CARD,
    RESOLVE_CARD,
    AskCard,
    CardOversize,
    CardRejected,
    CardRevoked,
    CardStale,
    CardUnfetched,
    CardUnknown,
    PublishCard,
    PublishedCard,
    ResolvedCard,
)
from opkit.wire.compute import PUT_BLOB, PutBlob
from opkit.wire.overlay import OVERLAY, AskOverlay
from opkit.wire.records import (
    Carried,
    RecordBody,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    SignedRecordRejected,
)

ORGS = ("river-city-tool-library", "brightworks-cooperative", "harbor-homes-cooperative")
RIVER, BRIGHT, HARBOR = ORGS
DAY_MS = 86_400_000
TERM_MS = 7 * DAY_MS
BARE = node_card(title="Translator", version="1", urls=["http://127.0.0.1:1"])
LARGE = {**BARE, "iconUrl": "i" * 4_000, "documentationUrl": "d" * 4_000}


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 200))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def card_of(
    world: InProcessWorld, owner: Identity, bare: dict[str, Any] = BARE, **changes: Any
) -> dict[str, Any]:
    fields = {"network": world.genesis.network, "did": owner.did, "sequence": now_ms()}
    return sign_card(bare, agent=AgentParams(**{**fields, **changes}), identity=owner)


def record_of(
    world: InProcessWorld, owner: Identity, card: dict[str, Any] | None, **changes: Any
) -> Carried:
    fields: dict[str, Any] = {
        "network": world.genesis.network,
        "namespace": "card",
        "name": owner.did,
        "value": None if card is None else value_of(card).model_dump(mode="json"),
        "at_ms": now_ms(),
        "term_ms": TERM_MS,
    }
    return Carried(jws=make_record(owner, **{**fields, **changes}))


async def publish(
    client: NodeClient, carried: Carried, card: dict[str, Any] | None = None
) -> PublishedCard:
    return await client.call(PUBLISH_CARD, PublishCard(carried=carried, card=card))


async def resolve(client: NodeClient, did: Did) -> ResolvedCard:
    return await client.call(RESOLVE_CARD, AskCard(did=did))


def node_of(world: InProcessWorld) -> Node:
    node = world.node(RIVER).node
    assert node is not None
    return node


async def all_met(world: InProcessWorld) -> None:
    for org in ORGS:
        while (await world.operator(org).call(OVERLAY, AskOverlay())).contacts < 2:
            await asyncio.sleep(0.02)


async def until_resolved(client: NodeClient, did: Did) -> ResolvedCard:
    while True:
        try:
            return await resolve(client, did)
        except (CardUnknown, CardUnfetched):  # A busy node may be asked for a large one in vain.
            await asyncio.sleep(0.05)


async def until_says(client: NodeClient, did: Did, card: dict[str, Any]) -> ResolvedCard:
    """Return what a node says of a key once it is this card: a busy one may hear of it late."""
    while (found := await until_resolved(client, did)).card != card:
        await asyncio.sleep(0.05)
    return found


async def until_revoked(client: NodeClient, did: Did) -> CardRevoked:
    """Return with what a node refuses once it knows that a card was taken back."""
    while True:
        try:
            await until_resolved(client, did)
        except CardRevoked as no:
            return no
        await asyncio.sleep(0.05)


def test_every_nodes_card_is_found_from_every_node_and_verified_by_who_asks() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            for org in ORGS:
                for node in world.genesis.genesis.nodes:
                    found = await until_resolved(world.operator(org), node.did)
                    view = read_card(found.card, did=node.did, network=world.genesis.network)
                    record = read_record(found.record.jws, network=world.genesis.network)
                    assert (view.cid, view.agent.node) == (found.cid, node.did)
                    assert record.value == value_of(found.card).model_dump(mode="json")
                    assert (view.name, found.sequence) == (node.title, record.sequence)
                    again = await resolve(world.operator(org), node.did)
                    assert again.cached and again.card == found.card

    run(story())


def test_a_card_is_published_updated_and_taken_back_and_every_node_follows() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner, river = Identity.generate(), world.operator(RIVER)
            with pytest.raises(CardUnknown):
                await resolve(river, owner.did)
            first = card_of(world, owner)
            record = record_of(world, owner, first)
            while (said := await publish(river, record)).holders != 2:
                await asyncio.sleep(0.05)  # A busy node may not have answered in time.
            assert (said.did, said.cid) == (owner.did, cid_of(canonical(first)))
            for org in ORGS:
                await until_says(world.operator(org), owner.did, first)
            second = card_of(world, owner, {**BARE, "version": "2"})
            later = record_of(world, owner, second)
            await publish(world.operator(BRIGHT), later)
            for org in ORGS:
                await until_says(world.operator(org), owner.did, second)
            with pytest.raises(CardStale):
                await publish(river, record_of(world, owner, first))
            gone = await publish(world.operator(HARBOR), record_of(world, owner, None))
            assert gone.cid is None
            for org in ORGS:
                no = await until_revoked(world.operator(org), owner.did)
                assert no.revoked_at_ms <= now_ms()
                with pytest.raises(RecordOutdated):
                    await publish(world.operator(org), later)

    run(story())


def test_a_large_card_is_fetched_by_its_name_and_checked() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner, river = Identity.generate(), world.operator(RIVER)
            large = card_of(world, owner, LARGE)
            carried = record_of(world, owner, large)
            with pytest.raises(CardRejected, match="missing"):
                await publish(river, carried)
            said = await publish(river, carried, large)
            for org in ORGS:
                found = await until_says(world.operator(org), owner.did, large)
                assert found.cid == said.cid
            other = card_of(world, owner, {**LARGE, "version": "2"})
            with pytest.raises(CardRejected, match="not the one"):
                await publish(river, record_of(world, owner, other), large)
            with pytest.raises(CardOversize):
                await publish(river, carried, {**large, "version": "x" * CARD_BYTES_MAX})

    run(story())


def test_what_no_agent_signed_is_refused_where_it_is_published() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner, other = Identity.generate(), Identity.generate()
            river, card = world.operator(RIVER), card_of(world, owner)
            tampered = {**card, "version": "2"}
            note = make_record(
                owner,
                network=world.genesis.network,
                namespace="note",
                name=f"{owner.did}/x",
                value={"text": "x"},
                at_ms=now_ms(),
                term_ms=DAY_MS,
            )
            long_ago = now_ms() - TERM_MS - 60_000  # By the node's clock too, which may lag.
            old = card_of(world, owner, sequence=long_ago)
            for refusal, carried in (
                (SignedRecordRejected, record_of(world, owner, tampered)),
                (SignedRecordRejected, record_of(world, other, card)),
                (SignedRecordRejected, record_of(world, owner, card, value={"cid": "x"})),
                (SignedRecordRejected, Carried(jws=note)),
                (SignedRecordRejected, record_of(world, owner, card, term_ms=TERM_MS + 1)),
                (SignedRecordRejected, record_of(world, owner, None, term_ms=TERM_MS - 1)),
                (RecordNotOwners, record_of(world, owner, card, name=other.did)),
                (RecordLapsed, record_of(world, owner, old, at_ms=long_ago)),
            ):
                with pytest.raises(refusal):
                    await publish(river, carried)
            with pytest.raises(CardRejected, match="stands in its record"):
                await publish(river, record_of(world, owner, card), card)
            with pytest.raises(CardRejected, match="brings none"):
                await publish(river, record_of(world, owner, None), card)
            with pytest.raises(CardUnknown):
                await resolve(river, owner.did)

    run(story())


def test_a_record_that_names_what_nobody_gives_or_no_card_is_told_apart() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner, river = Identity.generate(), world.operator(RIVER)
            node = node_of(world)
            blob = b"x" * 9_000
            value = {"cid": cid_of(blob), "size_bytes": len(blob), "card": None}
            shelf, carried = node.overlay.shelf, record_of(world, owner, None, value=value)
            shelf.offer(carried, now_ms())
            with pytest.raises(CardUnfetched):
                await resolve(river, owner.did)
            await river.call(PUT_BLOB, PutBlob(content=blob))
            with pytest.raises(CardRejected):
                await resolve(river, owner.did)
            # And keeps no agent from saying more.
            await publish(river, record_of(world, owner, card_of(world, owner)))
            assert (await resolve(river, owner.did)).card["name"] == "Translator"

    run(story())


def test_anybody_reads_a_nodes_own_card_where_a2a_clients_look_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            node = node_of(world)
            transport = httpx.ASGITransport(app=node.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:1") as web:
                shown = await web.get(CARD_PATH)
                assert shown.status_code == 200
                assert shown.headers["content-type"] == "application/json"
                assert shown.headers["cache-control"] == "public, max-age=60"
                view = read_card(
                    json.loads(shown.content), did=node.did, network=world.genesis.network
                )
                assert shown.headers["etag"] == f'"{view.cid}"'
                assert len(shown.content) == view.size_bytes <= 8_192
                known = {"if-none-match": shown.headers["etag"]}
                again = await web.get(CARD_PATH, headers=known)
                assert (again.status_code, again.content) == (304, b"")
                assert (await web.post(CARD_PATH)).status_code in {404, 405}
                found = await until_resolved(world.operator(BRIGHT), node.did)
                assert canonical(found.card) == shown.content
                elsewhere = await web.get(CARD_PATH, headers={"host": "example.com"})
                assert elsewhere.status_code == 404
                now_ms = world.clock.now_ms()
                with monkeypatch.context() as patch:
                    # However long it takes to ask so often: no time passes for the node.
                    patch.setattr(world.clock, "now_ms", lambda: now_ms)
                    while (await web.get(CARD_PATH)).status_code != 429:
                        pass  # So often is allowed.

    run(story())


def test_a_node_says_its_card_again_before_it_lapses_and_it_stays_the_same_card() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            node = node_of(world)

            def standing() -> RecordBody:
                carried = node.overlay.shelf.standing("card", node.did, node.did)
                assert carried is not None
                return read_record(carried.jws, network=world.genesis.network)

            first = standing()
            world.clock.advance(TERM_MS // 2 + DAY_MS // 2)
            while (later := standing()).sequence == first.sequence:
                await asyncio.sleep(0.05)
            assert later.value == first.value
            assert first.lapses_at_ms < later.lapses_at_ms == later.issued_at_ms + TERM_MS

    run(story())

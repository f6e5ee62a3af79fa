"""The records domain, on three nodes: what members publish is found from every one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld, inprocess_world
from opkit.client import NodeClient
from opkit.proof.cid import cid_of
from opkit.proof.jws import record_id
from opkit.proof.keys import Identity
from opkit.proof.record import read_record, sign_record
from opkit.wire.compute import PUT_BLOB, BlobUnknown, HashMalformed, PutBlob
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing
from opkit.wire.overlay import (
    OVERLAY,
    PROVIDE,
    PUBLISH,
    RECORDS,
    ROUTE,
    AskOverlay,
    AskRecords,
    AskRoute,
    ProvideBlob,
    PublishRecord,
)
from opkit.wire.records import (
    Carried,
    RecordBody,
    RecordLapsed,
    RecordNotOwners,
    RecordOutdated,
    SignedRecordRejected,
)

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"
MARA = "river-city-tool-library/mara"
DAY_MS = 86_400_000


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 100))


def note(world: InProcessWorld, owner: Identity, **others: Any) -> Carried:
    """Sign a note; `others` change what it says."""
    now_ms = time.time_ns() // 1_000_000
    said = {
        "network": world.genesis.network,
        "aud": "note",
        "name": f"{owner.did}/hours",
        "owner": owner.did,
        "sequence": now_ms,
        "issued_at_ms": now_ms,
        "lapses_at_ms": now_ms + DAY_MS,
        "value": {"text": "Mon 9-12"},
    }
    return Carried(jws=sign_record(RecordBody.model_validate(said | others), owner))


async def find(client: NodeClient, namespace: str, name: str) -> tuple[Carried, ...]:
    ask = AskRecords.model_validate({"namespace": namespace, "name": name})
    return (await client.call(RECORDS, ask)).records


async def all_met(world: InProcessWorld) -> None:
    for org in (RIVER, BRIGHT, HARBOR):
        while (await world.operator(org).call(OVERLAY, AskOverlay())).contacts < 2:
            await asyncio.sleep(0.02)


def test_a_note_is_found_from_every_node_and_announced_where_it_was_published() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner = Identity.generate()
            said = note(world, owner)
            published = await world.operator(RIVER).call(PUBLISH, PublishRecord(carried=said))
            assert published.record == record_id(said.jws)
            assert published.holders == 2
            for org in (RIVER, BRIGHT, HARBOR):
                (found,) = await find(world.operator(org), "note", f"{owner.did}/hours")
                body = read_record(found.jws, network=world.genesis.network)
                assert (body.owner, body.value) == (owner.did, {"text": "Mon 9-12"})

    run(story())


def test_what_no_node_would_believe_is_refused_where_it_is_published() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            owner, client = Identity.generate(), world.operator(RIVER)
            good = note(world, owner)
            lapsed = 1_000_000_000_000
            bad = {
                SignedRecordRejected: Carried(jws=good.jws[:-4] + "AAAA"),
                RecordNotOwners: note(world, owner, name=f"{client.node}/hours"),
                RecordLapsed: note(
                    world, owner, sequence=1, issued_at_ms=lapsed, lapses_at_ms=lapsed + 1
                ),
            }
            for refusal, record in bad.items():
                with pytest.raises(refusal):
                    await client.call(PUBLISH, PublishRecord(carried=record))
            await client.call(PUBLISH, PublishRecord(carried=good))
            with pytest.raises(RecordOutdated):
                await client.call(PUBLISH, PublishRecord(carried=note(world, owner, sequence=1)))

    run(story())


def test_whoever_may_deploy_modules_may_not_publish_records_for_it() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            said = PublishRecord(carried=note(world, Identity.generate()))
            narrow = world.client(RIVER, MARA, scopes=(Scope.WASM_WRITE,))
            for endpoint, ask in ((PUBLISH, said), (PROVIDE, ProvideBlob(cid=cid_of(b"x")))):
                with pytest.raises(ScopeMissing) as no:
                    await narrow.call(endpoint, ask)
                assert no.value.needs == Scope.RECORDS_WRITE
            wide = world.client(RIVER, MARA, scopes=(Scope.RECORDS_WRITE,))
            await wide.call(PUBLISH, said)

    run(story())


def test_a_node_says_that_it_keeps_a_blob_if_it_does() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            client = world.operator(RIVER)
            with pytest.raises(HashMalformed):
                await client.call(PROVIDE, ProvideBlob(cid="nonsense"))
            with pytest.raises(BlobUnknown):
                await client.call(PROVIDE, ProvideBlob(cid=cid_of(b"elsewhere")))
            kept = (await client.call(PUT_BLOB, PutBlob(content=bytes(100_000)))).cid
            said = await client.call(PROVIDE, ProvideBlob(cid=kept))
            assert (said.cid, said.holders) == (kept, 2)
            (found,) = await find(world.operator(HARBOR), "blob", kept)
            assert read_record(found.jws, network=world.genesis.network).owner == client.node

    run(story())


def test_every_node_says_where_it_is_and_who_is_nearest_to_a_name() -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            await all_met(world)
            client = world.operator(RIVER)
            for org in (HARBOR, BRIGHT):
                while not await find(client, "node", world.operator(org).node):
                    await asyncio.sleep(0.02)
            way = await client.call(ROUTE, AskRoute(namespace="note", name="anything"))
            assert {contact.did for contact in way.contacts} == {
                world.operator(org).node for org in (BRIGHT, HARBOR)
            }
            # What is found may be kept by another node yet, and comes here a moment later.
            state = await client.call(OVERLAY, AskOverlay())
            while ("node", 3) not in {(each.name, each.count) for each in state.records}:
                await asyncio.sleep(0.02)
                state = await client.call(OVERLAY, AskOverlay())
            assert {link.did for link in state.mesh if link.in_mesh} <= {
                contact.did for contact in way.contacts
            }
            assert {room.sponsor for room in state.rooms} >= {RIVER}

    run(story())

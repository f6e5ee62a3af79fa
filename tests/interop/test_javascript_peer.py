"""A peer in JavaScript in a network of three real nodes: each step is seen from both sides.

The stage is in `stage.py`, the peer in `tests/interop/js/peer`.
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.wasm import add_custom_section
from opkit.wire.base import b64decode, b64encode
from opkit.wire.compute import PUT_BLOB, PutBlob
from opkit.wire.network import PEERS, AskPeers
from opkit.wire.overlay import (
    PROVIDE,
    ROUTE,
    AskRoute,
    ProvideBlob,
)

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

_SPEC = importlib.util.spec_from_file_location(
    "javascript_stage", Path(__file__).with_name("stage.py")
)
assert _SPEC is not None and _SPEC.loader is not None
beside: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = beside  # Where dataclasses look for their module.
_SPEC.loader.exec_module(beside)
RIVER, BRIGHT, HARBOR = ALL = beside.ALL
MARA = beside.MARA
Refused = beside.Refused
eventually = beside.eventually
joined = beside.joined
name_of = beside.name_of
peer_of = beside.peer_of
network = beside.network
tell = beside.tell


def test_a_record_that_it_puts_is_found_by_nodes_and_the_other_way_round(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Any) -> None:
        peer, known = stage.peer, [stage.contact(RIVER)]
        mine = await peer.do("note", label="from-javascript", text="größer als 7 €")
        answers = await peer.do("put", carried=mine, known=known)
        # Nodes gossip what is new, so a later one may have it from an earlier one.
        assert any(answers[stage.world.node(org).did] for org in ALL)
        again = await peer.do("put", carried=mine, known=known)
        assert [again[stage.world.node(org).did] for org in ALL] == [False] * len(ALL)
        for org in ALL:
            assert await stage.holds(org, name_of(mine["jws"])) == [mine["jws"]]
            assert await stage.found(org, name_of(mine["jws"])) == [mine["jws"]]
        theirs = await stage.publish(BRIGHT, "from-python")
        (found,) = await peer.do("get", namespace="note", name=name_of(theirs.jws), known=known)
        assert (found["jws"], found["id"]) == (theirs.jws, jws.record_id(theirs.jws))
        assert found["value"] == {"text": "what from-python says: größer"}

    tell(story)


def test_it_fetches_a_blob_from_a_node_by_its_name_and_a_node_one_from_it(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Any) -> None:
        peer, world, known = stage.peer, stage.world, [stage.contact(RIVER)]
        content = secrets.token_bytes(300_000)
        operator = world.operator(HARBOR)
        kept = await operator.call(PUT_BLOB, PutBlob(content=content))
        await operator.call(PROVIDE, ProvideBlob(cid=kept.cid))
        got = await peer.do("fetch", cid=kept.cid, known=known)
        assert b64decode(got["bytes"]) == content
        assert got["from"] == world.node(HARBOR).did
        with pytest.raises(Refused) as nobody:
            await peer.do("fetch", cid=cid_of(secrets.token_bytes(8)), known=known)
        assert nobody.value.code == "blob-unknown"

        # A module that nobody has seen: the executor can have it from the peer alone.
        module = add_custom_section(beside.MODULE, "made", secrets.token_bytes(16))
        provided = await peer.do("provide", bytes=b64encode(module), known=known)
        assert provided["cid"] == cid_of(module)
        executor = world.node(BRIGHT).did
        await peer.do("drop", did=executor)
        await eventually(lambda: stage.is_gone(BRIGHT))
        handle = await world.client(RIVER, MARA).compute.submit(
            provided["cid"], b"said in small letters", executor=executor
        )
        result = await handle.result()
        assert result.output == b"SAID IN SMALL LETTERS"
        fetched = result.view.fetched
        assert fetched is not None
        assert (fetched.peer, fetched.size_bytes) == (peer.did, len(module))
        asked = (await peer.do("state"))["asked"]
        assert asked[executor]["blob.fetch"] == 1

    tell(story)


def test_it_hears_gossip_and_is_heard(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        peer = stage.peer
        await stage.dial_all()

        async def in_mesh() -> bool:
            return len((await peer.do("state"))["mesh"]) == len(ALL)

        await eventually(in_mesh)
        theirs = await stage.publish(RIVER, "to-all")

        theirs_id = jws.record_id(theirs.jws)
        await eventually(lambda: peer.do("brought", id=theirs_id))
        (kept,) = await peer.do("kept", namespace="note", name=name_of(theirs.jws))
        assert kept["jws"] == theirs.jws
        assert (await peer.do("state"))["counts"]["bad"] == 0
        mine = await peer.do("note", label="to-everybody", text="heard?")
        await peer.do("publish", carried=mine)

        async def all_keep_it() -> bool:
            kept = [await stage.holds(org, name_of(mine["jws"])) for org in ALL]
            return kept == [[mine["jws"]]] * len(ALL)

        await eventually(all_keep_it)
        overlay = await stage.overlay(HARBOR)
        assert peer.did in {link.did for link in overlay.mesh}
        assert peer.did not in overlay.banned

    tell(story)


def test_what_either_side_lacks_comes_to_it_by_reconciliation(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        peer, there = stage.peer, stage.contact(RIVER)
        notes = [await stage.publish(RIVER, f"many-{number}") for number in range(40)]
        mine = await peer.do("note", label="kept-only", text="by nobody else yet")
        await peer.do("keep", carried=mine)
        # A node that just met the peer asks what it keeps.
        await peer.do("dial", to=there)

        async def has_asked() -> bool:
            asked = (await peer.do("state"))["asked"].get(there["did"], {})
            return "reconcile.compare" in asked and bool(
                await stage.holds(RIVER, name_of(mine["jws"]))
            )

        await eventually(has_asked)
        # Now the peer asks, and pushes. The node may ask at the same time, and fetch it first.
        pushed = 0
        for number in range(20):
            late = await peer.do("note", label=f"kept-late-{number}", text="pushed")
            await peer.do("keep", carried=late)
            pushed = (await peer.do("reconcile", **{"with": there, "namespace": "note"}))["went"]
            if pushed:
                break
        assert pushed == 1
        assert await stage.holds(RIVER, name_of(late["jws"])) == [late["jws"]]
        for one in notes:
            (kept,) = await peer.do("kept", namespace="note", name=name_of(one.jws))
            assert kept["jws"] == one.jws
        nodes = await peer.do("reconcile", **{"with": there, "namespace": "node"})
        assert nodes["went"] == 0
        assert len(await peer.do("items", namespace="node")) == len(ALL)
        done = await peer.do("reconcile", **{"with": there, "namespace": "note"})
        assert done == {"came": 0, "went": 0}

    tell(story)


def test_all_that_it_lacks_comes_to_a_fresh_peer_that_asks(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        for number in range(40):
            await stage.publish(HARBOR, f"fresh-{number}")
        there = stage.contact(HARBOR)
        done = await stage.peer.do("reconcile", **{"with": there, "namespace": "note"})
        assert len(await stage.peer.do("items", namespace="note")) >= 40
        assert done["went"] == 0

    tell(story)


def test_a_member_as_peer_writes_into_the_room_of_its_coop(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        async def room() -> int:
            rooms = (await stage.overlay(BRIGHT)).rooms
            return sum(one.records for one in rooms if one.sponsor == RIVER)

        before = await room()
        mine = await stage.peer.do("note", label=f"of-{secrets.token_hex(4)}", text="sponsored")
        await stage.peer.do("put", carried=mine, known=[stage.contact(BRIGHT)])
        assert await room() > before
        assert await stage.found(HARBOR, name_of(mine["jws"])) == [mine["jws"]]

    tell(story, as_member=MARA)


def test_who_is_no_founder_shows_by_a_proof_who_vouches_for_its_records(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Any) -> None:
        world, member = stage.world, Identity.generate()

        async def room() -> int:
            rooms = (await stage.overlay(BRIGHT)).rooms
            return sum(one.records for one in rooms if one.sponsor == RIVER)

        before = await room()
        async with peer_of(world, member, proof=(joined(world, member),)) as peer:
            mine = await peer.do("note", label="proven", text="sponsored by a proof")
            await peer.do("put", carried=mine, known=[stage.contact(BRIGHT)])
        assert await room() > before
        found = await stage.ask(HARBOR, "dht.get", namespace="note", name=name_of(mine["jws"]))
        assert [one["proof"] for one in found["records"]] == [mine["proof"]]

    tell(story)


def test_what_it_does_wrong_is_refused_as_the_page_says(tell: Callable[..., None]) -> None:
    async def refused(stage: Any, method: str, **body: Any) -> str:
        with pytest.raises(Refused) as no:
            await stage.ask(RIVER, method, **body)
        return no.value.code

    async def story(stage: Any) -> None:
        assert await refused(stage, "dht.pong") == "method-unknown"
        assert await refused(stage, "dht.ping", ttl=1) == "frame-malformed"
        assert await refused(stage, "dht.find", target="A" * 64) == "frame-malformed"
        assert await refused(stage, "peer.cast", kind="rumour") == "method-unknown"
        assert await refused(stage, "blob.have", cid="nothing") == "hash-malformed"
        mara = stage.note(stage.world.member(MARA), "of-mara")
        head, body, signature = mara.jws.split(".")
        forged = {"jws": f"{head}.{body}.{signature[::-1]}", "proof": []}
        assert await refused(stage, "dht.put", record=forged) == "signed-record-rejected"
        manifest = {"manifest": mara.jws}
        assert await refused(stage, "compute.offer", **manifest) in {
            "manifest-rejected",
            "submitter-not-accepted",
        }
        assert (await stage.ask(RIVER, "dht.ping"))["contact"]["did"]

    tell(story)


def test_it_says_hello_pings_and_finds_every_node_by_one_of_them(
    tell: Callable[..., None],
) -> None:
    async def story(stage: Any) -> None:
        peer, world = stage.peer, stage.world
        await peer.do("dial", to=stage.contact(RIVER))
        pong = await stage.ask(RIVER, "dht.ping", sender=None)
        assert pong["contact"]["did"] == world.node(RIVER).did
        links = (await world.operator(RIVER).call(PEERS, AskPeers())).links
        assert [link.org for link in links if link.did == peer.did] == [None]
        goal = world.node(HARBOR).did
        found = await peer.do("find", did=goal, known=[stage.contact(RIVER)])
        assert found[0]["did"] == goal
        assert {one["did"] for one in found} >= {world.node(org).did for org in ALL}
        state = await peer.do("state")
        assert set(state["connected"]) >= {world.node(org).did for org in ALL}

        async def is_known() -> bool:
            """Whether a node that the peer was never told of finds it now by itself."""
            ask = AskRoute(namespace="note", name=f"{peer.did}/x")
            route = await world.operator(HARBOR).call(ROUTE, ask)
            return peer.did in {one.did for one in route.contacts}

        await eventually(is_known)
        asked = (await peer.do("state"))["asked"]
        assert {"dht.find", "dht.ping"} & set(asked[goal])

    tell(story, serves=True)

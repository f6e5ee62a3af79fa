"""Nodes that lie in what they answer: outvoted, found out or passed over, and never believed.

Each test has its sabotage: with the rule broken, the same story notices.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from devnet.hostile_base import Scene
from devnet.hostile_messages import Scribe
from devnet.hostile_nodes import CONDUCTS, surrounding
from nodeimpl.kernel.clock import RealClock
from nodeimpl.overlay import search
from nodeimpl.overlay.dht import DhtLimits
from nodeimpl.overlay.lookup import LookupLimits
from nodeimpl.overlay.node import OverlayLimits
from nodeimpl.overlay.port import key_id, node_id
from nodeimpl.overlay.reconcile import Reconciler, ReconcilerLimits
from nodeimpl.overlay.search import Get
from nodeimpl.overlay.searches import SearchesLimits
from nodeimpl.overlay.table import Table, TableLimits
from nodeimpl.p2p.iroh_transport import IrohTransport
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.proof.record import Record, Verifier
from opkit.wire.base import b64decode
from opkit.wire.records import Carried, RecordBody

pytestmark = pytest.mark.slow
SHORT_S = 2.0
"""How long a sabotaged node is waited for."""

CLOCK = RealClock()
SURROUNDING = 8
"""How many keys surround a name here; simulations have more."""


def near(did: str, others: list[str]) -> str:
    """Return the name of a blob to which somebody is nearer than all others."""
    number = 0
    while True:
        cid = cid_of(f"blob {number}".encode())
        place = key_id("blob", cid)
        if all(node_id(did) ^ place < node_id(other) ^ place for other in others):
            return cid
        number += 1


def provides(network: Any, author: Any, cid: str, *, sequence: int = 0) -> Carried:
    """Return a node's word that it keeps a blob."""
    scribe = Scribe(author.identity, network=network.genesis.network, clock=CLOCK)
    return Carried(jws=scribe.blob(cid, sequence=sequence))


async def about_records(net: Any, kind: str, **options: Any) -> None:
    """Have a node that comes later look for what stands, the nearest to which is the liar."""
    async with net(3, **options) as network, network.all_attacked(kind) as liar:
        nodes, author = network.nodes, network.nodes[1]
        await network.eventually(lambda: all(liar.did in it.overlay.dht.table for it in nodes))
        cid = near(liar.did, [node.did for node in nodes])
        first = provides(network, author, cid, sequence=1)
        stands = provides(network, author, cid)
        elsewhere = provides(network, author, cid_of(b"another one"))
        for each in (elsewhere, first, stands):
            await author.publish(each)
        await network.eventually(lambda: liar.stats().get("PutRecord", 0) >= 3)
        async with network.newcomer(nodes[0].address, network.address_of(liar)) as late:
            await network.eventually(lambda: len(late.overlay.dht.table) >= 2)
            found = await late.get(cid, namespace="blob")
            assert found.records == (stands,), "found as it stands"
            assert liar.stats()["FindRecords"] >= 1, "the liar was asked"
            lied = liar.did in found.liars
            assert lied == (kind in {"dht-unasked", "dht-forging"}) or kind == "dht-wrong"
            there = {node.did for node in nodes} | {liar.did, late.did}
            table = late.overlay.dht.table
            assert {each.did for each in table.nearest(0, 99)} <= there, "nobody is made up"
            assert not late.overlay.shelf.get("blob", cid_of(b"another one"))
        await network.works()


async def about_differences(net: Any, kind: str, **options: Any) -> None:
    """Have everybody compare with a liar, and find what really differs between them."""
    # It stays alone for as long as this takes.
    options = {"overlay": OverlayLimits(reconcile=ReconcilerLimits(backoff_ms=3_600_000))} | options
    async with net(3, **options) as network, network.all_attacked(kind) as liar:
        victim = network.victim
        for node in network.nodes:
            await network.eventually(lambda it=node: it.overlay.reconciler.counts["lies"] == 1)
            assert liar.did in node.overlay.reconciler._liars
            assert node.overlay.reconciler.held()["sessions"] <= 4
        asked = liar.stats()["Compare"]
        scribe = Scribe(victim.identity, network=network.genesis.network, clock=CLOCK)
        name = f"{victim.did}/early"
        victim.overlay._restoring = True  # Nobody is told: only comparing finds it.
        victim.overlay.shelf.offer(Carried(jws=scribe.note(name=name)), CLOCK.now_ms())
        victim.overlay._restoring = False
        for node in network.nodes[1:]:
            compared = node.overlay.reconciler._peers
            await network.eventually(lambda it=compared: awaits(it, victim.did))
            # On a busy machine the link with the liar may be gone by now.
            for peer in {liar.did, victim.did} & set(compared):
                compared[peer].begun_ms = 0
                node.overlay.reconciler.suspect(peer, CLOCK.now_ms())
            node.driver.touch()
        await network.eventually(lambda: all(node.keeps(name) for node in network.nodes))
        assert liar.stats()["Compare"] == asked, "the liar is left alone"
        assert all(set(node.delivered) == set(victim.keeps(name)) for node in network.nodes)
        await network.works()


def awaits(compared: dict[Any, Any], peer: str) -> bool:
    """Return whether a session with a peer may begin: one under way may be past what differs."""
    return peer in compared and compared[peer].session is None


def place_in(address: str) -> str | None:
    """Return what here stands for an address block of one owner."""
    host = address.rpartition(":")[0]
    return None if host.startswith("[") else host


def at(who: Identity, last: int) -> IrohTransport:
    bind = (f"127.0.0.{last}:0", "[::1]:0")
    return IrohTransport(identity=who, fixed_paths=True, bind=bind)


async def about_a_place(net: Any, kind: str, **options: Any) -> None:
    """Have many keys from one address surround the name of a blob, before it is provided."""
    options = {"prefix": place_in} | options
    async with net(4, make=lambda who, number: at(who, 10 + number), **options) as network:
        author, cid = network.nodes[1], cid_of(b"what is to be hidden")
        identity = Identity.generate()
        scene = Scene(
            kind=kind,
            identity=identity,
            transport=at(identity, 66),
            make=lambda who: at(who, 66),
            genesis=network.genesis,
            targets=[node.address for node in network.nodes],
            clock=CLOCK,
        )
        place = key_id("blob", cid)
        async with surrounding(scene, place, count=SURROUNDING) as crowd:
            stands = provides(network, author, cid)
            await author.publish(stands)
            knows = (network.nodes[0].address, network.nodes[2].address)
            async with network.newcomer(*knows) as late:
                await network.eventually(lambda: len(late.overlay.dht.table) >= 3)
                found = await late.get(cid, namespace="blob")
                assert found.records == (stands,), "hidden from nobody"
            tables = [node.overlay.dht.table for node in network.nodes]
            await network.eventually(lambda: all(sybils(it, crowd.dids) for it in tables))
            # As many besides as never said where they are, which is a place too.
            most = 2 * TableLimits().per_prefix_max
            for table in tables:
                assert max(sybils(table, crowd.dids).values()) <= most
            await network.works()


def sybils(table: Table, dids: frozenset[str]) -> Counter[int]:
    """Return how many of these keys are in each bucket of a table."""
    known = {each.did for each in table.nearest(0, 999)} & dids
    return Counter((node_id(did) ^ table.place).bit_length() for did in known)


STORIES = {
    **dict.fromkeys((kind for kind in CONDUCTS if kind.startswith("dht-")), about_records),
    **dict.fromkeys((it for it in CONDUCTS if it.startswith("reconcile-")), about_differences),
    "eclipse": about_a_place,
}
assert STORIES.keys() == CONDUCTS.keys()


@pytest.mark.parametrize("kind", STORIES)
def test_a_node_that_lies_hides_nothing_and_is_believed_nothing(net: Any, kind: str) -> None:
    asyncio.run(STORIES[kind](net, kind))


def believe(_verifier: Verifier, token: str) -> Record:
    """Read a record without a look at its signature."""
    body = RecordBody.model_validate_json(b64decode(token.split(".")[1]))
    return Record(token, body, bytes.fromhex(jws.record_id(token)))


def take_any(get: Get, _contact: Any, carried: Carried) -> str:
    """Take a record for what was asked."""
    record = get._copies.read(carried)
    get._note(record, carried)
    return record.id.hex()


ONE_PATH = OverlayLimits(
    dht=DhtLimits(
        searches=SearchesLimits(lookup=LookupLimits(paths=1, at_once=1, width=1, asks_max=3))
    )
)
"""Lookups that ask the nearest and are content."""

BROKEN = {
    "dht-empty": {"overlay": ONE_PATH},
    "dht-wrong": {"overlay": ONE_PATH},
    "dht-old": (search, "outranks", lambda one, other: one[0] < other[0]),
    "dht-unasked": (Get, "_believe", take_any),
    "dht-forging": (Verifier, "read", believe),
    "reconcile-endless": (Reconciler, "_blame", lambda *_: None),
    "reconcile-empty-handed": (Reconciler, "_blame", lambda *_: None),
    "eclipse": {"prefix": None},
}
"""For each kind the rule without which the story goes wrong, and what stands in its place."""
assert BROKEN.keys() == STORIES.keys(), "each has a sabotage"


@pytest.mark.parametrize("kind", BROKEN)
def test_without_its_rule_each_liar_is_noticed(
    net: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: Any = BROKEN[kind]
    options = broken if isinstance(broken, dict) else {}
    if not options:
        monkeypatch.setattr(*broken)
    with pytest.raises((AssertionError, TimeoutError)):
        asyncio.run(STORIES[kind](net, kind, patience_s=SHORT_S, **options))

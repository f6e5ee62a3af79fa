"""Floods, stalls and connections without a word: bounded, cut off, and noticed by nobody else.

Each test has its sabotage: with the rule broken, the same story notices.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from devnet import hostile_streams
from devnet.hostile import KINDS
from devnet.hostile_messages import Scribe
from devnet.hostile_streams import CONDUCTS, HALVES
from nodeimpl.kernel.clock import RealClock
from nodeimpl.overlay.budgets import Budgets
from nodeimpl.overlay.budgets import Limits as ShelfLimits
from nodeimpl.overlay.gossip import Gossiper
from nodeimpl.overlay.node import OverlayLimits
from nodeimpl.p2p import session
from nodeimpl.p2p.company import Company
from nodeimpl.p2p.limits import Guard, PeersLimits
from opkit.wire.records import Carried

pytestmark = pytest.mark.slow

SHORT_S = 2.0
"""How long a sabotaged node is waited for."""
LIMITS = PeersLimits(request_ms_max=500, hello_ms_max=1_000, strangers_max=32)


@pytest.fixture(autouse=True)
def fewer_fresh_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations and `bench/hostile.py` have ten thousand."""
    monkeypatch.setattr(hostile_streams, "FRESH_KEYS", 600)


def guard_of(network: Any, did: str) -> Guard:
    return network.victim.peers._company.guards.of(did)


def in_mesh(network: Any, did: str) -> bool:
    mesh = network.victim.overlay.gossip.mesh()["records"]
    return any(peer.did == did and peer.in_mesh for peer in mesh)


async def a_flood(net: Any, kind: str, **options: Any) -> None:
    async with net(3, **options) as network, network.attacked(kind) as liar:
        victim = network.victim
        await network.eventually(lambda: liar.did in victim.peers.banned())
        await network.eventually(lambda: liar.did not in victim.peers.connected())
        # It comes again at once, and is not let in. Until the first time it may not have noticed.
        before = liar.stats().get("not let in", 0)
        await network.eventually(lambda: liar.stats().get("not let in", 0) > before)
        sent = liar.stats()["sent"]
        await network.eventually(lambda: liar.stats()["not let in"] > before + 2)
        assert liar.stats()["sent"] == sent
        for node in network.nodes:
            assert not node.keeps(f"{liar.did}/note")
            assert not node.delivered
            assert not node.overlay.gossip.counts.forwarded
        judged = victim.overlay.gossip.counts.judged
        assert judged <= 20, "few are looked at before it is cut off"
        await network.works()


async def fresh_keys(net: Any, kind: str, **options: Any) -> None:
    room = replace(ShelfLimits(), unsponsored_records_max=50)
    options = {"overlay": OverlayLimits(shelf=room)} | options
    async with net(3, **options) as network:
        await network.works()
        honest = [set(node.delivered) for node in network.nodes]
        async with network.attacked(kind) as liar:
            await network.eventually(lambda: liar.stats().get("sent", 0) >= 400)
            for node, before in zip(network.nodes, honest, strict=True):
                held = node.overlay.shelf.held()
                assert held["unsponsored"] <= room.unsponsored_records_max
                kept = {each.carried.jws for each in node.overlay.shelf._by_id.values()}
                assert before <= kept, "no member's is lost"
            await network.works()
            assert liar.did not in network.victim.peers.banned(), "it does nothing wrong"


async def half_frames(net: Any, kind: str, **options: Any) -> None:
    # Half of all stand at one time, however slowly they come.
    limits = replace(LIMITS, request_ms_max=5_000)
    async with net(3, limits=limits, **options) as network:
        async with network.attacked(kind) as liar:
            account = guard_of(network, liar.did)
            await network.eventually(lambda: account.streams > HALVES // 2)
            assert account.frame_bytes <= LIMITS.frame_bytes_max
            await network.works()
            await network.eventually(lambda: liar.stats().get("reset", 0) >= HALVES)
            assert account.streams <= LIMITS.streams_max
        await network.eventually(lambda: account.idle)


async def unread(net: Any, kind: str, **options: Any) -> None:
    async with net(3, limits=LIMITS, **options) as network, network.attacked(kind) as liar:
        victim, account = network.victim, guard_of(network, liar.did)
        await network.eventually(lambda: liar.stats().get("casts not read"))
        await network.eventually(lambda: in_mesh(network, liar.did))
        scribe = Scribe(victim.identity, network=network.genesis.network, clock=RealClock())
        await network.eventually(lambda: account.streams <= 1)  # Its casts are heard on one.
        for number in range(600):
            note = scribe.note(name=f"{victim.did}/n{number}", text="x" * 4_000)
            victim.overlay.shelf.offer(Carried(jws=note), RealClock().now_ms())
        victim.driver.touch()
        await network.eventually(lambda: not in_mesh(network, liar.did))
        unsent = victim.peers._company.session(liar.did)._outlets["gossip"].unsent_bytes
        assert unsent <= LIMITS.unsent_bytes_max
        await network.works()


async def half_open(net: Any, kind: str, **options: Any) -> None:
    async with net(3, limits=LIMITS, **options) as network:
        victim, other = network.victim, network.nodes[2]
        company = victim.peers._company
        most = LIMITS.strangers_max + 2 * len(network.nodes)

        def opened() -> int:
            """Return how many stand, never too many: at every look, for they come and go."""
            assert len(company.all) <= most
            return len(company.all)

        async with network.attacked(kind) as liar:
            await network.eventually(lambda: opened() >= LIMITS.strangers_max)
            await network.eventually(lambda: opened() and liar.stats().get("cut off", 0) >= 60)
            assert liar.did not in victim.peers.connected()
            # A member that lost its connection has another one all the same.
            standing = company.current[other.did]
            await standing.connection.close("lost")
            await network.eventually(lambda: company.current.get(other.did) not in {None, standing})
            await network.works()
        await network.eventually(lambda: len(company.all) <= 2 * len(network.nodes))


STORIES = {
    "flood": a_flood,
    "flood-puts": a_flood,
    "fresh-keys": fresh_keys,
    "half-frames": half_frames,
    "unread": unread,
    "half-open": half_open,
}
assert STORIES.keys() == CONDUCTS.keys() <= KINDS.keys()


@pytest.mark.parametrize("kind", STORIES)
def test_a_stranger_that_floods_or_stalls_is_bounded_and_honest_work_goes_on(
    net: Any, kind: str
) -> None:
    asyncio.run(STORIES[kind](net, kind))


class NoDeadline:
    """In place of `deadline`: whatever it bounds may take for ever."""

    def __init__(self, *_: Any) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def never(*_: Any, **__: Any) -> bool:
    return False


BROKEN = {
    "flood": (Company, "ban", never),
    "flood-puts": (Guard, "blame", never),
    "fresh-keys": (Budgets, "_from_the_bucket", lambda *_: []),
    "half-frames": (session, "deadline", NoDeadline),
    "unread": (Gossiper, "congested", never),
    "half-open": (Company, "_full", never),
}
"""For each kind the rule without which the story goes wrong, and what stands in its place."""
assert BROKEN.keys() == STORIES.keys(), "each has a sabotage"


@pytest.mark.parametrize("kind", BROKEN)
def test_without_its_rule_each_such_stranger_is_noticed(
    net: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BROKEN[kind])
    with pytest.raises((AssertionError, TimeoutError)):
        asyncio.run(STORIES[kind](net, kind, patience_s=SHORT_S))

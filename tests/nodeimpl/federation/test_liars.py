"""A home node that lies: nothing of it is believed, it is ended, and the others go on.

The liar has the key of a founder, which is the worst that there is: whoever has none is not heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devnet.inprocess import InProcessWorld
from nodeimpl.p2p.memory import MemoryTransport
from nodeimpl.p2p.peers import Peers
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof import jws
from opkit.proof.federation import charter_hash, sign_statement
from opkit.proof.keys import Identity
from opkit.proof.operations import sign_operation
from opkit.wire import objects as wire
from opkit.wire.base import Did
from opkit.wire.errors import Unreachable
from opkit.wire.federation import CoopStatement
from opkit.wire.operations import AdmitAct, Operation, SetAct
from tests.nodeimpl.federation.told import (
    ALL,
    BRIGHT,
    HARBOR,
    LAKES,
    LONE,
    RIVER,
    calls,
    members,
    run,
    same,
    until,
)

HONEST = tuple(org for org in ALL if org != HARBOR)


class Liar:
    """Harbor's node after somebody has taken its key: it answers what it is told to."""

    def __init__(self, world: InProcessWorld, identity: Identity, peers: Peers) -> None:
        self.world = world
        self.identity = identity
        self.peers = peers
        self.gives: tuple[str, ...] = ()
        self.asked = 0
        peers.serve(wire.LACKING, self._give)
        peers.serve(wire.GIVE, self._give)
        peers.serve(wire.TELL_HEADS, self._hear)

    async def _hear(self, peer: Did, told: wire.TellHeads) -> wire.HeadsHeard:
        return wire.HeadsHeard()

    async def _give(self, peer: Did, ask: Any) -> wire.OperationsGiven:
        self.asked += 1
        return wire.OperationsGiven(operations=self.gives, more=True)

    def operation(self, act: Any, **changes: Any) -> Operation:
        said: dict[str, Any] = {
            "network": self.world.genesis.network,
            "aud": "federation",
            "did": self.identity.did,
            "epoch": 0,
            "base": None,
            "sequence": 1,
            "previous": None,
            "time_ms": self.world.clock.now_ms(),
            "tick": 0,
            "act": act,
        }
        return Operation(**{**said, **changes})

    def signed(self, act: Any, **changes: Any) -> str:
        return sign_operation(self.operation(act, **changes), self.identity).token

    async def tell(self, org: str, *heads: str, **said: Any) -> None:
        """Tell a node of heads; it may hang up before it answers."""
        told = {"aud": "federation", "epoch": 0, "base": None, "heads": heads, **said}
        ask = wire.TellHeads(objects=(wire.ObjectHeads.model_validate(told),))
        try:
            await self.peers.ask(self.world.node(org).did, wire.TELL_HEADS, ask)
        except Unreachable:
            assert HARBOR in await banned(self.world, org), "it hung up for a reason"

    async def give(self, org: str, *tokens: str) -> None:
        self.gives = tokens
        await self.tell(org, *(jws.record_id(token) for token in tokens))


async def banned(world: InProcessWorld, org: str) -> list[str]:
    node = world.node(org).node
    assert node is not None
    named = [world.genesis.node(did) for did in node.peers.banned()]
    return [each.org for each in named if each is not None]


@asynccontextmanager
async def liar(world: InProcessWorld) -> AsyncIterator[Liar]:
    """Take the place of Harbor's node, connected with River's."""
    await world.kill(HARBOR)
    identity = world._made.nodes[HARBOR]
    transport = MemoryTransport(network=world.network, identity=identity, address="liar")
    await transport.start()

    async def unheard(event: Any) -> None:
        del event

    peers = Peers(
        transport=transport,
        genesis=world.genesis,
        org=HARBOR,
        version="0",
        clock=world.clock,
        announce=unheard,
    )
    made = Liar(world, identity, peers)
    running = asyncio.create_task(peers.run())
    try:
        for org in (RIVER, BRIGHT):
            there = world.node(org)
            assert there.transport is not None
            at = PeerAddress(did=there.did, addresses=there.transport.addresses())

            async def reached(at: PeerAddress = at) -> bool:
                try:
                    await peers.reach(at, deadline_ms=1_000)
                except Unreachable:
                    return False
                return True

            await until(reached, f"the liar is connected with {org}")
        yield made
    finally:
        running.cancel()
        await asyncio.wait({running})
        await transport.close()


def forged(by: Liar) -> str:
    head, body, signature = by.signed(AdmitAct(did=by.world.node(LONE).did)).split(".")
    return f"{head}.{body}.{signature[:-4]}AAAA"


def in_rivers_name(by: Liar) -> str:
    """Sign an operation that calls itself River's with Harbor's key."""
    said = by.operation(AdmitAct(did=by.world.node(LONE).did), did=by.world.node(RIVER).did)
    return jws.sign(said, typ="opkit-operation+jws", identity=by.identity)


def under_rivers_key(by: Liar) -> str:
    """Say something of River's coop: the operation is Harbor's own, and not permitted."""
    return by.signed(SetAct(key=f"coop/{by.world.node(RIVER).did}", value=None))


def of_rivers_coop(by: Liar) -> str:
    """Say under one's own key that one is River."""
    charter = by.world.genesis.charter(RIVER)
    assert charter is not None
    said = CoopStatement(
        network=by.world.genesis.network,
        did=by.identity.did,
        coop=RIVER,
        title="Tools, by Harbor",
        charter=charter_hash(charter),
        decision=None,
        issued_at_ms=0,
    )
    value = sign_statement(said, by.identity)
    return by.signed(SetAct(key=f"coop/{by.identity.did}", value=value))


def of_nothing(by: Liar) -> str:
    return by.signed(SetAct(key=f"coop/{by.identity.did}", value="nothing signed"))


def taken_back_from_nobody(by: Liar) -> str:
    """Take back under one's own key what no attestation could say: its subject is no coop's id."""
    return by.signed(SetAct(key=f"attestation/{by.identity.did}/No coop/insured", value=None))


def of_another_object(by: Liar) -> str:
    return by.signed(AdmitAct(did=by.world.node(LONE).did), aud=f"agreement/{'a' * 64}")


def of_another_network(by: Liar) -> str:
    return by.signed(AdmitAct(did=by.world.node(LONE).did), network="b" * 26)


@pytest.mark.parametrize(
    "lie",
    [
        forged,
        in_rivers_name,
        under_rivers_key,
        of_rivers_coop,
        of_nothing,
        taken_back_from_nobody,
        of_another_object,
        of_another_network,
    ],
    ids=lambda lie: lie.__name__,
)
def test_what_a_liar_gives_changes_nothing_and_ends_it(lie: Callable[[Liar], str]) -> None:
    async def story(world: InProcessWorld) -> None:
        await calls(world, RIVER).register(title="Tools")
        before = await same(world, *ALL, operations=1)
        async with liar(world) as by:
            await by.give(RIVER, lie(by))

            async def ended() -> bool:
                return HARBOR in await banned(world, RIVER)

            await until(ended, "the liar is ended")
            assert (await members(world, RIVER)).state == before

            async def told() -> bool:
                return "objects.peer-lied" in await types(world, RIVER)

            # It is ended first, and journalled then.
            await until(told, "it is told why")
            await calls(world, BRIGHT).register()
            await same(world, *HONEST, operations=2)
            assert by.asked <= 3, "and it was not asked again and again"

    run(story)


def test_an_object_that_cannot_be_is_not_opened() -> None:
    async def story(world: InProcessWorld) -> None:
        async with liar(world) as by:
            await by.tell(RIVER, aud="later/tools", opening="of a kind that is not known here")
            assert HARBOR not in await banned(world, RIVER)
            await by.tell(RIVER, aud=f"agreement/{'a' * 64}", opening="mine")

            async def ended() -> bool:
                return HARBOR in await banned(world, RIVER)

            await until(ended, "the liar is ended")
            objects = [each.object_id async for each in calls(world, RIVER).objects()]
            assert objects == ["federation"]

    run(story)


def test_heads_that_nobody_has_cost_little_and_end_nobody() -> None:
    async def story(world: InProcessWorld) -> None:
        async with liar(world) as by:
            await by.tell(RIVER, "f" * 64)

            async def asked() -> bool:
                return by.asked > 0

            await until(asked, "it was asked")
            await calls(world, RIVER).register()
            await same(world, *HONEST, operations=1)
            assert HARBOR not in await banned(world, RIVER)

    run(story)


def test_two_histories_of_one_author_are_proven_on_every_node_and_states_agree() -> None:
    async def story(world: InProcessWorld) -> None:
        async with liar(world) as by:
            lone = world.node(LONE).did
            await by.give(RIVER, by.signed(AdmitAct(did=lone)))
            await same(world, RIVER, operations=1)
            await by.give(BRIGHT, by.signed(AdmitAct(did=lone), tick=1))
            await same(world, *HONEST, operations=2)
            for org in HONEST:
                (fork,) = (await calls(world, org).forks()).forks
                assert (fork.did, fork.coop) == (by.identity.did, HARBOR)
            assert "objects.author-forked" in await types(world, LAKES)

            # With the proof, one voice is enough, and it is for good.
            ended = await calls(world, RIVER).vouch(by.identity.did, expel=True)
            assert not ended.standing
            await same(world, *HONEST, operations=3)
            assert (await members(world, LAKES)).expelled == (by.identity.did,)

    run(story)


async def types(world: InProcessWorld, org: str) -> set[str]:
    node = world.node(org).node
    assert node is not None
    entries = await node.store.read_journal(after=None, entries_max=1_000)
    return {entry.type for entry in entries}

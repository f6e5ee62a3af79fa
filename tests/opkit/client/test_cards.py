"""Cards by a client: signed here, and what a node answers is believed only if it verifies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.cards.rules import node_card
from opkit.client import NodeClient
from opkit.client.cards import FoundCard, check_resolved
from opkit.proof.cards import sign_card, value_of
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.record import make_record
from opkit.wire.agents import AgentParams
from opkit.wire.base import Cid, Did
from opkit.wire.cards import CardRevoked, CardUnfetched, CardUnknown, ResolvedCard
from opkit.wire.errors import Fault
from opkit.wire.records import Carried

NETWORK = "a" * 26
AGENT = Identity.generate()
BARE = node_card(title="Translator", version="1", urls=["http://127.0.0.1:1"])


def answer(**changes: Any) -> ResolvedCard:
    agent = AgentParams(network=NETWORK, did=AGENT.did, sequence=7)
    card = sign_card(BARE, agent=agent, identity=AGENT)
    value = value_of(card)
    record = make_record(
        AGENT,
        network=NETWORK,
        namespace="card",
        name=AGENT.did,
        value=value.model_dump(mode="json"),
        at_ms=9,
        term_ms=1,
    )
    fields = {
        "did": AGENT.did,
        "cid": value.cid,
        "sequence": 9,
        "card_sequence": 7,
        "lapses_at_ms": 10,
        "card": card,
        "record": Carried(jws=record),
        "cached": False,
        "hops": 1,
    }
    return ResolvedCard(**{**fields, **changes})


def test_an_answer_is_believed_for_its_signatures_alone() -> None:
    view = check_resolved(answer(), did=AGENT.did, network=NETWORK)
    assert view.name == "Translator"
    tombstone = make_record(
        AGENT, network=NETWORK, namespace="card", name=AGENT.did, value=None, at_ms=9, term_ms=1
    )
    other = sign_card(
        {**BARE, "version": "2"},
        agent=AgentParams(network=NETWORK, did=AGENT.did, sequence=7),
        identity=AGENT,
    )
    for changes in (
        {"card": {**answer().card, "name": "x"}},
        {"card": other},
        {"record": Carried(jws=tombstone)},
        {"sequence": 8},
        {"lapses_at_ms": 11},
    ):
        with pytest.raises(ProofError):
            check_resolved(answer(**changes), did=AGENT.did, network=NETWORK)
    with pytest.raises(ProofError):
        check_resolved(answer(), did=Identity.generate().did, network=NETWORK)
    with pytest.raises(ProofError):
        check_resolved(answer(), did=AGENT.did, network="b" * 26)


async def until_said(client: NodeClient, did: Did, cid: Cid) -> FoundCard:
    """Return what is found of a key once it is this card: a busy node may hear of it late.

    No card has no name: who waits for that waits for a refusal.
    """
    while True:
        try:
            found = await client.cards.resolve(did)
        except (CardUnknown, CardUnfetched):
            found = None
        if found is not None and found.view.cid == cid:
            return found
        await asyncio.sleep(0.05)


def test_a_client_publishes_finds_and_takes_back_and_a_node_that_lies_is_at_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        async with inprocess_world() as world:
            first, second, *_ = (node.org for node in world.genesis.genesis.nodes)
            mine = Identity.generate()
            client, other = world.operator(first), world.operator(second)
            large = {**BARE, "iconUrl": "i" * 4_000, "documentationUrl": "d" * 4_000}
            for bare in (BARE, large):
                said = await client.cards.publish(
                    bare, identity=mine, node=client.node, region="eu-west"
                )
                found = await until_said(other, mine.did, said.cid)
                assert (found.view.cid, found.sequence) == (said.cid, said.sequence)
                assert (found.view.agent.node, found.view.agent.region) == (client.node, "eu-west")
            monkeypatch.setattr(type(other), "call", lying)
            with pytest.raises(Fault):
                await other.cards.resolve(mine.did)
            monkeypatch.undo()
            await other.cards.revoke(identity=mine)
            with pytest.raises(CardRevoked):
                await until_said(client, mine.did, "")

    async def lying(*_: Any, **__: Any) -> ResolvedCard:
        return answer()

    asyncio.run(asyncio.wait_for(story(), 200))

"""Agent cards on eight real nodes: found through the hash table, and again a moment later.

Each card lies on the four nodes nearest to its agent's key, as in a network that is larger than a
bucket, and is asked for by one that has it not. What is timed is the node's own work: the search,
both signatures, and what it takes to remember the card.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench.lookups import HOLDERS, SETTLE_S, ring
from bench.rows import Row, percentile, quick, row
from bench.swarm import Swarm, SwarmNode, swarm
from bench.swarm_job import signed_record
from nodeimpl.cards.rules import node_card
from nodeimpl.overlay.port import key_id, node_id
from opkit.proof.cards import sign_card, value_of
from opkit.proof.keys import Identity
from opkit.wire.agents import AgentParams
from opkit.wire.base import Did

NODES = 8
TIMES, QUICK_TIMES = 200, 12


def cards() -> list[Row]:
    """How long a card takes to be resolved, by a node that has it not and by one that had it."""
    return asyncio.run(_on_eight(QUICK_TIMES if quick() else TIMES))


async def _on_eight(count: int) -> list[Row]:
    async with swarm(*ring(NODES)) as nodes:
        everybody = tuple(range(NODES))
        await nodes.start(*everybody)
        await nodes.meet(*everybody)
        await asyncio.sleep(SETTLE_S)
        agents = await _place(nodes, count)
        found_ms, again_ms = [], []
        for number, (did, holding) in enumerate(agents.items()):
            able = [node for node in nodes.nodes if node not in holding]
            told: dict[str, Any] = await able[number % len(able)].tell("resolve", did=did)
            found_ms.append(float(told["found_ms"]))
            again_ms.append(float(told["again_ms"]))
    name = f"card resolved, {NODES} nodes"
    return [
        row(f"{name}, P50", percentile(found_ms, 0.5), "ms", target="", of=found_ms),
        row(f"{name}, P95", percentile(found_ms, 0.95), "ms", target="<= 80", of=found_ms),
        row(f"{name}, again, P95", percentile(again_ms, 0.95), "ms", target="<= 5", of=again_ms),
    ]


async def _place(nodes: Swarm, count: int) -> dict[Did, list[SwarmNode]]:
    """Have cards of fresh agents kept by the nodes nearest to each; return by whom."""
    agents: dict[Did, list[SwarmNode]] = {}
    shelves: dict[int, list[str]] = {}
    bare = node_card(title="Translator", version="1", urls=["http://127.0.0.1:1"])
    network = nodes.genesis.network
    for _ in range(count):
        agent = Identity.generate()
        params = AgentParams(network=network, did=agent.did, sequence=1)
        card = sign_card(bare, agent=params, identity=agent)
        record = signed_record(
            agent,
            network=network,
            namespace="card",
            name=agent.did,
            value=value_of(card).model_dump(mode="json"),
        )
        place = key_id("card", agent.did)
        near = sorted(nodes.nodes, key=lambda node: node_id(node.did) ^ place)[:HOLDERS]
        agents[agent.did] = near
        for node in near:
            shelves.setdefault(node.number, []).append(record.jws)
    for at, records in shelves.items():
        await nodes.nodes[at].tell("keep", records=records)
    return agents

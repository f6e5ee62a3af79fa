"""What the nodes of a devnet say about themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from devnet.state import DevnetState, NodeState
from opkit.client import NodeClient
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.witness import witnesses_of
from opkit.story.record import NodeRecord
from opkit.wire.base import Did, Jws
from opkit.wire.endpoint import Scope
from opkit.wire.errors import CoopError
from opkit.wire.network import NODE, AskNode, NodeInfo
from opkit.wire.witness import WITNESSES, AskWitnesses

ASK_DEADLINE_MS = 3_000


async def network_facts(
    state: DevnetState,
) -> tuple[tuple[tuple[NodeState, NodeInfo], ...], int]:
    """Return each node that answered with what it said, and how far world time was moved."""
    said = await asyncio.gather(*(_info(state, node) for node in state.nodes))
    answered = tuple(
        (node, info) for node, info in zip(state.nodes, said, strict=True) if info is not None
    )
    moved_ms = max((info.world_ms - info.now_ms for _, info in answered), default=0)
    return answered, moved_ms


def node_records(
    answered: Iterable[tuple[NodeState, NodeInfo]],
    witnessed: Mapping[Did, tuple[Jws, ...]] = MappingProxyType({}),
) -> tuple[NodeRecord, ...]:
    """Return what a report keeps of each node that answered.

    Args:
        witnessed: the countersigned heads of each node's journal.
    """
    return tuple(
        NodeRecord(
            org=node.org,
            title=node.title,
            did=info.did,
            version=info.version,
            engine=info.engine,
            witnessed=witnessed.get(info.did, ()),
        )
        for node, info in answered
    )


async def witnessed_heads(
    state: DevnetState, *, operator: Identity, genesis: GenesisView
) -> dict[Did, tuple[Jws, ...]]:
    """Return the heads of each node's journal that others have countersigned, as one node has them.

    Only what verifies is kept, one record of each witness. No node that answers: nothing.
    """
    for node in state.nodes:
        try:
            return await _heads(state, node, operator=operator, genesis=genesis)
        except CoopError:
            continue
    return {}


async def _heads(
    state: DevnetState, asked: NodeState, *, operator: Identity, genesis: GenesisView
) -> dict[Did, tuple[Jws, ...]]:
    client = NodeClient(
        url=asked.url,
        node=asked.did,
        network=state.network,
        identity=operator,
        scopes=(Scope.EVENTS_READ,),
        deadline_ms=ASK_DEADLINE_MS,
    )
    found: dict[Did, tuple[Jws, ...]] = {}
    async with client:
        for node in state.nodes:
            (shown,) = (await client.call(WITNESSES, AskWitnesses(node=node.did))).nodes
            kept: dict[Did, Jws] = {}
            for token in shown.records:
                for owner in witnesses_of(node.did, (token,), genesis=genesis):
                    kept[owner] = token
            found[node.did] = tuple(kept.values())
    return found


async def _info(state: DevnetState, node: NodeState) -> NodeInfo | None:
    client = NodeClient(
        url=node.url,
        node=node.did,
        network=state.network,
        deadline_ms=ASK_DEADLINE_MS,
    )
    try:
        async with client:
            return await client.call(NODE, AskNode())
    except CoopError:
        return None

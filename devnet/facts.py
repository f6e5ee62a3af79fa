"""What the nodes of a devnet say about themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from devnet.state import DevnetState, NodeState
from opkit.client import NodeClient
from opkit.story.record import NodeRecord
from opkit.wire.errors import CoopError
from opkit.wire.network import NODE, AskNode, NodeInfo

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


def node_records(answered: Iterable[tuple[NodeState, NodeInfo]]) -> tuple[NodeRecord, ...]:
    """Return what a report keeps of each node that answered."""
    return tuple(
        NodeRecord(
            org=node.org, title=node.title, did=info.did, version=info.version, engine=info.engine
        )
        for node, info in answered
    )


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

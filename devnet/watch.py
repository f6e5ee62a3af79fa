"""The operator's eyes on the nodes: readiness, links, and the clock record they all must have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress

import httpx

from devnet.state import DevnetError, NodeState
from opkit.client import NodeClient
from opkit.proof.jws import record_id
from opkit.proof.keys import Identity
from opkit.wire.base import Jws, NetworkId
from opkit.wire.endpoint import Scope
from opkit.wire.errors import CoopError, Unreachable
from opkit.wire.network import (
    MOVE_CLOCK,
    NODE,
    PEERS,
    READY,
    AskHealth,
    AskNode,
    AskPeers,
    MoveClock,
    NotReady,
    PeerLink,
)

LOOK_EVERY_MS = 40
ASK_DEADLINE_MS = 5_000
NOBODY = "http://127.0.0.1:9/"
"""The discard port of this machine, where nothing listens. Source: RFC 863."""

SCOPES = (Scope.NODE_READ, Scope.CLOCK_WRITE)


class Watch:
    """Clients of the nodes that speak for the operator, one for each address a node has had."""

    def __init__(self, *, network: NetworkId, operator: Identity) -> None:
        """Keep who asks; nothing is connected yet."""
        self._network = network
        self._operator = operator
        self._stack = AsyncExitStack()
        self._clients: dict[str, NodeClient] = {}

    async def close(self) -> None:
        """Close all clients."""
        await self._stack.aclose()

    async def warm_up(self) -> None:
        """Load all that a call needs, by one that nobody answers.

        Later on loading would hold up the loop that carries the links.
        """
        http = httpx.AsyncClient(verify=False, trust_env=False)  # noqa: S501 - no TLS is spoken
        async with http:
            with suppress(httpx.ConnectError):
                await http.get(NOBODY)

    async def _client(self, node: NodeState) -> NodeClient:
        client = self._clients.get(node.url)
        if client is None:
            client = NodeClient(
                url=node.url,
                node=node.did,
                network=self._network,
                identity=self._operator,
                scopes=SCOPES,
                deadline_ms=ASK_DEADLINE_MS,
            )
            await self._stack.enter_async_context(client)
            self._clients[node.url] = client
        return client

    async def links(self, node: NodeState) -> tuple[PeerLink, ...] | None:
        """Return a node's live links as it reports them, or None if it does not answer."""
        try:
            return (await (await self._client(node)).call(PEERS, AskPeers())).links
        except CoopError:
            return None

    async def world_offset_ms(self, node: NodeState) -> int | None:
        """Return by how much the node's world time runs ahead, or None if it does not answer."""
        try:
            info = await (await self._client(node)).call(NODE, AskNode())
        except CoopError:
            return None
        return info.world_ms - info.now_ms

    async def wait_ready(
        self, node: NodeState, *, peers: Callable[[], Iterable[str]], deadline_ms: int
    ) -> None:
        """Return once the node says it is ready and is connected to all of `peers` (DIDs).

        These are asked for with each look: one of them may end meanwhile.

        Raises:
            DevnetError: it did not get there in time; the text says what was missing.
        """
        missing = "the node's answer"
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                for look in (self._unready, self._unconnected):
                    while True:
                        missing = await look(node, frozenset(peers()))
                        if not missing:
                            break
                        await asyncio.sleep(LOOK_EVERY_MS / 1000)
        except TimeoutError:
            raise DevnetError(
                f"{node.org} was not ready within {deadline_ms} ms; missing: {missing}",
                hint="opkit devnet logs",
            ) from None

    async def _unready(self, node: NodeState, _: frozenset[str]) -> str:
        """Return what the node itself waits for; empty if it is ready."""
        try:
            await (await self._client(node)).call(READY, AskHealth())
        except NotReady as waiting:
            return ", ".join(waiting.waiting_for)
        except Unreachable as silent:
            return str(silent)
        return ""

    async def _unconnected(self, node: NodeState, expected: frozenset[str]) -> str:
        """Return how many peers the node lacks; empty if none."""
        links = await self.links(node)
        if links is None:
            return "the node's answer"
        lacking = expected - {link.did for link in links}
        return f"{len(lacking)} of {len(expected)} peers" if lacking else ""

    async def move_clock(self, node: NodeState, record: Jws) -> None:
        """Have one node adopt the operator's clock record.

        Raises:
            CoopError: it refused, or did not answer.
        """
        client = await self._client(node)
        await client.call(
            MOVE_CLOCK, MoveClock(record=record), idempotency_key=record_id(record)[:32]
        )

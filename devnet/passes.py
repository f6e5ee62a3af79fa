"""Tokens for reading from nodes, got with the operator's key and given to those who hold none."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

from devnet.state import DevnetError, NodeState
from opkit.client import NodeClient
from opkit.proof.keys import Identity
from opkit.wire.base import NetworkId
from opkit.wire.endpoint import Scope
from opkit.wire.membership import Token

SCOPES = (
    Scope.NODE_READ,
    Scope.EVENTS_READ,
    Scope.COMPUTE_READ,
    Scope.WASM_READ,
    Scope.MEMBERS_READ,
    Scope.NAMES_READ,
    Scope.CARDS_READ,
    Scope.LEDGER_READ_OWN,
    Scope.LEDGER_READ,
    Scope.GOVERNANCE_READ,
    Scope.FEDERATION_READ,
    Scope.AGREEMENTS_READ,
    Scope.CLEARING_READ,
)
TTL_MS = 900_000
RENEWED_BEFORE_MS = 120_000
"""A token that ends sooner is not handed out any more."""

ASK_DEADLINE_MS = 5_000


class Passes:
    """One token for each node, kept until shortly before it ends."""

    def __init__(self, *, network: NetworkId, operator: Identity) -> None:
        """Keep who logs in; nobody is asked yet."""
        self._network = network
        self._operator = operator
        self._kept: dict[str, Token] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(self, node: NodeState, *, instead_of: str = "") -> Token:
        """Return a token for reading from `node`, and nothing else.

        Args:
            node: for which; its URL is known.
            instead_of: one that the node rejects: if it is the kept one, another is got.

        Raises:
            DevnetError: the node has not started yet.
            CoopError: it refused, does not answer, or is another than it should be.
        """
        if not node.url:
            raise DevnetError(f"the node of {node.org!r} has not started yet", hint="ask again")
        async with self._turns[node.org]:
            kept = self._kept.get(node.org)
            if kept is None or kept.token == instead_of or _ends_soon(kept):
                kept = self._kept[node.org] = await self._log_in(node)
            return kept

    async def _log_in(self, node: NodeState) -> Token:
        client = NodeClient(
            url=node.url,
            node=node.did,
            network=self._network,
            identity=self._operator,
            deadline_ms=ASK_DEADLINE_MS,
        )
        async with client:
            return await client.login(scopes=SCOPES, ttl_ms=TTL_MS)


def _ends_soon(token: Token) -> bool:
    return token.expires_at_ms - time.time_ns() // 1_000_000 < RENEWED_BEFORE_MS

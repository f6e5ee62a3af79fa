"""What every world has for its stories: members' keys, clients that speak for them, and notes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from devnet.state import OPERATOR
from opkit.client import NodeClient
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope

CAPABILITIES = frozenset({"kill", "cut", "hostile", "pass_time"})
"""What stories may ask of every devnet, wherever its nodes run."""

PROCESSES = CAPABILITIES | {"chaos"}
"""What they may ask of one whose nodes are processes: `opkit.story.chaos` too."""


class Company(ABC):
    """The half of a world that does not depend on where its nodes run."""

    def __init__(self, *, identities: Mapping[str, Identity]) -> None:
        """Keep who may speak: members by their ids, the operator by `operator`."""
        self._identities = identities
        self._kept: dict[tuple[str, str | None, tuple[Scope, ...] | None], NodeClient] = {}
        self._notes: list[dict[str, Any]] = []

    @abstractmethod
    def _make_client(
        self, org: str, identity: Identity | None, scopes: tuple[Scope, ...] | None
    ) -> NodeClient:
        """Return a new client of an organisation's node; `KeyError` if the network has none."""

    def member(self, member_id: str) -> Identity:
        """Return a member's own key; `KeyError` if it is not kept here."""
        if member_id == OPERATOR:
            raise KeyError(member_id)
        return self._identities[member_id]

    def client(
        self, org: str, member_id: str | None, *, scopes: tuple[Scope, ...] | None = None
    ) -> NodeClient:
        """Return a client of the organisation's node that speaks for a member, or for nobody."""
        identity = None if member_id is None else self.member(member_id)
        return self._client(org, identity, member_id, scopes)

    def operator(self, org: str) -> NodeClient:
        """Return a client of the organisation's node that speaks for the network's operator."""
        return self._client(org, self._identities[OPERATOR], OPERATOR, None)

    def disturbances(self) -> tuple[dict[str, Any], ...]:
        """Return what was done to the network in this telling, in order."""
        return tuple(self._notes)

    async def close_clients(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(client.close() for client in self._kept.values()))
        self._kept.clear()

    def _client(
        self,
        org: str,
        identity: Identity | None,
        speaker: str | None,
        scopes: tuple[Scope, ...] | None,
    ) -> NodeClient:
        """Return the one client for this node, speaker and set of scopes."""
        key = (org, speaker, scopes)
        if key not in self._kept:
            self._kept[key] = self._make_client(org, identity, scopes)
        return self._kept[key]

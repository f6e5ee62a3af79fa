"""Clients of a network's nodes, one for each speaker, node and set of scopes, closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from opkit.client import NodeClient
from opkit.proof.keys import Identity
from opkit.wire.endpoint import Scope

Make = Callable[[str, Identity | None, tuple[Scope, ...] | None], NodeClient]
"""Makes a client of an organisation's node for an identity, with these scopes."""


class Clients:
    """Clients that a world keeps for its stories."""

    def __init__(self, *, identities: Mapping[str, Identity], make: Make) -> None:
        """Keep who may speak (members by id, the operator by `operator`), and how to call."""
        self._identities = identities
        self._make = make
        self._kept: dict[tuple[str, str | None, tuple[Scope, ...] | None], NodeClient] = {}

    def client(self, org: str, speaker: str | None, scopes: tuple[Scope, ...] | None) -> NodeClient:
        """Return the client; `KeyError` if the speaker's key is not kept here."""
        key = (org, speaker, scopes)
        if key not in self._kept:
            identity = self._identities[speaker] if speaker is not None else None
            self._kept[key] = self._make(org, identity, scopes)
        return self._kept[key]

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(client.close() for client in self._kept.values()))
        self._kept.clear()

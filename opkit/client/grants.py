"""Grants, by a client: sign what the node may do in one's name, list it, take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opkit.proof import jws
from opkit.wire.base import Cid, RecordId
from opkit.wire.grants import (
    FUEL_PER_TASK_MAX,
    GIVE_GRANT,
    GRANT_TYP,
    LIST_GRANTS,
    REVOKE_GRANT,
    GiveGrant,
    Grant,
    GrantHeld,
    ListGrants,
    RevokeGrant,
)

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

TERM_MS = 24 * 3_600_000
"""For how long a grant is good unless it is said."""

FUEL = 1_000_000_000
"""How much fuel a task may have unless it is said."""


class GrantCalls:
    """The grants of one member at one node."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def give(
        self,
        *,
        tasks_max: int,
        fuel_max: int = FUEL,
        term_ms: int = TERM_MS,
        module: Cid | None = None,
    ) -> GrantHeld:
        """Let the node submit tasks in this member's name, and return what it keeps.

        Args:
            tasks_max: how many tasks.
            fuel_max: the most fuel that one of them may have.
            term_ms: for how long, from now on.
            module: the only module that may be run; None allows any.

        Raises:
            Refusal: see `grants.give`.
        """
        assert 0 < fuel_max <= FUEL_PER_TASK_MAX, "no task may have more"
        identity = self._client.identity
        assert identity is not None, "a grant is signed by who gives it"
        now_ms = self._client.now_ms()
        grant = Grant(
            network=self._client.network,
            aud=self._client.node,
            member_id=await self._client.member_id(),
            did=identity.did,
            module=module,
            fuel_max=fuel_max,
            tasks_max=tasks_max,
            issued_at_ms=now_ms,
            lapses_at_ms=now_ms + term_ms,
        )
        ask = GiveGrant(grant=jws.sign(grant, typ=GRANT_TYP, identity=identity))
        return await self._client.call(GIVE_GRANT, ask)

    async def list(self) -> tuple[GrantHeld, ...]:
        """Return this member's grants at the node, by id."""
        found: list[GrantHeld] = []
        after = ""
        while True:
            page = await self._client.call(LIST_GRANTS, ListGrants(after=after))
            found += page.grants
            after = page.next_after
            if not after:
                return tuple(found)

    async def revoke(self, grant_id: RecordId) -> GrantHeld:
        """Take a grant back; what runs under it ends.

        Raises:
            GrantUnknown: the node keeps no such grant of this member.
        """
        return await self._client.call(REVOKE_GRANT, RevokeGrant(grant_id=grant_id))

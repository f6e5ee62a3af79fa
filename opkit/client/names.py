"""Names, by a client: sign the claim, hand it in, and believe no answer unchecked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.names import make_claim, read_name
from opkit.wire.base import Jws, MemberId
from opkit.wire.errors import Fault
from opkit.wire.names import (
    LIST_NAMES,
    LOOK_UP_NAME,
    REGISTER_NAME,
    ListNames,
    LookUpName,
    NameHeld,
    NameTarget,
    NameText,
    RegisterName,
)

if TYPE_CHECKING:
    from opkit.client.node import NodeClient
    from opkit.proof.keys import Identity

TERM_MS = 7 * 24 * 3_600_000
"""For how long a name is claimed unless it is said."""


class NameCalls:
    """The names of a network, by one of its nodes; what a client signs, its identity signs."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def register(
        self,
        name: NameText,
        target: NameTarget | None,
        *,
        term_ms: int = TERM_MS,
        identity: Identity | None = None,
        member_id: MemberId | None = None,
        sequence: int | None = None,
    ) -> NameHeld:
        """Claim a name, renew it, let it stand for something else, or withdraw it.

        Args:
            name: `label.coop`.
            target: what it is to stand for; None withdraws it.
            term_ms: for how long, from now on.
            identity: who signs; the client's own unless said.
            member_id: who that is; asked of the node unless said.
            sequence: the claim's; the time of signing unless said.

        Raises:
            ProofError: nobody would take such a claim.
            Refusal, Unreachable, Fault: as `hand_in`.
        """
        signer = identity or self._client.identity
        assert signer is not None, "a claim is signed by its member"
        claim = make_claim(
            signer,
            network=self._client.network,
            name=name,
            member_id=member_id or await self._client.member_id(),
            target=target,
            at_ms=self._client.now_ms(),
            term_ms=term_ms,
            sequence=sequence,
        )
        return await self.hand_in(claim)

    async def withdraw(self, name: NameText) -> NameHeld:
        """Give a name back; raises as `register`."""
        return await self.register(name, None)

    async def renew(self, name: NameText, *, term_ms: int = TERM_MS) -> NameHeld:
        """Hold a name for longer that stands for what it stood for.

        Raises:
            NameUnknown: nobody holds it.
            Refusal, Unreachable, Fault: as `register`.
        """
        held = await self.get(name)
        return await self.register(name, held.target, term_ms=term_ms)

    async def hand_in(self, claim: Jws) -> NameHeld:
        """Hand in a signed claim; the very same may be handed in again.

        Raises:
            Refusal: see `names.register`.
            Unreachable: the node did not answer: whether the name is held is unknown.
            Fault: what it answers does not verify.
        """
        key = jws.record_id(claim)
        held = await self._client.call(
            REGISTER_NAME, RegisterName(claim=claim), idempotency_key=key
        )
        return self._checked(held)

    async def get(self, name: str) -> NameHeld:
        """Return who holds a name.

        Raises:
            NameUnknown: nobody does, as far as the node knows.
            Fault: what it answers does not verify.
        """
        return self._checked(await self._client.call(LOOK_UP_NAME, LookUpName(name=name)))

    async def list(
        self, *, prefix: str = "", owner: str = "", page: int = 100
    ) -> AsyncGenerator[NameHeld, None]:
        """Return all names that begin with something, or that a member holds, in order.

        They are not verified here: `get` does that, and `opkit.proof.names.read_name`.
        """
        after = ""
        while True:
            ask = ListNames(prefix=prefix, owner=owner, after=after, names_max=page)
            found = await self._client.call(LIST_NAMES, ask)
            for held in found.names:
                yield held
            if not found.next_after:
                return
            after = found.next_after

    def _checked(self, held: NameHeld) -> NameHeld:
        """Return an answer, if its record verifies and says the same.

        Without a genesis of one's own nothing can be verified, and it is as good as the node.
        """
        genesis = self._client.genesis
        if genesis is None:
            return held
        try:
            view = read_name(held.record, genesis)
        except ProofError as bad:
            raise Fault(where=self._client.node, incident="", why=bad.why) from bad
        said = (held.name, held.member_id, held.did, held.target, held.lapses_at_ms, held.sequence)
        if said != (
            view.name,
            view.member_id,
            view.did,
            view.target,
            view.lapses_at_ms,
            view.sequence,
        ):
            why = f"what it says of {held.name} is not what the record says"
            raise Fault(where=self._client.node, incident="", why=why)
        return held

"""The federation, by a client: who belongs to it, what coops attest, and believe nothing unchecked.

What a node answers verifies with the genesis alone; without one of the caller's own it is as good
as the node.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from opkit.proof.checks import ProofError
from opkit.proof.federation import read_attestation, read_statement
from opkit.proof.operations import read_fork, read_operation
from opkit.wire import federation as wire
from opkit.wire.base import Did, RecordId, Slug, TimeMs
from opkit.wire.errors import Fault

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

PAGE = 200
"""How many operations or attestations are asked for at once."""


class FederationCalls:
    """The federation by one of its nodes; the node signs for its coop what an officer asks for."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    # What this node's coop says.

    async def register(
        self, *, coop: Slug | None = None, title: str = "", proposal: str = ""
    ) -> wire.FederationMember:
        """Say to all that the node's coop belongs to the federation.

        Args:
            coop: its id, at a node of no coop.
            title: as it is to be shown; the charter's unless said.
            proposal: the coop's accepted proposal whose decision is cited; the charter alone if "".

        Raises:
            Refusal: see `federation.register`.
        """
        ask = wire.RegisterCoop(coop=coop, title=title, proposal=proposal)
        said = await self._client.call(wire.REGISTER_COOP, ask, idempotency_key=_key())
        return self._checked(said)

    async def vouch(self, did: Did, *, expel: bool = False) -> wire.VouchTaken:
        """Say that a node is to be a member, or is to be one no more.

        Raises:
            Refusal: see `federation.vouch`.
        """
        ask = wire.VouchFor(did=did, expel=expel)
        return await self._client.call(wire.VOUCH, ask, idempotency_key=_key())

    async def attest(
        self,
        subject: Slug,
        type_: Slug,
        statement: str,
        *,
        valid_ms: int,
        valid_from_ms: TimeMs | None = None,
        evidence: RecordId | None = None,
    ) -> wire.AttestationView:
        """Attest something of another coop, by the node's own; saying it again replaces it.

        Raises:
            Refusal: see `federation.attest`.
        """
        ask = wire.IssueAttestation(
            subject=subject,
            type=type_,
            statement=statement,
            valid_ms=valid_ms,
            valid_from_ms=valid_from_ms,
            evidence=evidence,
        )
        said = await self._client.call(wire.ATTEST, ask, idempotency_key=_key())
        return self._checked_attestation(said)

    async def revoke(self, subject: Slug, type_: Slug) -> wire.AttestationView:
        """Take back what the node's coop attested.

        Raises:
            Refusal: see `federation.revoke`.
        """
        ask = wire.RevokeAttestation(subject=subject, type=type_)
        return await self._client.call(wire.REVOKE_ATTESTATION, ask, idempotency_key=_key())

    # What all have said.

    async def members(self) -> wire.FederationMembers:
        """Return who belongs to the federation.

        Raises:
            Fault: a statement in the answer does not verify.
        """
        found = await self._client.call(wire.LIST_FEDERATION, wire.ListFederation())
        for member in found.members:
            self._checked(member)
        return found

    async def attestations(
        self, *, issuer: str = "", subject: str = "", type_: str = "", valid: bool = False
    ) -> AsyncGenerator[wire.AttestationView, None]:
        """Return what is attested, by issuer, subject and type.

        Raises:
            Fault: one does not verify.
        """
        after = ""
        while True:
            ask = wire.ListAttestations(
                issuer=issuer,
                subject=subject,
                type=type_,
                valid=valid,
                after=after,
                attestations_max=PAGE,
            )
            page = await self._client.call(wire.LIST_ATTESTATIONS, ask)
            for each in page.attestations:
                yield self._checked_attestation(each)
            if not page.next_after:
                return
            after = page.next_after

    async def forks(self) -> wire.ForksShown:
        """Return who is proven to have signed two histories.

        Raises:
            Fault: a proof is none.
        """
        found = await self._client.call(wire.LIST_FORKS, wire.ListForks())
        for each in found.forks:
            try:
                fork = read_fork(
                    each.first, each.second, network=self._client.network, aud=each.object_id
                )
            except ProofError as bad:
                raise self._fault(bad.why) from bad
            if fork.did != each.did:
                raise self._fault(f"the fork is not one of {each.did}")
        return found

    async def log(self, object_id: str = wire.FEDERATION) -> AsyncGenerator[wire.LogLine, None]:
        """Return the operations on an object, in the order in which the node took them.

        Raises:
            ObjectUnknown: the node keeps no such object.
            Fault: one does not verify, or says something else than the node says of it.
        """
        after = 0
        while True:
            ask = wire.ReadLog(object_id=object_id, after=after, operations_max=PAGE)
            page = await self._client.call(wire.READ_LOG, ask)
            for line in page.operations:
                self._check_line(line, page.object_id)
                yield line
            if not page.next_after:
                return
            after = page.next_after

    async def objects(self) -> AsyncGenerator[wire.SharedObject, None]:
        """Return the objects of which the node keeps replicas, by id."""
        after = ""
        while True:
            page = await self._client.call(wire.LIST_OBJECTS, wire.ListObjects(after=after))
            for each in page.objects:
                yield each
            if not page.next_after:
                return
            after = page.next_after

    # What is believed.

    def _checked(self, member: wire.FederationMember) -> wire.FederationMember:
        """Return a member, if what it said verifies and is of it."""
        genesis = self._client.genesis
        if genesis is None or member.statement is None:
            return member
        try:
            said = read_statement(member.statement, genesis)
        except ProofError as bad:
            raise self._fault(bad.why) from bad
        if said.did != member.did:
            raise self._fault(f"the statement is not one of {member.did}")
        return member

    def _checked_attestation(self, view: wire.AttestationView) -> wire.AttestationView:
        genesis = self._client.genesis
        if genesis is None or view.token is None:
            return view
        try:
            said = read_attestation(view.token, genesis)
        except ProofError as bad:
            raise self._fault(bad.why) from bad
        shown = (view.issuer_did, view.issuer, view.subject, view.type, view.statement)
        if shown != (said.did, said.issuer, said.subject, said.type, said.statement):
            raise self._fault("the attestation says something else")
        return view

    def _check_line(self, line: wire.LogLine, object_id: str) -> None:
        try:
            read = read_operation(line.token, network=self._client.network, aud=object_id)
        except ProofError as bad:
            raise self._fault(bad.why) from bad
        said = read.operation
        if (read.id, said.did, said.act) != (line.operation, line.did, line.act):
            raise self._fault("an operation says something else")

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.node, incident="", why=why)


def _key() -> str:
    return secrets.token_hex(16)

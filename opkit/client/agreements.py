"""Agreements, by a client: have one's coop decide on them, read how they stand, verify them.

What a node answers of an agreement is only as good as the node; `file` returns what everybody
verifies (`opkit.proof.agreement`). A coop signs by executing its own decision at its home node.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from opkit.proof.agreement import read_agreement_file
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.terms import agreement_id
from opkit.wire import agreements as wire
from opkit.wire.base import RecordId, Slug
from opkit.wire.errors import Fault
from opkit.wire.governance import EffectDone, ProposalView
from opkit.wire.terms import AgreementEffect, Terms

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

PAGE = 50
"""How many agreements are asked for at once."""


class AgreementCalls:
    """The agreements that a node keeps."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    # What a coop decides.

    async def propose(
        self, coop: Slug, terms: Terms, *, proposal_id: Slug = "", title: str = "", text: str = ""
    ) -> ProposalView:
        """Have a coop vote on adopting terms; a member's own coop, by its home node.

        Args:
            coop: whose assembly.
            terms: what is adopted.
            proposal_id: once in an assembly; made of the agreement's own id unless said.
            title: of the proposal; the agreement's own unless said.
            text: of the proposal.

        Raises:
            ProofError: the terms have no spelling.
            Refusal, Unreachable, Fault: as `governance.propose`.
        """
        agreement = agreement_id(terms)
        effect = AgreementEffect(action="adopt", agreement=agreement, terms=terms)
        return await self._client.governance(coop).propose(
            proposal_id or f"adopt-{agreement[:16]}",
            effect,
            title=title or terms.title,
            text=text or terms.text,
        )

    async def propose_end(
        self, coop: Slug, agreement: RecordId, *, proposal_id: Slug = "", title: str = ""
    ) -> ProposalView:
        """Have a coop vote on giving notice; raises as `propose`."""
        effect = AgreementEffect(action="end", agreement=agreement)
        return await self._client.governance(coop).propose(
            proposal_id or f"end-{agreement[:16]}",
            effect,
            title=title or f"Give notice of agreement {agreement[:12]}",
        )

    async def sign(self, coop: Slug, proposal: str) -> wire.AgreementView:
        """Have a coop's home sign what the coop decided; return how the agreement stands then.

        Raises:
            Refusal, Unreachable, Fault: as `governance.execute`.
        """
        done = await self._client.governance(coop).execute(proposal)
        if not isinstance(done, EffectDone) or done.agreement is None:
            raise self._fault(f"{proposal} is about no agreement")
        return await self.get(done.agreement)

    # What a node keeps.

    async def get(self, agreement: str) -> wire.AgreementView:
        """Return an agreement as it stands.

        Raises:
            AgreementUnknown: the node does not keep it.
            Fault: what it answers are other terms.
        """
        ask = wire.ReadAgreement(agreement=agreement)
        return self._checked(await self._client.call(wire.READ_AGREEMENT, ask))

    async def list(
        self, *, state: wire.AgreementState | None = None, party: str = "", page: int = PAGE
    ) -> AsyncGenerator[wire.AgreementView, None]:
        """Return all agreements, those in a state, or those that a coop makes, newest first."""
        before = 0
        while True:
            ask = wire.ListAgreements(
                state=state or "", party=party, before=before, agreements_max=page
            )
            found = await self._client.call(wire.LIST_AGREEMENTS, ask)
            for each in found.agreements:
                yield self._checked(each)
            if not found.next_before:
                return
            before = found.next_before

    async def use(self, agreement: str) -> wire.AgreementInForce:
        """Return an agreement that is in force.

        Raises:
            AgreementUnknown: the node does not keep it.
            AgreementInactive: it is not in force.
        """
        ask = wire.UseAgreement(agreement=agreement)
        return await self._client.call(wire.USE_AGREEMENT, ask)

    async def fetch(self, agreement: str) -> bytes:
        """Return the file of an agreement as the node wrote it; nothing in it is verified.

        Raises:
            AgreementUnknown: the node does not keep it.
        """
        ask = wire.ReadAgreementFile(agreement=agreement)
        return (await self._client.call(wire.READ_AGREEMENT_FILE, ask)).file

    async def file(self, agreement: str) -> wire.AgreementFile:
        """Return the file of an agreement, to be verified.

        Raises:
            AgreementUnknown: the node does not keep it.
            Fault: what it answers is none, or another agreement's.
        """
        try:
            file = read_agreement_file(await self.fetch(agreement))
        except ProofError as bad:
            raise self._fault(bad.why) from bad
        if file.agreement != agreement:
            raise self._fault(f"it answers {agreement} with {file.agreement}")
        return file

    async def bring(self, data: bytes) -> wire.AgreementView:
        """Hand in the file of an agreement; the very same may be handed in again.

        Raises:
            Refusal: see `agreements.bring`.
        """
        return self._checked(
            await self._client.call(
                wire.BRING_AGREEMENT,
                wire.BringAgreement(file=data),
                idempotency_key=sha256_hex(data),
            )
        )

    def _checked(self, view: wire.AgreementView) -> wire.AgreementView:
        """Return an answer, if its terms are those that the agreement is named by."""
        if agreement_id(view.terms) != view.agreement:
            raise self._fault(f"it answers {view.agreement} with other terms")
        return view

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.node, incident="", why=why)

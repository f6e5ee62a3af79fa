"""An assembly, by a member's client: propose, vote, delegate, and count what was decided again.

What is signed is signed with the member's own key. Each vote's receipt is verified and kept beside
the ballot, so that a vote that is missing in a tally can be shown to anybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from opkit.proof import jws
from opkit.proof.ballots import (
    make_ballot,
    make_delegation,
    read_receipt,
)
from opkit.proof.checks import ProofError, Verdict
from opkit.proof.decision import examine_attested, examine_decision, read_file
from opkit.proof.proposals import check_configured, check_entry, sign_proposal
from opkit.wire import governance as wire
from opkit.wire.base import Jws, MemberId, RecordId, Slug
from opkit.wire.deciding import RollCallNotYours
from opkit.wire.errors import Fault
from opkit.wire.ledger import AccountConfigured, Entry, Settle, SettleLine
from opkit.wire.votes import (
    TREASURY_KINDS,
    AttestedDecision,
    AttestedFile,
    Choice,
    DecisionFile,
    DistributionEffect,
    Effect,
    Elector,
    Proposal,
    ProposalState,
)

if TYPE_CHECKING:
    from opkit.client.node import NodeClient
    from opkit.proof.genesis import GenesisView
    from opkit.proof.keys import Identity

F = TypeVar("F", DecisionFile, AttestedFile)

PAGE = 200
"""How many proposals or votes are asked for at once."""

KEPT_MAX = 1_000
"""How many of the votes that were cast by one client are kept; the oldest goes."""


@dataclass(frozen=True, kw_only=True)
class CastBallot:
    """A vote as it was signed, and what the node said to it: together they prove an omission.

    Attributes:
        receipt: the home's `BallotReceipt`, or another node's `LodgingReceipt`.
    """

    proposal: RecordId
    ballot: Jws
    receipt: Jws


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What a node answered about a decision, verified.

    Attributes:
        effect: what was decided; believed only if the verdict is good.
        accepted: whether it was.
    """

    hash: RecordId
    verdict: Verdict
    effect: Effect
    accepted: bool


class GovernanceCalls:
    """A coop's assembly, by its home node; what a client signs, its identity signs.

    Attributes:
        kept: the votes that were cast here, oldest first.
    """

    def __init__(self, client: NodeClient, coop: Slug) -> None:
        """Call by this client."""
        self.coop = coop
        self.kept: deque[CastBallot] = deque(maxlen=KEPT_MAX)
        self._client = client
        self._proposal_of: dict[RecordId, RecordId] = {}

    # What stands.

    async def assembly(self) -> wire.Assembly:
        """Return how the assembly stands: its rule, its electorate and its next nonce."""
        return await self._client.call(wire.READ_ASSEMBLY, wire.AskAssembly(coop=self.coop))

    async def electors(self) -> AsyncGenerator[Elector, None]:
        """Return who could vote if voting were opened now, by member id."""
        after = ""
        while True:
            ask = wire.AskAssembly(
                coop=self.coop, after=after, electors_max=wire.ELECTORS_PER_PAGE_MAX
            )
            found = await self._client.call(wire.READ_ASSEMBLY, ask)
            for elector in found.page:
                yield elector
            if not found.next_after:
                return
            after = found.next_after

    async def treasury(self) -> wire.Treasury:
        """Return how the treasury stands: its accounts, and the nonces that were taken."""
        return await self._client.call(wire.READ_TREASURY, wire.AskTreasury(coop=self.coop))

    async def list(
        self, *, state: ProposalState | None = None
    ) -> AsyncGenerator[wire.ProposalLine, None]:
        """Return all proposals, newest first."""
        after = 0
        while True:
            ask = wire.ListProposals(coop=self.coop, state=state, after=after, proposals_max=PAGE)
            found = await self._client.call(wire.LIST_PROPOSALS, ask)
            for line in found.proposals:
                yield line
            if not found.next_after:
                return
            after = found.next_after

    async def get(self, proposal: str) -> wire.ProposalView:
        """Return a proposal by its id or its hash. Raises: ProposalUnknown."""
        ask = wire.ReadProposal(coop=self.coop, proposal_id=proposal)
        return await self._client.call(wire.READ_PROPOSAL, ask)

    async def votes(self, proposal: str) -> AsyncGenerator[wire.Vote, None]:
        """Return how each member voted, to the coop's own members."""
        after = ""
        while True:
            ask = wire.ListVotes(coop=self.coop, proposal_id=proposal, after=after, votes_max=PAGE)
            found = await self._client.call(wire.LIST_VOTES, ask)
            for vote in found.votes:
                yield vote
            if not found.next_after:
                return
            after = found.next_after

    # What a member does.

    async def propose(
        self,
        proposal_id: Slug,
        effect: Effect,
        *,
        title: str,
        text: str = "",
        open_now: bool = True,
    ) -> wire.ProposalView:
        """Sign a proposal that states the assembly as it stands now, and put it before it.

        Args:
            proposal_id: the proposer's choice, once in an assembly.
            effect: what is to happen.
            title: in a few words.
            text: in some more.
            open_now: whether voting begins at once; otherwise it is a draft.

        Raises:
            ProofError: nobody would take such a proposal.
            Refusal, Unreachable, Fault: as `governance.propose`.
        """
        signer, stands = self._signer(), await self.assembly()
        moves_money = effect.kind in TREASURY_KINDS
        proposal = Proposal(
            network=self._client.network,
            aud=self.coop,
            did=signer.did,
            member_id=await self._client.member_id(),
            proposal_id=proposal_id,
            title=title,
            text=text,
            effect=effect,
            treasury_nonce=stands.next_nonce if moves_money else None,
            rule=stands.rule,
            electorate_hash=stands.electorate_hash,
            electors=stands.electors,
            issued_at_ms=self._client.now_ms(),
        )
        return await self.hand_in(sign_proposal(proposal, signer), open_now=open_now)

    async def hand_in(self, proposal: Jws, *, open_now: bool = True) -> wire.ProposalView:
        """Put a signed proposal before the assembly; the very same may be handed in again."""
        ask = wire.Propose(coop=self.coop, proposal=proposal, open_now=open_now)
        return await self._client.call(wire.PROPOSE, ask)

    async def open(self, proposal: str) -> wire.ProposalView:
        """Open a draft of one's own for voting."""
        ask = wire.OpenProposal(coop=self.coop, proposal_id=proposal)
        return await self._client.call(wire.OPEN_PROPOSAL, ask)

    async def vote(
        self, proposal: str, choice: Choice, *, sequence: int | None = None
    ) -> CastBallot:
        """Vote, or change one's vote, and keep the receipt.

        Args:
            proposal: its id or its hash.
            choice: the vote.
            sequence: the ballot's; the time of signing unless said, so that a later vote counts.

        Raises:
            Refusal, Unreachable: as `governance.vote`.
            Fault: the receipt does not verify, or is for another ballot.
        """
        hash_ = (await self.get(proposal)).proposal
        ballot = await self.ballot(hash_, choice, sequence=sequence)
        return await self.cast(ballot)

    async def ballot(
        self, proposal: RecordId, choice: Choice, *, sequence: int | None = None
    ) -> Jws:
        """Return a vote, signed and not handed in."""
        now_ms = self._client.now_ms()
        return make_ballot(
            self._signer(),
            network=self._client.network,
            member_id=await self._client.member_id(),
            proposal=proposal,
            choice=choice,
            sequence=now_ms if sequence is None else sequence,
            at_ms=now_ms,
        )

    async def cast(self, ballot: Jws) -> CastBallot:
        """Hand a signed ballot in, whoever signed it; raises as `vote`."""
        ask = wire.CastVote(coop=self.coop, proposal_id=_proposal_of(ballot), ballot=ballot)
        counted = await self._client.call(wire.CAST_VOTE, ask)
        return self._keep(ballot, counted.receipt)

    async def lodge(self, ballot: Jws) -> CastBallot:
        """Lodge a signed ballot with this node, for the home to count; the home counts it at once.

        Raises:
            Refusal, Unreachable: as `governance.lodge`.
            Fault: the receipt does not verify, or is for another ballot.
        """
        lodged = await self._client.call(wire.LODGE_VOTE, wire.LodgeVote(ballot=ballot))
        return self._keep(ballot, lodged.receipt)

    async def delegate(
        self, to: MemberId | None, *, sequence: int | None = None
    ) -> wire.DelegationView:
        """Let another member vote where one does not; None takes that back."""
        now_ms = self._client.now_ms()
        delegation = make_delegation(
            self._signer(),
            network=self._client.network,
            member_id=await self._client.member_id(),
            to=to,
            sequence=now_ms if sequence is None else sequence,
            at_ms=now_ms,
        )
        ask = wire.Delegate(coop=self.coop, delegation=delegation)
        return await self._client.call(wire.DELEGATE, ask)

    async def close(self, proposal: str) -> wire.ProposalView:
        """Have the votes counted, once the period is over."""
        ask = wire.CloseProposal(coop=self.coop, proposal_id=proposal)
        return await self._client.call(wire.CLOSE_PROPOSAL, ask)

    async def cancel(self, proposal: str) -> wire.ProposalView:
        """Take a proposal of one's own back."""
        ask = wire.CancelProposal(coop=self.coop, proposal_id=proposal)
        return await self._client.call(wire.CANCEL_PROPOSAL, ask)

    async def execute(self, proposal: str) -> wire.EffectDone | Entry:
        """Execute what was decided, repeating it; a distribution is settled at the ledger."""
        view = await self.get(proposal)
        effect = view.effect
        if isinstance(effect, DistributionEffect):
            settle = Settle(
                coop=self.coop,
                proposal=view.proposal,
                from_account=effect.from_account,
                unit=effect.unit,
                lines=tuple(
                    SettleLine(account=line.account, amount=line.amount)
                    for line in effect.lines
                    if line.amount
                ),
            )
            return await self._client.call(wire.LEDGER_SETTLE, settle)
        ask = wire.ExecuteProposal(
            coop=self.coop,
            proposal_id=proposal,
            decision=view.decision,
            effect=effect,
            treasury_nonce=view.treasury_nonce,
        )
        return await self._client.call(wire.EXECUTE_PROPOSAL, ask)

    async def challenge(self, proposal: str, missing: CastBallot) -> wire.ProposalView:
        """Have a decision voided whose tally misses a vote."""
        ask = wire.ChallengeDecision(
            coop=self.coop,
            proposal_id=proposal,
            ballot=missing.ballot,
            receipt=missing.receipt,
        )
        return await self._client.call(wire.CHALLENGE_DECISION, ask)

    # What was decided.

    async def fetch(self, proposal: str, *, form: Literal["full", "attested"] = "full") -> bytes:
        """Return the file of a decision as the node wrote it; nothing in it is verified."""
        ask = wire.AskDecision(coop=self.coop, proposal_id=proposal, form=form)
        answer = await self._client.call(wire.READ_DECISION, ask)
        return answer.file

    async def decision(self, proposal: str) -> DecisionFile:
        """Return a decision with every vote, to be counted again.

        Raises:
            Fault: what the node answers is no such file.
            Refusal, Unreachable: as `governance.decision`.
        """
        return self._read(await self.fetch(proposal), DecisionFile)

    async def attested(self, proposal: str) -> AttestedFile:
        """Return what leaves the coop of a decision; raises as `decision`."""
        return self._read(await self.fetch(proposal, form="attested"), AttestedFile)

    async def decided(self, decision: RecordId, *, genesis: GenesisView | None) -> Decided:
        """Return what a decision is, named by its hash, after verifying it.

        Whoever may not see how members voted gets it attested.

        Raises:
            ProofError: the node knows no such decision, or it says of another one that it is this.
        """
        proposal = await self._find(decision)
        try:
            file = await self.decision(proposal)
        except RollCallNotYours:
            return self._of_attested(decision, await self.attested(proposal), genesis)
        verdict, view = examine_decision(file, genesis=genesis)
        if view is None or view.hash != decision:
            raise ProofError(f"what the node answers is not decision {decision}")
        accepted = view.decision.outcome == "accepted"
        return Decided(
            hash=decision, verdict=verdict, effect=view.proposal.effect, accepted=accepted
        )

    @staticmethod
    def _of_attested(
        decision: RecordId, file: AttestedFile, genesis: GenesisView | None
    ) -> Decided:
        said: AttestedDecision | None
        verdict, said = examine_attested(file, genesis=genesis)
        if said is None or said.decision != decision:
            raise ProofError(f"what the node answers is not decision {decision}")
        return Decided(
            hash=decision,
            verdict=verdict,
            effect=said.effect,
            accepted=said.outcome == "accepted",
        )

    async def _find(self, decision: RecordId) -> RecordId:
        """Return the hash of the proposal that a decision is on."""
        if decision not in self._proposal_of:
            async for line in self.list():
                if line.decision is not None:
                    self._proposal_of[line.decision] = line.proposal
                if line.decision == decision:
                    break
            else:
                raise ProofError(f"the node knows no decision {decision}")
        return self._proposal_of[decision]

    def _read(self, data: bytes, of: type[F]) -> F:
        try:
            file = read_file(data)
        except ProofError as bad:
            raise self._fault(bad.why) from bad
        if not isinstance(file, of):
            raise self._fault(f"it answers no {of.__name__}")
        return file

    def _keep(self, ballot: Jws, receipt: Jws) -> CastBallot:
        """Keep a vote with its receipt, if that verifies as far as it can be verified here."""
        proposal = _proposal_of(ballot)
        genesis = self._client.genesis
        if genesis is not None:
            try:
                said = read_receipt(receipt, genesis=genesis)
            except ProofError as bad:
                raise self._fault(bad.why) from bad
            if said.did != self._client.node:
                raise self._fault("the receipt is by another node")
            if (said.ballot, said.proposal) != (jws.record_id(ballot), proposal):
                raise self._fault("the receipt is for another ballot")
        cast = CastBallot(proposal=proposal, ballot=ballot, receipt=receipt)
        self.kept.append(cast)
        return cast

    def _signer(self) -> Identity:
        signer = self._client.identity
        assert signer is not None, "a member signs with their own key"
        return signer

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.node, incident="", why=why)


async def check_decided(
    client: NodeClient, said: Entry | AccountConfigured, *, genesis: GenesisView | None
) -> None:
    """Return if the decision that a ledger's entry or an account's change cites says exactly this.

    Args:
        client: of the coop's home node.
        said: what cites the decision.
        genesis: the network's genesis as the verifier keeps it.

    Raises:
        ProofError: it cites none, there is no such decision, it does not verify, was not accepted,
            or decided something else.
    """
    cited = _cited(said)
    decided = await client.governance(said.coop).decided(cited, genesis=genesis)
    if not decided.verdict.ok:
        first = decided.verdict.failures[0]
        raise ProofError(f"decision {cited}: {first.name} is {first.actual}, not {first.expected}")
    if not decided.accepted:
        raise ProofError(f"decision {cited} was not accepted")
    if isinstance(said, Entry):
        check_entry(said, decided.effect)
    else:
        check_configured(said, decided.effect)


def _proposal_of(ballot: Jws) -> RecordId:
    """Return what a signed ballot says that it is on; the node refuses one that is on nothing."""
    return str(jws.peek(ballot).payload.get("proposal"))


def _cited(said: Entry | AccountConfigured) -> RecordId:
    if isinstance(said, AccountConfigured):
        return said.decision
    if said.cause is None or said.cause.kind != "decision":
        raise ProofError(f"entry {said.sequence} cites no decision")
    return said.cause.id

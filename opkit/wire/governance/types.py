"""What is asked of governance and answered; times are of world time unless said otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    B64,
    PLAIN,
    Count,
    Did,
    MemberId,
    MemberIdText,
    RecordId,
    Slug,
    TimeMs,
    Wire,
)
from opkit.wire.ledger import AccountView, Entry
from opkit.wire.membership import Member
from opkit.wire.votes import (
    Choice,
    Effect,
    EffectKind,
    Elector,
    Outcome,
    ProposalState,
    Rule,
    SignedBallot,
    SignedProposal,
    Tally,
)

PROPOSALS_PER_PAGE_MAX = 200
VOTES_PER_PAGE_MAX = 500
ELECTORS_PER_PAGE_MAX = 1_000

CoopText = Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)]
"""What somebody asks for as an assembly; one that is none is not found."""

ProposalText = Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)]
"""What somebody asks for as a proposal: its id, or its hash."""


class AskAssembly(Wire):
    """Ask for an assembly as it stands: all that a proposal has to state.

    Attributes:
        after: the last member id of the page of electors before.
        electors_max: how many electors are told; 0 for none.
    """

    coop: CoopText
    after: MemberIdText = ""
    electors_max: Annotated[int, Field(ge=0, le=ELECTORS_PER_PAGE_MAX)] = 0


class Assembly(Wire):
    """An assembly as it stands.

    Attributes:
        electorate_hash: of all who could vote if voting were opened now.
        electors: how many they are.
        page: those that were asked for, by member id; `next_after` is empty on the last page.
        next_nonce: what the next proposal carries that moves the treasury's money.
        decisions: how many there are, and the last one's hash.
    """

    coop: Slug
    home: Did
    rule: Rule
    electorate_hash: RecordId
    electors: Count
    page: Annotated[tuple[Elector, ...], Field(max_length=ELECTORS_PER_PAGE_MAX)]
    next_after: str
    next_nonce: Count
    decisions: Count
    last_decision: RecordId
    world_ms: TimeMs


class AskTreasury(Wire):
    """Ask how an assembly's treasury stands."""

    coop: CoopText


class NonceTaken(Wire):
    """A treasury nonce, and the proposal that took it; `state` is that proposal's."""

    nonce: Count
    proposal_id: Slug
    proposal: RecordId
    state: ProposalState


class Treasury(Wire):
    """How a treasury stands.

    Attributes:
        next_nonce: none below it comes back, whatever became of its proposal.
        nonces: the last ones that were taken, newest first.
        accounts: those that nothing but a decision debits, at most 1,000.
    """

    coop: Slug
    next_nonce: Count
    nonces: Annotated[tuple[NonceTaken, ...], Field(max_length=64)]
    accounts: Annotated[tuple[AccountView, ...], Field(max_length=1_000)]
    world_ms: TimeMs


class Propose(Wire):
    """Ask to put a signed proposal before the assembly; as a draft unless `open_now`.

    A draft of the same id by the same proposer is replaced: what it states of rule, electorate and
    nonce may have changed since.
    """

    coop: CoopText
    proposal: SignedProposal
    open_now: bool = True


class ProposalLine(Wire):
    """A proposal in a list.

    Attributes:
        proposal: its hash.
        tally: of an open one only the votes that members cast themselves.
    """

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    member_id: MemberId
    title: str
    kind: EffectKind
    state: ProposalState
    treasury_nonce: Count | None
    drafted_ms: TimeMs
    opened_ms: TimeMs | None
    closes_ms: TimeMs | None
    closed_ms: TimeMs | None
    challenge_ends_ms: TimeMs | None
    executable_until_ms: TimeMs | None
    ended_ms: TimeMs | None
    tally: Tally
    decision: RecordId | None


class VoidedBy(Wire):
    """The ballot that the tally missed, and what shows it: both as they were signed."""

    member_id: MemberId
    ballot: SignedBallot
    receipt: SignedBallot
    voided_ms: TimeMs


class ProposalView(ProposalLine):
    """A proposal whole.

    Attributes:
        signed: as its proposer signed it.
        tally: as it would be counted now, delegations included; of a closed one as it was counted.
        would_be: the outcome if voting ended with this tally.
        outcome: how voting ended; None before.
        executed_ms: when its effect was executed.
        entry: the hash of the ledger entry that its effect posted.
        voided_by: why its decision is void.
        world_ms: when all this was so.
    """

    text: str
    effect: Effect
    rule: Rule
    electorate_hash: RecordId
    electors: Count
    signed: SignedProposal
    would_be: Outcome
    outcome: Outcome | None
    executed_ms: TimeMs | None
    entry: RecordId | None
    voided_by: VoidedBy | None
    world_ms: TimeMs


class OpenProposal(Wire):
    """Ask to open a draft of one's own for voting."""

    coop: CoopText
    proposal_id: ProposalText


class ListProposals(Wire):
    """Ask for an assembly's proposals, newest first; `after` is `next_after` of the page before."""

    coop: CoopText
    state: ProposalState | None = None
    after: Count = 0
    proposals_max: Annotated[int, Field(ge=1, le=PROPOSALS_PER_PAGE_MAX)] = 50


class ProposalPage(Wire):
    """Proposals, newest first; `next_after` is 0 on the last page."""

    coop: Slug
    proposals: Annotated[tuple[ProposalLine, ...], Field(max_length=PROPOSALS_PER_PAGE_MAX)]
    next_after: Count


class ReadProposal(Wire):
    """Ask for one proposal."""

    coop: CoopText
    proposal_id: ProposalText


class CastVote(Wire):
    """Ask to count a signed ballot, whoever brings it."""

    coop: CoopText
    proposal_id: ProposalText
    ballot: SignedBallot


class VoteCounted(Wire):
    """The ballot stands until a later one of the member, and the node has signed that it does.

    Attributes:
        ballot: its record id.
        receipt: the home node's `BallotReceipt`: keep it with the ballot.
    """

    coop: Slug
    proposal: RecordId
    member_id: MemberId
    choice: Choice
    sequence: Count
    ballot: RecordId
    receipt: SignedBallot


class ListVotes(Wire):
    """Ask for the votes on a proposal by name; `after` is the last member of the page before."""

    coop: CoopText
    proposal_id: ProposalText
    after: MemberIdText = ""
    votes_max: Annotated[int, Field(ge=1, le=VOTES_PER_PAGE_MAX)] = 100


class Vote(Wire):
    """How somebody's vote counts.

    Attributes:
        through: who voted for them; None if they did.
        ballot: the ballot by which it counts, as it was signed.
        cast_ms: when that was taken.
    """

    member_id: MemberId
    choice: Choice
    through: MemberId | None
    sequence: Count
    ballot: SignedBallot
    cast_ms: TimeMs


class VotePage(Wire):
    """Votes by member; `next_after` is empty on the last page."""

    coop: Slug
    proposal: RecordId
    votes: Annotated[tuple[Vote, ...], Field(max_length=VOTES_PER_PAGE_MAX)]
    next_after: str


class Delegate(Wire):
    """Ask to let somebody else vote for one, or nobody any more, by a signed delegation."""

    coop: CoopText
    delegation: SignedBallot


class DelegationView(Wire):
    """A delegation as it stands; `to` is None once it is revoked."""

    coop: Slug
    member_id: MemberId
    to: MemberId | None
    sequence: Count
    set_ms: TimeMs
    delegation: SignedBallot


class ListDelegations(Wire):
    """Ask for the delegations that stand, by member; `after` is the last of the page before."""

    coop: CoopText
    after: MemberIdText = ""
    delegations_max: Annotated[int, Field(ge=1, le=VOTES_PER_PAGE_MAX)] = 100


class DelegationPage(Wire):
    """Delegations by member; `next_after` is empty on the last page."""

    coop: Slug
    delegations: Annotated[tuple[DelegationView, ...], Field(max_length=VOTES_PER_PAGE_MAX)]
    next_after: str


class CloseProposal(Wire):
    """Ask to close the voting on a proposal whose period is over, and have its votes counted."""

    coop: CoopText
    proposal_id: ProposalText


class CancelProposal(Wire):
    """Ask to cancel a draft or an open proposal of one's own."""

    coop: CoopText
    proposal_id: ProposalText


class ExecuteProposal(Wire):
    """Ask to execute what was decided, repeating it: nothing else is executed.

    Attributes:
        decision: the decision's hash; None for whatever was decided.
        treasury_nonce: of an effect that moves the treasury's money, else None.
    """

    coop: CoopText
    proposal_id: ProposalText
    decision: RecordId | None = None
    effect: Effect
    treasury_nonce: Annotated[int, Field(strict=True, ge=1)] | None = None


class EffectDone(Wire):
    """The effect was executed, and will not be again.

    Attributes:
        entry: what it posted, if it did.
        member: what it made of a member, if it did.
        agreement: which one it signed, or gave notice of, if it did.
        rule: by what the assembly decides now.
    """

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId
    kind: EffectKind
    executed_ms: TimeMs
    entry: Entry | None
    member: Member | None
    agreement: RecordId | None = None
    rule: Rule


class AskDecision(Wire):
    """Ask for the file of a decision.

    Attributes:
        form: `full` is a `DecisionFile`, for the coop's own members; `attested` an `AttestedFile`.
    """

    coop: CoopText
    proposal_id: ProposalText
    form: Literal["full", "attested"] = "full"


class DecisionAnswer(Wire):
    """The file as JSON: a `DecisionFile` or an `AttestedFile` of `opkit.wire.votes`."""

    file: B64


class ChallengeDecision(Wire):
    """Ask to void a decision whose tally misses a vote.

    Attributes:
        ballot: the ballot that is missing.
        receipt: the home node's `BallotReceipt` for it, or another node's `LodgingReceipt` of
            before the close.
    """

    coop: CoopText
    proposal_id: ProposalText
    ballot: SignedBallot
    receipt: SignedBallot


class LodgeVote(Wire):
    """Ask any node to witness a signed ballot and to hand it to the assembly's home.

    The home itself counts it, as any other. It needs no token: the ballot is signed, and who was
    refused at home may have none.
    """

    ballot: SignedBallot


class VoteLodged(Wire):
    """The node has the ballot; unless it is the home, it hands it over once the home answers.

    Attributes:
        receipt: the node's `LodgingReceipt`, or its `BallotReceipt` if it is the home: the header's
            `typ` says which. Keep it with the ballot.
        counted: the home node's `BallotReceipt` if it counted the ballot; None if it refused, and
            as long as it has not answered.
    """

    coop: Slug
    proposal: RecordId
    member_id: MemberId
    ballot: RecordId
    receipt: SignedBallot
    counted: SignedBallot | None


class PassBallot(Wire):
    """Ask the home node to count a ballot that was lodged, or else to void what misses it."""

    ballot: SignedBallot
    receipt: SignedBallot


class BallotPassed(Wire):
    """What the home node did with it.

    Attributes:
        receipt: its `BallotReceipt` if the ballot was counted, now or before; None if voting was
            over.
        voided: whether the decision is void because it missed the ballot.
    """

    receipt: SignedBallot | None
    voided: bool

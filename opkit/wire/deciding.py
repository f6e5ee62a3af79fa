"""What governance refuses: each reason why a proposal, a vote or an effect does not go on.

They stand apart from the asks so that the ledger, which executes what was decided, declares the
same refusals without knowing votes.
"""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.errors import Conflict, Denied, Exhausted, Invalid, Lapsed, Missing


@dataclass(eq=False, kw_only=True)
class AssemblyUnknown(Missing):
    """No coop of that name has a charter in this network."""

    code = "assembly-unknown"
    hint = "an assembly's id is its coop's id, as genesis has it"
    coop: str


@dataclass(eq=False, kw_only=True)
class AssemblyElsewhere(Missing):
    """Another node is the home of this assembly, and only it decides and knows."""

    code = "assembly-elsewhere"
    hint = "ask the home node"
    coop: str
    home: str


@dataclass(eq=False, kw_only=True)
class AssemblyNotYours(Denied):
    """The caller is no member of this coop."""

    code = "assembly-not-yours"
    hint = "only a coop's own members act in its assembly"
    coop: str


@dataclass(eq=False, kw_only=True)
class ProposalUnknown(Missing):
    """The assembly has no such proposal."""

    code = "proposal-unknown"
    hint = "`opkit proposal list` shows them"
    proposal: str


@dataclass(eq=False, kw_only=True)
class ProposalRejected(Invalid):
    """The proposal does not verify, or does not say what a proposal says."""

    code = "proposal-rejected"
    hint = "a proposal is signed by a member's key, for this network and their own coop"
    why: str


@dataclass(eq=False, kw_only=True)
class ProposerUnknown(Denied):
    """The proposal's key is not that of an active member of the assembly."""

    code = "proposer-unknown"
    hint = "an active member's own key signs proposals"
    member_id: str
    why: str


@dataclass(eq=False, kw_only=True)
class ProposalTaken(Conflict):
    """The assembly has another proposal of this id."""

    code = "proposal-taken"
    hint = "choose another id: one is never used twice"
    proposal_id: str
    standing: str


@dataclass(eq=False, kw_only=True)
class EffectMalformed(Invalid):
    """What is proposed could not be executed as it stands, whatever the vote."""

    code = "effect-malformed"
    hint = "mend the effect and sign the proposal again"
    why: str


@dataclass(eq=False, kw_only=True)
class RuleChanged(Conflict):
    """The proposal states another rule of deciding than the assembly has now."""

    code = "rule-changed"
    hint = "read the assembly and sign the proposal again"
    field: str


@dataclass(eq=False, kw_only=True)
class ElectorateChanged(Conflict):
    """The proposal states another electorate than the assembly has now."""

    code = "electorate-changed"
    hint = "read the assembly and sign the proposal again"
    electorate_hash: str


@dataclass(eq=False, kw_only=True)
class NonceUsed(Conflict):
    """The treasury nonce was taken before: whatever became of its proposal, it never comes back."""

    code = "nonce-used"
    hint = "read the treasury and sign with the next nonce"
    nonce: int
    next_nonce: int


@dataclass(eq=False, kw_only=True)
class NonceFuture(Conflict):
    """The treasury nonce is not the next one."""

    code = "nonce-future"
    hint = "read the treasury and sign with the next nonce"
    nonce: int
    next_nonce: int


@dataclass(eq=False, kw_only=True)
class ProposalsExhausted(Exhausted):
    """The assembly, or the member, has as many proposals under way as may be."""

    code = "proposals-exhausted"
    hint = "close or cancel some first"
    limit: int


@dataclass(eq=False, kw_only=True)
class ElectorateTooLarge(Exhausted):
    """The assembly has more members than a vote can be held with."""

    code = "electorate-too-large"
    hint = "the limit is the protocol's"
    limit: int


@dataclass(eq=False, kw_only=True)
class ProposalNotYours(Denied):
    """Only who proposed it does this to a proposal."""

    code = "proposal-not-yours"
    hint = "its proposer opens and cancels a proposal"
    member_id: str


@dataclass(eq=False, kw_only=True)
class ProposalNotDraft(Conflict):
    """The proposal is no draft any more."""

    code = "proposal-not-draft"
    hint = "a proposal is opened once"
    state: str


@dataclass(eq=False, kw_only=True)
class ProposalNotOpen(Conflict):
    """The proposal is not open: not yet, or no more."""

    code = "proposal-not-open"
    hint = "`opkit proposal show` says in which state it is"
    state: str


@dataclass(eq=False, kw_only=True)
class VotingOver(Lapsed):
    """The voting period is over."""

    code = "voting-over"
    hint = "what was cast in time is counted when the proposal is closed"
    closes_ms: int


@dataclass(eq=False, kw_only=True)
class VotingRunning(Conflict):
    """The voting period is not over, and votes could still change the outcome."""

    code = "voting-running"
    hint = "close it once the period is over"
    closes_ms: int


@dataclass(eq=False, kw_only=True)
class BallotRejected(Invalid):
    """The ballot does not verify, or is for another assembly or proposal."""

    code = "ballot-rejected"
    hint = (
        "a ballot is signed by the member's key over the assembly, the proposal's hash and a choice"
    )
    why: str


@dataclass(eq=False, kw_only=True)
class NotElector(Denied):
    """The member, or the key, is not in the electorate that was fixed when voting opened."""

    code = "not-elector"
    hint = "who was a member at the opening votes, with the key of then or its successor"
    member_id: str
    why: str


@dataclass(eq=False, kw_only=True)
class DoubleVote(Conflict):
    """The member cast another ballot with the same sequence."""

    code = "double-vote"
    hint = "a vote is changed with a higher sequence"
    member_id: str
    sequence: int
    standing: str


@dataclass(eq=False, kw_only=True)
class VoteFinal(Conflict):
    """The member voted, and votes are final in this assembly."""

    code = "vote-final"
    hint = "the first vote stands"
    member_id: str


@dataclass(eq=False, kw_only=True)
class VoteStale(Conflict):
    """The member cast a ballot with a higher sequence."""

    code = "vote-stale"
    hint = "sign with a higher sequence"
    member_id: str
    standing_sequence: int


@dataclass(eq=False, kw_only=True)
class DelegationRejected(Invalid):
    """The delegation does not verify, or does not say what a delegation says."""

    code = "delegation-rejected"
    hint = "a delegation is signed by the member's current key, for their own coop"
    why: str


@dataclass(eq=False, kw_only=True)
class DelegateUnknown(Missing):
    """Nobody active in the assembly has that id."""

    code = "delegate-unknown"
    hint = "delegate to an active member of the same coop"
    member_id: str


@dataclass(eq=False, kw_only=True)
class DelegationStale(Conflict):
    """A delegation of this member with this or a higher sequence stands."""

    code = "delegation-stale"
    hint = "sign with a higher sequence"
    member_id: str
    standing_sequence: int


@dataclass(eq=False, kw_only=True)
class DelegationCycle(Conflict):
    """Following the delegation would lead back to the member."""

    code = "delegation-cycle"
    hint = "somebody on the way revokes theirs first"
    member_id: str
    to: str


@dataclass(eq=False, kw_only=True)
class Undecided(Conflict):
    """The assembly has not decided: voting was not closed."""

    code = "undecided"
    hint = "close the vote once its period is over"
    state: str


@dataclass(eq=False, kw_only=True)
class NotAccepted(Conflict):
    """The assembly decided against it, did not take part, or it was cancelled."""

    code = "not-accepted"
    hint = "only an accepted proposal has an effect"
    outcome: str


@dataclass(eq=False, kw_only=True)
class DecisionVoided(Conflict):
    """A vote was missing in the tally: the decision is void."""

    code = "decision-voided"
    hint = "propose it again"
    member_id: str
    decision: str


@dataclass(eq=False, kw_only=True)
class EffectExecuted(Conflict):
    """The effect was executed before."""

    code = "effect-executed"
    hint = "an effect is executed once"
    executed_ms: int


@dataclass(eq=False, kw_only=True)
class ChallengeOpen(Conflict):
    """Votes may still be shown to be missing: the effect waits for the challenge window."""

    code = "challenge-open"
    hint = "execute it after the window"
    challenge_ends_ms: int


@dataclass(eq=False, kw_only=True)
class DecisionExpired(Lapsed):
    """The decision was not executed in time."""

    code = "decision-expired"
    hint = "propose it again"
    expires_ms: int


@dataclass(eq=False, kw_only=True)
class EffectNone(Invalid):
    """The proposal is text: being accepted is all there is to it."""

    code = "effect-none"
    hint = "the decision itself is what text leads to"
    proposal_id: str


@dataclass(eq=False, kw_only=True)
class EffectOtherWay(Invalid):
    """Effects of this kind are executed by another endpoint."""

    code = "effect-other-way"
    hint = "a distribution is settled at the ledger, anything else executed at the proposal"
    kind: str
    endpoint: str


@dataclass(eq=False, kw_only=True)
class EffectAltered(Conflict):
    """The ask states another effect than was decided."""

    code = "effect-altered"
    hint = "state exactly what the decision says"
    field: str
    decided: str
    asked: str


@dataclass(eq=False, kw_only=True)
class DecisionMissing(Missing):
    """There is no decision on this proposal."""

    code = "decision-missing"
    hint = "close the vote once its period is over"
    state: str


@dataclass(eq=False, kw_only=True)
class RollCallNotYours(Denied):
    """Votes by name are for those who vote in the coop; others get the attested decision."""

    code = "roll-call-not-yours"
    hint = "ask with form=attested"
    coop: str


@dataclass(eq=False, kw_only=True)
class ChallengeUnfounded(Invalid):
    """What is shown does not prove that a vote is missing in the tally."""

    code = "challenge-unfounded"
    hint = "show a ballot with its home's receipt, or one lodged with another node before the close"
    why: str


@dataclass(eq=False, kw_only=True)
class ChallengeLate(Lapsed):
    """The challenge window is over."""

    code = "challenge-late"
    hint = "the receipt still proves it to anybody"
    challenge_ends_ms: int


@dataclass(eq=False, kw_only=True)
class LodgedExhausted(Exhausted):
    """This node holds as many lodged votes as it may, in all or for this member."""

    code = "lodged-exhausted"
    hint = "lodge it with another node"
    limit: int


HOME_REFUSALS = (AssemblyUnknown, AssemblyElsewhere)
"""What any ask about an assembly is refused with first."""

OPENING_REFUSALS = (
    RuleChanged,
    ElectorateTooLarge,
    ElectorateChanged,
    NonceUsed,
    NonceFuture,
    ProposalsExhausted,
)
"""What opening is refused with, in order of precedence."""

BALLOT_REFUSALS = (
    BallotRejected,
    ProposalNotOpen,
    NotElector,
    VotingOver,
    DoubleVote,
    VoteFinal,
    VoteStale,
)
"""What a home node refuses a ballot with, in order of precedence."""

EFFECT_REFUSALS = (
    ProposalUnknown,
    EffectNone,
    EffectOtherWay,
    Undecided,
    DecisionVoided,
    EffectExecuted,
    NotAccepted,
    DecisionExpired,
    NonceUsed,
    NonceFuture,
    EffectAltered,
    ChallengeOpen,
)
"""What executing a decision is refused with, in order of precedence, before what it changes."""

CHALLENGE_REFUSALS = (
    Undecided,
    NotAccepted,
    DecisionVoided,
    EffectExecuted,
    ChallengeLate,
    ChallengeUnfounded,
)
"""What a challenge is refused with, in order of precedence."""

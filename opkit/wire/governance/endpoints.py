"""The questions that governance answers, to members and to other nodes."""

from __future__ import annotations

from opkit.wire import deciding as no
from opkit.wire.agreements import EFFECT_REFUSALS as AGREEMENT_REFUSALS
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.gateway import StoreBusy
from opkit.wire.governance.types import (
    AskAssembly,
    AskDecision,
    AskTreasury,
    Assembly,
    BallotPassed,
    CancelProposal,
    CastVote,
    ChallengeDecision,
    CloseProposal,
    DecisionAnswer,
    Delegate,
    DelegationPage,
    DelegationView,
    EffectDone,
    ExecuteProposal,
    ListDelegations,
    ListProposals,
    ListVotes,
    LodgeVote,
    OpenProposal,
    PassBallot,
    ProposalPage,
    ProposalView,
    Propose,
    ReadProposal,
    Treasury,
    VoteCounted,
    VoteLodged,
    VotePage,
)
from opkit.wire.ledger import SETTLE_REFUSALS, Entry, Settle
from opkit.wire.membership import DidTaken, MemberMissing, MembersFull
from opkit.wire.peer import PeerMethod

PASS_BALLOT = PeerMethod(
    name="governance.pass-ballot",
    ask=PassBallot,
    answer=BallotPassed,
    refuses=(
        *no.HOME_REFUSALS,
        no.ProposalUnknown,
        *no.BALLOT_REFUSALS,
        *no.CHALLENGE_REFUSALS,
        StoreBusy,
    ),
)

READ_ASSEMBLY = Endpoint(
    name="governance.assembly",
    method="GET",
    path="/v1/governance/{coop}/assembly",
    ask=AskAssembly,
    answer=Assembly,
    scope=Scope.GOVERNANCE_READ,
    refuses=no.HOME_REFUSALS,
)

READ_TREASURY = Endpoint(
    name="governance.treasury",
    method="GET",
    path="/v1/governance/{coop}/treasury",
    ask=AskTreasury,
    answer=Treasury,
    scope=Scope.GOVERNANCE_READ,
    refuses=no.HOME_REFUSALS,
)

PROPOSE = Endpoint(
    name="governance.propose",
    method="POST",
    path="/v1/governance/{coop}/proposals",
    ask=Propose,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_WRITE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.ProposalRejected,
        no.ProposerUnknown,
        no.ProposalTaken,
        no.EffectMalformed,
        *AGREEMENT_REFUSALS,
        *no.OPENING_REFUSALS,
    ),
)

OPEN_PROPOSAL = Endpoint(
    name="governance.open",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/open",
    ask=OpenProposal,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_WRITE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.ProposalUnknown,
        no.ProposalNotYours,
        no.ProposalNotDraft,
        no.ProposerUnknown,
        no.EffectMalformed,
        *AGREEMENT_REFUSALS,
        *no.OPENING_REFUSALS,
    ),
)

LIST_PROPOSALS = Endpoint(
    name="governance.list",
    method="GET",
    path="/v1/governance/{coop}/proposals",
    ask=ListProposals,
    answer=ProposalPage,
    scope=Scope.GOVERNANCE_READ,
    refuses=no.HOME_REFUSALS,
)

READ_PROPOSAL = Endpoint(
    name="governance.show",
    method="GET",
    path="/v1/governance/{coop}/proposals/{proposal_id}",
    ask=ReadProposal,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_READ,
    refuses=(*no.HOME_REFUSALS, no.ProposalUnknown),
)

CAST_VOTE = Endpoint(
    name="governance.vote",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/votes",
    ask=CastVote,
    answer=VoteCounted,
    scope=Scope.GOVERNANCE_VOTE,
    changes=True,
    refuses=(*no.HOME_REFUSALS, no.ProposalUnknown, *no.BALLOT_REFUSALS),
    body_bytes_max=8_192,
)

LIST_VOTES = Endpoint(
    name="governance.votes",
    method="GET",
    path="/v1/governance/{coop}/proposals/{proposal_id}/votes",
    ask=ListVotes,
    answer=VotePage,
    scope=Scope.GOVERNANCE_READ,
    refuses=(*no.HOME_REFUSALS, no.RollCallNotYours, no.ProposalUnknown),
)

DELEGATE = Endpoint(
    name="governance.delegate",
    method="POST",
    path="/v1/governance/{coop}/delegations",
    ask=Delegate,
    answer=DelegationView,
    scope=Scope.GOVERNANCE_VOTE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.DelegationRejected,
        no.NotElector,
        no.DelegateUnknown,
        no.DelegationStale,
        no.DelegationCycle,
    ),
    body_bytes_max=8_192,
)

LIST_DELEGATIONS = Endpoint(
    name="governance.delegations",
    method="GET",
    path="/v1/governance/{coop}/delegations",
    ask=ListDelegations,
    answer=DelegationPage,
    scope=Scope.GOVERNANCE_READ,
    refuses=no.HOME_REFUSALS,
)

CLOSE_PROPOSAL = Endpoint(
    name="governance.close",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/close",
    ask=CloseProposal,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_WRITE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.AssemblyNotYours,
        no.ProposalUnknown,
        no.ProposalNotOpen,
        no.VotingRunning,
    ),
)

CANCEL_PROPOSAL = Endpoint(
    name="governance.cancel",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/cancel",
    ask=CancelProposal,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_WRITE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.ProposalUnknown,
        no.ProposalNotYours,
        no.ProposalNotOpen,
        no.VotingOver,
    ),
)

EXECUTE_PROPOSAL = Endpoint(
    name="governance.execute",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/execute",
    ask=ExecuteProposal,
    answer=EffectDone,
    scope=Scope.GOVERNANCE_WRITE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.AssemblyNotYours,
        *no.EFFECT_REFUSALS,
        MemberMissing,
        DidTaken,
        MembersFull,
        *AGREEMENT_REFUSALS,
        *SETTLE_REFUSALS,
    ),
)

LEDGER_SETTLE = Endpoint(
    name="ledger.settle",
    method="POST",
    path="/v1/ledger/{coop}/settle",
    ask=Settle,
    answer=Entry,
    scope=Scope.LEDGER_WRITE,
    changes=True,
    refuses=(*no.HOME_REFUSALS, no.AssemblyNotYours, *no.EFFECT_REFUSALS, *SETTLE_REFUSALS),
)

READ_DECISION = Endpoint(
    name="governance.decision",
    method="GET",
    path="/v1/governance/{coop}/proposals/{proposal_id}/decision",
    ask=AskDecision,
    answer=DecisionAnswer,
    scope=Scope.GOVERNANCE_READ,
    raw_answer="file",
    refuses=(*no.HOME_REFUSALS, no.RollCallNotYours, no.ProposalUnknown, no.DecisionMissing),
)

CHALLENGE_DECISION = Endpoint(
    name="governance.challenge",
    method="POST",
    path="/v1/governance/{coop}/proposals/{proposal_id}/challenges",
    ask=ChallengeDecision,
    answer=ProposalView,
    scope=Scope.GOVERNANCE_VOTE,
    changes=True,
    refuses=(
        *no.HOME_REFUSALS,
        no.ProposalUnknown,
        *no.CHALLENGE_REFUSALS,
    ),
    body_bytes_max=8_192,
)

LODGE_VOTE = Endpoint(
    name="governance.lodge",
    method="POST",
    path="/v1/governance/lodge",
    ask=LodgeVote,
    answer=VoteLodged,
    scope=None,
    changes=True,
    stores_answer=False,
    refuses=(
        no.BallotRejected,
        no.AssemblyUnknown,
        no.ProposalUnknown,
        *no.BALLOT_REFUSALS[1:],
        no.LodgedExhausted,
    ),
    body_bytes_max=8_192,
)

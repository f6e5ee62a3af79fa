"""What governance journals: everything that happens to a proposal, and who voted when.

How somebody voted is for the coop's own members, who ask for it (`LIST_VOTES`); events are read
by others too, so none tells it. A ballot's record id would: nothing in a ballot is random, so
whoever tries three choices and some moments finds the one that has it. Source: ADR 0041.
"""

from __future__ import annotations

from opkit.wire.base import Count, MemberId, RecordId, Slug, TimeMs
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event
from opkit.wire.votes import EffectKind, Outcome, Tally


class ProposalDrafted(Event):
    """A member put a draft before the assembly."""

    type = "governance.proposal-drafted"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    member_id: MemberId
    kind: EffectKind
    title: str


class ProposalOpened(Event):
    """Voting on a proposal has begun; its electorate is fixed."""

    type = "governance.proposal-opened"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    member_id: MemberId
    kind: EffectKind
    title: str
    treasury_nonce: Count | None
    electorate_hash: RecordId
    electors: Count
    opened_ms: TimeMs
    closes_ms: TimeMs


class VoteCast(Event):
    """A vote was counted, for the first time or changed: whose, not how.

    Attributes:
        commitment: to the ballot, by the salt in the member's receipt; attested decisions have it.
    """

    type = "governance.vote-cast"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    member_id: MemberId
    sequence: Count
    commitment: RecordId


class DelegationSet(Event):
    """A member lets another vote for them; `to` is None if nobody does any more."""

    type = "governance.delegation-set"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    member_id: MemberId
    to: MemberId | None
    sequence: Count


class ProposalClosed(Event):
    """Voting is over, and its votes were counted."""

    type = "governance.proposal-closed"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId
    outcome: Outcome
    tally: Tally
    challenge_ends_ms: TimeMs


class ProposalCancelled(Event):
    """Its proposer took a proposal back; `decision` is None if it was a draft."""

    type = "governance.proposal-cancelled"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId | None


class EffectApplied(Event):
    """What was decided was executed; `entry` is the hash of what it posted."""

    type = "governance.effect-executed"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId
    kind: EffectKind
    treasury_nonce: Count | None
    entry: RecordId | None


class DecisionFell(Event):
    """A vote was shown to be missing in the tally: the decision is void.

    Its ballot is the proof, and the one that everybody may read (`VoidedBy`).
    """

    type = "governance.decision-voided"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId
    member_id: MemberId
    ballot: RecordId


class DecisionLapsed(Event):
    """An accepted proposal was not executed in time."""

    type = "governance.decision-expired"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal_id: Slug
    proposal: RecordId
    decision: RecordId


class BallotLodged(Event):
    """A ballot for an assembly elsewhere was witnessed here; how it votes is not told."""

    type = "governance.vote-lodged"
    scope = Scope.GOVERNANCE_READ

    coop: Slug
    proposal: RecordId
    member_id: MemberId

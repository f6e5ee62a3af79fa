"""What may happen to a proposal in which state: one table, and a refusal for everything else.

draft → open → accepted | rejected | no-quorum | cancelled; accepted → executed | expired; what a
vote decided is voided when a vote is shown to be missing. Source: ADR 0041.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from opkit.wire import deciding as no
from opkit.wire.base import Did, MemberId, RecordId, Slug, TimeMs, Wire
from opkit.wire.errors import Refusal
from opkit.wire.governance import VoidedBy
from opkit.wire.votes import (
    TREASURY_KINDS,
    Ballot,
    Choice,
    EffectKind,
    Outcome,
    ProposalState,
    Rule,
    Tally,
)

W = TypeVar("W", bound=Wire)

Action = Literal["replace", "open", "vote", "close", "cancel", "execute", "challenge", "expire"]
"""What is asked for, but `expire`, which time does."""

ALLOWED: Mapping[Action, frozenset[ProposalState]] = {
    "replace": frozenset({"draft"}),
    "open": frozenset({"draft"}),
    "vote": frozenset({"open"}),
    "close": frozenset({"open"}),
    "cancel": frozenset({"draft", "open"}),
    "execute": frozenset({"accepted"}),
    "challenge": frozenset({"accepted", "rejected", "no-quorum"}),
    "expire": frozenset({"accepted"}),
}
"""In which states each action goes on; time, key and right are judged after this."""

ENDED: frozenset[ProposalState] = frozenset(
    {"rejected", "no-quorum", "cancelled", "executed", "voided", "expired"}
)
"""States that nothing but a void follows; an accepted text has nothing to follow either."""


@dataclass(frozen=True, kw_only=True)
class Signed(Generic[W]):
    """Something signed as it was read: its payload, or why there is none."""

    token: str
    id: RecordId = ""
    payload: W | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class AssemblyState:
    """An assembly as it stands."""

    coop: Slug
    rule: Rule
    next_nonce: int
    decisions: int
    last_decision: RecordId


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A ballot that stands; `did` is the key that signed it."""

    member_id: MemberId
    choice: Choice
    sequence: int
    id: RecordId
    did: Did
    ballot: str
    salt: str
    receipt: str
    cast_ms: TimeMs


@dataclass(frozen=True, kw_only=True)
class Delegated:
    """A member's last delegation."""

    member_id: MemberId
    to: MemberId | None
    sequence: int
    did: Did
    delegation: str
    set_ms: TimeMs


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A ballot that is said to be missing in a tally: what was verified of the two signatures.

    Attributes:
        by_home: whether the receipt is the home node's own.
        world_ms: when it says that the ballot was taken.
    """

    ballot: Ballot
    id: RecordId
    by_home: bool
    world_ms: TimeMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A proposal as its home node has it.

    Attributes:
        hash: the record id of the signed proposal.
        number: the assembly's proposals are counted from 1.
        yes, no, abstain: the votes that members cast themselves.
        tally: how it was counted; None before the close.
        ended_ms: when it came to its end.
    """

    coop: Slug
    proposal_id: Slug
    hash: RecordId
    number: int
    signed: str
    member_id: MemberId
    title: str
    kind: EffectKind
    treasury_nonce: int | None
    electorate_hash: RecordId
    electors: int
    state: ProposalState
    drafted_ms: TimeMs
    opened_ms: TimeMs | None = None
    closes_ms: TimeMs | None = None
    closed_ms: TimeMs | None = None
    challenge_ends_ms: TimeMs | None = None
    executable_until_ms: TimeMs | None = None
    executed_ms: TimeMs | None = None
    ended_ms: TimeMs | None = None
    yes: int = 0
    no: int = 0
    abstain: int = 0
    tally: Tally | None = None
    outcome: Outcome | None = None
    decision: RecordId | None = None
    entry: RecordId | None = None
    voided_by: VoidedBy | None = None

    @property
    def cast_so_far(self) -> Tally:
        """The tally, or while voting goes on the votes that members cast themselves."""
        return self.tally or Tally(
            electorate=self.electors,
            cast=self.yes + self.no + self.abstain,
            yes=self.yes,
            no=self.no,
            abstain=self.abstain,
            delegated=0,
        )

    @property
    def moves_treasury(self) -> bool:
        """Whether its effect carries a treasury nonce."""
        return self.kind in TREASURY_KINDS


def check(action: Action, standing: Standing) -> None:
    """Return if an action goes on in a proposal's state.

    Refuses, by the action:
        replace: ProposalTaken; open: ProposalNotDraft; vote, close and cancel: ProposalNotOpen.
        execute: Undecided, DecisionVoided, EffectExecuted, NotAccepted, or DecisionExpired.
        challenge: Undecided, NotAccepted of what was cancelled, DecisionVoided, EffectExecuted, or
            ChallengeLate of what expired.
    """
    if standing.state not in ALLOWED[action]:
        raise refusal_of(action, standing)


def refusal_of(action: Action, standing: Standing) -> Refusal:
    """Return why an action does not go on in a proposal's state."""
    state = standing.state
    if action == "replace":
        return no.ProposalTaken(proposal_id=standing.proposal_id, standing=standing.hash)
    if action == "open":
        return no.ProposalNotDraft(state=state)
    if action in ("vote", "close", "cancel"):
        return no.ProposalNotOpen(state=state)
    assert action in ("execute", "challenge"), f"nobody asks to {action}"
    return _after_vote(action, standing)


def _after_vote(action: Action, standing: Standing) -> Refusal:
    """Return why nothing is executed, or challenged, in a state."""
    state = standing.state
    if state in ("draft", "open"):
        return no.Undecided(state=state)
    if state == "voided":
        assert standing.voided_by is not None and standing.decision is not None, "as it was voided"
        by = standing.voided_by
        return no.DecisionVoided(member_id=by.member_id, decision=standing.decision)
    if state == "executed":
        return no.EffectExecuted(executed_ms=standing.executed_ms or 0)
    if state == "expired" and action == "execute":
        return no.DecisionExpired(expires_ms=standing.executable_until_ms or 0)
    if state == "expired":
        return no.ChallengeLate(challenge_ends_ms=standing.challenge_ends_ms or 0)
    return no.NotAccepted(outcome=state)

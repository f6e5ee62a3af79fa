"""What the page of governance draws, beside wire values; nothing here fetches."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.base import RecordId
from opkit.wire.governance import Assembly, ProposalLine, ProposalView, Treasury


@dataclass(frozen=True, kw_only=True)
class VoteFigure:
    """A vote as the home node journalled it, the last one of a member: how, only members learn.

    Attributes:
        times: how often they voted until then: a vote may be changed.
        commitment: to the ballot; the salt in the member's receipt shows that it is theirs.
        at_ms: when it was journalled, by the clock.
    """

    member_id: str
    times: int
    commitment: RecordId
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class ProposalFigure:
    """One proposal with its votes, as the home node tells of it.

    Attributes:
        votes: those that members cast themselves, by member.
        silent: electors who cast none, as far as they are known here.
    """

    view: ProposalView
    votes: tuple[VoteFigure, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GovernanceFigures:
    """An assembly as its home node tells of it; moments are of world time.

    Attributes:
        assembly: None before the first answer.
        proposals: newest first.
        chosen: the one that is open; None if there is none, or it was not told yet.
        ahead_ms: by how much world time runs ahead of the clock, to ten seconds.
        trouble: why the last answer is missing; what is shown is then older.
        since_ms: when the node answered last, by the clock; 0 if it never did.
    """

    coop: str
    assembly: Assembly | None = None
    treasury: Treasury | None = None
    proposals: tuple[ProposalLine, ...] = ()
    more_proposals: bool = False
    chosen: ProposalFigure | None = None
    ahead_ms: int = 0
    trouble: str = ""
    since_ms: int = 0

"""How an assembly decides: who votes, how votes count, and when the outcome stands.

Pure arithmetic by integers, used by the home node that closes a vote and by everybody who counts
it again. Percentages are never divided: a quorum of 60 is `cast * 100 >= 60 * electorate`.
Source: ADR 0041, ADR 0042.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from opkit.proof.canonical import sha256_hex
from opkit.proof.membership import coop_of
from opkit.wire.base import MemberId, RecordId, Slug
from opkit.wire.endpoint import Scope
from opkit.wire.genesis import Charter
from opkit.wire.membership import ROLES, Member
from opkit.wire.votes import Choice, Elector, Rule, Tally

Result = Literal["accepted", "rejected", "no-quorum"]
"""What a tally decides: an outcome, but for `cancelled`, which nobody votes."""

YES: Choice = "yes"
NO: Choice = "no"
ABSTAIN: Choice = "abstain"
ACCEPTED: Result = "accepted"
REJECTED: Result = "rejected"
NO_QUORUM: Result = "no-quorum"

VOTING_ROLES = frozenset(role for role, may in ROLES.items() if Scope.GOVERNANCE_VOTE in may)
"""The roles that make a coop's member an elector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How one elector's vote counted.

    Attributes:
        voter: whose ballot it was: their own id for who cast one themselves.
        delegate: whom they delegated to, who may have done so too; None with a ballot of their own.
    """

    choice: Choice
    voter: MemberId
    delegate: MemberId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A tally: how many electors there are, and how many stand for each choice.

    Attributes:
        direct: how many cast a ballot themselves.
        delegated: for how many their delegate's ballot counted; direct and delegated together took
            part.
        voices: of each elector who took part, by member id.
    """

    electorate: int
    direct: int
    delegated: int
    yes: int
    no: int
    abstain: int
    voices: Mapping[MemberId, Voice]

    @property
    def cast(self) -> int:
        """How many took part, abstentions and delegations included."""
        return self.direct + self.delegated

    @property
    def tally(self) -> Tally:
        """The numbers alone, as a decision states them."""
        return Tally(
            electorate=self.electorate,
            cast=self.cast,
            yes=self.yes,
            no=self.no,
            abstain=self.abstain,
            delegated=self.delegated,
        )


def is_elector(member: Member, coop: Slug) -> bool:
    """Return whether a member votes in a coop's assembly: active there, in a role that votes."""
    return coop_of(member.member_id) == coop and member.active and votes_by(member.roles)


def votes_by(roles: Iterable[Slug]) -> bool:
    """Return whether roles make an active member of a coop an elector of it."""
    return not VOTING_ROLES.isdisjoint(roles)


def electorate_hash(coop: Slug, electors: Iterable[Elector]) -> RecordId:
    """Return the hash that fixes an electorate: each member, key, and place in their chain.

    It stands in the proposal, and so in every vote: nobody joins or leaves an electorate later.
    SHA-256 over a line for the coop and one for each elector, by member id.
    """
    ordered = sorted(electors, key=lambda each: each.member_id)
    lines = [coop]
    lines += [f"{each.member_id} {each.did} {each.sequence} {each.link or '-'}" for each in ordered]
    return sha256_hex("".join(f"{line}\n" for line in lines).encode())


def way_of(member_id: MemberId, delegations: Mapping[MemberId, MemberId]) -> list[MemberId] | None:
    """Return whom a member's delegation leads to, one after another; None if it leads in a circle.

    Args:
        member_id: where to begin; who did not delegate has the empty way.
        delegations: to whom each one who did has delegated.
    """
    way: list[MemberId] = []
    seen = {member_id}
    at = member_id
    while (to := delegations.get(at)) is not None:
        if to in seen:
            return None
        seen.add(to)
        way.append(to)
        at = to
    return way


def first_in_circle(delegations: Mapping[MemberId, MemberId]) -> MemberId | None:
    """Return a member whose delegation leads back to themself; None if nobody's does.

    Of several it is the same one in whatever order the delegations come. Each delegation is
    followed once, however many lead through it.
    """
    done: set[MemberId] = set()
    for member_id in sorted(delegations):
        way: dict[MemberId, None] = {}
        at: MemberId | None = member_id
        while at is not None and at not in done:
            if at in way:
                return at
            way[at] = None
            at = delegations.get(at)
        done.update(way)
    return None


def charter_rule(charter: Charter) -> Rule:
    """Return the rule by which a coop's founders agreed to decide."""
    return Rule(
        quorum_percent=charter.quorum_percent,
        approval_percent=charter.approval_percent,
        voting_period_ms=charter.voting_period_ms,
        challenge_window_ms=charter.challenge_window_ms,
        votes_final=charter.votes_final,
        decision=None,
    )


def count(
    electors: Collection[MemberId],
    *,
    ballots: Mapping[MemberId, Choice],
    delegations: Mapping[MemberId, MemberId],
) -> Counted:
    """Return the tally: each elector's own ballot, or that of whom they delegated to.

    A ballot of one's own stands before one's delegation. A delegation leads on through delegates
    who cast none, to the first who did; one that leads out of the electorate, in a circle, or to
    nobody who voted, counts for nothing.

    Args:
        electors: everybody who may vote.
        ballots: the choice of each member who cast a ballot; those of others do not count.
        delegations: to whom each one who did has delegated.
    """
    may = frozenset(electors)
    voters: dict[MemberId, MemberId | None] = {each: each for each in ballots if each in may}
    direct = len(voters)
    for elector in may:
        _find_voter(elector, may=may, delegations=delegations, voters=voters)
    voices = {
        elector: Voice(
            choice=ballots[voter],
            voter=voter,
            delegate=None if voter == elector else delegations[elector],
        )
        for elector, voter in sorted(voters.items())
        if voter is not None
    }
    numbers = Counter(voice.choice for voice in voices.values())
    return Counted(
        electorate=len(may),
        direct=direct,
        delegated=len(voices) - direct,
        yes=numbers[YES],
        no=numbers[NO],
        abstain=numbers[ABSTAIN],
        voices=voices,
    )


def _find_voter(
    elector: MemberId,
    *,
    may: Collection[MemberId],
    delegations: Mapping[MemberId, MemberId],
    voters: dict[MemberId, MemberId | None],
) -> None:
    """Note in `voters` whose ballot counts for an elector and for all on the way; each once."""
    way: dict[MemberId, None] = {}
    at = elector
    while at in may and at not in voters and at not in way:
        way[at] = None
        at = delegations.get(at, at)  # Who delegated to nobody is on the way already: it ends.
    voters.update(dict.fromkeys(way, voters.get(at)))


def has_quorum(counted: Counted | Tally, *, quorum_percent: int) -> bool:
    """Return whether enough took part: `cast * 100 >= quorum * electorate`."""
    return counted.cast * 100 >= quorum_percent * counted.electorate


def is_approved(counted: Counted | Tally, *, approval_percent: int) -> bool:
    """Return whether enough said yes: `yes * 100 >= approval * (yes + no)`, and somebody did."""
    return counted.yes > 0 and counted.yes * 100 >= approval_percent * (counted.yes + counted.no)


def result_of(counted: Counted | Tally, *, quorum_percent: int, approval_percent: int) -> Result:
    """Return what a tally decides: quorum first, then approval; nothing but abstentions rejects."""
    if not has_quorum(counted, quorum_percent=quorum_percent):
        return NO_QUORUM
    return ACCEPTED if is_approved(counted, approval_percent=approval_percent) else REJECTED


def settled_result(
    counted: Counted, *, quorum_percent: int, approval_percent: int
) -> Result | None:
    """Return the result that no vote to come can change, if votes are final; None while one can.

    Only ballots are final: who is counted by a delegation may still revoke it or vote themselves,
    so they are as free as who did not take part. Of all that the free ones may do, nothing but no
    is the worst and nothing but yes the best for a proposal; and together they can always make the
    quorum, so that a missing one is never settled.

    Args:
        counted: the tally so far; of it, ballots cast directly count.
    """
    own = Counter(voice.choice for voice in counted.voices.values() if voice.delegate is None)
    free = counted.electorate - counted.direct
    yes, no = own[YES], own[NO]
    if counted.direct * 100 < quorum_percent * counted.electorate:
        return None
    if yes > 0 and yes * 100 >= approval_percent * (yes + no + free):
        return ACCEPTED
    best = yes + free
    if best == 0 or best * 100 < approval_percent * (best + no):
        return REJECTED
    return None

"""What a home node decides about proposals and votes: pure judgements over what was signed.

Time, and the verdict over every signature, are arguments. Who may propose is judged by the members
of now, who may vote by the electorate that was fixed when voting opened. Source: ADR 0041.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nodeimpl.governance import states
from nodeimpl.governance.effects import altered, judge_effect
from nodeimpl.governance.states import (
    AssemblyState,
    Cast,
    Delegated,
    Missed,
    Signed,
    Standing,
)
from opkit.proof.ballots import rightly_stands
from opkit.proof.governance import Counted, is_elector, settled_result
from opkit.wire import deciding as no
from opkit.wire.base import Did, MemberId, RecordId, Slug, TimeMs
from opkit.wire.governance import VoidedBy
from opkit.wire.membership import Member
from opkit.wire.votes import (
    ELECTORATE_MAX,
    Ballot,
    Choice,
    Decision,
    Delegation,
    Elector,
    Outcome,
    Proposal,
    Rule,
    RuleChange,
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a node keeps at most.

    Attributes:
        under_way_per_coop_max: drafts and open proposals of an assembly.
        under_way_per_member_max: of one proposer.
        lodged_max: ballots for assemblies elsewhere that were lodged here.
        lodged_per_member_max: of one member.
    """

    under_way_per_coop_max: int = 512
    under_way_per_member_max: int = 64
    lodged_max: int = 16_384
    lodged_per_member_max: int = 128


def judge_proposal(
    signed: Signed[Proposal], *, coop: Slug, proposer: Member | None, standing: Standing | None
) -> Proposal:
    """Return what a member proposes, or refuse it. The very same again is not refused.

    Args:
        proposer: the member whom it names, if there is one.
        standing: the assembly's proposal of the same id, if there is one.

    Refuses, in this order:
        ProposalRejected: it does not verify, or is for another assembly.
        ProposerUnknown: no member who votes in this assembly has the key.
        ProposalTaken: another proposal has the id, and is no draft of the same member.
        EffectMalformed: as `effects.judge_effect`.
    """
    said = signed.payload
    if said is None:
        raise no.ProposalRejected(why=signed.why)
    if said.aud != coop:
        raise no.ProposalRejected(why=f"it is for {said.aud}")
    judge_proposer(said, proposer=proposer)
    if standing is not None and standing.hash != signed.id:
        states.check("replace", standing)
        if standing.member_id != said.member_id:
            raise no.ProposalTaken(proposal_id=said.proposal_id, standing=standing.hash)
    judge_effect(said.effect, coop=coop)
    return said


def judge_proposer(said: Proposal, *, proposer: Member | None) -> None:
    """Return if a proposal is by a member who votes in its assembly.

    Refuses:
        ProposerUnknown: it is not.
    """
    why = _why_no_member(proposer, did=said.did, coop=said.aud)
    if why:
        raise no.ProposerUnknown(member_id=said.member_id, why=why)


def judge_opening(
    said: Proposal,
    *,
    assembly: AssemblyState,
    electorate_hash: RecordId,
    electors: int,
    under_way: int,
    under_way_of_member: int,
    limits: Limits,
) -> None:
    """Return if voting may be opened on what a proposal states now.

    Args:
        electorate_hash: of those who vote now; `electors` is how many they are.
        under_way: drafts and open proposals of the assembly besides this one.
        under_way_of_member: those of its proposer.

    Refuses, in this order:
        RuleChanged, ElectorateTooLarge, ElectorateChanged: the assembly is another by now.
        NonceUsed, NonceFuture: the treasury nonce is not the next one.
        ProposalsExhausted: as many are under way as may be.
    """
    if said.rule != assembly.rule:
        raise no.RuleChanged(field=_first_difference(said.rule, assembly.rule))
    if electors > ELECTORATE_MAX:
        raise no.ElectorateTooLarge(limit=ELECTORATE_MAX)
    if (said.electorate_hash, said.electors) != (electorate_hash, electors):
        raise no.ElectorateChanged(electorate_hash=electorate_hash)
    nonce = said.treasury_nonce
    if nonce is not None and nonce < assembly.next_nonce:
        raise no.NonceUsed(nonce=nonce, next_nonce=assembly.next_nonce)
    if nonce is not None and nonce > assembly.next_nonce:
        raise no.NonceFuture(nonce=nonce, next_nonce=assembly.next_nonce)
    judge_room(under_way=under_way, under_way_of_member=under_way_of_member, limits=limits)


def judge_room(*, under_way: int, under_way_of_member: int, limits: Limits) -> None:
    """Return if one more proposal may be under way.

    Refuses:
        ProposalsExhausted: none may.
    """
    if under_way >= limits.under_way_per_coop_max:
        raise no.ProposalsExhausted(limit=limits.under_way_per_coop_max)
    if under_way_of_member >= limits.under_way_per_member_max:
        raise no.ProposalsExhausted(limit=limits.under_way_per_member_max)


def opened(draft: Standing, *, rule: Rule, now_ms: TimeMs) -> Standing:
    """Return a draft as it stands once voting on it has begun."""
    closes_ms = now_ms + rule.voting_period_ms
    return replace(draft, state="open", opened_ms=now_ms, closes_ms=closes_ms)


def judge_ballot(
    signed: Signed[Ballot],
    *,
    standing: Standing,
    elector: Elector | None,
    did: Did | None,
    cast: Cast | None,
    votes_final: bool,
    now_ms: TimeMs,
) -> Ballot | None:
    """Return a ballot that is to be counted; None for one that stands already.

    A ballot of the same sequence and choice as the one that stands is the same vote.

    Args:
        elector: who may vote as the member whom it names; None if nobody may.
        did: that member's key now; the one of the opening unless it was replaced since.
        cast: their ballot that stands.

    Refuses, in this order:
        BallotRejected: it does not verify, or is for another assembly or proposal.
        ProposalNotOpen: nobody may vote yet, or any more.
        NotElector: the member, or the key, may not.
        VotingOver: the period is over.
        DoubleVote: another choice with the same sequence.
        VoteFinal: they voted, and votes are final.
        VoteStale: a ballot with a higher sequence stands.
    """
    said = signed.payload
    if said is None:
        raise no.BallotRejected(why=signed.why)
    if (said.aud, said.proposal) != (standing.coop, standing.hash):
        raise no.BallotRejected(why="it is for another proposal")
    if cast is not None and cast.id == signed.id:
        return None
    states.check("vote", standing)
    if elector is None:
        raise no.NotElector(member_id=said.member_id, why="no member of the electorate")
    if said.did != did:
        raise no.NotElector(member_id=said.member_id, why="not their key")
    assert standing.closes_ms is not None, "what is open closes"
    if now_ms >= standing.closes_ms:
        raise no.VotingOver(closes_ms=standing.closes_ms)
    if cast is None:
        return said
    if said.sequence == cast.sequence and said.choice != cast.choice:
        raise no.DoubleVote(member_id=said.member_id, sequence=cast.sequence, standing=cast.choice)
    if said.sequence == cast.sequence:
        return None
    if votes_final:
        raise no.VoteFinal(member_id=said.member_id)
    if said.sequence < cast.sequence:
        raise no.VoteStale(member_id=said.member_id, standing_sequence=cast.sequence)
    return said


def with_vote(standing: Standing, *, before: Choice | None, after: Choice) -> Standing:
    """Return a proposal with one more vote that a member cast themselves, or one changed."""
    numbers = {"yes": standing.yes, "no": standing.no, "abstain": standing.abstain}
    if before is not None:
        numbers[before] -= 1
    numbers[after] += 1
    return replace(standing, **numbers)  # type: ignore[arg-type]  # three counts, by name


def judge_delegation(
    signed: Signed[Delegation],
    *,
    coop: Slug,
    member: Member | None,
    to: Member | None,
    standing: Delegated | None,
    leads_back: bool,
) -> Delegation | None:
    """Return a delegation that is to stand; None for one that does already.

    Args:
        member: whom it names as its author; `to` is whom it names as the other.
        standing: the author's last one.
        leads_back: whether following it from `to` on would lead back to the author.

    Refuses, in this order:
        DelegationRejected: it does not verify, is for another assembly, or to oneself.
        NotElector: no member who votes in this assembly has the key.
        DelegateUnknown: the other is none of them.
        DelegationStale: one with this or a higher sequence stands.
        DelegationCycle: it would lead back.
    """
    said = signed.payload
    if said is None:
        raise no.DelegationRejected(why=signed.why)
    if said.aud != coop:
        raise no.DelegationRejected(why=f"it is for {said.aud}")
    if said.to == said.member_id:
        raise no.DelegationRejected(why="nobody votes for themselves by delegating")
    if standing is not None and standing.delegation == signed.token:
        return None
    why = _why_no_member(member, did=said.did, coop=coop)
    if why:
        raise no.NotElector(member_id=said.member_id, why=why)
    if said.to is not None and (to is None or not is_elector(to, coop)):
        raise no.DelegateUnknown(member_id=said.to)
    if standing is not None and said.sequence <= standing.sequence:
        raise no.DelegationStale(member_id=said.member_id, standing_sequence=standing.sequence)
    if leads_back:
        assert said.to is not None, "what is revoked leads nowhere"
        raise no.DelegationCycle(member_id=said.member_id, to=said.to)
    return said


def judge_close(standing: Standing, *, rule: Rule, counted: Counted | None, now_ms: TimeMs) -> None:
    """Return if voting may be closed now: its period is over, or no vote can change the outcome.

    Args:
        counted: the tally so far; wanted only where votes are final.

    Refuses, in this order:
        ProposalNotOpen: there is no voting to close.
        VotingRunning: the period is not over, and votes may be changed or change the outcome.
    """
    states.check("close", standing)
    assert standing.closes_ms is not None, "what is open closes"
    if now_ms >= standing.closes_ms:
        return
    settled = (
        rule.votes_final
        and counted is not None
        and settled_result(
            counted,
            quorum_percent=rule.quorum_percent,
            approval_percent=rule.approval_percent,
        )
    )
    if not settled:
        raise no.VotingRunning(closes_ms=standing.closes_ms)


def judge_cancel(standing: Standing, *, caller: MemberId, now_ms: TimeMs) -> None:
    """Return if a proposal may be taken back.

    Refuses, in this order:
        ProposalNotYours: somebody else proposed it.
        ProposalNotOpen: it is neither a draft nor open.
        VotingOver: its period is over: what was voted is to be counted.
    """
    judge_own(standing, caller=caller)
    states.check("cancel", standing)
    if standing.closes_ms is not None and now_ms >= standing.closes_ms:
        raise no.VotingOver(closes_ms=standing.closes_ms)


def judge_own(standing: Standing, *, caller: MemberId) -> None:
    """Return if the caller proposed it. Refuses: ProposalNotYours."""
    if standing.member_id != caller:
        raise no.ProposalNotYours(member_id=standing.member_id)


def closed(standing: Standing, decision: Decision, decision_hash: RecordId) -> Standing:
    """Return a proposal as it stands once it was decided."""
    waits = decision.outcome == "accepted" and standing.kind != "text"
    return replace(
        standing,
        state=decision.outcome,
        outcome=decision.outcome,
        tally=decision.tally,
        decision=decision_hash,
        closed_ms=decision.closed_ms,
        challenge_ends_ms=decision.challenge_ends_ms,
        executable_until_ms=decision.executable_until_ms,
        ended_ms=None if waits else decision.closed_ms,
    )


def challenge_end_of(rule: Rule, *, outcome: Outcome, now_ms: TimeMs) -> TimeMs:
    """Return until when votes may be shown to be missing; nothing was counted if cancelled."""
    return now_ms + (0 if outcome == "cancelled" else rule.challenge_window_ms)


def judge_nonce(standing: Standing, *, asked: int | None, next_nonce: int, ended: bool) -> None:
    """Return if an ask to execute states the treasury nonce that was decided.

    Args:
        asked: the nonce it states.
        next_nonce: the treasury's.
        ended: whether what took the nonce that it states came to its end.

    Refuses, in this order:
        NonceUsed: that nonce was used up.
        NonceFuture: nothing has it yet.
        EffectAltered: it is another proposal's, or there is none.
    """
    if asked == standing.treasury_nonce:
        return
    if asked is not None and asked < next_nonce and ended:
        raise no.NonceUsed(nonce=asked, next_nonce=next_nonce)
    if asked is not None and asked >= next_nonce:
        raise no.NonceFuture(nonce=asked, next_nonce=next_nonce)
    raise altered("treasury_nonce", decided=standing.treasury_nonce, asked=asked)


def judge_due(standing: Standing, *, now_ms: TimeMs) -> None:
    """Return if what was accepted has not expired. Refuses: DecisionExpired."""
    assert standing.executable_until_ms is not None, "what was decided has an end"
    if now_ms >= standing.executable_until_ms:
        raise no.DecisionExpired(expires_ms=standing.executable_until_ms)


def judge_window(standing: Standing, *, now_ms: TimeMs) -> None:
    """Return if nobody can challenge the decision any more. Refuses: ChallengeOpen."""
    assert standing.challenge_ends_ms is not None, "what was decided has a window"
    if now_ms < standing.challenge_ends_ms:
        raise no.ChallengeOpen(challenge_ends_ms=standing.challenge_ends_ms)


def judge_challenge(
    standing: Standing,
    *,
    missed: Missed | str,
    elector: Elector | None,
    keys: tuple[Did, ...],
    cast: Cast | None,
    votes_final: bool,
    now_ms: TimeMs,
) -> Missed:
    """Return the ballot that a decision's tally misses.

    Args:
        missed: what was shown, or why it shows nothing.
        elector: who may vote as the member whom the ballot names; `keys` are theirs.
        cast: their ballot that was counted.

    Refuses, in this order:
        Undecided, NotAccepted, DecisionVoided, EffectExecuted: as `states.check`.
        ChallengeLate: the window is over.
        ChallengeUnfounded: it shows nothing, is about another proposal, not by an elector, was
            lodged when voting was over, or the tally has it, or a later one.
    """
    states.check("challenge", standing)
    assert standing.challenge_ends_ms is not None, "what was decided has a window"
    if now_ms >= standing.challenge_ends_ms:
        raise no.ChallengeLate(challenge_ends_ms=standing.challenge_ends_ms)
    if isinstance(missed, str):
        raise no.ChallengeUnfounded(why=missed)
    why = _why_counted(standing, missed, elector=elector)
    if (
        not why
        and cast is not None
        and rightly_stands(cast, missed.ballot, by_home=missed.by_home, votes_final=votes_final)
    ):
        why = f"the tally has {cast.choice} with sequence {cast.sequence}"
    if not why and missed.ballot.did not in keys:
        why = "the ballot is not by their key"
    if why:
        raise no.ChallengeUnfounded(why=why)
    return missed


def voided(standing: Standing, by: VoidedBy) -> Standing:
    """Return a decided proposal as it stands once its decision is void."""
    return replace(standing, state="voided", voided_by=by, ended_ms=by.voided_ms)


def changed_rule(rule: Rule, change: RuleChange, *, decision: RecordId) -> Rule:
    """Return the rule after a decision changed it."""
    said = {name: value for name, value in change.model_dump().items() if value is not None}
    return rule.model_copy(update={**said, "decision": decision})


def _why_counted(standing: Standing, missed: Missed, *, elector: Elector | None) -> str:
    """Return why a ballot was not to be counted; empty if it was."""
    said = missed.ballot
    if (said.aud, said.proposal) != (standing.coop, standing.hash):
        return "the ballot is for another proposal"
    if elector is None:
        return f"{said.member_id} is no member of the electorate"
    assert standing.closes_ms is not None and standing.closed_ms is not None, "what is decided"
    over_ms = min(standing.closes_ms, standing.closed_ms)
    late = not missed.by_home and missed.world_ms >= over_ms
    return "it was lodged when voting was over" if late else ""


def _why_no_member(member: Member | None, *, did: Did, coop: Slug) -> str:
    """Return why nobody who votes in an assembly has a key; empty if the member does."""
    if member is None:
        return "no such member"
    if not is_elector(member, coop):
        return "no active member of this assembly"
    return "" if member.did == did else "not their key"


def _first_difference(one: Rule, other: Rule) -> str:
    a, b = one.model_dump(), other.model_dump()
    return next(name for name in a if a[name] != b[name])

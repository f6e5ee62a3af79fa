"""Judgements over proposals and votes: each refusal with its fields, their order, each bound."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from nodeimpl.governance import rules
from nodeimpl.governance.states import Missed, Standing
from opkit.proof.governance import Counted, count
from opkit.wire import deciding as no
from opkit.wire.errors import Refusal
from opkit.wire.governance import VoidedBy
from opkit.wire.ledger import TREASURY
from opkit.wire.votes import ELECTORATE_MAX, Choice, Outcome, RuleChange
from tests.nodeimpl.governance.conftest import COOP, SPEND
from tests.nodeimpl.governance.faults import (
    NEXT,
    OVER,
    STRANGER,
    challenge,
    delegate,
    open_,
    pairs,
    propose,
    singles,
    vote,
)
from tests.nodeimpl.governance.judged import (
    CLOSES_MS,
    ENDS_MS,
    MEMBER,
    OPENED_MS,
    OTHER,
    RULE,
    TALLY,
    UNTIL_MS,
    cast,
    decided,
    decision,
    delegated,
    delegation,
    member,
    missed,
    proposal,
    signed_ballot,
    standing,
    voting,
)
from tests.nodeimpl.judged import refused


def test_an_effect_pays_out_of_the_treasury() -> None:
    why = f"{COOP}:vendor/x is no account of the treasury"
    effect = SPEND.model_copy(update={"from_account": f"{COOP}:vendor/x"})
    with refused(no.EffectMalformed, why=why):
        propose(said={"effect": effect})
    for root in TREASURY:
        effect = SPEND.model_copy(update={"from_account": f"{COOP}:{root}"})
        assert propose(said={"effect": effect}).effect == effect


def test_a_proposal_is_drafted_drafted_anew_or_the_very_same() -> None:
    assert propose() == propose(standing=standing()) == proposal()
    same = standing(hash="2" * 64, state="accepted")
    assert propose(standing=same) == proposal(), "whatever became of it"


@pytest.mark.parametrize(
    ("proposer", "why"),
    [
        (None, "no such member"),
        (member(active=False), "no active member of this assembly"),
        (member(roles=("guest",)), "no active member of this assembly"),
        (member(member_id="mill/a", coop="mill"), "no active member of this assembly"),
        (member(active=False, did=STRANGER), "no active member of this assembly"),
        (member(did=STRANGER), "not their key"),
    ],
)
def test_who_proposes_and_delegates_votes_in_the_assembly(proposer: Any, why: str) -> None:
    rules.judge_proposer(proposal(), proposer=member())
    with refused(no.ProposerUnknown, member_id=MEMBER, why=why):
        rules.judge_proposer(proposal(), proposer=proposer)
    with refused(no.NotElector, member_id=MEMBER, why=why):
        delegate(member=proposer)


def test_an_electorate_of_as_many_as_may_be_votes_and_is_of_as_many_as_stated() -> None:
    open_(electors=ELECTORATE_MAX, said={"electors": ELECTORATE_MAX})
    with refused(no.ElectorateChanged, electorate_hash="e" * 64):
        open_(electors=4)


@pytest.mark.parametrize("next_nonce", [1, NEXT, 9])
def test_a_nonce_matters_to_what_has_one(next_nonce: int) -> None:
    open_(said={"treasury_nonce": None}, next_nonce=next_nonce)


CHANGES: dict[str, Any] = {
    "quorum_percent": 51,
    "approval_percent": 61,
    "voting_period_ms": 8,
    "challenge_window_ms": 12,
    "votes_final": True,
}


@pytest.mark.parametrize("field", [*CHANGES, "decision"])
def test_the_first_field_in_which_the_rule_is_another_is_told(field: str) -> None:
    changes = {**CHANGES, "decision": "d" * 64}
    names = list(changes)
    later = {name: changes[name] for name in names[names.index(field) :]}
    with refused(no.RuleChanged, field=field):
        open_(rule=RULE.model_copy(update=later))


@pytest.mark.parametrize("field", CHANGES)
def test_a_decision_changes_of_the_rule_what_it_says_and_no_more(field: str) -> None:
    said = {field: CHANGES[field], "decision": "d" * 64}
    changed = rules.changed_rule(RULE, RuleChange(**{field: CHANGES[field]}), decision="d" * 64)
    assert changed == RULE.model_copy(update=said)
    back = rules.changed_rule(changed, RuleChange(votes_final=False), decision="c" * 64)
    assert (back.votes_final, back.decision) == (False, "c" * 64)


def test_voting_goes_on_for_its_period() -> None:
    draft = standing()
    opened = rules.opened(draft, rule=RULE, now_ms=OPENED_MS)
    assert opened == replace(draft, state="open", opened_ms=OPENED_MS, closes_ms=OPENED_MS + 7)


def test_a_ballot_is_counted_the_first_and_one_with_a_higher_sequence() -> None:
    signed = signed_ballot()
    assert vote() == signed.payload
    assert vote(votes_final=True) == signed.payload
    assert vote(cast=cast("yes", 1)) == signed.payload
    assert vote(cast=cast("no", 1)) == signed.payload


def test_the_same_vote_again_is_answered_and_not_counted() -> None:
    for votes_final in (False, True):
        assert vote(cast=cast("no", 2), votes_final=votes_final) is None
    the_very_same = cast("no", 2, id=signed_ballot().id)
    assert vote(cast=the_very_same, standing=decided(), now_ms=CLOSES_MS) is None


@pytest.mark.parametrize(
    ("before", "after", "numbers"),
    [
        (None, "yes", (6, 6, 7)),
        (None, "no", (5, 7, 7)),
        (None, "abstain", (5, 6, 8)),
        ("yes", "no", (4, 7, 7)),
        ("no", "abstain", (5, 5, 8)),
        ("abstain", "yes", (6, 6, 6)),
        ("yes", "yes", (5, 6, 7)),
    ],
)
def test_a_vote_counts_once_however_often_it_is_changed(
    before: Choice | None, after: Choice, numbers: tuple[int, int, int]
) -> None:
    found = voting(yes=5, no=6, abstain=7)
    yes, against, abstain = numbers
    assert rules.with_vote(found, before=before, after=after) == replace(
        found, yes=yes, no=against, abstain=abstain
    )


def test_a_delegation_stands_in_place_of_one_before_it_and_is_revoked_by_one_to_nobody() -> None:
    signed, revoked = delegation(), delegation(to=None)
    assert delegate() == delegate(standing=delegated(1)) == signed.payload
    assert delegate(signed=revoked, to=None, standing=delegated(1)) == revoked.payload


def test_the_same_delegation_again_changes_nothing_whoever_they_are_by_now() -> None:
    stands = delegated(2, token=delegation().token)
    assert delegate(standing=stands) is None
    assert delegate(standing=stands, member=None, to=None, leads_back=True) is None


def close(found: Standing, *, now_ms: int, final: bool = True, counted: Any = None) -> None:
    rule = RULE.model_copy(update={"votes_final": final})
    rules.judge_close(found, rule=rule, counted=counted, now_ms=now_ms)


def tally(yes: int) -> Counted:
    """Return what so many of three voted."""
    names = ("a", "b", "c")
    return count(names, ballots=dict.fromkeys(names[:yes], "yes"), delegations={})


def test_voting_is_closed_when_its_period_is_over_whatever_was_voted() -> None:
    close(voting(), now_ms=CLOSES_MS, final=False)
    close(voting(), now_ms=CLOSES_MS, counted=tally(1))


def test_voting_is_closed_early_where_no_vote_can_change_the_outcome() -> None:
    close(voting(), now_ms=OPENED_MS, counted=tally(2))
    for final, counted in ((True, tally(1)), (True, None), (False, tally(2))):
        with refused(no.VotingRunning, closes_ms=CLOSES_MS):
            close(voting(), now_ms=CLOSES_MS - 1, final=final, counted=counted)


def test_what_is_not_open_is_not_closed() -> None:
    with refused(no.ProposalNotOpen, state="draft"):
        close(standing(), now_ms=CLOSES_MS)


def cancel(found: Standing, *, caller: str = MEMBER, now_ms: int = CLOSES_MS - 1) -> None:
    rules.judge_cancel(found, caller=caller, now_ms=now_ms)


def test_who_proposed_it_takes_it_back_as_long_as_it_is_voted_on() -> None:
    cancel(standing(), now_ms=UNTIL_MS)
    cancel(voting())
    for found in (decided(), voting()):
        with refused(no.ProposalNotYours, member_id=MEMBER):
            cancel(found, caller=OTHER, now_ms=CLOSES_MS)
    with refused(no.ProposalNotOpen, state="accepted"):
        cancel(decided(), now_ms=CLOSES_MS)
    with refused(no.VotingOver, closes_ms=CLOSES_MS):
        cancel(voting(), now_ms=CLOSES_MS)


def test_what_is_done_with_a_proposal_by_its_proposer_alone() -> None:
    rules.judge_own(standing(), caller=MEMBER)
    with refused(no.ProposalNotYours, member_id=MEMBER):
        rules.judge_own(standing(), caller=OTHER)


@pytest.mark.parametrize(
    ("kind", "outcome", "ended_ms"),
    [
        ("spend", "accepted", None),
        ("text", "accepted", CLOSES_MS),
        ("spend", "rejected", CLOSES_MS),
        ("text", "no-quorum", CLOSES_MS),
        ("spend", "cancelled", CLOSES_MS),
    ],
)
def test_what_was_decided_waits_only_for_an_effect(
    kind: Any, outcome: Outcome, ended_ms: int | None
) -> None:
    found = voting(kind=kind)
    closed = rules.closed(found, decision(kind=kind, outcome=outcome), "d" * 64)
    assert closed == replace(
        found,
        state=outcome,
        outcome=outcome,
        tally=TALLY,
        decision="d" * 64,
        closed_ms=CLOSES_MS,
        challenge_ends_ms=ENDS_MS,
        executable_until_ms=UNTIL_MS,
        ended_ms=ended_ms,
    )


@pytest.mark.parametrize(
    ("outcome", "ends_ms"),
    [("accepted", 111), ("rejected", 111), ("no-quorum", 111), ("cancelled", 100)],
)
def test_what_was_counted_can_be_challenged_for_the_rules_window(
    outcome: Outcome, ends_ms: int
) -> None:
    assert rules.challenge_end_of(RULE, outcome=outcome, now_ms=100) == ends_ms


@pytest.mark.parametrize(
    ("nonce", "asked", "ended", "leaf"),
    [
        (5, 4, True, no.NonceUsed),
        (5, 4, False, no.EffectAltered),
        (5, 7, True, no.NonceUsed),
        (5, 7, False, no.EffectAltered),
        (5, 8, True, no.NonceFuture),
        (5, 9, False, no.NonceFuture),
        (5, None, False, no.EffectAltered),
        (None, 5, False, no.EffectAltered),
        (5, 5, True, None),
        (8, 8, False, None),
        (None, None, False, None),
    ],
)
def test_what_is_executed_has_the_nonce_that_was_decided(
    nonce: int | None, asked: int | None, ended: bool, leaf: type[Refusal] | None
) -> None:
    details: dict[str, Any] = {"nonce": asked, "next_nonce": 8}
    if leaf is no.EffectAltered:
        details = {"field": "treasury_nonce", "decided": str(nonce), "asked": str(asked)}
    with refused(leaf, **details) if leaf else nullcontext():
        rules.judge_nonce(decided(treasury_nonce=nonce), asked=asked, next_nonce=8, ended=ended)


def test_what_was_accepted_is_executed_when_nobody_can_challenge_it_until_it_expires() -> None:
    rules.judge_window(decided(), now_ms=ENDS_MS)
    with refused(no.ChallengeOpen, challenge_ends_ms=ENDS_MS):
        rules.judge_window(decided(), now_ms=ENDS_MS - 1)
    rules.judge_due(decided(), now_ms=UNTIL_MS - 1)
    with refused(no.DecisionExpired, expires_ms=UNTIL_MS):
        rules.judge_due(decided(), now_ms=UNTIL_MS)


def test_a_ballot_that_the_tally_lacks_is_a_challenge() -> None:
    shown = missed()
    assert challenge(shown=shown) is shown
    assert challenge(shown=shown, cast=cast("yes", 1)) is shown, "none later stands"
    late = missed(by_home=True, world_ms=CLOSES_MS)
    assert challenge(shown=late) is late, "what the home acknowledged it had to count whenever"
    first = missed(by_home=True)
    assert challenge(shown=first, cast=cast("yes", 3), votes_final=True) is first


@pytest.mark.parametrize(
    ("shown", "stands", "final"),
    [
        (missed(), cast("yes", 3), False),
        (missed(), cast("yes", 1), True),
        (missed(by_home=True), cast("yes", 3), False),
    ],
)
def test_a_vote_that_rightly_stands_in_its_place_is_none(
    shown: Missed, stands: Any, final: bool
) -> None:
    with refused(no.ChallengeUnfounded, why=f"the tally has yes with sequence {stands.sequence}"):
        challenge(shown=shown, cast=stands, votes_final=final)


@pytest.mark.parametrize(("closes_ms", "closed_ms"), [(90, 100), (100, 90)])
def test_voting_is_over_with_its_period_or_when_it_was_closed_early(
    closes_ms: int, closed_ms: int
) -> None:
    found = decided(closes_ms=closes_ms, closed_ms=closed_ms)
    in_time = missed(world_ms=89)
    assert challenge(standing=found, shown=in_time) is in_time
    with refused(no.ChallengeUnfounded, **OVER):
        challenge(standing=found, shown=missed(world_ms=90))


def test_what_a_ballot_voids_ends_when_it_was_shown() -> None:
    by = VoidedBy(member_id=MEMBER, ballot="a.b.c", receipt="d.e.f", voided_ms=150)
    found = decided()
    assert rules.voided(found, by) == replace(found, state="voided", voided_by=by, ended_ms=150)


@pytest.mark.parametrize(("judge", "leaf", "details", "wrong"), singles())
def test_what_is_wrong_alone_is_refused_with_its_fields(
    judge: Callable[..., object], leaf: type[Refusal], details: Any, wrong: Any
) -> None:
    judge()
    with refused(leaf, **details):
        judge(**wrong)


@pytest.mark.parametrize(("judge", "leaf", "details", "wrong"), pairs())
def test_of_two_reasons_the_first_is_given(
    judge: Callable[..., object], leaf: type[Refusal], details: Any, wrong: Any
) -> None:
    with refused(leaf, **details):
        judge(**wrong)

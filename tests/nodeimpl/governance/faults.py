"""What each judgement refuses, in order of precedence, asked about what else is fine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest

from nodeimpl.governance import rules
from nodeimpl.governance.rules import Limits
from nodeimpl.governance.states import Missed, Signed
from opkit.wire import deciding as no
from opkit.wire.errors import Refusal
from opkit.wire.votes import ELECTORATE_MAX, Proposal
from tests.nodeimpl.governance.conftest import COOP, SPEND, key_of
from tests.nodeimpl.governance.judged import (
    CLOSES_MS,
    ELECTOR,
    ENDS_MS,
    KEY,
    MEMBER,
    OTHER,
    PROPOSAL,
    RULE,
    assembly,
    cast,
    decided,
    delegated,
    delegation,
    member,
    missed,
    proposal,
    signed_ballot,
    standing,
    voting,
)

NOT_SIGNED: Signed[Any] = Signed(token="x", why="it is not signed")
STRANGER = key_of("mill/x").did
NEXT = 5
LIMITS = Limits(under_way_per_coop_max=4, under_way_per_member_max=2)

Fault = tuple[type[Refusal], dict[str, Any], dict[str, Any]]
"""A refusal, its fields, and what is wrong then."""


def propose(*, coop: str = COOP, signed: Any = None, proposer: Any = "a", **found: Any) -> Proposal:
    said = found.pop("said", {})
    return rules.judge_proposal(
        signed or Signed(token="t", id="2" * 64, payload=proposal(**said)),
        coop=coop,
        proposer=member() if proposer == "a" else proposer,
        standing=found.get("standing"),
    )


ELSEWHERE = SPEND.model_copy(update={"to_account": "mill:vendor/x"})
TAKEN = {"proposal_id": "roof", "standing": PROPOSAL}
PROPOSALS: list[Fault] = [
    (no.ProposalRejected, {"why": "it is not signed"}, {"signed": NOT_SIGNED}),
    (no.ProposalRejected, {"why": f"it is for {COOP}"}, {"coop": "mill"}),
    (no.ProposerUnknown, {"member_id": MEMBER, "why": "no such member"}, {"proposer": None}),
    (no.ProposalTaken, TAKEN, {"standing": voting()}),
    (no.ProposalTaken, TAKEN, {"standing": standing(member_id=OTHER)}),
    (
        no.EffectMalformed,
        {"why": f"mill:vendor/x is in another ledger than {COOP}'s"},
        {"said": {"effect": ELSEWHERE}},
    ),
]


def open_(**wrong: Any) -> None:
    """Judge an opening at which all is as stated but what is named."""
    found: dict[str, Any] = {
        "electorate_hash": "e" * 64,
        "electors": 3,
        "under_way": 3,
        "under_way_of_member": 1,
        **wrong,
    }
    now = assembly(rule=found.pop("rule", RULE), next_nonce=found.pop("next_nonce", NEXT))
    said = proposal(**found.pop("said", {}))
    rules.judge_opening(said, assembly=now, limits=LIMITS, **found)


OPENINGS: list[Fault] = [
    (
        no.RuleChanged,
        {"field": "approval_percent"},
        {"rule": RULE.model_copy(update={"approval_percent": 61})},
    ),
    (no.ElectorateTooLarge, {"limit": ELECTORATE_MAX}, {"electors": ELECTORATE_MAX + 1}),
    (
        no.ElectorateChanged,
        {"electorate_hash": "f" * 64},
        {"electorate_hash": "f" * 64},
    ),
    (no.NonceUsed, {"nonce": 5, "next_nonce": 6}, {"next_nonce": 6}),
    (no.NonceFuture, {"nonce": 5, "next_nonce": 4}, {"next_nonce": 4}),
    (no.ProposalsExhausted, {"limit": 4}, {"under_way": 4}),
    (no.ProposalsExhausted, {"limit": 2}, {"under_way_of_member": 2}),
]


def vote(*, signed: Any = None, **found: Any) -> object:
    about: dict[str, Any] = {
        "standing": voting(),
        "elector": ELECTOR,
        "did": KEY,
        "cast": None,
        "votes_final": False,
        "now_ms": CLOSES_MS - 1,
    }
    return rules.judge_ballot(signed or signed_ballot(), **about | found)


FOREIGN = {"why": "it is for another proposal"}
BALLOTS: list[Fault] = [
    (no.BallotRejected, {"why": "it is not signed"}, {"signed": NOT_SIGNED}),
    (no.BallotRejected, FOREIGN, {"signed": signed_ballot(aud="mill")}),
    (no.BallotRejected, FOREIGN, {"signed": signed_ballot(proposal="2" * 64)}),
    (no.ProposalNotOpen, {"state": "draft"}, {"standing": standing()}),
    (
        no.NotElector,
        {"member_id": MEMBER, "why": "no member of the electorate"},
        {"elector": None},
    ),
    (no.NotElector, {"member_id": MEMBER, "why": "not their key"}, {"did": STRANGER}),
    (no.VotingOver, {"closes_ms": CLOSES_MS}, {"now_ms": CLOSES_MS}),
    (
        no.DoubleVote,
        {"member_id": MEMBER, "sequence": 2, "standing": "yes"},
        {"cast": cast("yes", 2), "votes_final": True},
    ),
    (no.VoteFinal, {"member_id": MEMBER}, {"cast": cast("yes", 1), "votes_final": True}),
    (no.VoteFinal, {"member_id": MEMBER}, {"cast": cast("yes", 3), "votes_final": True}),
    (no.VoteStale, {"member_id": MEMBER, "standing_sequence": 3}, {"cast": cast("no", 3)}),
]


def delegate(*, signed: Any = None, coop: str = COOP, **found: Any) -> object:
    about: dict[str, Any] = {
        "member": member(),
        "to": member(member_id=OTHER),
        "standing": None,
        "leads_back": False,
    }
    return rules.judge_delegation(signed or delegation(), coop=coop, **about | found)


UNKNOWN = {"member_id": OTHER}
DELEGATIONS: list[Fault] = [
    (no.DelegationRejected, {"why": "it is not signed"}, {"signed": NOT_SIGNED}),
    (no.DelegationRejected, {"why": f"it is for {COOP}"}, {"coop": "mill"}),
    (
        no.DelegationRejected,
        {"why": "nobody votes for themselves by delegating"},
        {"signed": delegation(to=MEMBER)},
    ),
    (no.NotElector, {"member_id": MEMBER, "why": "no such member"}, {"member": None}),
    (no.DelegateUnknown, UNKNOWN, {"to": None}),
    (no.DelegateUnknown, UNKNOWN, {"to": member(member_id=OTHER, active=False)}),
    (no.DelegateUnknown, UNKNOWN, {"to": member(member_id="mill/b", coop="mill")}),
    (
        no.DelegationStale,
        {"member_id": MEMBER, "standing_sequence": 2},
        {"standing": delegated(2)},
    ),
    (
        no.DelegationStale,
        {"member_id": MEMBER, "standing_sequence": 3},
        {"standing": delegated(3)},
    ),
    (no.DelegationCycle, {"member_id": MEMBER, "to": OTHER}, {"leads_back": True}),
]


def challenge(*, shown: Missed | str | None = None, **found: Any) -> Missed:
    about: dict[str, Any] = {
        "elector": ELECTOR,
        "keys": (STRANGER, KEY),
        "cast": None,
        "votes_final": False,
        "now_ms": ENDS_MS - 1,
    }
    about |= found
    return rules.judge_challenge(
        about.pop("standing", decided()), missed=missed() if shown is None else shown, **about
    )


OVER = {"why": "it was lodged when voting was over"}
FOUNDLESS = {"why": "the ballot is for another proposal"}
CHALLENGES: list[Fault] = [
    (no.Undecided, {"state": "open"}, {"standing": voting(challenge_ends_ms=ENDS_MS)}),
    (no.ChallengeLate, {"challenge_ends_ms": ENDS_MS}, {"now_ms": ENDS_MS}),
    (no.ChallengeUnfounded, {"why": "it does not verify"}, {"shown": "it does not verify"}),
    (no.ChallengeUnfounded, FOUNDLESS, {"shown": missed(proposal="2" * 64)}),
    (no.ChallengeUnfounded, FOUNDLESS, {"shown": missed(aud="mill")}),
    (
        no.ChallengeUnfounded,
        {"why": f"{MEMBER} is no member of the electorate"},
        {"elector": None},
    ),
    (no.ChallengeUnfounded, OVER, {"shown": missed(world_ms=CLOSES_MS)}),
    (
        no.ChallengeUnfounded,
        {"why": "the tally has no with sequence 2"},
        {"cast": cast("no", 2)},
    ),
    (no.ChallengeUnfounded, {"why": "the ballot is not by their key"}, {"keys": (STRANGER,)}),
]


JUDGED: list[tuple[Callable[..., object], list[Fault]]] = [
    (propose, PROPOSALS),
    (open_, OPENINGS),
    (vote, BALLOTS),
    (delegate, DELEGATIONS),
    (challenge, CHALLENGES),
]
"""Each judgement with what it refuses, in order of precedence."""


def singles() -> list[Any]:
    """Return every fault by itself."""
    return list(_singles())


def pairs() -> list[Any]:
    """Return every two faults that can be there at once, with what the first is refused with."""
    return list(_pairs())


def _singles() -> Iterator[Any]:
    for judge, faults in JUDGED:
        for leaf, details, wrong in faults:
            yield pytest.param(judge, leaf, details, wrong, id=f"{judge.__name__}-{leaf.code}")


def _pairs() -> Iterator[Any]:
    for judge, faults in JUDGED:
        for (leaf, details, wrong), (other, _, besides) in combinations(faults, 2):
            if not wrong.keys() & besides.keys():
                name = f"{judge.__name__}-{leaf.code}-{other.code}"
                yield pytest.param(judge, leaf, details, wrong | besides, id=name)

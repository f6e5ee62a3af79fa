"""What the judgements are asked about: a proposal, a ballot and a delegation, as each is fine."""

from __future__ import annotations

from typing import Any

from nodeimpl.governance.states import AssemblyState, Cast, Delegated, Missed, Signed, Standing
from opkit.wire.membership import Member
from opkit.wire.votes import (
    NO_DECISION,
    Ballot,
    Decision,
    Delegation,
    Elector,
    Proposal,
    Rule,
    Tally,
)
from tests.nodeimpl.governance.conftest import COOP, NETWORK, SPEND, key_of

MEMBER, OTHER = f"{COOP}/a", f"{COOP}/b"
KEY = key_of(MEMBER).did
PROPOSAL = "1" * 64
OPENED_MS, CLOSES_MS, ENDS_MS, UNTIL_MS = 93, 100, 200, 300
ELECTOR = Elector(member_id=MEMBER, did=KEY, sequence=1, link=None)
RULE = Rule(
    quorum_percent=50,
    approval_percent=60,
    voting_period_ms=7,
    challenge_window_ms=11,
    votes_final=False,
    decision=None,
)
TALLY = Tally(electorate=3, cast=2, yes=1, no=1, abstain=0, delegated=0)


def proposal(**changes: Any) -> Proposal:
    """Return a spend that a member proposes, but for the changes."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": COOP,
        "did": KEY,
        "member_id": MEMBER,
        "proposal_id": "roof",
        "title": "A roof",
        "text": "",
        "effect": SPEND,
        "treasury_nonce": 5,
        "rule": RULE,
        "electorate_hash": "e" * 64,
        "electors": 3,
        "issued_at_ms": 0,
    }
    return Proposal(**said | changes)


def standing(**changes: Any) -> Standing:
    """Return the proposal as it stands: drafted, but for the changes."""
    said: dict[str, Any] = {
        "coop": COOP,
        "proposal_id": "roof",
        "hash": PROPOSAL,
        "number": 1,
        "signed": "a.b.c",
        "member_id": MEMBER,
        "title": "A roof",
        "kind": "spend",
        "treasury_nonce": 5,
        "electorate_hash": "e" * 64,
        "electors": 3,
        "state": "draft",
        "drafted_ms": 0,
    }
    return Standing(**said | changes)


def voting(**changes: Any) -> Standing:
    """Return it while voting goes on."""
    return standing(**{"state": "open", "opened_ms": OPENED_MS, "closes_ms": CLOSES_MS} | changes)


def decided(**changes: Any) -> Standing:
    """Return it as it was accepted."""
    said: dict[str, Any] = {
        "state": "accepted",
        "closed_ms": CLOSES_MS,
        "challenge_ends_ms": ENDS_MS,
        "executable_until_ms": UNTIL_MS,
        "decision": "d" * 64,
    }
    return voting(**said | changes)


def decision(**changes: Any) -> Decision:
    """Return the decision on it."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": COOP,
        "did": key_of("home").did,
        "sequence": 1,
        "previous": NO_DECISION,
        "proposal_id": "roof",
        "proposal": PROPOSAL,
        "kind": "spend",
        "treasury_nonce": 5,
        "rule": RULE,
        "electorate_hash": "e" * 64,
        "tally": TALLY,
        "ballots_hash": "0" * 64,
        "delegations_hash": "0" * 64,
        "commitments_root": "0" * 64,
        "outcome": "accepted",
        "opened_ms": OPENED_MS,
        "closes_ms": CLOSES_MS,
        "closed_ms": CLOSES_MS,
        "challenge_ends_ms": ENDS_MS,
        "executable_until_ms": UNTIL_MS,
    }
    return Decision(**said | changes)


def assembly(**changes: Any) -> AssemblyState:
    """Return the assembly that the proposal states."""
    said: dict[str, Any] = {
        "coop": COOP,
        "rule": RULE,
        "next_nonce": 5,
        "decisions": 0,
        "last_decision": NO_DECISION,
    }
    return AssemblyState(**said | changes)


def member(**changes: Any) -> Member:
    """Return who proposed it, who may vote too."""
    said: dict[str, Any] = {
        "member_id": MEMBER,
        "coop": COOP,
        "name": "A",
        "title": "",
        "did": KEY,
        "roles": ("member",),
        "active": True,
        "sequence": 0,
    }
    return Member(**said | changes)


def ballot(**changes: Any) -> Ballot:
    """Return their second vote on it: against."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": COOP,
        "did": KEY,
        "member_id": MEMBER,
        "proposal": PROPOSAL,
        "choice": "no",
        "sequence": 2,
        "issued_at_ms": 0,
    }
    return Ballot(**said | changes)


def signed_ballot(**changes: Any) -> Signed[Ballot]:
    return Signed(token="g.h.i", id="3" * 64, payload=ballot(**changes))


def cast(choice: Any, sequence: int, **changes: Any) -> Cast:
    """Return a ballot of theirs that stands."""
    said: dict[str, Any] = {
        "member_id": MEMBER,
        "choice": choice,
        "sequence": sequence,
        "id": "4" * 64,
        "did": KEY,
        "ballot": "",
        "salt": "",
        "receipt": "",
        "cast_ms": 0,
    }
    return Cast(**said | changes)


def missed(**changes: Any) -> Missed:
    """Return that vote as one that is shown: lodged elsewhere just before the end."""
    by_home, world_ms = changes.pop("by_home", False), changes.pop("world_ms", CLOSES_MS - 1)
    return Missed(ballot=ballot(**changes), id="3" * 64, by_home=by_home, world_ms=world_ms)


def delegation(**changes: Any) -> Signed[Delegation]:
    """Return their second delegation: to another member of the assembly."""
    said: dict[str, Any] = {
        "network": NETWORK,
        "aud": COOP,
        "did": KEY,
        "member_id": MEMBER,
        "to": OTHER,
        "sequence": 2,
        "issued_at_ms": 0,
    }
    return Signed(token="d.e.f", payload=Delegation(**said | changes))


def delegated(sequence: int, *, token: str = "x.y.z") -> Delegated:
    """Return a delegation of theirs that stands."""
    return Delegated(
        member_id=MEMBER, to=OTHER, sequence=sequence, did=KEY, delegation=token, set_ms=0
    )

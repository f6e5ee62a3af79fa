"""What the judgements say of what nobody gets as far as: whoever asks has been refused before."""

from __future__ import annotations

from typing import Any

import pytest

from nodeimpl.governance import rules
from nodeimpl.governance.states import Cast, Delegated, Missed, Signed, Standing
from opkit.wire import deciding as no
from opkit.wire.membership import Member
from opkit.wire.votes import Ballot, Delegation, Elector
from tests.nodeimpl.governance.conftest import COOP, NETWORK, key_of
from tests.nodeimpl.governance.test_limits import SAID

MEMBER = f"{COOP}/a"
KEY = key_of(MEMBER).did
PROPOSAL = "1" * 64
CLOSED_MS = 100


def standing(**changes: Any) -> Standing:
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
        "state": "accepted",
        "drafted_ms": 0,
        "closes_ms": CLOSED_MS,
        "closed_ms": CLOSED_MS,
        "challenge_ends_ms": 200,
        "executable_until_ms": 300,
    }
    return Standing(**said | changes)


def delegation(**changes: Any) -> Signed[Delegation]:
    said = Delegation(
        network=NETWORK,
        aud=changes.pop("aud", COOP),
        did=KEY,
        member_id=MEMBER,
        to=changes.pop("to", f"{COOP}/b"),
        sequence=2,
        issued_at_ms=0,
    )
    return Signed(token="d.e.f", payload=said)


def member(name: str) -> Member:
    return Member(
        member_id=f"{COOP}/{name}",
        coop=COOP,
        name=name,
        title="",
        did=key_of(f"{COOP}/{name}").did,
        roles=("member",),
        active=True,
        sequence=0,
    )


def delegated(signed: Signed[Delegation], *, standing: Delegated | None = None) -> object:
    return rules.judge_delegation(
        signed, coop=COOP, member=member("a"), to=member("b"), standing=standing, leads_back=False
    )


def test_a_delegation_is_one_of_this_assembly_and_to_somebody_else() -> None:
    signed = delegation()
    assert delegated(signed) == signed.payload
    for wrong in (
        Signed[Delegation](token="x", why="it is not signed"),
        delegation(aud="mill"),
        delegation(to=MEMBER),
    ):
        with pytest.raises(no.DelegationRejected):
            delegated(wrong)


def test_the_same_delegation_again_changes_nothing() -> None:
    signed = delegation()
    stands = Delegated(
        member_id=MEMBER, to=f"{COOP}/b", sequence=2, did=KEY, delegation=signed.token, set_ms=0
    )
    assert delegated(signed, standing=stands) is None


def test_a_proposal_for_another_assembly_is_none_of_this_one() -> None:
    signed = Signed(token="x", id="2" * 64, payload=SAID)
    with pytest.raises(no.ProposalRejected, match="it is for"):
        rules.judge_proposal(signed, coop="mill", proposer=member("a"), standing=None)


def test_what_was_accepted_can_be_executed_until_it_expires() -> None:
    rules.judge_due(standing(), now_ms=299)
    with pytest.raises(no.DecisionExpired) as refusal:
        rules.judge_due(standing(), now_ms=300)
    assert refusal.value.expires_ms == 300


def missed(**changes: Any) -> Missed:
    ballot: dict[str, Any] = {
        "network": NETWORK,
        "aud": COOP,
        "did": KEY,
        "member_id": MEMBER,
        "proposal": PROPOSAL,
        "choice": "no",
        "sequence": 2,
        "issued_at_ms": 0,
    }
    by_home, world_ms = changes.pop("by_home", False), changes.pop("world_ms", CLOSED_MS - 1)
    return Missed(
        ballot=Ballot(**ballot | changes), id="3" * 64, by_home=by_home, world_ms=world_ms
    )


def cast(choice: Any, sequence: int) -> Cast:
    return Cast(
        member_id=MEMBER,
        choice=choice,
        sequence=sequence,
        id="4" * 64,
        did=KEY,
        ballot="",
        salt="",
        receipt="",
        cast_ms=0,
    )


ELECTOR = Elector(member_id=MEMBER, did=KEY, sequence=1, link=None)


def challenge(shown: Missed, **changes: Any) -> Missed:
    said: dict[str, Any] = {"elector": ELECTOR, "keys": (KEY,), "cast": None, "votes_final": False}
    return rules.judge_challenge(standing(), missed=shown, now_ms=150, **said | changes)


def test_a_ballot_that_the_tally_lacks_is_a_challenge() -> None:
    shown = missed()
    assert challenge(shown) is shown
    assert challenge(shown, cast=cast("yes", 1)) is shown, "an earlier vote stands for none later"
    late = missed(by_home=True, world_ms=CLOSED_MS)
    assert challenge(late) is late, "what the home acknowledged it had to count whenever it was"


@pytest.mark.parametrize(
    ("shown", "changes", "why"),
    [
        (missed(proposal="2" * 64), {}, "another proposal"),
        (missed(), {"elector": None}, "no member of the electorate"),
        (missed(world_ms=CLOSED_MS), {}, "when voting was over"),
        (missed(), {"keys": ()}, "not by their key"),
        (missed(), {"cast": cast("no", 2)}, "the tally has no with sequence 2"),
        (missed(), {"cast": cast("yes", 3)}, "the tally has yes with sequence 3"),
        (missed(), {"cast": cast("yes", 1), "votes_final": True}, "the tally has yes"),
        (missed(by_home=True), {"cast": cast("yes", 3)}, "the tally has yes"),
    ],
)
def test_what_shows_nothing_is_none(shown: Missed, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(no.ChallengeUnfounded, match=why):
        challenge(shown, **changes)


def test_where_votes_are_final_the_home_counts_what_it_acknowledged_first() -> None:
    shown = missed(by_home=True)
    assert challenge(shown, cast=cast("yes", 3), votes_final=True) is shown

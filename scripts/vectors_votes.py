"""What governance signs: a vote from proposal to decision, and files that are none.

Everything follows from the keys in `vectors_people`. The electors are the coop's founder and its
one later member; the founder lets the member vote for her.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import vectors_people as people

from opkit.proof import jws
from opkit.proof.ballots import (
    commitments_of,
    commitments_root,
    ids_hash,
    make_ballot,
    make_delegation,
    sign_ballot_receipt,
    sign_lodging_receipt,
)
from opkit.proof.decision import verify_attested, verify_decision
from opkit.proof.governance import charter_rule, electorate_hash
from opkit.proof.proposals import make_distribution, sign_proposal
from opkit.wire.base import Jws, RecordId
from opkit.wire.governance import BallotPassed, PassBallot
from opkit.wire.membership import DECIDED_MEMBER_TYP, DecidedMember
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    NO_DECISION,
    AttestedDecision,
    AttestedFile,
    BallotReceipt,
    CountedBallot,
    Decision,
    DecisionFile,
    Elector,
    ElectorChain,
    LodgingReceipt,
    Proposal,
    Tally,
)

ADA, ZOE = f"{people.COOP}/ada", f"{people.COOP}/zoe"
OPENED_MS = people.CLOCK_MS
CLOSED_MS = OPENED_MS + people.charter().voting_period_ms
ENDS_MS = CLOSED_MS + people.charter().challenge_window_ms
WEIGHTS = {f"{people.COOP}:member/{name}": weight for name, weight in (("ada", 2), ("zoe", 1))}


@cache
def proposal(**changes: Any) -> Jws:
    """Return a surplus split by weights, as the founder proposes it."""
    electors = (
        Elector(member_id=ADA, did=people.did("founder"), sequence=0, link=None),
        Elector(
            member_id=ZOE,
            did=people.did("member"),
            sequence=1,
            link=jws.record_id(people.membership()[0]),
        ),
    )
    said = {
        "network": people.NETWORK,
        "aud": people.COOP,
        "did": people.did("founder"),
        "member_id": ADA,
        "proposal_id": "surplus",
        "title": "The surplus of the first quarter, 10 €",
        "text": "By hours.",
        "effect": make_distribution(
            from_account=f"{people.COOP}:surplus",
            unit="patronage-credits",
            surplus=1_000,
            weights=WEIGHTS,
        ),
        "treasury_nonce": 1,
        "rule": charter_rule(people.charter()),
        "electorate_hash": electorate_hash(people.COOP, electors),
        "electors": 2,
        "issued_at_ms": people.CLOCK_MS,
    }
    return sign_proposal(Proposal(**{**said, **changes}), people.identity("founder"))


@cache
def ballot(sequence: int = 2) -> Jws:
    """Return the member's vote: a yes."""
    return make_ballot(
        people.identity("member"),
        network=people.NETWORK,
        member_id=ZOE,
        proposal=jws.record_id(proposal()),
        choice="yes",
        sequence=sequence,
        at_ms=people.CLOCK_MS + 1,
    )


@cache
def delegation() -> Jws:
    """Return the founder's word that the member votes for her."""
    return make_delegation(
        people.identity("founder"),
        network=people.NETWORK,
        member_id=ADA,
        to=ZOE,
        sequence=1,
        at_ms=people.CLOCK_MS,
    )


def salt() -> str:
    """Return what a commitment is salted with; here it is no secret."""
    return hashlib.sha256(b"opkit vector salt").hexdigest()[:32]


def _receipts() -> Iterator[tuple[Jws, str]]:
    said: dict[str, Any] = {
        "network": people.NETWORK,
        "aud": people.COOP,
        "proposal": jws.record_id(proposal()),
        "member_id": ZOE,
        "ballot": jws.record_id(ballot()),
        "sequence": 2,
        "received_ms": people.CLOCK_MS + 2,
        "world_ms": people.CLOCK_MS + 2,
    }
    counted = BallotReceipt(did=people.did("node-1"), salt=salt(), **said)
    yield sign_ballot_receipt(counted, people.identity("node-1")), "node-1"
    lodged = LodgingReceipt(did=people.did("node-2"), **said)
    yield sign_lodging_receipt(lodged, people.identity("node-2")), "node-2"


def passed() -> tuple[PassBallot, BallotPassed]:
    """Return a lodged ballot that is handed to the home, and what it answers."""
    counted, lodged = (token for token, _ in _receipts())
    return PassBallot(ballot=ballot(), receipt=lodged), BallotPassed(receipt=counted, voided=False)


def file(*, by: str = "node-1", **changes: Any) -> DecisionFile:
    """Return the decision with all that was counted, but for what the decision says otherwise."""
    ids = [jws.record_id(ballot())]
    said: dict[str, Any] = {
        "network": people.NETWORK,
        "aud": people.COOP,
        "did": people.did(by),
        "sequence": 1,
        "previous": NO_DECISION,
        "proposal_id": "surplus",
        "proposal": jws.record_id(proposal()),
        "kind": "distribution",
        "treasury_nonce": 1,
        "rule": charter_rule(people.charter()),
        "electorate_hash": jws.peek(proposal()).payload["electorate_hash"],
        "tally": Tally(electorate=2, cast=2, yes=2, no=0, abstain=0, delegated=1),
        "ballots_hash": ids_hash(ids),
        "delegations_hash": ids_hash([jws.record_id(delegation())]),
        "commitments_root": commitments_root(commitments_of([(ids[0], salt())])),
        "outcome": "accepted",
        "opened_ms": OPENED_MS,
        "closes_ms": CLOSED_MS,
        "closed_ms": CLOSED_MS,
        "challenge_ends_ms": ENDS_MS,
        "executable_until_ms": ENDS_MS + EXECUTE_WITHIN_MS,
    }
    decision = Decision(**{**said, **changes})
    return DecisionFile(
        decision=jws.sign(decision, typ=DECISION_TYP, identity=people.identity(by)),
        proposal=proposal(),
        electors=(
            ElectorChain(member_id=ADA),
            ElectorChain(member_id=ZOE, records=people.membership()),
        ),
        ballots=(CountedBallot(ballot=ballot(), salt=salt()),),
        delegations=(delegation(),),
    )


@cache
def attested() -> AttestedFile:
    """Return what leaves the coop of it."""
    whole = file()
    said = jws.peek(whole.decision).payload
    left = ("previous", "kind", "ballots_hash", "delegations_hash", "executable_until_ms")
    body = AttestedDecision.model_validate(
        {
            **{name: value for name, value in said.items() if name not in left},
            "decision": jws.record_id(whole.decision),
            "title": jws.peek(proposal()).payload["title"],
            "effect": jws.peek(proposal()).payload["effect"],
            "commitments": 1,
        },
        strict=False,
    )
    token = jws.sign(body, typ=ATTESTED_DECISION_TYP, identity=people.identity("node-1"))
    ids: list[tuple[RecordId, str]] = [(jws.record_id(ballot()), salt())]
    return AttestedFile(attested=token, commitments=commitments_of(ids))


def decided_link(*, by: str = "node-1") -> Jws:
    """Return a link by which the coop gives its later member another role."""
    link = DecidedMember(
        network=people.NETWORK,
        aud=people.COOP,
        action="add",
        member_id=ZOE,
        name="Zoë",
        title="Treasurer",
        did=people.did("member"),
        roles=("member", "officer"),
        sequence=2,
        issued_at_ms=people.CLOCK_MS,
        node=people.did(by),
        proposal="1" * 64,
        decision="2" * 64,
    )
    return jws.sign(link, typ=DECIDED_MEMBER_TYP, identity=people.identity(by))


def signed() -> dict[Jws, str]:
    """Return an object of each type, with the name of who signed it."""
    return {
        proposal(): "founder",
        ballot(): "member",
        delegation(): "founder",
        **dict(_receipts()),
        file().decision: "node-1",
        attested().attested: "node-1",
        decided_link(): "node-1",
    }


def files() -> Iterator[dict[str, Any]]:
    """Yield decisions that every reader counts to the same end."""
    for name, one in (("accepted, one through another", file()),):
        assert verify_decision(one, genesis=people.genesis()).ok, name
        said = jws.peek(one.decision).payload
        yield {
            "name": name,
            "file": one.model_dump(mode="json"),
            "hash": jws.record_id(one.decision),
            "tally": said["tally"],
            "outcome": said["outcome"],
        }
    assert verify_attested(attested(), genesis=people.genesis()).ok


def refused() -> Iterator[dict[str, Any]]:
    """Yield files that no reader believes, each with the one check that it fails."""
    good = file()
    spoilt: tuple[tuple[str, str, DecisionFile], ...] = (
        ("signed by a node elsewhere", "home-node", file(by="node-2")),
        ("another proposal", "kind", file(kind="text")),
        ("an electorate that nobody fixed", "electorate-agreed", file(electorate_hash="0" * 64)),
        ("one more vote", "tally-recounted", file(tally=_tally(abstain=1, yes=1))),
        ("rejected though accepted", "outcome", file(outcome="rejected")),
        ("closed a moment early", "period-over", file(**_at(CLOSED_MS - 1))),
        ("a window that is too short", "challenge-window", file(**_until(CLOSED_MS + 1))),
        ("other ballots", "ballots-hash", file(ballots_hash="0" * 64)),
        ("other delegations", "delegations-hash", file(delegations_hash="0" * 64)),
        ("other commitments", "commitments-root", file(commitments_root="0" * 64)),
        (
            "electors out of order",
            "electors-once",
            good.model_copy(update={"electors": good.electors[::-1]}),
        ),
        (
            "a chain that shows nobody",
            "elector-chains",
            good.model_copy(update={"electors": (good.electors[0], ElectorChain(member_id=ZOE))}),
        ),
    )
    for name, check, one in spoilt:
        verdict = verify_decision(one, genesis=people.genesis())
        assert {each.name for each in verdict.failures} == {check}, (name, verdict.failures)
        yield {"name": name, "file": one.model_dump(mode="json"), "check": check}


def _tally(**changes: int) -> Tally:
    said = {"electorate": 2, "cast": 2, "yes": 2, "no": 0, "abstain": 0, "delegated": 1}
    return Tally(**{**said, **changes})


def _at(closed_ms: int) -> dict[str, Any]:
    ends_ms = closed_ms + people.charter().challenge_window_ms
    return {"closed_ms": closed_ms, **_until(ends_ms)}


def _until(ends_ms: int) -> dict[str, Any]:
    return {"challenge_ends_ms": ends_ms, "executable_until_ms": ends_ms + EXECUTE_WITHIN_MS}

"""Omissions: a vote that was given in time and is missing in the tally is a proof to carry around.

Whoever has the ballot, a receipt for it and the decision shows anybody with the genesis that the
home node left it out; no node needs to agree. Two receipts do: the home's own, and that of any
other node with which the ballot was lodged before voting closed. Source: ADR 0041, ADR 0042.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from opkit.proof import jws
from opkit.proof.ballots import (
    commitment_of,
    ids_hash,
    read_ballot,
    read_ballot_receipt,
    read_receipt,
    rightly_stands,
)
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.decision import examine_attested, read_decision
from opkit.proof.genesis import GenesisView
from opkit.proof.membership import member_history
from opkit.wire.base import Did, Jws, MemberId
from opkit.wire.votes import (
    AttestedFile,
    Ballot,
    BallotReceipt,
    Decision,
    DecisionFile,
    LodgingReceipt,
)


def verify_omission(
    file: DecisionFile, *, ballot: Jws, receipt: Jws, genesis: GenesisView
) -> Verdict:
    """Check that a decision's file lacks a vote that was given in time; never raises for a bad one.

    The verdict is good if the omission is proven. It is not if the file has that vote, or what
    rightly stands instead of it. The subject says who left it out: the home, if the file has all
    ballots that the home says it counted; otherwise whoever cut this copy.

    Args:
        file: the decision with its ballots.
        ballot: what is said to be missing.
        receipt: the home's `BallotReceipt`, or another node's `LodgingReceipt`.
        genesis: the network's genesis as the verifier keeps it.
    """
    subject = "vote left out"
    decision, signed = attempt("decision-signature", lambda: _decision(file.decision, genesis))
    if decision is None:
        return Verdict(subject=subject, checks=(signed,), anchored=True)
    checks = [signed]
    said, cast = attempt("ballot-signature", lambda: read_ballot(ballot, network=genesis.network))
    checks.append(cast)
    if said is None:
        return Verdict(subject=subject, checks=tuple(checks), anchored=True)
    taken, received = attempt("receipt-signature", lambda: read_receipt(receipt, genesis=genesis))
    keys, elector = _elector(file, said, genesis)
    checks += [
        received,
        equal("proposal", expected=decision.proposal, actual=said.proposal),
        equal("assembly", expected=decision.aud, actual=said.aud),
        elector,
    ]
    if taken is not None:
        checks += [*_acknowledged(taken, said, ballot), _in_time(taken, decision)]
    by_home = isinstance(taken, BallotReceipt)
    counted = _counted(file, said, keys)
    checks.append(_missing(counted, said, by_home=by_home, votes_final=decision.rule.votes_final))
    where = _left_out(file, decision)
    return Verdict(
        subject=f"vote of {said.member_id} left out {where}", checks=tuple(checks), anchored=True
    )


def verify_omission_attested(
    file: AttestedFile, *, ballot: Jws, receipt: Jws, genesis: GenesisView
) -> Verdict:
    """Check that an attested decision commits to no such ballot, by the salt in the home's receipt.

    It is proven unless the home shows a later ballot of the same member, which replaced this one.

    Args:
        file: what left the coop.
        ballot: what is said to be missing.
        receipt: the home's `BallotReceipt`, which has the salt.
        genesis: the network's genesis as the verifier keeps it.
    """
    verdict, attested = examine_attested(file, genesis=genesis)
    checks = [
        Check(
            name="attestation",
            ok=verdict.ok,
            expected="verifies",
            actual="verifies" if verdict.ok else verdict.failures[0].name,
        )
    ]
    said, cast = attempt("ballot-signature", lambda: read_ballot(ballot, network=genesis.network))
    taken, received = attempt(
        "receipt-signature", lambda: read_ballot_receipt(receipt, genesis=genesis)
    )
    checks += [cast, received]
    subject = "vote not committed to"
    if attested is None or said is None or taken is None:
        return Verdict(subject=subject, checks=tuple(checks), anchored=True)
    commitment = commitment_of(taken.ballot, taken.salt)
    checks += [
        equal("proposal", expected=attested.proposal, actual=said.proposal),
        *_acknowledged(taken, said, ballot),
        Check(
            name="commitment-missing",
            ok=commitment not in file.commitments,
            expected=f"no {commitment}",
            actual="it is there" if commitment in file.commitments else "it is not there",
        ),
    ]
    return Verdict(subject=f"{subject}: {said.member_id}", checks=tuple(checks), anchored=True)


def _decision(token: Jws, genesis: GenesisView) -> Decision:
    decision = read_decision(token, network=genesis.network)
    charter = genesis.charter(decision.aud)
    if charter is None or charter.home_node != decision.did:
        raise ProofError(f"{decision.did} is not the home node of {decision.aud}")
    return decision


def _elector(
    file: DecisionFile, said: Ballot, genesis: GenesisView
) -> tuple[tuple[Did, ...], Check]:
    """Return the keys of an elector, from that of the opening on, and the check that one signed."""
    name = "elector-key"
    keys, tried = attempt(name, lambda: _keys(file, said.member_id, genesis))
    if keys is None:
        return (), tried
    expected = " or ".join(keys)
    return keys, Check(name=name, ok=said.did in keys, expected=expected, actual=said.did)


def _keys(file: DecisionFile, member_id: MemberId, genesis: GenesisView) -> tuple[Did, ...]:
    chain = next((each for each in file.electors if each.member_id == member_id), None)
    if chain is None:
        raise ProofError(f"{member_id} is no elector")
    states = member_history(member_id, genesis=genesis, records=(*chain.records, *chain.later))
    at = len(states) - 1 - len(chain.later)
    if at < 0:
        raise ProofError(f"nothing shows that {member_id} is a member")
    return tuple(state.did for state in states[at:])


def _acknowledged(taken: BallotReceipt | LodgingReceipt, said: Ballot, ballot: Jws) -> list[Check]:
    """Return the checks that a receipt is for this very ballot."""
    return [
        equal("receipt-ballot", expected=jws.record_id(ballot), actual=taken.ballot),
        equal("receipt-member", expected=said.member_id, actual=taken.member_id),
        equal("receipt-proposal", expected=said.proposal, actual=taken.proposal),
    ]


def _in_time(taken: BallotReceipt | LodgingReceipt, decision: Decision) -> Check:
    """Return the check that a ballot was given before voting ended: at the home, or elsewhere.

    What the home acknowledged it had to count, whatever time it noted. Elsewhere the time counts:
    before the end of the period, and before the vote was closed early.
    """
    if isinstance(taken, BallotReceipt):
        return equal("given-in-time", expected="in time", actual="in time")
    ends_ms = min(decision.closes_ms, decision.closed_ms)
    return Check(
        name="given-in-time",
        ok=taken.world_ms < ends_ms,
        expected=f"before {ends_ms}",
        actual=str(taken.world_ms),
    )


def _counted(file: DecisionFile, said: Ballot, keys: Container[Did]) -> list[Ballot]:
    """Return how the elector with these keys voted in a file on what a ballot is on."""
    found = []
    for each in file.ballots:
        try:
            if jws.peek(each.ballot).payload.get("member_id") != said.member_id:
                continue
            counted = read_ballot(each.ballot, network=said.network)
        except ProofError:
            # What does not verify is no vote, and hides none.
            continue
        # Nor does what somebody else signed in the member's name.
        if counted.proposal == said.proposal and counted.did in keys:
            found.append(counted)
    return found


def _missing(counted: Sequence[Ballot], said: Ballot, *, by_home: bool, votes_final: bool) -> Check:
    """Return the check that neither this vote was counted nor one that stands before it."""
    told = [f"{each.choice} with sequence {each.sequence}" for each in counted]
    return Check(
        name="missing-in-tally",
        ok=not any(
            rightly_stands(each, said, by_home=by_home, votes_final=votes_final) for each in counted
        ),
        expected="neither it nor what replaced it",
        actual=" and ".join(told) or "not there",
    )


def _left_out(file: DecisionFile, decision: Decision) -> str:
    """Return by whom: the home, if a file's ballots are all that the home says it counted."""
    try:
        whole = ids_hash(jws.record_id(one.ballot) for one in file.ballots) == decision.ballots_hash
    except ProofError:
        whole = False
    return "by the home" if whole else "of this copy of the file"

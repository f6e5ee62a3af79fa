"""The roll-call in a decision's file: who could vote, how each did, and who voted for whom.

Each check names the first member with whom something is wrong, so that a reader of ten thousand
votes knows where to look. Source: ADR 0042.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from opkit.proof import jws
from opkit.proof.ballots import (
    commitments_of,
    commitments_root,
    ids_hash,
    read_ballot,
    read_delegation,
)
from opkit.proof.checks import Check, ProofError, attempt, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.governance import electorate_hash, first_in_circle, is_elector
from opkit.proof.membership import member_history
from opkit.wire.base import Did, MemberId, RecordId
from opkit.wire.votes import (
    Ballot,
    Decision,
    DecisionFile,
    Delegation,
    Elector,
    ElectorChain,
    Proposal,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollCall:
    """What a file says of who voted how; only what was read of it.

    Attributes:
        electors: everybody who could vote, with the keys that they could sign with: that of the
            opening and those that followed; None where nobody's key is known, for there is no
            genesis or a chain is broken.
        ballots: by member.
        delegations: by member.
    """

    electors: Mapping[MemberId, tuple[Did, ...] | None]
    ballots: Mapping[MemberId, Ballot]
    delegations: Mapping[MemberId, Delegation]


def call_roll(
    file: DecisionFile,
    *,
    decision: Decision,
    proposal: Proposal,
    genesis: GenesisView | None,
) -> tuple[RollCall, list[Check]]:
    """Return the roll-call of a file, and the checks of it.

    Args:
        file: the file.
        decision: what it is about, read before; proposal: what was voted on.
        genesis: by which chains begin; without it, nothing is said of whose keys they are.
    """
    electors, checks = _electors(file, proposal, genesis)
    ballots, more = _ballots(file, decision)
    checks += more
    checks.append(_all_electors("ballots-by-electors", ballots, electors))
    delegations, more = _delegations(file, decision)
    checks += more
    checks.append(_all_electors("delegations-by-electors", delegations, electors))
    return RollCall(electors=electors, ballots=ballots, delegations=delegations), checks


def _electors(
    file: DecisionFile, proposal: Proposal, genesis: GenesisView | None
) -> tuple[dict[MemberId, tuple[Did, ...] | None], list[Check]]:
    """Return who could vote, with their keys, and the checks that they are the electorate."""
    checks = [
        _in_order("electors-once", [each.member_id for each in file.electors]),
        equal("electors-counted", expected=proposal.electors, actual=len(file.electors)),
    ]
    if genesis is None:
        return {each.member_id: None for each in file.electors}, checks
    read, chains = attempt(
        "elector-chains", lambda: [_elector(each, proposal, genesis) for each in file.electors]
    )
    checks.append(chains)
    if read is None:
        return {each.member_id: None for each in file.electors}, checks
    hashed = electorate_hash(proposal.aud, (elector for elector, _ in read))
    checks.append(equal("electorate-hash", expected=proposal.electorate_hash, actual=hashed))
    proposer = next((one for one, _ in read if one.member_id == proposal.member_id), None)
    checks.append(
        equal(
            "proposer-elector",
            expected=proposal.did,
            actual="no elector" if proposer is None else proposer.did,
        )
    )
    return {elector.member_id: keys for elector, keys in read}, checks


def _elector(
    chain: ElectorChain, proposal: Proposal, genesis: GenesisView
) -> tuple[Elector, tuple[Did, ...]]:
    """Return an elector as their chain has them, and the keys of then and since.

    Raises:
        ProofError: a link of the chain is broken, or it does not show a member who votes.
    """
    states = member_history(
        chain.member_id, genesis=genesis, records=(*chain.records, *chain.later)
    )
    at = len(states) - 1 - len(chain.later)
    if at < 0:
        raise ProofError(f"nothing shows that {chain.member_id} is a member")
    member = states[at]
    if not is_elector(member, proposal.aud):
        raise ProofError(f"{chain.member_id} is no member who votes in {proposal.aud}")
    elector = Elector(
        member_id=member.member_id,
        did=member.did,
        sequence=member.sequence,
        link=jws.record_id(chain.records[-1]) if chain.records else None,
    )
    return elector, tuple(state.did for state in states[at:])


def _ballots(file: DecisionFile, decision: Decision) -> tuple[dict[MemberId, Ballot], list[Check]]:
    """Return the ballots by member, and the checks that they are those that were counted."""
    tokens = [each.ballot for each in file.ballots]
    read, signed = attempt(
        "ballot-signatures",
        lambda: _each("ballot", tokens, lambda each: read_ballot(each, network=decision.network)),
    )
    checks = [signed]
    ids = [jws.record_id(token) for token in tokens] if read is not None else []
    ballots = read or []
    other = next((one for one in ballots if one.proposal != decision.proposal), None)
    checks += [
        _in_order("ballots-once", [ballot.member_id for ballot in ballots]),
        Check(
            name="ballots-on-proposal",
            ok=other is None,
            expected=decision.proposal,
            actual=decision.proposal if other is None else f"{other.member_id}: {other.proposal}",
        ),
        equal("ballots-hash", expected=decision.ballots_hash, actual=ids_hash(ids)),
        _committed(decision, ids, salts=[each.salt for each in file.ballots]),
    ]
    return {ballot.member_id: ballot for ballot in ballots}, checks


def _committed(decision: Decision, ids: list[RecordId], *, salts: list[str]) -> Check:
    """Return the check that the commitments that leave the coop are to these ballots."""
    name = "commitments-root"
    root, tried = attempt(
        name, lambda: commitments_root(commitments_of(zip(ids, salts, strict=False)))
    )
    return tried if root is None else equal(name, expected=decision.commitments_root, actual=root)


def _delegations(
    file: DecisionFile, decision: Decision
) -> tuple[dict[MemberId, Delegation], list[Check]]:
    """Return the delegations by member, and the checks that they are those that were counted."""
    read, signed = attempt(
        "delegation-signatures",
        lambda: _each(
            "delegation",
            file.delegations,
            lambda each: read_delegation(each, network=decision.network),
        ),
    )
    said = read or []
    ids = [jws.record_id(token) for token in file.delegations] if read is not None else []
    revoked = next((one.member_id for one in said if one.to is None), "none")
    circle = first_in_circle({each.member_id: each.to for each in said if each.to is not None})
    checks = [
        signed,
        _in_order("delegations-once", [each.member_id for each in said]),
        equal("delegations-standing", expected="none", actual=revoked),
        equal("delegations-in-no-circle", expected="none", actual=circle or "none"),
        equal("delegations-hash", expected=decision.delegations_hash, actual=ids_hash(ids)),
    ]
    return {each.member_id: each for each in said}, checks


def _all_electors(
    name: str,
    said: Mapping[MemberId, Ballot | Delegation],
    electors: Mapping[MemberId, tuple[Did, ...] | None],
) -> Check:
    """Return the check that each was signed by an elector, with a key of theirs if that is known.

    A key counts from when voting opened on: that of then, or one that a later link gave them.
    """
    wrong = next((each for each in said.values() if not _is_electors(each, electors)), None)
    return Check(
        name=name,
        ok=wrong is None,
        expected="electors with their own keys",
        actual=f"{len(said)} of them" if wrong is None else f"{wrong.member_id} with {wrong.did}",
    )


def _is_electors(
    said: Ballot | Delegation, electors: Mapping[MemberId, tuple[Did, ...] | None]
) -> bool:
    keys = electors.get(said.member_id, ())
    return keys is None or said.did in keys


def _each(what: str, tokens: Iterable[str], read: Callable[[str], T]) -> list[T]:
    """Return each token as it was read. Raises `ProofError`, which names the first bad one."""
    found = []
    for number, token in enumerate(tokens, 1):
        try:
            found.append(read(token))
        except ProofError as bad:
            raise ProofError(f"{what} {number}: {bad.why}") from bad
    return found


def _in_order(name: str, members: list[MemberId]) -> Check:
    """Return the check that nobody stands twice: all stand in the order of their ids."""
    wrong = next((later for one, later in pairwise(members) if one >= later), None)
    return Check(
        name=name,
        ok=wrong is None,
        expected="each once, by member id",
        actual=f"{len(members)} of them" if wrong is None else f"{wrong} out of place",
    )

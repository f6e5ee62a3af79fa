"""Decisions: counted again by whoever holds the file and the genesis, without any node.

The decision's file has every ballot, so the tally is recounted and nobody has to believe it. What
leaves the coop has commitments instead: its tally is attested, not recounted, and says so.
Source: ADR 0041, ADR 0042.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from opkit.proof import jws
from opkit.proof.ballots import commitments_root
from opkit.proof.checks import Check, ProofError, Verdict, attempt, equal
from opkit.proof.genesis import GenesisView
from opkit.proof.governance import Counted, charter_rule, count, result_of, settled_result
from opkit.proof.proposals import check_effect, read_proposal
from opkit.proof.rollcall import RollCall, call_roll
from opkit.wire.base import Did, RecordId, Slug
from opkit.wire.flaws import first_flaw
from opkit.wire.membership import DecidedMember, Member
from opkit.wire.votes import (
    ATTESTED_DECISION_TYP,
    DECISION_FILE_BYTES_MAX,
    DECISION_TYP,
    EXECUTE_WITHIN_MS,
    NO_DECISION,
    AttestedDecision,
    AttestedFile,
    Decision,
    DecisionFile,
    Effect,
    MembershipEffect,
    Proposal,
    Rule,
)

ATTESTED = "attested, not recounted"
"""What is said of a tally whose ballots are not there to be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """What a file says, once all that can be read of it was read.

    Attributes:
        hash: the decision's.
        counted: the tally as it was counted again; who voted how, and through whom.
    """

    hash: RecordId
    decision: Decision
    proposal: Proposal
    counted: Counted


def read_file(data: bytes) -> DecisionFile | AttestedFile:
    """Return a decision's file as it was written, in either form; nothing in it is verified.

    Raises:
        ProofError: too large, or neither form.
    """
    if len(data) > DECISION_FILE_BYTES_MAX:
        raise ProofError(f"{len(data)} bytes are more than {DECISION_FILE_BYTES_MAX}")
    kind = AttestedFile if b'"attested"' in data else DecisionFile
    try:
        return kind.model_validate_json(data)
    except ValidationError as bad:
        raise ProofError(f"it is no decision's file: {first_flaw(bad)}") from bad


def decision_hash(file: DecisionFile) -> RecordId:
    """Return the hash of a file's decision: what entries and member records cite.

    Raises:
        ProofError: there is no token.
    """
    return jws.record_id(file.decision)


def read_decision(token: str, *, network: str | None) -> Decision:
    """Return a decision that the node that it names signed; whether it is the home is not asked.

    Raises:
        ProofError: signature, type, network or shape.
    """
    return jws.verify_by_author(token, typ=DECISION_TYP, author="did", network=network, of=Decision)


def read_attested(token: str, *, network: str | None) -> AttestedDecision:
    """Return what left a coop of a decision, signed by the node that it names, as `read_decision`.

    Raises:
        ProofError: signature, type, network or shape.
    """
    return jws.verify_by_author(
        token, typ=ATTESTED_DECISION_TYP, author="did", network=network, of=AttestedDecision
    )


def attested_of(
    decision: Decision, *, cited: RecordId, title: str, effect: Effect, commitments: int
) -> AttestedDecision:
    """Return what leaves the coop of a decision.

    Args:
        cited: the decision's hash.
        title: the proposal's; `effect` what it decided.
        commitments: how many ballots are committed to.
    """
    shared = decision.model_dump(
        exclude={"previous", "kind", "ballots_hash", "delegations_hash", "executable_until_ms"}
    )
    return AttestedDecision(
        **shared, decision=cited, title=title, effect=effect, commitments=commitments
    )


def said_checks(said: Decision | AttestedDecision, *, genesis: GenesisView | None) -> list[Check]:
    """Return the checks of what a home node says was decided, without anything to count again."""
    checks = []
    if genesis is not None:
        checks += [_by_home(said.did, said.aud, genesis)]
        checks += _chartered(said.rule, said.aud, genesis)
    return [*checks, *_adds_up(said), _outcome(said), *_window(said)]


def verify_decision(file: DecisionFile, *, genesis: GenesisView | None) -> Verdict:
    """Check a decision and count it again; never raises for a bad one. See `examine_decision`."""
    return examine_decision(file, genesis=genesis)[0]


def examine_decision(
    file: DecisionFile, *, genesis: GenesisView | None
) -> tuple[Verdict, DecisionView | None]:
    """Check a decision, and return what it says if it and its proposal could be read at all.

    Without a genesis nobody's key is known: signatures are checked against the keys that the
    objects name themselves, which shows that the file adds up, and nothing about whose it is.

    Args:
        file: the decision, the proposal, and everything that was counted.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    network = None if genesis is None else genesis.network
    decision, signed = attempt(
        "decision-signature", lambda: read_decision(file.decision, network=network)
    )
    if decision is None:
        return Verdict(subject="decision", checks=(signed,), anchored=genesis is not None), None
    checks = [signed]
    if genesis is not None:
        checks += [_by_home(decision.did, decision.aud, genesis)]
        checks += _chartered(decision.rule, decision.aud, genesis)
    proposal, proposed = attempt(
        "proposal-signature", lambda: read_proposal(file.proposal, network=decision.network)
    )
    checks.append(proposed)
    subject = _subject(decision)
    if proposal is None:
        verdict = Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None)
        return verdict, None
    checks += _agreement(file, decision, proposal)
    roll, called = call_roll(file, decision=decision, proposal=proposal, genesis=genesis)
    counted = recount(roll)
    checks += called
    checks += _counted(decision, counted)
    checks += _times(decision, counted)
    view = DecisionView(
        hash=decision_hash(file), decision=decision, proposal=proposal, counted=counted
    )
    return Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None), view


def verify_attested(file: AttestedFile, *, genesis: GenesisView | None) -> Verdict:
    """Check what left a coop of a decision: attested, not recounted; never raises for a bad one."""
    return examine_attested(file, genesis=genesis)[0]


def examine_attested(
    file: AttestedFile, *, genesis: GenesisView | None
) -> tuple[Verdict, AttestedDecision | None]:
    """Check what left a coop of a decision, and return it if its own signature verifies.

    How anybody voted is not in it, so the tally is the home node's word. What is checked is that
    it is that word, that it does not contradict itself, and that it commits to as many ballots.

    Args:
        file: the attested decision, and the commitments.
        genesis: the network's genesis as the verifier keeps it; None if they have none.
    """
    network = None if genesis is None else genesis.network
    said, signed = attempt(
        "attestation-signature", lambda: read_attested(file.attested, network=network)
    )
    if said is None:
        return Verdict(subject=ATTESTED, checks=(signed,), anchored=genesis is not None), None
    checks = [signed, *said_checks(said, genesis=genesis)]
    root, rooted = attempt("commitments-root", lambda: commitments_root(file.commitments))
    if root is not None:
        rooted = equal("commitments-root", expected=said.commitments_root, actual=root)
    tally = said.tally
    checks += [
        rooted,
        equal("commitments-counted", expected=said.commitments, actual=len(file.commitments)),
        equal("ballots-committed", expected=tally.cast - tally.delegated, actual=said.commitments),
        _effect_holds(said.effect, said.aud),
    ]
    subject = f"{_subject(said)} ({ATTESTED})"
    return Verdict(subject=subject, checks=tuple(checks), anchored=genesis is not None), said


def recount(roll: RollCall) -> Counted:
    """Return the tally of a roll-call."""
    return count(
        roll.electors.keys(),
        ballots={each: ballot.choice for each, ballot in roll.ballots.items()},
        delegations={
            each: said.to for each, said in roll.delegations.items() if said.to is not None
        },
    )


def check_decided_member(
    link: DecidedMember, view: DecisionView, *, standing: Member | None
) -> None:
    """Return if a link of a membership chain is what a decision, verified before, makes of it.

    Who is admitted becomes what the decision says; who is removed or gets another key stays what
    they are in all else.

    Args:
        link: the link, verified before.
        view: what is known of the decision.
        standing: the member before the link; None if they were never known.

    Raises:
        ProofError: it cites another decision, the decision was not accepted, or it decided
            something else.
    """
    if (link.decision, link.proposal) != (view.hash, view.decision.proposal):
        raise ProofError("the link cites another decision")
    if view.decision.outcome != "accepted":
        raise ProofError(f"the decision is {view.decision.outcome}")
    effect = view.proposal.effect
    if not isinstance(effect, MembershipEffect):
        raise ProofError(f"the decision is about a {effect.kind}")
    action = "revoke" if effect.action == "remove" else "add"
    if (link.aud, link.member_id, link.action) != (view.decision.aud, effect.member_id, action):
        raise ProofError("the decision is about another member, or another change")
    if effect.did is not None and link.did != effect.did:
        raise ProofError("the decision gives another key")
    given = effect if effect.action == "admit" else standing
    if given is None:
        raise ProofError(f"{effect.member_id} was no member whom it could change")
    if (link.name, link.title, link.roles) != (given.name, given.title, given.roles):
        raise ProofError("the decision gives another name, title or roles")


# What both forms are checked for.


def _by_home(did: Did, aud: Slug, genesis: GenesisView) -> Check:
    charter = genesis.charter(aud)
    return Check(
        name="home-node",
        ok=charter is not None and charter.home_node == did,
        expected="no such coop" if charter is None else charter.home_node,
        actual=did,
    )


def _chartered(rule: Rule, aud: Slug, genesis: GenesisView) -> list[Check]:
    """Return the check that a rule that cites no decision is the founders' own."""
    charter = genesis.charter(aud)
    if charter is None or rule.decision is not None:
        return []
    return [equal("rule-chartered", expected=charter_rule(charter), actual=rule)]


def _agreement(file: DecisionFile, decision: Decision, proposal: Proposal) -> list[Check]:
    """Return the checks that a decision is on this proposal, as it was read, and says the same."""
    return [
        equal("proposal-cited", expected=decision.proposal, actual=jws.record_id(file.proposal)),
        equal("assembly", expected=proposal.aud, actual=decision.aud),
        equal("proposal-id", expected=proposal.proposal_id, actual=decision.proposal_id),
        equal("kind", expected=proposal.effect.kind, actual=decision.kind),
        equal("treasury-nonce", expected=proposal.treasury_nonce, actual=decision.treasury_nonce),
        equal("rule-agreed", expected=proposal.rule, actual=decision.rule),
        equal(
            "electorate-agreed", expected=proposal.electorate_hash, actual=decision.electorate_hash
        ),
        _effect_holds(proposal.effect, proposal.aud),
    ]


def _effect_holds(effect: Effect, coop: Slug) -> Check:
    return attempt("effect-well-formed", lambda: check_effect(effect, coop=coop))[1]


def _counted(decision: Decision, counted: Counted) -> list[Check]:
    """Return the checks that the tally is what was counted again, and decides what it should."""
    return [
        equal("tally-recounted", expected=counted.tally, actual=decision.tally),
        _outcome(decision),
    ]


def _adds_up(said: Decision | AttestedDecision) -> list[Check]:
    """Return the checks that a tally that nobody can count does not contradict itself."""
    tally = said.tally
    return [
        equal("tally-sum", expected=tally.cast, actual=tally.yes + tally.no + tally.abstain),
        Check(
            name="tally-within",
            ok=tally.delegated <= tally.cast <= tally.electorate,
            expected="delegated ≤ cast ≤ electorate",
            actual=f"{tally.delegated}, {tally.cast}, {tally.electorate}",
        ),
    ]


def _outcome(said: Decision | AttestedDecision) -> Check:
    """Return the check that a tally decides what is said; cancelled is the home's word."""
    if said.outcome == "cancelled":
        return equal("outcome", expected="cancelled", actual=said.outcome)
    rule = said.rule
    result = result_of(
        said.tally,
        quorum_percent=rule.quorum_percent,
        approval_percent=rule.approval_percent,
    )
    return equal("outcome", expected=result, actual=said.outcome)


def _times(decision: Decision, counted: Counted) -> list[Check]:
    """Return the checks of when a vote was opened, closed, and may be executed."""
    rule = decision.rule
    settled = settled_result(
        counted, quorum_percent=rule.quorum_percent, approval_percent=rule.approval_percent
    )
    over = decision.closed_ms >= decision.closes_ms
    early = decision.outcome == "cancelled" or (rule.votes_final and settled is not None)
    return [
        *_window(decision),
        Check(
            name="period-over",
            ok=over or early,
            expected=f"{decision.closes_ms} or later",
            actual=str(decision.closed_ms),
        ),
        equal(
            "executable-until",
            expected=decision.challenge_ends_ms + EXECUTE_WITHIN_MS,
            actual=decision.executable_until_ms,
        ),
        equal(
            "chain-start",
            expected="none before" if decision.sequence == 1 else "one before",
            actual="none before" if decision.previous == NO_DECISION else "one before",
        ),
    ]


def _window(said: Decision | AttestedDecision) -> list[Check]:
    """Return the checks of the times that the rule gives."""
    window_ms = 0 if said.outcome == "cancelled" else said.rule.challenge_window_ms
    return [
        equal(
            "closes-after-period",
            expected=said.opened_ms + said.rule.voting_period_ms,
            actual=said.closes_ms,
        ),
        Check(
            name="closed-after-opening",
            ok=said.opened_ms <= said.closed_ms,
            expected=f"{said.opened_ms} or later",
            actual=str(said.closed_ms),
        ),
        equal(
            "challenge-window",
            expected=said.closed_ms + window_ms,
            actual=said.challenge_ends_ms,
        ),
    ]


def _subject(said: Decision | AttestedDecision) -> str:
    return f"decision {said.sequence} of {said.aud} on {said.proposal_id}"

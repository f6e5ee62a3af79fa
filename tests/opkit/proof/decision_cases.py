"""Decisions that are wrong in one way each, by the checks that notice: files and attested ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opkit.proof import jws
from opkit.proof.decision import examine_decision
from opkit.proof.keys import Identity
from opkit.proof.membership import read_decided
from opkit.wire.membership import Member
from opkit.wire.votes import (
    DistributionEffect,
    DistributionLine,
    ElectorChain,
    MembershipEffect,
    Rule,
    Tally,
)
from tests.opkit.proof.assemblies import NAMES, TOOLS, cast, good, good_rule, tampered

STRANGER = Identity.from_seed(b"\7" * 32)
OTHER_RULE = Rule(
    quorum_percent=10,
    approval_percent=51,
    voting_period_ms=1_000,
    challenge_window_ms=500,
    votes_final=True,
    decision="3" * 64,
)


def by_yard(assembly: Any) -> Any:
    return good(assembly, signer=assembly.network.nodes["building-yard"])


def unchartered(assembly: Any) -> Any:
    return good(
        assembly, proposal=assembly.proposal(rule=OTHER_RULE.model_copy(update={"decision": None}))
    )


def proposal_forged(assembly: Any) -> Any:
    file = good(assembly)
    return file.model_copy(update={"proposal": tampered(file.proposal)})


def other_proposal(assembly: Any) -> Any:
    proposal = assembly.proposal()
    ballots = [assembly.ballot(name, "yes", "0" * 64) for name in NAMES]
    return assembly.file(ballots, proposal=proposal, cites="0" * 64)


def other_assembly(assembly: Any) -> Any:
    return good(assembly, signer=assembly.network.nodes["building-yard"], aud="building-yard")


def unequal_split(assembly: Any) -> Any:
    accounts = (f"{TOOLS}:member/ilse", f"{TOOLS}:member/jan")
    lines = tuple(
        DistributionLine(account=account, weight=1, amount=amount)
        for account, amount in zip(accounts, (3, 7), strict=True)
    )
    effect = DistributionEffect(
        from_account=f"{TOOLS}:surplus", unit="usd-cents", surplus=10, lines=lines
    )
    return good(assembly, proposal=assembly.proposal(effect=effect))


def electors_swapped(assembly: Any) -> Any:
    first, second, *rest = assembly.electors
    return good(assembly, electors=(second, first, *rest))


def chain_broken(assembly: Any) -> Any:
    member_id = f"{TOOLS}/kim"
    first, _ = assembly.chains[member_id]
    late = assembly.network.record(member_id, did=STRANGER.did, sequence=2, signer=STRANGER)
    return good(
        assembly,
        electors=[
            ElectorChain(member_id=member_id, records=(first, late))
            if each.member_id == member_id
            else each
            for each in assembly.electors
        ],
    )


def proposer_unknown(assembly: Any) -> Any:
    proposal = assembly.proposal(signer=STRANGER)
    return good(assembly, proposal=proposal)


def ballot_forged(assembly: Any) -> Any:
    file = good(assembly)
    first = file.ballots[0]
    bad = first.model_copy(update={"ballot": tampered(first.ballot)})
    return file.model_copy(update={"ballots": (bad, *file.ballots[1:])})


def with_ballot(assembly: Any, at: int, *args: Any, **changes: Any) -> Any:
    """Return a file with one more ballot, counted as the home would, at a place."""
    proposal = assembly.proposal()
    ballots = cast(assembly, proposal)
    hashed = changes.pop("proposal", jws.record_id(proposal))
    ballots.insert(at, assembly.ballot(*args, hashed, **changes))
    return assembly.file(ballots, proposal=proposal)


def voted_twice(assembly: Any) -> Any:
    return with_ballot(assembly, 1, "ilse", "yes", sequence=2)


def ballot_elsewhere(assembly: Any) -> Any:
    return with_ballot(assembly, 4, "ondrej", "yes", proposal="0" * 64)


def outsider(assembly: Any) -> Any:
    return with_ballot(assembly, 4, "zoe", "no", signer=STRANGER)


def outsider_of_yard(assembly: Any) -> Any:
    ruth = assembly.network.members["building-yard/ruth"]
    return with_ballot(assembly, 0, "", "no", member_id="building-yard/ruth", signer=ruth)


def in_ondrejs_name(assembly: Any) -> Any:
    return with_ballot(assembly, 4, "ondrej", "yes", signer=STRANGER)


def salted_anew(assembly: Any) -> Any:
    file = good(assembly)
    first = file.ballots[0].model_copy(update={"salt": "0" * 32})
    return file.model_copy(update={"ballots": (first, *file.ballots[1:])})


def left_out(assembly: Any) -> Any:
    file = good(assembly)
    return file.model_copy(update={"ballots": file.ballots[:2] + file.ballots[3:]})


def delegated(assembly: Any, *delegations: str, **changes: Any) -> Any:
    return good(assembly, "yy---", delegations=delegations, **changes)


def delegation_forged(assembly: Any) -> Any:
    file = delegated(assembly, assembly.delegation("kim", "ilse"))
    return file.model_copy(update={"delegations": (tampered(file.delegations[0]),)})


def delegated_twice(assembly: Any) -> Any:
    twice = [assembly.delegation("kim", to) for to in ("ilse", "jan")]
    return delegated(assembly, *twice)


BREAKS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "another node signs": (by_yard, {"home-node"}),
    "a rule of its own": (unchartered, {"rule-chartered"}),
    "a forged proposal": (proposal_forged, {"proposal-signature"}),
    "another proposal": (other_proposal, {"proposal-cited"}),
    "another assembly's": (other_assembly, {"assembly"}),
    "another id": (lambda a: good(a, proposal_id="carpet"), {"proposal-id"}),
    "another kind": (lambda a: good(a, kind="text"), {"kind"}),
    "another nonce": (lambda a: good(a, treasury_nonce=8), {"treasury-nonce"}),
    "another rule": (
        lambda a: good(a, rule=Rule.model_validate({**good_rule(a), "decision": "3" * 64})),
        {"rule-agreed"},
    ),
    "another electorate": (lambda a: good(a, electorate_hash="0" * 64), {"electorate-agreed"}),
    "an unequal split": (unequal_split, {"effect-well-formed"}),
    "electors out of order": (electors_swapped, {"electors-once"}),
    "fewer electors than said": (
        lambda a: good(a, proposal=a.proposal(electors=6)),
        {"electors-counted"},
    ),
    "a broken chain": (chain_broken, {"elector-chains"}),
    "electors as nobody fixed them": (
        lambda a: good(a, proposal=a.proposal(electorate_hash="0" * 64)),
        {"electorate-hash"},
    ),
    "a proposer with another key": (proposer_unknown, {"proposer-elector"}),
    "a proposer who does not vote": (
        lambda a: good(a, proposal=a.proposal(member_id=f"{TOOLS}/zoe")),
        {"proposer-elector"},
    ),
    "a forged ballot": (
        ballot_forged,
        {"ballot-signatures", "ballots-hash", "commitments-root", "tally-recounted"},
    ),
    "a member twice": (voted_twice, {"ballots-once"}),
    "a ballot on something else": (ballot_elsewhere, {"ballots-on-proposal"}),
    "an outsider's ballot": (outsider, {"ballots-by-electors"}),
    "a ballot of another coop's member": (outsider_of_yard, {"ballots-by-electors"}),
    "a ballot in somebody's name": (in_ondrejs_name, {"ballots-by-electors"}),
    "ballots of another hash": (lambda a: good(a, ballots_hash="0" * 64), {"ballots-hash"}),
    "commitments to something else": (
        lambda a: good(a, commitments_root="0" * 64),
        {"commitments-root"},
    ),
    "another salt": (salted_anew, {"commitments-root"}),
    "a ballot left out": (left_out, {"ballots-hash", "commitments-root", "tally-recounted"}),
    "a forged delegation": (
        delegation_forged,
        {"delegation-signatures", "delegations-hash", "tally-recounted"},
    ),
    "a delegation twice": (delegated_twice, {"delegations-once"}),
    "a revoked delegation": (
        lambda a: delegated(a, a.delegation("kim", None)),
        {"delegations-standing"},
    ),
    "delegations in a circle": (
        lambda a: delegated(a, a.delegation("kim", "mira"), a.delegation("mira", "kim")),
        {"delegations-in-no-circle"},
    ),
    "a delegation in somebody's name": (
        lambda a: delegated(a, a.delegation("kim", "ilse", signer=STRANGER)),
        {"delegations-by-electors"},
    ),
    "an outsider's delegation": (
        lambda a: delegated(a, a.delegation("zoe", "ilse", signer=STRANGER)),
        {"delegations-by-electors"},
    ),
    "delegations of another hash": (
        lambda a: good(a, delegations_hash="0" * 64),
        {"delegations-hash"},
    ),
    "one more for it": (
        lambda a: good(a, tally=Tally(electorate=5, cast=5, yes=4, no=1, abstain=0, delegated=0)),
        {"tally-recounted"},
    ),
    "one more through somebody": (
        lambda a: good(a, tally=Tally(electorate=5, cast=4, yes=3, no=1, abstain=0, delegated=1)),
        {"tally-recounted"},
    ),
    "rejected though accepted": (lambda a: good(a, outcome="rejected"), {"outcome"}),
    "accepted though rejected": (lambda a: good(a, "yynn-", outcome="accepted"), {"outcome"}),
    "accepted without quorum": (lambda a: good(a, "yy---", outcome="accepted"), {"outcome"}),
    "another end": (
        lambda a: good(a, closes_ms=605_800_001),
        {"closes-after-period", "period-over"},
    ),
    "closed a moment early": (lambda a: good(a, closed_ms=605_799_999), {"period-over"}),
    "closed before it was opened": (
        lambda a: good(a, outcome="cancelled", closed_ms=999_999, challenge_ends_ms=999_999),
        {"closed-after-opening"},
    ),
    "a shorter window": (lambda a: good(a, challenge_ends_ms=605_800_001), {"challenge-window"}),
    "a longer time to execute": (
        lambda a: good(a, executable_until_ms=2**53 - 1),
        {"executable-until"},
    ),
    "a second one after none": (lambda a: good(a, sequence=2), {"chain-start"}),
    "a first one after another": (lambda a: good(a, previous="5" * 64), {"chain-start"}),
}


# What leaves the coop.


def attested(assembly: Any, said: str = "yyny-", **changes: Any) -> Any:
    """Return an attested decision, but for the `changes`."""
    return assembly.attested(good(assembly, said), **changes)


def commitments_swapped(assembly: Any) -> Any:
    file = attested(assembly)
    first, second, *rest = file.commitments
    return file.model_copy(update={"commitments": (second, first, *rest)})


def commitment_lost(assembly: Any) -> Any:
    file = attested(assembly)
    return file.model_copy(update={"commitments": file.commitments[1:]})


def tallied(**changes: int) -> Tally:
    counts = {"electorate": 5, "cast": 4, "yes": 3, "no": 1, "abstain": 0, "delegated": 0}
    return Tally(**{**counts, **changes})


ATTESTED_BREAKS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "a forged one": (
        lambda a: attested(a).model_copy(update={"attested": tampered(attested(a).attested)}),
        {"attestation-signature"},
    ),
    "another node's": (
        lambda a: attested(a, signer=a.network.nodes["building-yard"]),
        {"home-node"},
    ),
    "a rule of its own": (
        lambda a: attested(a, rule={**good_rule(a), "quorum_percent": 20}),
        {"rule-chartered"},
    ),
    "commitments out of order": (commitments_swapped, {"commitments-root"}),
    "a commitment lost": (commitment_lost, {"commitments-root", "commitments-counted"}),
    "another root": (lambda a: attested(a, commitments_root="0" * 64), {"commitments-root"}),
    "more ballots than committed to": (
        lambda a: attested(a, tally=tallied(cast=5, yes=4)),
        {"ballots-committed"},
    ),
    "choices that are not all": (lambda a: attested(a, tally=tallied(yes=4)), {"tally-sum"}),
    "more than may vote": (lambda a: attested(a, tally=tallied(electorate=3)), {"tally-within"}),
    "the other outcome": (lambda a: attested(a, outcome="rejected"), {"outcome"}),
    "an effect on itself": (
        lambda a: attested(a, effect=self_paying(a)),
        {"effect-well-formed"},
    ),
    "another end": (lambda a: attested(a, closes_ms=1), {"closes-after-period"}),
    "closed before it was opened": (
        lambda a: attested(a, closed_ms=5, challenge_ends_ms=86_400_005),
        {"closed-after-opening"},
    ),
    "another window": (lambda a: attested(a, challenge_ends_ms=1), {"challenge-window"}),
}


def self_paying(assembly: Any) -> Any:
    effect: dict[str, Any] = jws.peek(assembly.proposal()).payload["effect"]
    return {**effect, "to_account": effect["from_account"]}


# Links that cite a decision.

LEA = Member(
    member_id=f"{TOOLS}/lea",
    coop=TOOLS,
    name="Lea",
    title="treasurer",
    did=STRANGER.did,
    roles=("officer",),
    active=True,
    sequence=1,
)


def admitting(assembly: Any, said: str = "yyny-", **changes: Any) -> Any:
    """Return what is known of a decision about Lea."""
    fields = {"action": "admit", "name": "Lea", "did": STRANGER.did, "roles": ("member",)}
    effect = MembershipEffect(member_id=f"{TOOLS}/lea", **{**fields, **changes})
    proposal = assembly.proposal(effect=effect, treasury_nonce=None)
    verdict, view = examine_decision(
        good(assembly, said, proposal=proposal), genesis=assembly.network.view
    )
    assert verdict.ok, verdict.failures
    assert view is not None
    return view


def link_of(assembly: Any, view: Any, **changes: Any) -> Any:
    """Return the link that the home signs after a decision about Lea, but for the `changes`."""
    fields = {
        "name": "Lea",
        "did": STRANGER.did,
        "proposal": view.decision.proposal,
        "decision": view.hash,
        **changes,
    }
    member_id = fields.pop("member_id", f"{TOOLS}/lea")
    token = assembly.decided(member_id, **fields)
    return read_decided(token, genesis=assembly.network.view)

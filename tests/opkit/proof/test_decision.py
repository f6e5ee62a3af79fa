"""Decisions counted again offline: each check fails for what it is about, and for that alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED
from opkit.proof.decision import (
    decision_hash,
    examine_decision,
    verify_decision,
)
from opkit.proof.governance import Voice
from opkit.proof.keys import Identity
from opkit.wire.votes import (
    DistributionEffect,
    DistributionLine,
    ElectorChain,
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


def failures(assembly: Any, file: Any) -> set[str]:
    """Return the names of the checks that do not hold."""
    verdict = verify_decision(file, genesis=assembly.network.view)
    return {check.name for check in verdict.failures}


def test_a_vote_is_counted_again(assembly: Any) -> None:
    file = good(assembly)
    verdict, view = examine_decision(file, genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    assert verdict.subject == "decision 1 of tool-library on roof"
    assert view is not None
    assert view.hash == decision_hash(file) == jws.record_id(file.decision)
    assert view.counted.tally == Tally(electorate=5, cast=4, yes=3, no=1, abstain=0, delegated=0)
    assert (view.decision.outcome, view.proposal.title) == ("accepted", "The roof")
    names = [check.name for check in verdict.checks]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("yyyyy", "accepted"), ("yynn-", "rejected"), ("aaaaa", "rejected"), ("yy---", "no-quorum")],
)
def test_whatever_came_of_a_vote_it_is_counted_again(
    assembly: Any, said: str, outcome: str
) -> None:
    verdict, view = examine_decision(good(assembly, said), genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    assert view is not None and view.decision.outcome == outcome


def test_nobody_voted(assembly: Any) -> None:
    assert failures(assembly, good(assembly, "-----")) == set()


def test_without_a_genesis_a_file_is_consistent_and_nobodys(assembly: Any) -> None:
    verdict = verify_decision(good(assembly), genesis=None)
    assert verdict.status == CONSISTENT
    names = {check.name for check in verdict.checks}
    assert names.isdisjoint({"home-node", "elector-chains", "electorate-hash", "proposer-elector"})
    assert verify_decision(good(assembly, outcome="rejected"), genesis=None).status == FAILED


def test_a_decision_of_another_network_is_none_here(assembly: Any, rebuilt: Any) -> None:
    verdict, view = examine_decision(good(assembly), genesis=rebuilt.view)
    assert view is None
    assert [check.actual for check in verdict.failures] == ["it belongs to another network"]


def test_delegations_count_and_are_told(assembly: Any) -> None:
    proposal = assembly.proposal()
    given = [assembly.delegation("mira", "ilse"), assembly.delegation("ondrej", "mira")]
    file = assembly.file(cast(assembly, proposal, "yn---"), proposal=proposal, delegations=given)
    verdict, view = examine_decision(file, genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    assert view is not None
    assert view.counted.tally == Tally(electorate=5, cast=4, yes=3, no=1, abstain=0, delegated=2)
    assert view.counted.voices[f"{TOOLS}/ondrej"] == Voice(
        choice="yes", voter=f"{TOOLS}/ilse", delegate=f"{TOOLS}/mira"
    )


def test_who_got_another_key_since_the_opening_votes_with_either(assembly: Any) -> None:
    later = Identity.generate()
    link = assembly.decided(f"{TOOLS}/jan", did=later.did, sequence=3)
    electors = [
        each.model_copy(update={"later": (link,)}) if each.member_id.endswith("jan") else each
        for each in assembly.electors
    ]
    proposal = assembly.proposal()
    hashed = jws.record_id(proposal)
    others = cast(assembly, proposal, "y-yy-")
    for signer in (assembly.keys[f"{TOOLS}/jan"], later):
        ballots = [others[0], assembly.ballot("jan", "yes", hashed, signer=signer), *others[1:]]
        file = assembly.file(ballots, proposal=proposal, electors=electors)
        assert failures(assembly, file) == set()
    ballots = [others[0], assembly.ballot("jan", "yes", hashed, signer=later), *others[1:]]
    assert failures(assembly, assembly.file(ballots, proposal=proposal)) == {"ballots-by-electors"}


def test_who_votes_with_a_key_from_before_the_opening_is_no_elector(assembly: Any) -> None:
    old = Identity.generate()
    member_id = f"{TOOLS}/jan"
    chain = (
        assembly.network.record(member_id, did=old.did),
        assembly.network.record(member_id, did=assembly.keys[member_id].did, sequence=2),
    )
    changed = type(assembly)(
        network=assembly.network,
        keys=assembly.keys,
        chains={**assembly.chains, member_id: chain},
    )
    proposal = changed.proposal()
    ballot = changed.ballot("jan", "yes", jws.record_id(proposal), signer=old)
    others = cast(changed, proposal, "y-yy-")
    file = changed.file([others[0], ballot, *others[1:]], proposal=proposal)
    assert failures(changed, file) == {"ballots-by-electors"}


def test_a_rule_that_was_decided_is_the_one_that_counts(assembly: Any) -> None:
    proposal = assembly.proposal(rule=OTHER_RULE)
    assert failures(assembly, good(assembly, "yn---", proposal=proposal)) == set()
    assert failures(assembly, good(assembly, "yyn--", proposal=proposal)) == set()


def test_final_votes_are_closed_early_once_nothing_can_change(assembly: Any) -> None:
    proposal = assembly.proposal(rule=OTHER_RULE)
    early = {"proposal": proposal, "closed_ms": 1_000_100}
    assert failures(assembly, good(assembly, "yyy--", **early)) == set()
    assert failures(assembly, good(assembly, "yy---", **early)) == {"period-over"}
    changeable = assembly.proposal(rule=OTHER_RULE.model_copy(update={"votes_final": False}))
    early["proposal"] = changeable
    assert failures(assembly, good(assembly, "yyyyy", **early)) == {"period-over"}


def test_what_was_cancelled_has_no_window(assembly: Any) -> None:
    early = {"outcome": "cancelled", "closed_ms": 1_000_100, "challenge_ends_ms": 1_000_100}
    assert failures(assembly, good(assembly, **early)) == set()


# Each check, broken alone.


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


@pytest.mark.parametrize("name", BREAKS)
def test_each_check_fails_for_what_it_is_about_and_for_that_alone(assembly: Any, name: str) -> None:
    make, expected = BREAKS[name]
    assert failures(assembly, make(assembly)) == expected


def test_every_check_is_broken_by_something(assembly: Any) -> None:
    verdict = verify_decision(good(assembly), genesis=assembly.network.view)
    broken = set().union(*(names for _, names in BREAKS.values()))
    alone = {"decision-signature"}
    assert {check.name for check in verdict.checks} == broken | alone


def test_a_forged_decision_is_read_no_further(assembly: Any) -> None:
    file = good(assembly)
    forged = file.model_copy(update={"decision": tampered(file.decision)})
    verdict, view = examine_decision(forged, genesis=assembly.network.view)
    assert view is None
    assert [(check.name, check.ok) for check in verdict.checks] == [("decision-signature", False)]


def test_the_first_broken_link_of_a_chain_is_named(assembly: Any) -> None:
    verdict = verify_decision(chain_broken(assembly), genesis=assembly.network.view)
    assert [check.actual.partition(": ")[0] for check in verdict.failures] == [
        "link 2 of tool-library/kim"
    ]


@pytest.mark.parametrize("records", [(), "added"])
def test_who_is_no_member_or_does_not_vote_is_no_elector(assembly: Any, records: Any) -> None:
    guest = assembly.network.record(f"{TOOLS}/zoe", did=STRANGER.did, roles=("guest",))
    chain = ElectorChain(member_id=f"{TOOLS}/zoe", records=(guest,) if records else ())
    file = good(assembly, electors=(*assembly.electors, chain))
    assert failures(assembly, file) == {"elector-chains", "electors-counted"}

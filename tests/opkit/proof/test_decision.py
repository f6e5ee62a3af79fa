"""Decisions counted again offline: each check fails for what it is about, and for that alone."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import decision as proof
from opkit.proof import jws
from opkit.proof.checks import CONSISTENT, FAILED, VERIFIED, Check, ProofError, Verdict
from opkit.proof.decision import (
    ATTESTED,
    attested_of,
    check_decided_member,
    decision_hash,
    examine_attested,
    examine_decision,
    read_attested,
    read_decision,
    read_file,
    said_checks,
    verify_attested,
    verify_decision,
)
from opkit.proof.governance import Voice
from opkit.proof.keys import Identity
from opkit.proof.proposals import read_proposal
from opkit.wire.votes import Tally, TextEffect
from tests.opkit.proof.assemblies import TOOLS, cast, good, tampered
from tests.opkit.proof.decision_cases import (
    ATTESTED_BREAKS,
    BREAKS,
    LEA,
    OTHER_RULE,
    STRANGER,
    admitting,
    attested,
    chain_broken,
    commitments_swapped,
    link_of,
    tallied,
)

OTHER_KEY = Identity.from_seed(b"\1" * 32).did


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


def shown(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """Return what each check expected and what it found."""
    assert isinstance(verdict.checks, tuple), "a verdict is not added to"
    return {check.name: (check.expected, check.actual) for check in verdict.checks}


def test_each_check_shows_what_was_expected_and_what_was_found(assembly: Any) -> None:
    """Those of the roll-call are shown by its own tests."""
    file = good(assembly)
    verdict, view = examine_decision(file, genesis=assembly.network.view)
    assert view is not None and verdict.anchored
    home, said, rule = assembly.home.did, view.decision, str(view.decision.rule)
    same = {
        "decision-signature": "verifies",
        "home-node": home,
        "rule-chartered": rule,
        "proposal-signature": "verifies",
        "proposal-cited": jws.record_id(file.proposal),
        "assembly": TOOLS,
        "proposal-id": "roof",
        "kind": "spend",
        "treasury-nonce": "7",
        "rule-agreed": rule,
        "electorate-agreed": assembly.electorate_hash(),
        "effect-well-formed": "verifies",
        "tally-recounted": str(said.tally),
        "outcome": "accepted",
        "closes-after-period": "605800000",
        "challenge-window": "692200000",
        "executable-until": "8468200000",
        "chain-start": "none before",
    }
    found = shown(verdict)
    assert {name: found[name] for name in same} == {name: (v, v) for name, v in same.items()}
    assert found["closed-after-opening"] == ("1000000 or later", "605800000")
    assert found["period-over"] == ("605800000 or later", "605800000")
    later = shown(verify_decision(good(assembly, sequence=2, previous="5" * 64), genesis=None))
    assert later["chain-start"] == ("one before", "one before")
    cancelled = shown(verify_decision(good(assembly, outcome="cancelled"), genesis=None))
    assert cancelled["outcome"] == ("cancelled", "cancelled")


def test_a_decision_for_no_coop_of_the_network_is_nobodys(assembly: Any) -> None:
    elsewhere = good(assembly, aud="bakery")
    found = shown(verify_decision(elsewhere, genesis=assembly.network.view))
    assert found["home-node"] == ("no such coop", assembly.home.did)
    assert "rule-chartered" not in found
    told = verify_attested(attested(assembly, aud="bakery"), genesis=assembly.network.view)
    assert {check.name for check in told.failures} == {"home-node", "effect-well-formed"}


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


def unread(name: str, *, why: str) -> Check:
    return Check(name=name, ok=False, expected="verifies", actual=why)


def test_a_decision_of_another_network_is_none_here(assembly: Any, rebuilt: Any) -> None:
    verdict, view = examine_decision(good(assembly), genesis=rebuilt.view)
    assert view is None
    bad = unread("decision-signature", why="it belongs to another network")
    assert verdict == Verdict(subject="decision", checks=(bad,), anchored=True)


def test_what_is_no_decision_has_one_check_and_no_name(assembly: Any) -> None:
    file = good(assembly).model_copy(update={"decision": "x"})
    bad = unread("decision-signature", why="not a compact JWS")
    for genesis in (assembly.network.view, None):
        anchored = genesis is not None
        verdict, view = examine_decision(file, genesis=genesis)
        assert view is None
        assert verdict == Verdict(subject="decision", checks=(bad,), anchored=anchored)


def test_a_decision_on_what_is_no_proposal_is_read_no_further(assembly: Any) -> None:
    file = good(assembly)
    elsewhere = assembly.proposal(network="b" * 26)
    for proposal, why in (("x", "not a compact JWS"), (elsewhere, "it belongs to another network")):
        for genesis in (assembly.network.view, None):
            broken = file.model_copy(update={"proposal": proposal})
            verdict, view = examine_decision(broken, genesis=genesis)
            assert view is None and verdict.anchored is (genesis is not None)
            assert verdict.subject == "decision 1 of tool-library on roof"
            assert verdict.failures == (unread("proposal-signature", why=why),)
            assert isinstance(verdict.checks, tuple)
            assert verdict.checks[-1] == verdict.failures[0]


def test_what_a_decision_is_in_itself_is_read_without_anything_beside_it(assembly: Any) -> None:
    file = good(assembly)
    told = assembly.attested(file).attested
    for read, token in ((read_decision, file.decision), (read_attested, told)):
        for network in (assembly.network.name, None):
            assert read(token, network=network).did == assembly.home.did
        with pytest.raises(ProofError, match="another network"):
            read(token, network="b" * 26)
    with pytest.raises(ProofError, match="it is a 'opkit-attested"):
        read_decision(told, network=None)
    with pytest.raises(ProofError, match="it is a 'opkit-decision"):
        read_attested(file.decision, network=None)


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
    for closed_ms in (1_000_000, 1_000_100):
        early = {"outcome": "cancelled", "closed_ms": closed_ms, "challenge_ends_ms": closed_ms}
        assert failures(assembly, good(assembly, **early)) == set()


# What is said of a tally that nobody counts again.


@pytest.mark.parametrize(
    ("counts", "lost"),
    [
        ({}, set()),
        ({"electorate": 4}, set()),
        ({"delegated": 4}, set()),
        ({"yes": 2, "abstain": 1}, {"outcome"}),
        ({"yes": 2, "no": 0, "abstain": 2}, set()),
        ({"abstain": 1}, {"tally-sum"}),
        ({"no": 0}, {"tally-sum"}),
        ({"electorate": 3}, {"tally-within"}),
        ({"delegated": 5}, {"tally-within"}),
        ({"electorate": 7}, {"outcome"}),
    ],
)
def test_a_tally_must_add_up_and_decide_what_is_said(
    assembly: Any, counts: dict[str, int], lost: set[str]
) -> None:
    decision = read_decision(good(assembly).decision, network=None)
    said = decision.model_copy(update={"tally": tallied(**counts)})
    assert {check.name for check in said_checks(said, genesis=None) if not check.ok} == lost


def test_what_a_home_says_is_checked_with_a_genesis_for_whose_it_is_too(assembly: Any) -> None:
    said = read_decision(good(assembly, signer=STRANGER).decision, network=None)
    consistent = said_checks(said, genesis=None)
    assert [check.name for check in consistent] == [
        "tally-sum",
        "tally-within",
        "outcome",
        "closes-after-period",
        "closed-after-opening",
        "challenge-window",
    ]
    assert all(check.ok for check in consistent)
    home, rule, *rest = said_checks(said, genesis=assembly.network.view)
    assert (home.name, home.ok, rule.name, rule.ok) == ("home-node", False, "rule-chartered", True)
    assert rest == consistent
    assert [(each.expected, each.actual) for each in rest[:2]] == [
        ("4", "4"),
        ("delegated ≤ cast ≤ electorate", "0, 4, 5"),
    ]


# Each check, broken alone.


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


# What leaves the coop.


def test_what_leaves_the_coop_is_attested_and_says_that_it_is_not_recounted(assembly: Any) -> None:
    file = good(assembly)
    verdict, said = examine_attested(assembly.attested(file), genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    assert ATTESTED == "attested, not recounted"
    assert verdict.subject == f"decision 1 of tool-library on roof ({ATTESTED})"
    assert isinstance(verdict.checks, tuple)
    assert said is not None and said.decision == decision_hash(file)
    assert "yes" not in jws.peek(assembly.attested(file).attested).payload["title"]
    assert verify_attested(assembly.attested(file), genesis=None).status == CONSISTENT


def test_the_home_tells_of_a_decision_what_leaves_the_coop_and_nothing_else(assembly: Any) -> None:
    file = good(assembly)
    proposal = read_proposal(file.proposal, network=assembly.network.name)
    told = attested_of(
        read_decision(file.decision, network=None),
        cited=decision_hash(file),
        title=proposal.title,
        effect=proposal.effect,
        commitments=4,
    )
    assert told == read_attested(assembly.attested(file).attested, network=None)


def test_an_attested_decision_of_another_network_is_none_here(assembly: Any, rebuilt: Any) -> None:
    verdict, said = examine_attested(attested(assembly), genesis=rebuilt.view)
    assert said is None
    bad = unread("attestation-signature", why="it belongs to another network")
    assert verdict == Verdict(subject=ATTESTED, checks=(bad,), anchored=True)
    broken = attested(assembly).model_copy(update={"attested": "x"})
    bad = unread("attestation-signature", why="not a compact JWS")
    assert examine_attested(broken, genesis=None) == (
        Verdict(subject=ATTESTED, checks=(bad,), anchored=False),
        None,
    )


def test_ballots_are_committed_to_and_delegations_are_not(assembly: Any) -> None:
    proposal = assembly.proposal()
    given = [assembly.delegation("mira", "ilse"), assembly.delegation("ondrej", "mira")]
    file = assembly.file(cast(assembly, proposal, "yn---"), proposal=proposal, delegations=given)
    told = assembly.attested(file)
    verdict = verify_attested(told, genesis=assembly.network.view)
    assert verdict.status == VERIFIED, verdict.failures
    found, root = shown(verdict), read_attested(told.attested, network=None).commitments_root
    assert found["commitments-root"] == (root, root)
    assert found["commitments-counted"] == found["ballots-committed"] == ("2", "2")


@pytest.mark.parametrize("name", ATTESTED_BREAKS)
def test_each_check_of_an_attested_one_fails_for_what_it_is_about(assembly: Any, name: str) -> None:
    make, expected = ATTESTED_BREAKS[name]
    verdict = verify_attested(make(assembly), genesis=assembly.network.view)
    assert {check.name for check in verdict.failures} == expected


def test_commitments_out_of_order_are_told_apart_from_others(assembly: Any) -> None:
    verdict = verify_attested(commitments_swapped(assembly), genesis=assembly.network.view)
    why = "the commitments are not in their order, each once"
    assert verdict.failures == (unread("commitments-root", why=why),)


def test_every_check_of_an_attested_one_is_broken_by_something(assembly: Any) -> None:
    verdict = verify_attested(attested(assembly), genesis=assembly.network.view)
    broken = set().union(*(names for _, names in ATTESTED_BREAKS.values()))
    assert {check.name for check in verdict.checks} == broken


# Files.


def test_a_file_is_read_back_as_it_was_written(assembly: Any) -> None:
    for file in (good(assembly), attested(assembly)):
        assert read_file(file.model_dump_json().encode()) == file


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "^it is no decision's file: decision: Field required$"),
        (b'{"attested": 1}', "^it is no decision's file: attested: Input should be a valid str"),
        (b'{"decision": "x", "proposal": "x", "electors": [{}]}', " file: electors.0.member_id: "),
        (b"not JSON", "^it is no decision's file: Invalid JSON"),
    ],
)
def test_what_is_no_file_is_refused_with_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        read_file(data)


def test_a_file_is_no_larger_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "DECISION_FILE_BYTES_MAX", 4)
    with pytest.raises(ProofError, match="no decision's file"):
        read_file(b"{}  ")
    with pytest.raises(ProofError, match="5 bytes are more than 4"):
        read_file(b"{}   ")


# Links that cite a decision.


def test_a_link_is_what_its_decision_makes_of_the_member(assembly: Any) -> None:
    admitted = admitting(assembly)
    for standing in (None, LEA):
        check_decided_member(link_of(assembly, admitted), admitted, standing=standing)
    as_before = {"title": LEA.title, "roles": LEA.roles}
    gone = admitting(assembly, action="remove", name="", did=None, roles=())
    link = link_of(assembly, gone, action="revoke", **as_before)
    check_decided_member(link, gone, standing=LEA)
    rekeyed = admitting(assembly, action="rekey", name="", roles=())
    check_decided_member(link_of(assembly, rekeyed, **as_before), rekeyed, standing=LEA)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "another name, title or roles"),
        ({"title": LEA.title}, "another name, title or roles"),
        ({"title": LEA.title, "roles": ("officer",), "did": OTHER_KEY}, "another key"),
        ({"title": LEA.title, "roles": ("officer",), "name": "Leo"}, "another name"),
    ],
)
def test_who_gets_another_key_stays_what_they_are_in_all_else(
    assembly: Any, changes: dict[str, Any], why: str
) -> None:
    rekeyed = admitting(assembly, action="rekey", name="", roles=())
    with pytest.raises(ProofError, match=why):
        check_decided_member(link_of(assembly, rekeyed, **changes), rekeyed, standing=LEA)
    with pytest.raises(ProofError, match="was no member" if why != "another key" else why):
        check_decided_member(link_of(assembly, rekeyed, **changes), rekeyed, standing=None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"decision": "0" * 64}, "another decision"),
        ({"proposal": "0" * 64}, "another decision"),
        ({"member_id": f"{TOOLS}/kim"}, "another member"),
        ({"action": "revoke"}, "another change"),
        ({"did": OTHER_KEY}, "another key"),
        ({"name": "Leo"}, "another name"),
        ({"title": "chair"}, "another name, title"),
        ({"roles": ("member", "officer")}, "roles"),
    ],
)
def test_a_link_that_says_something_else_is_told_apart(
    assembly: Any, changes: dict[str, Any], why: str
) -> None:
    view = admitting(assembly)
    with pytest.raises(ProofError, match=why):
        check_decided_member(link_of(assembly, view, **changes), view, standing=None)


def test_a_link_cites_a_decision_about_members_that_was_accepted(assembly: Any) -> None:
    rejected = admitting(assembly, "yynn-")
    with pytest.raises(ProofError, match="is rejected"):
        check_decided_member(link_of(assembly, rejected), rejected, standing=None)
    text = assembly.proposal(effect=TextEffect(), treasury_nonce=None)
    _, view = examine_decision(good(assembly, proposal=text), genesis=assembly.network.view)
    with pytest.raises(ProofError, match="about a text"):
        check_decided_member(link_of(assembly, view), view, standing=None)

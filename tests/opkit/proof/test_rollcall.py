"""The roll-call: each check says what should be and what is, and names the first who is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from opkit.proof.ballots import (
    commitments_of,
    commitments_root,
    ids_hash,
    read_ballot,
    read_delegation,
)
from opkit.proof.checks import Check, ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.jws import peek, record_id
from opkit.proof.keys import Identity
from opkit.proof.rollcall import RollCall, call_roll
from opkit.wire.votes import Decision, DecisionFile, ElectorChain, Proposal
from tests.opkit.proof.assemblies import NAMES, TOOLS, cast, good, salt_of, tampered

STRANGER = Identity.from_seed(b"\7" * 32)
ONCE, OWN = "each once, by member id", "electors with their own keys"
NOTHING = "0" * 64

Said = dict[str, tuple[str, str]]
"""What is expected and what is, by the name of a check that does not hold."""


def called(
    file: DecisionFile, genesis: GenesisView | None
) -> tuple[RollCall, dict[str, Check], Decision]:
    """Call the roll of a file; return also the checks, by name in their order, and the decision."""
    decision = Decision.model_validate(peek(file.decision).payload, strict=False)
    proposal = Proposal.model_validate(peek(file.proposal).payload, strict=False)
    roll, checks = call_roll(file, decision=decision, proposal=proposal, genesis=genesis)
    assert len({check.name for check in checks}) == len(checks)
    return roll, {check.name: check for check in checks}, decision


def wrong(file: DecisionFile, genesis: GenesisView | None) -> Said:
    checks = called(file, genesis)[1].values()
    return {check.name: (check.expected, check.actual) for check in checks if not check.ok}


def named(*names: str) -> list[str]:
    return [f"{TOOLS}/{name}" for name in names]


def voted(assembly: Any, *ballots: str, salts: list[str] | None = None) -> DecisionFile:
    """Return a file with these ballots, in this order, whatever its decision says of them."""
    file: DecisionFile = good(assembly)
    like, found = file.ballots[0], salts or [salt_of(each) for each in ballots]
    counted = tuple(
        like.model_copy(update={"ballot": ballot, "salt": salt})
        for ballot, salt in zip(ballots, found, strict=True)
    )
    return file.model_copy(update={"ballots": counted})


def delegated(assembly: Any, *delegations: str, **changes: Any) -> DecisionFile:
    file: DecisionFile = good(assembly, "yy---", delegations=delegations, **changes)
    return file


def with_electors(assembly: Any, *electors: ElectorChain) -> DecisionFile:
    file: DecisionFile = good(assembly)
    return file.model_copy(update={"electors": electors})


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(ProofError) as no:
        read()
    return no.value.why


def test_who_could_vote_how_each_did_and_through_whom(assembly: Any) -> None:
    proposal = assembly.proposal()
    ballots = cast(assembly, proposal, "yn---")
    given = [assembly.delegation("mira", "ilse"), assembly.delegation("ondrej", "jan")]
    file = assembly.file(ballots, proposal=proposal, delegations=given)
    roll, checks, decision = called(file, assembly.network.view)
    everybody = named(*NAMES)
    assert roll == RollCall(
        electors={each: (assembly.keys[each].did,) for each in everybody},
        ballots={
            each: read_ballot(ballot, network=assembly.network.name)
            for each, ballot in zip(everybody, ballots, strict=False)
        },
        delegations={
            each: read_delegation(token, network=assembly.network.name)
            for each, token in zip(named("mira", "ondrej"), given, strict=True)
        },
    )
    cited = record_id(proposal)
    ids = [record_id(each) for each in ballots]
    root = commitments_root(
        commitments_of(zip(ids, (salt_of(each) for each in ballots), strict=True))
    )
    mira = assembly.keys[f"{TOOLS}/mira"].did
    assert list(checks.values()) == [
        Check(name=name, ok=True, expected=expected, actual=actual)
        for name, expected, actual in (
            ("electors-once", ONCE, "5 of them"),
            ("electors-counted", "5", "5"),
            ("elector-chains", "verifies", "verifies"),
            ("electorate-hash", decision.electorate_hash, assembly.electorate_hash()),
            ("proposer-elector", mira, mira),
            ("ballot-signatures", "verifies", "verifies"),
            ("ballots-once", ONCE, "2 of them"),
            ("ballots-on-proposal", cited, cited),
            ("ballots-hash", decision.ballots_hash, ids_hash(ids)),
            ("commitments-root", decision.commitments_root, root),
            ("ballots-by-electors", OWN, "2 of them"),
            ("delegation-signatures", "verifies", "verifies"),
            ("delegations-once", ONCE, "2 of them"),
            ("delegations-standing", "none", "none"),
            ("delegations-in-no-circle", "none", "none"),
            ("delegations-hash", decision.delegations_hash, ids_hash(map(record_id, given))),
            ("delegations-by-electors", OWN, "2 of them"),
        )
    ]


def test_without_a_genesis_nobodys_key_is_known_and_who_is_no_elector_is_all_the_same(
    assembly: Any,
) -> None:
    hashed = record_id(assembly.proposal())
    in_ilses_name = assembly.ballot("ilse", "yes", hashed, signer=STRANGER)
    roll, checks, _ = called(voted(assembly, in_ilses_name), None)
    assert roll.electors == dict.fromkeys(named(*NAMES))
    assert [name for name in checks if name.startswith("elector")] == [
        "electors-once",
        "electors-counted",
    ]
    assert checks["ballots-by-electors"].ok, "any key may be Ilse's"
    outsider = assembly.ballot("zoe", "yes", hashed, signer=STRANGER)
    assert wrong(voted(assembly, in_ilses_name, outsider), None)["ballots-by-electors"] == (
        OWN,
        f"{TOOLS}/zoe with {STRANGER.did}",
    )


# Electors.


def test_a_key_counts_from_the_opening_on(assembly: Any) -> None:
    """Jan's first key was replaced before the opening, his last one came after it."""
    later = Identity.from_seed(b"\5" * 32)
    link = assembly.decided(f"{TOOLS}/jan", did=later.did, sequence=3)
    electors = [
        each.model_copy(update={"later": (link,)}) if each.member_id.endswith("jan") else each
        for each in assembly.electors
    ]
    roll, checks, _ = called(with_electors(assembly, *electors), assembly.network.view)
    assert all(check.ok for check in checks.values())
    assert roll.electors[f"{TOOLS}/jan"] == (assembly.keys[f"{TOOLS}/jan"].did, later.did)
    assert roll.electors[f"{TOOLS}/kim"] == (assembly.keys[f"{TOOLS}/kim"].did,)


def test_electors_stand_in_the_order_of_their_ids_each_once(assembly: Any) -> None:
    ilse, jan, *rest = assembly.electors
    for electors, first, count in (
        ((jan, ilse, *rest), "ilse", 5),
        ((ilse, jan, jan, *rest), "jan", 6),
        ((ilse, ilse, jan, *rest[::-1]), "ilse", 6),
    ):
        said = wrong(with_electors(assembly, *electors), assembly.network.view)
        assert said["electors-once"] == (ONCE, f"{TOOLS}/{first} out of place")
        assert said.get("electors-counted") == (("5", "6") if count == 6 else None)


def test_electors_are_as_many_as_the_proposal_says_and_those_that_it_fixed(assembly: Any) -> None:
    view = assembly.network.view
    counted = good(assembly, proposal=assembly.proposal(electors=6))
    assert wrong(counted, view) == {"electors-counted": ("6", "5")}
    fixed = good(assembly, proposal=assembly.proposal(electorate_hash=NOTHING))
    assert wrong(fixed, view) == {"electorate-hash": (NOTHING, assembly.electorate_hash())}


def test_the_proposer_is_an_elector_with_the_key_of_the_opening(assembly: Any) -> None:
    view, mira = assembly.network.view, assembly.keys[f"{TOOLS}/mira"]
    by_stranger = good(assembly, proposal=assembly.proposal(signer=STRANGER))
    assert wrong(by_stranger, view) == {"proposer-elector": (STRANGER.did, mira.did)}
    by_nobody = good(assembly, proposal=assembly.proposal(member_id=f"{TOOLS}/zoe"))
    assert wrong(by_nobody, view) == {"proposer-elector": (mira.did, "no elector")}


def test_who_is_no_member_who_votes_is_no_elector(assembly: Any) -> None:
    """Nobody's key counts then: no more is said of who signed than without a genesis."""
    zoe, ruth, kim = f"{TOOLS}/zoe", "building-yard/ruth", f"{TOOLS}/kim"
    network = assembly.network
    guest = network.record(zoe, did=STRANGER.did, roles=("guest",))
    member = network.record(zoe, did=STRANGER.did)
    unsigned = network.record(kim, did=STRANGER.did, sequence=2, signer=STRANGER)
    broken = ElectorChain(member_id=kim, records=(assembly.chains[kim][0], unsigned))
    for chain, why in (
        (ElectorChain(member_id=zoe, records=()), f"nothing shows that {zoe} is a member"),
        (
            ElectorChain(member_id=zoe, records=(), later=(member,)),
            f"nothing shows that {zoe} is a member",
        ),
        (
            ElectorChain(member_id=zoe, records=(guest,)),
            f"{zoe} is no member who votes in {TOOLS}",
        ),
        (ElectorChain(member_id=ruth, records=()), f"{ruth} is no member who votes in {TOOLS}"),
        (broken, f"link 2 of {kim}: "),
    ):
        file = with_electors(assembly, *assembly.electors[:2], chain)
        roll, checks, _ = called(file, network.view)
        said = checks["elector-chains"]
        assert (said.ok, said.expected) == (False, "verifies")
        assert said.actual.startswith(why) and (said.actual == why or chain is broken)
        assert roll.electors == dict.fromkeys([*named("ilse", "jan"), chain.member_id])
        assert {"electorate-hash", "proposer-elector"}.isdisjoint(checks)


# Ballots.


def test_a_ballot_that_is_not_signed_is_named_by_its_place_and_none_is_counted(
    assembly: Any,
) -> None:
    network = assembly.network
    one, two, *rest = cast(assembly, assembly.proposal())
    elsewhere = assembly.ballot("jan", "yes", record_id(assembly.proposal()), network="b" * 26)
    for bad in (tampered(two), elsewhere, "x"):
        why = refusal(partial(read_ballot, bad, network=network.name))
        file = voted(assembly, one, bad, *rest)
        roll, _, decision = called(file, network.view)
        assert roll.ballots == {}
        assert wrong(file, network.view) == {
            "ballot-signatures": ("verifies", f"ballot 2: {why}"),
            "ballots-hash": (decision.ballots_hash, ids_hash([])),
            "commitments-root": (decision.commitments_root, commitments_root(())),
        }


def test_ballots_stand_in_the_order_of_their_members_each_once(assembly: Any) -> None:
    one, two, *rest = cast(assembly, assembly.proposal())
    for ballots, first in (((two, one, *rest), "ilse"), ((one, two, two, *rest), "jan")):
        salts = [f"{number:032x}" for number in range(len(ballots))]
        said = wrong(voted(assembly, *ballots, salts=salts), assembly.network.view)
        assert said["ballots-once"] == (ONCE, f"{TOOLS}/{first} out of place")
        assert said.keys() == {"ballots-once", "ballots-hash", "commitments-root"}


def test_the_first_ballot_on_something_else_is_named(assembly: Any) -> None:
    cited = record_id(assembly.proposal())
    ballots = [
        assembly.ballot(name, "yes", hashed)
        for name, hashed in (("ilse", cited), ("jan", NOTHING), ("kim", "1" * 64))
    ]
    said = wrong(voted(assembly, *ballots), assembly.network.view)
    assert said["ballots-on-proposal"] == (cited, f"{TOOLS}/jan: {NOTHING}")


def test_the_first_ballot_of_somebody_else_or_with_another_key_is_named(assembly: Any) -> None:
    hashed = record_id(assembly.proposal())
    ilse = assembly.ballot("ilse", "yes", hashed)
    in_her_name = assembly.ballot("ilse", "no", hashed, signer=STRANGER)
    zoe = assembly.ballot("zoe", "no", hashed, signer=STRANGER)
    for ballots, name in (((ilse, zoe), "zoe"), ((in_her_name, zoe), "ilse")):
        said = wrong(voted(assembly, *ballots), assembly.network.view)
        assert said["ballots-by-electors"] == (OWN, f"{TOOLS}/{name} with {STRANGER.did}")


def test_a_decision_names_the_ballots_and_commits_to_them_with_their_salts(assembly: Any) -> None:
    view = assembly.network.view
    file = good(assembly, ballots_hash=NOTHING, commitments_root="1" * 64)
    ids = [record_id(each.ballot) for each in file.ballots]
    salts = [each.salt for each in file.ballots]
    root = commitments_root(commitments_of(zip(ids, salts, strict=True)))
    assert wrong(file, view) == {
        "ballots-hash": (NOTHING, ids_hash(ids)),
        "commitments-root": ("1" * 64, root),
    }
    first, *rest = good(assembly).ballots
    salted = first.model_copy(update={"salt": "0" * 32})
    anew = good(assembly).model_copy(update={"ballots": (salted, *rest)})
    commitments = commitments_of(zip(ids, ["0" * 32, *salts[1:]], strict=True))
    assert wrong(anew, view) == {"commitments-root": (root, commitments_root(commitments))}
    twice = good(assembly).model_copy(update={"ballots": (first, first, *rest)})
    assert wrong(twice, view)["commitments-root"] == (
        "verifies",
        "the commitments are not in their order, each once",
    )


# Delegations.


def test_a_delegation_that_is_not_signed_is_named_by_its_place_and_none_is_counted(
    assembly: Any,
) -> None:
    network = assembly.network
    first, second = assembly.delegation("kim", "ilse"), assembly.delegation("mira", "jan")
    elsewhere = assembly.delegation("mira", "jan", network="b" * 26)
    for bad in (tampered(second), elsewhere, "x"):
        why = refusal(partial(read_delegation, bad, network=network.name))
        file = delegated(assembly, first, second).model_copy(update={"delegations": (first, bad)})
        roll, _, decision = called(file, network.view)
        assert roll.delegations == {}
        assert wrong(file, network.view) == {
            "delegation-signatures": ("verifies", f"delegation 2: {why}"),
            "delegations-hash": (decision.delegations_hash, ids_hash([])),
        }


def test_each_check_of_delegations_says_who_is_wrong(assembly: Any) -> None:
    view, delegation = assembly.network.view, assembly.delegation
    to_ilse = [delegation(name, "ilse") for name in ("kim", "mira", "ondrej")]
    circle = [delegation("mira", "ondrej"), delegation("ondrej", "mira")]
    revoked = [delegation(name, None) for name in ("kim", "mira")]
    by_stranger = [delegation(name, "ilse", signer=STRANGER) for name in ("mira", "zoe")]
    cases: list[tuple[list[str], dict[str, Any], Said]] = [
        (
            [to_ilse[1], to_ilse[0], to_ilse[2]],
            {},
            {"delegations-once": (ONCE, f"{TOOLS}/kim out of place")},
        ),
        (
            [to_ilse[0], delegation("kim", "jan")],
            {},
            {"delegations-once": (ONCE, f"{TOOLS}/kim out of place")},
        ),
        ([*revoked, to_ilse[2]], {}, {"delegations-standing": ("none", f"{TOOLS}/kim")}),
        ([to_ilse[0], *circle], {}, {"delegations-in-no-circle": ("none", f"{TOOLS}/mira")}),
        (
            to_ilse,
            {"delegations_hash": NOTHING},
            {"delegations-hash": (NOTHING, ids_hash(map(record_id, to_ilse)))},
        ),
        (
            [to_ilse[0], *by_stranger],
            {},
            {"delegations-by-electors": (OWN, f"{TOOLS}/mira with {STRANGER.did}")},
        ),
    ]
    for given, changes, expected in cases:
        assert wrong(delegated(assembly, *given, **changes), view) == expected

"""Proposals, ballots, delegations and receipts: what each must say, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.ballots import (
    commitment_of,
    commitments_of,
    commitments_root,
    ids_hash,
    make_ballot,
    read_ballot,
    read_ballot_receipt,
    read_delegation,
    read_lodging_receipt,
)
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.merkle import EMPTY_ROOT
from opkit.proof.proposals import (
    PEOPLE_TEXT_BYTES_MAX,
    check_effect,
    make_distribution,
    read_proposal,
    sign_proposal,
)
from opkit.wire.votes import (
    AccountChange,
    ConfigurationEffect,
    DistributionLine,
    MembershipEffect,
    Proposal,
    RuleChange,
    TextEffect,
)
from tests.opkit.proof.assemblies import SPEND, TOOLS

KEY = Identity.from_seed(b"\7" * 32)
SHARES = make_distribution(
    from_account=f"{TOOLS}:surplus",
    unit="usd-cents",
    surplus=10,
    weights={f"{TOOLS}:member/{name}": weight for name, weight in (("ilse", 1), ("jan", 2))},
)
ADMIT: dict[str, Any] = {
    "action": "admit",
    "member_id": f"{TOOLS}/lea",
    "name": "Lea",
    "did": KEY.did,
    "roles": ("member",),
}
REMOVE: dict[str, Any] = {"action": "remove", "member_id": f"{TOOLS}/lea"}
REKEY: dict[str, Any] = {"action": "rekey", "member_id": f"{TOOLS}/lea", "did": KEY.did}
OPEN = AccountChange(account=f"{TOOLS}:reserve", unit="usd-cents", closed=False)

GOOD = [
    TextEffect(),
    SPEND,
    SHARES,
    MembershipEffect(**ADMIT),
    MembershipEffect(**{**ADMIT, "name": "L" * PEOPLE_TEXT_BYTES_MAX}),
    MembershipEffect(**REMOVE),
    MembershipEffect(**REKEY),
    ConfigurationEffect(rule=RuleChange(votes_final=True)),
    ConfigurationEffect(accounts=(OPEN,)),
]

WRONG: dict[str, Any] = {
    "from another ledger": SPEND.model_copy(update={"from_account": "yard:reserve"}),
    "to another ledger": SPEND.model_copy(update={"to_account": "yard:vendor/x"}),
    "an account pays itself": SPEND.model_copy(update={"to_account": SPEND.from_account}),
    "another split": SHARES.model_copy(
        update={
            "lines": tuple(
                each.model_copy(update={"amount": 10 - each.amount}) for each in SHARES.lines
            )
        }
    ),
    "out of order": SHARES.model_copy(update={"lines": SHARES.lines[::-1]}),
    "a line twice": SHARES.model_copy(update={"lines": (*SHARES.lines, SHARES.lines[-1])}),
    "to where it comes from": make_distribution(
        from_account=f"{TOOLS}:surplus",
        unit="usd-cents",
        surplus=1,
        weights={f"{TOOLS}:surplus": 1},
    ),
    "nobody has a weight": SHARES.model_copy(
        update={"lines": (DistributionLine(account=f"{TOOLS}:x", weight=0, amount=0),)}
    ),
    "a line elsewhere": SHARES.model_copy(
        update={"lines": (DistributionLine(account="yard:x", weight=1, amount=10),)}
    ),
    "another coop's member": MembershipEffect(**{**ADMIT, "member_id": "yard/lea"}),
    "a member of no coop": MembershipEffect(**{**ADMIT, "member_id": "-/lea"}),
    "admitted without key": MembershipEffect(**{**ADMIT, "did": None}),
    "a key that is none": MembershipEffect(**{**ADMIT, "did": f"did:key:z6Mk{'1' * 44}"}),
    "admitted without name": MembershipEffect(**{**ADMIT, "name": ""}),
    "a name that is too long": MembershipEffect(
        **{**ADMIT, "name": "L" * (PEOPLE_TEXT_BYTES_MAX + 1)}
    ),
    "a title that is too long": MembershipEffect(
        **{**ADMIT, "title": "é" * (PEOPLE_TEXT_BYTES_MAX // 2 + 1)}
    ),
    "admitted without roles": MembershipEffect(**{**ADMIT, "roles": ()}),
    "a role twice": MembershipEffect(**{**ADMIT, "roles": ("member", "member")}),
    "the operator's role": MembershipEffect(**{**ADMIT, "roles": ("operator",)}),
    "no role": MembershipEffect(**{**ADMIT, "roles": ("queen",)}),
    "removed with a key": MembershipEffect(**{**REMOVE, "did": KEY.did}),
    "removed with roles": MembershipEffect(**{**REMOVE, "roles": ("member",)}),
    "rekeyed without key": MembershipEffect(**{**REKEY, "did": None}),
    "rekeyed with a name": MembershipEffect(**{**REKEY, "name": "Lea"}),
    "rekeyed with a title": MembershipEffect(**{**REKEY, "title": "Chair"}),
    "nothing changes": ConfigurationEffect(),
    "a rule changes in nothing": ConfigurationEffect(rule=RuleChange(), accounts=(OPEN,)),
    "an account changes in nothing": ConfigurationEffect(
        accounts=(OPEN.model_copy(update={"closed": None}),)
    ),
    "an account twice": ConfigurationEffect(accounts=(OPEN, OPEN)),
    "another coop's account": ConfigurationEffect(
        accounts=(OPEN.model_copy(update={"account": "yard:reserve"}),)
    ),
}


@pytest.mark.parametrize("effect", GOOD, ids=lambda each: str(each.kind))
def test_what_could_be_executed_is_well_formed(effect: Any) -> None:
    check_effect(effect, coop=TOOLS)


@pytest.mark.parametrize("name", WRONG)
def test_what_could_not_be_executed_is_told_before_anybody_votes(name: str) -> None:
    with pytest.raises(ProofError):
        check_effect(WRONG[name], coop=TOOLS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"member_id": "building-yard/ruth"}, "no member of"),
        ({"proposal_id": "a" * 64}, "shape|reads as a hash|proposal_id"),
        ({"treasury_nonce": None}, "nonce"),
        ({"effect": TextEffect()}, "nonce"),
        ({"network": "b" * 26}, "network"),
    ],
)
def test_what_is_no_proposal_is_none(assembly: Any, changes: dict[str, Any], why: str) -> None:
    read_proposal(assembly.proposal(), network=assembly.network.name)
    with pytest.raises(ProofError, match=why):
        read_proposal(assembly.proposal(**changes), network=assembly.network.name)


def test_a_proposal_is_signed_by_the_key_that_it_names(assembly: Any) -> None:
    said = Proposal.model_validate(jws.peek(assembly.proposal()).payload, strict=False)
    with pytest.raises(ProofError, match="the key that it names"):
        sign_proposal(said, KEY)
    again = sign_proposal(said, assembly.keys[f"{TOOLS}/mira"])
    assert jws.record_id(again) == jws.record_id(assembly.proposal())


def test_ballots_and_delegations_belong_to_the_members_own_assembly(assembly: Any) -> None:
    network = assembly.network.name
    read_ballot(assembly.ballot("kim", "yes", "0" * 64), network=network)
    read_delegation(assembly.delegation("kim", "jan"), network=network)
    for ballot in (
        assembly.ballot("kim", "yes", "0" * 64, aud="building-yard"),
        assembly.ballot("", "yes", "0" * 64, member_id="-/kim", aud="building-yard", signer=KEY),
        assembly.delegation("kim", "jan"),
        "x" * 3_000,
    ):
        with pytest.raises(ProofError):
            read_ballot(ballot, network=network)
    for delegation in (
        assembly.delegation("kim", "kim"),
        assembly.delegation("kim", "jan", aud="building-yard"),
        assembly.delegation("kim", None, to="building-yard/ruth"),
        assembly.ballot("kim", "yes", "0" * 64),
    ):
        with pytest.raises(ProofError):
            read_delegation(delegation, network=network)
    with pytest.raises(ProofError, match="no coop"):
        make_ballot(
            KEY,
            network=network,
            member_id="-/kim",
            proposal="0" * 64,
            choice="yes",
            sequence=1,
            at_ms=1,
        )


def test_receipts_are_the_homes_or_another_nodes(assembly: Any) -> None:
    genesis = assembly.network.view
    ballot = assembly.ballot("kim", "yes", "0" * 64)
    yard = assembly.network.nodes["building-yard"]
    read_ballot_receipt(assembly.receipt(ballot), genesis=genesis)
    read_lodging_receipt(assembly.receipt(ballot, lodged=True), genesis=genesis)
    for receipt in (
        assembly.receipt(ballot, signer=yard),
        assembly.receipt(ballot, member_id="building-yard/ruth"),
        assembly.receipt(ballot, lodged=True),
    ):
        with pytest.raises(ProofError):
            read_ballot_receipt(receipt, genesis=genesis)
    for receipt in (
        assembly.receipt(ballot, lodged=True, signer=assembly.home),
        assembly.receipt(ballot, lodged=True, signer=KEY),
        assembly.receipt(ballot, lodged=True, aud="bakery", member_id="bakery/kim"),
        assembly.receipt(ballot),
    ):
        with pytest.raises(ProofError):
            read_lodging_receipt(receipt, genesis=genesis)


def test_commitments_hide_what_they_are_to_and_stand_in_their_own_order() -> None:
    ids = [f"{number:064x}" for number in range(5)]
    made = commitments_of((each, "0" * 32) for each in ids)
    assert list(made) == sorted(commitment_of(each, "0" * 32) for each in ids)
    assert not set(made) & {commitment_of(each, "1" * 32) for each in ids}
    assert commitments_root(()) == EMPTY_ROOT.hex()
    assert commitments_root(made) != commitments_root(made[:4])
    for wrong in (made[::-1], (made[0], *made)):
        with pytest.raises(ProofError, match="order"):
            commitments_root(wrong)
    assert ids_hash(ids) != ids_hash(ids[::-1])

"""Ballots, delegations and receipts: what each must say and by whom, and what is hashed of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from opkit.proof import jws
from opkit.proof.ballots import (
    assembly_of,
    commitment_of,
    commitments_of,
    commitments_root,
    ids_hash,
    make_ballot,
    make_delegation,
    read_ballot,
    read_ballot_receipt,
    read_delegation,
    read_lodging_receipt,
    read_receipt,
    rightly_stands,
    sign_ballot_receipt,
    sign_lodging_receipt,
)
from opkit.proof.checks import ProofError
from opkit.proof.keys import Identity
from opkit.proof.merkle import EMPTY_ROOT, leaf_hash, node_hash
from opkit.wire.votes import (
    BALLOT_CHARACTERS_MAX,
    Ballot,
    BallotReceipt,
    Choice,
    Delegation,
    LodgingReceipt,
)
from tests.opkit.proof.assemblies import TOOLS, tampered

KEY = Identity.from_seed(b"\7" * 32)
KIM, JAN = f"{TOOLS}/kim", f"{TOOLS}/jan"
YARD = "building-yard"
PROPOSAL = "1" * 64
OTHER_NETWORK = "b" * 26


def test_a_ballot_says_what_a_member_votes(assembly: Any) -> None:
    network, kim = assembly.network.name, assembly.keys[KIM]
    token = make_ballot(
        kim,
        network=network,
        member_id=KIM,
        proposal=PROPOSAL,
        choice="abstain",
        sequence=3,
        at_ms=4,
    )
    assert read_ballot(token, network=network) == Ballot(
        network=network,
        aud=TOOLS,
        did=kim.did,
        member_id=KIM,
        proposal=PROPOSAL,
        choice="abstain",
        sequence=3,
        issued_at_ms=4,
    )


@pytest.mark.parametrize("to", [JAN, None])
def test_a_delegation_says_who_votes_where_a_member_does_not(assembly: Any, to: str | None) -> None:
    network, kim = assembly.network.name, assembly.keys[KIM]
    token = make_delegation(kim, network=network, member_id=KIM, to=to, sequence=3, at_ms=4)
    assert read_delegation(token, network=network) == Delegation(
        network=network,
        aud=TOOLS,
        did=kim.did,
        member_id=KIM,
        to=to,
        sequence=3,
        issued_at_ms=4,
    )


def test_who_is_a_member_of_no_coop_has_no_assembly() -> None:
    assert assembly_of(KIM) == TOOLS
    with pytest.raises(ProofError, match="-/kim is a member of no coop"):
        assembly_of("-/kim")


@pytest.mark.parametrize(
    ("member_id", "to", "why"),
    [
        ("-/kim", None, "-/kim is a member of no coop"),
        (KIM, KIM, "nobody delegates to themself"),
        (KIM, f"{YARD}/ruth", f"{YARD}/ruth is no member of {TOOLS}"),
        (KIM, "-/operator", "-/operator is a member of no coop"),
    ],
)
def test_a_delegation_that_nobody_would_take_is_not_signed(
    member_id: str, to: str | None, why: str
) -> None:
    with pytest.raises(ProofError, match=why):
        make_delegation(KEY, network="a" * 26, member_id=member_id, to=to, sequence=1, at_ms=1)


@dataclass(frozen=True)
class Kind:
    """A kind of what is signed here: how a good one is made, and how any is read."""

    name: str
    make: Callable[..., str]
    read: Callable[..., object]


def _receipt(lodged: bool) -> Callable[..., str]:
    def made(assembly: Any, **changes: Any) -> str:
        ballot = assembly.ballot("kim", "yes", PROPOSAL)
        token: str = assembly.receipt(ballot, lodged=lodged, **changes)
        return token

    return made


def _by_network(read: Callable[..., object]) -> Callable[..., object]:
    return lambda token, assembly: read(token, network=assembly.network.name)


def _by_genesis(read: Callable[..., object]) -> Callable[..., object]:
    return lambda token, assembly: read(token, genesis=assembly.network.view)


BALLOT = Kind(
    "ballot",
    lambda assembly, **changes: assembly.ballot("kim", "yes", PROPOSAL, **changes),
    _by_network(read_ballot),
)
DELEGATION = Kind(
    "delegation",
    lambda assembly, **changes: assembly.delegation("kim", "jan", **changes),
    _by_network(read_delegation),
)
BY_HOME = Kind("receipt", _receipt(lodged=False), _by_genesis(read_ballot_receipt))
LODGED = Kind("lodged", _receipt(lodged=True), _by_genesis(read_lodging_receipt))
KINDS = (BALLOT, DELEGATION, BY_HOME, LODGED)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_what_is_read_is_what_was_signed_for_this_network(kind: Kind, assembly: Any) -> None:
    token = kind.make(assembly)
    said: Any = kind.read(token, assembly)
    assert said.model_dump(mode="json") == jws.peek(token).payload
    for wrong, why in (
        (tampered(token), "signature"),
        (kind.make(assembly, network=OTHER_NETWORK), "network"),
        *((each.make(assembly), "it is a .*, not a ") for each in KINDS if each is not kind),
    ):
        with pytest.raises(ProofError, match=why):
            kind.read(wrong, assembly)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_what_has_more_characters_than_may_be_is_not_looked_into(kind: Kind, assembly: Any) -> None:
    with pytest.raises(ProofError, match="not a compact JWS"):
        kind.read("x" * BALLOT_CHARACTERS_MAX, assembly)
    beyond = BALLOT_CHARACTERS_MAX + 1
    with pytest.raises(ProofError, match=f"{beyond} characters are more than"):
        kind.read("x" * beyond, assembly)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_everything_is_of_the_members_own_assembly(kind: Kind, assembly: Any) -> None:
    with pytest.raises(ProofError, match=f"{KIM} is no member of {YARD}"):
        kind.read(kind.make(assembly, aud=YARD), assembly)


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        (DELEGATION, {"to": KIM}, "nobody delegates to themself"),
        (DELEGATION, {"to": f"{YARD}/ruth"}, f"{YARD}/ruth is no member of {TOOLS}"),
        (BY_HOME, {"signer": KEY}, f"is not the home node of {TOOLS}"),
        (
            BY_HOME,
            {"aud": "bakery", "member_id": "bakery/kim"},
            "is not the home node of bakery",
        ),
        (
            LODGED,
            {"aud": "bakery", "member_id": "bakery/kim"},
            "the coop bakery has no charter in this network",
        ),
        (LODGED, {"signer": KEY}, "is no node of the network"),
    ],
)
def test_what_is_signed_and_does_not_hold(
    kind: Kind, changes: dict[str, Any], why: str, assembly: Any
) -> None:
    with pytest.raises(ProofError, match=why):
        kind.read(kind.make(assembly, **changes), assembly)


def test_the_home_counts_and_another_node_keeps(assembly: Any) -> None:
    """Neither gives the receipt of the other."""
    yard = assembly.network.nodes[YARD]
    with pytest.raises(ProofError, match=f"{yard.did} is not the home node of {TOOLS}"):
        BY_HOME.read(BY_HOME.make(assembly, signer=yard), assembly)
    with pytest.raises(ProofError, match="counted, not lodged"):
        LODGED.read(LODGED.make(assembly, signer=assembly.home), assembly)
    loner = assembly.network.nodes["loner"]
    said: Any = LODGED.read(LODGED.make(assembly, signer=loner), assembly)
    assert said.did == loner.did, "a node that is home of no coop keeps ballots too"


def test_a_receipt_is_read_as_the_kind_that_it_is(assembly: Any) -> None:
    genesis = assembly.network.view
    by_home = read_receipt(BY_HOME.make(assembly), genesis=genesis)
    assert isinstance(by_home, BallotReceipt)
    lodged = read_receipt(LODGED.make(assembly), genesis=genesis)
    assert isinstance(lodged, LodgingReceipt)
    for wrong in (BALLOT.make(assembly), BY_HOME.make(assembly, signer=KEY)):
        with pytest.raises(ProofError):
            read_receipt(wrong, genesis=genesis)


def test_a_receipt_is_signed_by_the_node_that_it_names(assembly: Any) -> None:
    genesis = assembly.network.view
    counted, lodged = BY_HOME.make(assembly), LODGED.make(assembly)
    by_home = read_ballot_receipt(counted, genesis=genesis)
    kept = read_lodging_receipt(lodged, genesis=genesis)
    assert sign_ballot_receipt(by_home, assembly.home) == counted
    assert sign_lodging_receipt(kept, assembly.network.nodes[YARD]) == lodged
    with pytest.raises(ProofError, match="the node that it names"):
        sign_ballot_receipt(by_home, KEY)
    with pytest.raises(ProofError, match="the node that it names"):
        sign_lodging_receipt(kept, assembly.home)


@dataclass(frozen=True)
class Vote:
    sequence: int
    choice: Choice


@pytest.mark.parametrize(
    ("counted", "by_home", "votes_final", "rightly"),
    [
        *((Vote(2, "no"), home, final, True) for home in (0, 1) for final in (0, 1)),
        (Vote(1, "no"), False, False, False),
        (Vote(1, "yes"), False, False, False),
        (Vote(2, "yes"), False, False, True),
        (Vote(3, "yes"), False, False, True),
        (Vote(1, "yes"), False, True, True),
        (Vote(3, "yes"), False, True, True),
        (Vote(1, "yes"), True, False, False),
        (Vote(2, "yes"), True, False, False),
        (Vote(3, "yes"), True, False, True),
        (Vote(3, "no"), True, False, True),
        (Vote(1, "yes"), True, True, False),
        (Vote(3, "yes"), True, True, False),
    ],
)
def test_what_rightly_stands_in_the_place_of_a_second_vote_against(
    counted: Vote, by_home: bool, votes_final: bool, rightly: bool
) -> None:
    """By what was only lodged the home need not have known which was first; of its own it does."""
    said = Vote(2, "no")
    assert rightly_stands(counted, said, by_home=by_home, votes_final=votes_final) is rightly


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_ids_are_hashed_each_on_a_line_in_the_order_in_which_they_come() -> None:
    assert ids_hash(()) == sha256("")
    assert ids_hash(["a" * 64, "b" * 64]) == sha256(f"{'a' * 64}\n{'b' * 64}\n")
    assert ids_hash(["b" * 64, "a" * 64]) == sha256(f"{'b' * 64}\n{'a' * 64}\n")


IDS = [f"{number:064x}" for number in range(5)]
SALTS = [f"{number:032x}" for number in range(5)]


def test_commitments_hide_what_they_are_to_and_stand_in_their_own_order() -> None:
    made = commitments_of(zip(IDS, SALTS, strict=True))
    each = [
        sha256(f"opkit ballot commitment\n{salt}\n{ballot}\n")
        for ballot, salt in zip(IDS, SALTS, strict=True)
    ]
    assert each == [commitment_of(ballot, salt) for ballot, salt in zip(IDS, SALTS, strict=True)]
    assert made == tuple(sorted(each)) != tuple(each)
    assert not {*made} & {commitment_of(ballot, "f" * 32) for ballot in IDS}


def test_the_root_is_that_of_the_tree_over_commitments_as_bytes() -> None:
    one, two, three = sorted(sha256(each) for each in "abc")
    leaves = [leaf_hash(bytes.fromhex(each)) for each in (one, two, three)]
    assert commitments_root(()) == EMPTY_ROOT.hex()
    assert commitments_root((one,)) == leaves[0].hex()
    root = node_hash(node_hash(*leaves[:2]), leaves[2])
    assert commitments_root((one, two, three)) == root.hex()
    for wrong in ((one, three, two), (two, one, three), (one, one, two), (one, two, two)):
        with pytest.raises(ProofError, match="order"):
            commitments_root(wrong)

"""What coops say in the federation: signed by the right node, about what there is."""

from __future__ import annotations

import hashlib

import pytest

from opkit.proof import federation as proof
from opkit.proof import jws
from opkit.proof.canonical import canonical_of
from opkit.proof.checks import ProofError
from opkit.wire.federation import (
    ATTESTATION_TERM_MS_MAX,
    ATTESTATION_TYP,
    COOP_STATEMENT_TYP,
    Attestation,
    CoopStatement,
)
from opkit.wire.operations import VALUE_CHARACTERS_MAX
from tests.opkit.proof.pacts import NETWORK, START_MS, genesis_of, key_of

GENESIS = genesis_of()
MILL, WHARF, STRANGER = key_of("mill-node"), key_of("wharf-node"), key_of("stranger")
CHARTER = proof.charter_hash(GENESIS.charter("mill"))


def statement(node=MILL, **changes):
    said = {
        "network": NETWORK,
        "did": node.did,
        "coop": "mill",
        "title": "Mill",
        "charter": CHARTER,
        "decision": None,
        "issued_at_ms": START_MS,
    }
    return CoopStatement(**{**said, **changes})


def attestation(node=MILL, **changes):
    said = {
        "network": NETWORK,
        "did": node.did,
        "issuer": "mill",
        "subject": "wharf",
        "type": "insured",
        "statement": "Insured until May.",
        "valid_from_ms": START_MS,
        "valid_until_ms": START_MS + ATTESTATION_TERM_MS_MAX,
        "issued_at_ms": START_MS,
    }
    return Attestation(**{**said, **changes})


def test_the_federation_begins_with_each_coops_home():
    founders = proof.founders_of(GENESIS)
    assert {MILL.did, WHARF.did} <= founders and STRANGER.did not in founders
    assert proof.home_coop(GENESIS, MILL.did) == "mill"
    assert proof.home_coop(GENESIS, STRANGER.did) is None
    assert proof.home_coop(GENESIS, key_of("loner-node").did) is None


def test_a_statement_cites_a_charter_by_the_hash_of_its_one_spelling():
    assert hashlib.sha256(canonical_of(GENESIS.charter("mill"))).hexdigest() == CHARTER


def test_a_coop_is_spoken_for_by_its_home_and_a_new_one_by_whoever_is_no_home():
    said = statement()
    assert proof.read_statement(proof.sign_statement(said, MILL), GENESIS) == said
    new = statement(STRANGER, coop="bakery", charter=None)
    assert proof.read_statement(proof.sign_statement(new, STRANGER), GENESIS) == new


@pytest.mark.parametrize(
    ("node", "changes", "why"),
    [
        (MILL, {"charter": "0" * 64}, "another charter"),
        (MILL, {"charter": None}, "another charter"),
        (WHARF, {}, "not the home node"),
        (STRANGER, {}, "not the home node"),
        (MILL, {"coop": "bakery", "charter": None}, "speaks for another"),
        (STRANGER, {"coop": "bakery"}, "no charter here"),
        (STRANGER, {"coop": "bakery", "charter": None, "decision": "1" * 64}, "no charter here"),
        (MILL, {"network": "b" * 26}, "network"),
    ],
)
def test_what_a_node_may_not_say_of_a_coop_is_believed_by_nobody(node, changes, why):
    token = proof.sign_statement(statement(node, **changes), node)
    with pytest.raises(ProofError, match=why):
        proof.read_statement(token, GENESIS)


def test_an_attestation_is_its_issuers_homes():
    said = attestation()
    assert proof.read_attestation(proof.sign_attestation(said, MILL), GENESIS) == said
    shortest = attestation(valid_until_ms=START_MS + 1)
    assert proof.read_attestation(proof.sign_attestation(shortest, MILL), GENESIS) == shortest
    new = attestation(STRANGER, issuer="bakery")
    assert proof.read_attestation(proof.sign_attestation(new, STRANGER), GENESIS) == new


@pytest.mark.parametrize(
    ("node", "changes", "why"),
    [
        (WHARF, {"subject": "yard"}, "not the home node"),
        (STRANGER, {}, "not the home node"),
        (MILL, {"issuer": "bakery"}, "not the home node"),
        (MILL, {"subject": "mill"}, "nothing of itself"),
        (MILL, {"valid_until_ms": START_MS}, "valid for 0 ms"),
        (MILL, {"valid_until_ms": START_MS + ATTESTATION_TERM_MS_MAX + 1}, "valid for"),
        (MILL, {"network": "b" * 26}, "network"),
    ],
)
def test_what_a_coop_may_not_attest_is_believed_by_nobody(node, changes, why):
    token = jws.sign(attestation(node, **changes), typ=ATTESTATION_TYP, identity=node)
    with pytest.raises(ProofError, match=why):
        proof.read_attestation(token, GENESIS)


def test_nobody_signs_what_no_reader_would_take():
    with pytest.raises(ProofError, match="node that it names"):
        proof.sign_statement(statement(), WHARF)
    with pytest.raises(ProofError, match="nothing of itself"):
        proof.sign_attestation(attestation(subject="mill"), MILL)


def long_attestation(characters: int):
    """Return an attestation whose token has so many characters; each three bytes make four."""
    size = len(jws.sign(attestation(statement=""), typ=ATTESTATION_TYP, identity=MILL))
    more = (characters - size) * 3 // 4
    return attestation(statement="\u20ac" * (more // 3 - 2) + "x" * (more % 3 + 6))


def test_what_is_too_long_is_neither_signed_nor_read():
    longest = long_attestation(VALUE_CHARACTERS_MAX)
    token = proof.sign_attestation(longest, MILL)
    assert len(token) == VALUE_CHARACTERS_MAX
    assert proof.read_attestation(token, GENESIS) == longest
    too_long = longest.model_copy(update={"statement": f"{longest.statement}x"})
    with pytest.raises(ProofError, match="4097 characters are more than 4096"):
        proof.sign_attestation(too_long, MILL)
    token = jws.sign(too_long, typ=ATTESTATION_TYP, identity=MILL)
    for read in (proof.read_attestation, proof.read_statement):
        with pytest.raises(ProofError, match="4097 characters are more than 4096"):
            read(token, GENESIS)


def test_a_statement_is_no_attestation():
    with pytest.raises(ProofError):
        proof.read_attestation(proof.sign_statement(statement(), MILL), GENESIS)
    token = jws.sign(attestation(), typ=ATTESTATION_TYP, identity=MILL)
    assert COOP_STATEMENT_TYP != ATTESTATION_TYP
    with pytest.raises(ProofError):
        proof.read_statement(token, GENESIS)

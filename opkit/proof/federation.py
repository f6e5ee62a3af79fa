"""What coops say in the federation, judged by whoever holds the genesis. Source: ADR 0044."""

from __future__ import annotations

from opkit.proof import jws
from opkit.proof.canonical import canonical_of, sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Did, Jws, RecordId, Slug
from opkit.wire.federation import (
    ATTESTATION_TERM_MS_MAX,
    ATTESTATION_TYP,
    COOP_STATEMENT_TYP,
    Attestation,
    CoopStatement,
)
from opkit.wire.genesis import Charter
from opkit.wire.operations import VALUE_CHARACTERS_MAX


def charter_hash(charter: Charter) -> RecordId:
    """Return by what a statement cites a charter."""
    return sha256_hex(canonical_of(charter))


def home_coop(genesis: GenesisView, node: Did) -> Slug | None:
    """Return the coop whose home a node is, by the genesis; None if it is no coop's."""
    homes = {each.charter.home_node: each.charter.coop for each in genesis.genesis.charters}
    return homes.get(node)


def founders_of(genesis: GenesisView) -> frozenset[Did]:
    """Return who is a member of the federation from the beginning: each coop's home node."""
    return frozenset(signed.charter.home_node for signed in genesis.genesis.charters)


def sign_statement(said: CoopStatement, node: Identity) -> Jws:
    """Return what a home node says of its coop, signed.

    Raises:
        ProofError: it would be too long, or `node` is not whom it names.
    """
    return _signed(said, COOP_STATEMENT_TYP, node)


def read_statement(token: Jws, genesis: GenesisView) -> CoopStatement:
    """Return what a node says of its coop, if it may.

    Raises:
        ProofError: length, signature, type, network or shape; a coop with a charter, and another
            home node or charter; a charter or a decision of a coop that has none here.
    """
    _check_length(token)
    said = jws.verify_by_author(
        token, typ=COOP_STATEMENT_TYP, author="did", network=genesis.network, of=CoopStatement
    )
    charter = genesis.charter(said.coop)
    if charter is None:
        if said.charter is not None or said.decision is not None:
            raise ProofError(f"{said.coop} has no charter here, and so no decisions")
        if home_coop(genesis, said.did) is not None:
            raise ProofError("the home node of a coop speaks for another one")
        return said
    if charter.home_node != said.did:
        raise ProofError(f"it is not the home node of {said.coop} that speaks for it")
    if said.charter != charter_hash(charter):
        raise ProofError(f"it cites another charter than that of {said.coop}")
    return said


def sign_attestation(said: Attestation, node: Identity) -> Jws:
    """Return what a coop attests, signed by its home node.

    Raises:
        ProofError: it would be too long, `node` is not whom it names, or no reader would take it.
    """
    _check_attestation(said)
    return _signed(said, ATTESTATION_TYP, node)


def read_attestation(token: Jws, genesis: GenesisView) -> Attestation:
    """Return what a coop attests of another.

    Raises:
        ProofError: length, signature, type, network or shape; it is of the issuer itself, or valid
            for no time or too long; or a coop with a charter speaks by another node than its home,
            or a home node for another coop.
    """
    _check_length(token)
    said = jws.verify_by_author(
        token, typ=ATTESTATION_TYP, author="did", network=genesis.network, of=Attestation
    )
    _check_attestation(said)
    charter, own = genesis.charter(said.issuer), home_coop(genesis, said.did)
    if (charter is not None and charter.home_node != said.did) or own not in (None, said.issuer):
        raise ProofError(f"it is not the home node of {said.issuer} that speaks for it")
    return said


def _check_attestation(said: Attestation) -> None:
    if said.issuer == said.subject:
        raise ProofError("a coop attests nothing of itself")
    term_ms = said.valid_until_ms - said.valid_from_ms
    if not 0 < term_ms <= ATTESTATION_TERM_MS_MAX:
        raise ProofError(f"it would be valid for {term_ms} ms")


def _check_length(token: Jws) -> None:
    if len(token) > VALUE_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than {VALUE_CHARACTERS_MAX}")


def _signed(said: CoopStatement | Attestation, typ: str, node: Identity) -> Jws:
    if node.did != said.did:
        raise ProofError("it is signed by the node that it names")
    token = jws.sign(said, typ=typ, identity=node)
    _check_length(token)
    return token

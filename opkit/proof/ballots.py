"""Ballots, delegations and receipts: who signs them, what they must say, and how they are hashed.

A decision is of fixed size: it names the ballots that were counted by one hash over their record
ids, and what leaves the coop by one root over salted commitments. With the salt in their receipt a
member finds their own vote among those; nobody else learns from them how anybody voted, or who did.
Source: ADR 0041, ADR 0042.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.membership import coop_of
from opkit.proof.merkle import Frontier, leaf_hash
from opkit.wire.base import Jws, MemberId, NetworkId, RecordId, Slug, TimeMs
from opkit.wire.votes import (
    BALLOT_CHARACTERS_MAX,
    BALLOT_RECEIPT_TYP,
    BALLOT_TYP,
    DELEGATION_TYP,
    LODGING_RECEIPT_TYP,
    Ballot,
    BallotReceipt,
    Choice,
    Delegation,
    LodgingReceipt,
)


def make_ballot(
    member: Identity,
    *,
    network: NetworkId,
    member_id: MemberId,
    proposal: RecordId,
    choice: Choice,
    sequence: int,
    at_ms: TimeMs,
) -> Jws:
    """Return a member's vote, signed.

    Args:
        member: whose key signs.
        network: where it holds.
        member_id: who votes; the coop in it is the assembly.
        proposal: the proposal's hash.
        choice: the vote.
        sequence: the member's own; a higher one replaces what they voted before.
        at_ms: when it is signed.

    Raises:
        ProofError: they are a member of no coop.
    """
    ballot = Ballot(
        network=network,
        aud=assembly_of(member_id),
        did=member.did,
        member_id=member_id,
        proposal=proposal,
        choice=choice,
        sequence=sequence,
        issued_at_ms=at_ms,
    )
    return jws.sign(ballot, typ=BALLOT_TYP, identity=member)


def read_ballot(token: Jws, *, network: NetworkId) -> Ballot:
    """Return a ballot that the key that it names signed, whoever that is.

    Raises:
        ProofError: length, signature, type, network or shape; another assembly than the member's.
    """
    _check_length(token)
    ballot = jws.verify_by_author(token, typ=BALLOT_TYP, author="did", network=network, of=Ballot)
    _check_assembly(ballot.member_id, aud=ballot.aud)
    return ballot


def make_delegation(
    member: Identity,
    *,
    network: NetworkId,
    member_id: MemberId,
    to: MemberId | None,
    sequence: int,
    at_ms: TimeMs,
) -> Jws:
    """Return a member's word on who votes where they do not, signed; `to` None takes it back.

    Raises:
        ProofError: they are a member of no coop; it is to themself, or to one of another coop.
    """
    delegation = Delegation(
        network=network,
        aud=assembly_of(member_id),
        did=member.did,
        member_id=member_id,
        to=to,
        sequence=sequence,
        issued_at_ms=at_ms,
    )
    _check_delegate(delegation)
    return jws.sign(delegation, typ=DELEGATION_TYP, identity=member)


def read_delegation(token: Jws, *, network: NetworkId) -> Delegation:
    """Return a delegation that the key that it names signed, whoever that is.

    Raises:
        ProofError: length, signature, type, network or shape; another assembly than the member's;
            it is to the member themself, or to one of another coop.
    """
    _check_length(token)
    said = jws.verify_by_author(
        token, typ=DELEGATION_TYP, author="did", network=network, of=Delegation
    )
    _check_assembly(said.member_id, aud=said.aud)
    _check_delegate(said)
    return said


def sign_ballot_receipt(receipt: BallotReceipt, home: Identity) -> Jws:
    """Return what the home node says it counted, signed; `receipt.did` is its own key."""
    return _sign_receipt(receipt, typ=BALLOT_RECEIPT_TYP, node=home)


def sign_lodging_receipt(receipt: LodgingReceipt, node: Identity) -> Jws:
    """Return what another node says it was given, signed; `receipt.did` is its own key."""
    return _sign_receipt(receipt, typ=LODGING_RECEIPT_TYP, node=node)


def _sign_receipt(receipt: BallotReceipt | LodgingReceipt, *, typ: str, node: Identity) -> Jws:
    if receipt.did != node.did:
        raise ProofError("a receipt is signed by the node that it names")
    return jws.sign(receipt, typ=typ, identity=node)


def read_ballot_receipt(token: Jws, *, genesis: GenesisView) -> BallotReceipt:
    """Return a receipt of the home node of the assembly that it names.

    Raises:
        ProofError: length, signature, type, network or shape; another node than the home; another
            assembly than the member's.
    """
    _check_length(token)
    receipt = jws.verify_by_author(
        token,
        typ=BALLOT_RECEIPT_TYP,
        author="did",
        network=genesis.network,
        of=BallotReceipt,
    )
    _check_assembly(receipt.member_id, aud=receipt.aud)
    charter = genesis.charter(receipt.aud)
    if charter is None or charter.home_node != receipt.did:
        raise ProofError(f"{receipt.did} is not the home node of {receipt.aud}")
    return receipt


def read_lodging_receipt(token: Jws, *, genesis: GenesisView) -> LodgingReceipt:
    """Return a receipt for a ballot that was lodged with a node of the network.

    Raises:
        ProofError: length, signature, type, network or shape; no node of the network, or the very
            home, whose receipts are another kind; another assembly than the member's.
    """
    _check_length(token)
    receipt = jws.verify_by_author(
        token,
        typ=LODGING_RECEIPT_TYP,
        author="did",
        network=genesis.network,
        of=LodgingReceipt,
    )
    _check_assembly(receipt.member_id, aud=receipt.aud)
    charter = genesis.charter(receipt.aud)
    if charter is None:
        raise ProofError(f"the coop {receipt.aud} has no charter in this network")
    if genesis.node(receipt.did) is None:
        raise ProofError(f"{receipt.did} is no node of the network")
    if charter.home_node == receipt.did:
        raise ProofError("what the home node takes is counted, not lodged")
    return receipt


def read_receipt(token: Jws, *, genesis: GenesisView) -> BallotReceipt | LodgingReceipt:
    """Return a receipt for a ballot, of either kind.

    Raises:
        ProofError: it does not hold (`read_ballot_receipt`, `read_lodging_receipt`).
    """
    if jws.peek(token).typ == BALLOT_RECEIPT_TYP:
        return read_ballot_receipt(token, genesis=genesis)
    return read_lodging_receipt(token, genesis=genesis)


class Vote(Protocol):
    """What decides which of a member's ballots counts."""

    @property
    def sequence(self) -> int:
        """The member's own number of it."""

    @property
    def choice(self) -> Choice:
        """How it votes."""


def rightly_stands(counted: Vote, said: Vote, *, by_home: bool, votes_final: bool) -> bool:
    """Return whether a ballot that was counted is this vote, or rightly stands instead of it.

    The same sequence and choice is the same vote. Where votes are final the first one stands, so
    one that was only lodged after it was rightly not counted; but what the home itself acknowledged
    it has to count until it acknowledges a later one.

    Args:
        counted: the member's ballot in the tally.
        said: the one that is said to be missing; `by_home` is whether the home acknowledged it.
        votes_final: whether a vote could not be changed.
    """
    if (counted.sequence, counted.choice) == (said.sequence, said.choice):
        return True
    if by_home:
        return counted.sequence > said.sequence and not votes_final
    return counted.sequence >= said.sequence or votes_final


def ids_hash(ids: Iterable[RecordId]) -> RecordId:
    """Return the hash over record ids in the order in which they come, each on a line.

    With it a decision names the ballots that were counted, by member, and the delegations.
    """
    return sha256_hex("".join(f"{each}\n" for each in ids).encode())


def commitment_of(ballot: RecordId, salt: str) -> RecordId:
    """Return the commitment to a ballot: by the salt one finds it, without it nobody guesses it."""
    return sha256_hex(f"opkit ballot commitment\n{salt}\n{ballot}\n".encode())


def commitments_of(ballots: Iterable[tuple[RecordId, str]]) -> tuple[RecordId, ...]:
    """Return the commitments to ballots with their salts, in the order of the tree: their own.

    Ordered by what looks random, they tell nobody who voted.
    """
    return tuple(sorted(commitment_of(ballot, salt) for ballot, salt in ballots))


def commitments_root(commitments: Sequence[RecordId]) -> RecordId:
    """Return the root of the tree over commitments (RFC 9162), each a leaf of 32 bytes.

    Raises:
        ProofError: they are not in their own order, or one stands twice.
    """
    if any(one >= other for one, other in pairwise(commitments)):
        raise ProofError("the commitments are not in their order, each once")
    tree = Frontier()
    for each in commitments:
        tree, _ = tree.append(leaf_hash(bytes.fromhex(each)))
    return tree.root().hex()


def assembly_of(member_id: MemberId) -> Slug:
    """Return the assembly of a member: that of their coop.

    Raises:
        ProofError: they are a member of no coop.
    """
    coop = coop_of(member_id)
    if coop is None:
        raise ProofError(f"{member_id} is a member of no coop, and so of no assembly")
    return coop


def _check_assembly(member_id: MemberId, *, aud: Slug) -> None:
    if assembly_of(member_id) != aud:
        raise ProofError(f"{member_id} is no member of {aud}")


def _check_delegate(said: Delegation) -> None:
    if said.to is None:
        return
    _check_assembly(said.to, aud=said.aud)
    if said.to == said.member_id:
        raise ProofError("nobody delegates to themself")


def _check_length(token: Jws) -> None:
    if len(token) > BALLOT_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than {BALLOT_CHARACTERS_MAX}")

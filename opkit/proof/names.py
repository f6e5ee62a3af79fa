"""Names: what of one can be judged by whoever holds its record and the genesis.

A name stands under a coop. It is held only as a record of that coop's home node, in which the
member's own claim and the member's chain are; the home node's sequence decides, never a time that
somebody claims. Two such records for two members at once, without the first one's word that the
name is free, prove that the home node said two things. Source: ADR 0035.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.membership import coop_of, fold_member
from opkit.proof.record import check_term, outranks, read_record
from opkit.wire.base import Did, Jws, MemberId, NetworkId, RecordId, Slug, TimeMs
from opkit.wire.flaws import first_flaw
from opkit.wire.membership import Member
from opkit.wire.names import (
    CLAIM_CHARACTERS_MAX,
    NAME_TERM_MS_MAX,
    NAME_TYP,
    AliasTarget,
    MemberChain,
    NameClaim,
    NameEnd,
    NameTarget,
    NameText,
    NameValue,
)
from opkit.wire.records import RecordBody

_TARGET: TypeAdapter[NameTarget | None] = TypeAdapter(NameTarget | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameView:
    """A name as a verified record says.

    Attributes:
        target: what it stands for; None if it was withdrawn.
        ended: the record shows that the holder's membership was revoked.
        sequence: the home node's; claim_sequence: the member's own.
        issued_at_ms: when the home node countersigned.
        id: the record's.
        freed: whose earlier holds the record shows the end of, with the sequence of the claim that
            ended each.
    """

    name: NameText
    coop: Slug
    home: Did
    member_id: MemberId
    did: Did
    target: NameTarget | None
    ended: bool
    sequence: int
    claim_sequence: int
    issued_at_ms: TimeMs
    lapses_at_ms: TimeMs
    id: RecordId
    record: Jws
    freed: tuple[tuple[MemberId, int], ...]

    @property
    def held(self) -> bool:
        """Whether somebody holds the name by this record, until it lapses."""
        return self.target is not None and not self.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Proof that a home node countersigned one name for two members at once.

    `first` is the one that stands before the other on every node.
    """

    name: NameText
    home: Did
    first: NameView
    second: NameView


def coop_of_name(name: NameText) -> Slug:
    """Return the coop under which a name stands."""
    return name.rpartition(".")[2]


def home_of(name: NameText, *, genesis: GenesisView) -> Did | None:
    """Return the node that countersigns claims for a name; None if no such coop has a charter."""
    charter = genesis.charter(coop_of_name(name))
    return None if charter is None else charter.home_node


def make_claim(
    member: Identity,
    *,
    network: NetworkId,
    name: NameText,
    member_id: MemberId,
    target: NameTarget | None,
    at_ms: TimeMs,
    term_ms: int,
    sequence: int | None = None,
) -> Jws:
    """Return a claim, signed by the member.

    Args:
        member: whose key signs.
        network: where it holds.
        name: the name; member_id: who claims it.
        target: what it is to stand for; None withdraws it.
        at_ms: when it is signed.
        term_ms: for how long the name is wanted from then on.
        sequence: the member's own; as the time of signing unless it is said.

    Raises:
        ProofError: nobody would take it (`read_claim`).
    """
    claim = NameClaim(
        network=network,
        aud=coop_of_name(name),
        name=name,
        member_id=member_id,
        did=member.did,
        sequence=at_ms if sequence is None else sequence,
        issued_at_ms=at_ms,
        lapses_at_ms=at_ms + term_ms,
        target=target,
    )
    token = jws.sign(_checked(claim), typ=NAME_TYP, identity=member)
    _check_length(token)
    return token


def read_claim(token: Jws, *, network: NetworkId) -> NameClaim:
    """Return a claim that the key that it names signed, whoever that is.

    Raises:
        ProofError: length, signature, type, network or shape; another audience than the name's
            coop; a sequence beyond the time of issue; a lapse that is not after it; a target that
            is no node, or the name itself.
    """
    _check_length(token)
    return _checked(
        jws.verify_by_author(token, typ=NAME_TYP, author="did", network=network, of=NameClaim)
    )


def _check_length(token: Jws) -> None:
    if len(token) > CLAIM_CHARACTERS_MAX:
        raise ProofError(f"{len(token)} characters are more than a claim may have")


def _checked(claim: NameClaim) -> NameClaim:
    """Return a claim that says what one may."""
    if claim.aud != coop_of_name(claim.name):
        raise ProofError(f"a claim for {claim.name} is not for {claim.aud!r}")
    if claim.sequence > claim.issued_at_ms:
        raise ProofError("the sequence lies beyond the time of issue")
    if claim.lapses_at_ms <= claim.issued_at_ms:
        raise ProofError("it lapses before it is issued")
    if isinstance(claim.target, AliasTarget):
        if claim.target.name == claim.name:
            raise ProofError("an alias does not stand for itself")
    elif claim.target is not None:
        public_key_of(claim.target.node)
    return claim


def read_claimant(claim: NameClaim, *, chain: MemberChain, genesis: GenesisView) -> Member:
    """Return the member who claims, as a chain leaves them; they may have been revoked.

    Raises:
        ProofError: the chain does not hold, they are no member of the name's coop, or the key is
            another one than theirs.
    """
    if coop_of(claim.member_id) != claim.aud:
        raise ProofError(f"{claim.member_id} is no member of {claim.aud}")
    member = fold_member(claim.member_id, genesis=genesis, records=chain)
    if member is None:
        raise ProofError(f"nothing shows that {claim.member_id} is a member")
    if member.did != claim.did:
        raise ProofError(f"the key of {claim.member_id} is another one")
    return member


def check_name(body: RecordBody, value: NameValue, genesis: GenesisView) -> None:
    """Return if a record of the namespace `name` says what it may.

    Raises:
        ProofError: the claim or its member does not verify, or is about another name; the record
            lasts another time than was claimed, or, of a name that was given back, than the
            longest; the end of an earlier hold does not verify, or of one member two are shown.
    """
    claim = read_claim(value.claim, network=genesis.network)
    if claim.name != body.name:
        raise ProofError(f"the claim is about {claim.name}, not {body.name}")
    member = read_claimant(claim, chain=value.member, genesis=genesis)
    gone = claim.target is None or not member.active
    lapses_at_ms = body.issued_at_ms + NAME_TERM_MS_MAX if gone else claim.lapses_at_ms
    if body.lapses_at_ms != lapses_at_ms:
        raise ProofError(f"it lapses at {body.lapses_at_ms}, and would at {lapses_at_ms}")
    holders = [claim.member_id]
    holders += [check_end(end, name=claim.name, genesis=genesis).member_id for end in value.freed]
    if len(set(holders)) != len(holders):
        raise ProofError("of one member it says twice how they stand")


def check_end(end: NameEnd, *, name: NameText, genesis: GenesisView) -> NameClaim:
    """Return the claim by which a hold on a name ended.

    Raises:
        ProofError: it or its member does not verify, it is about another name, or it ended nothing.
    """
    claim = read_claim(end.claim, network=genesis.network)
    if claim.name != name:
        raise ProofError(f"an end is about {claim.name}, not {name}")
    member = read_claimant(claim, chain=end.member, genesis=genesis)
    if claim.target is not None and member.active:
        raise ProofError(f"{claim.member_id} did not give the name back")
    return claim


def read_name(record: Jws, genesis: GenesisView) -> NameView:
    """Return what a record says of a name, after verifying all that is in it.

    Whether it has lapsed, and whether another one stands before it, is for the reader.

    Raises:
        ProofError: it does not verify, is no record of a name, is not by the home node of the
            name's coop, lasts too long, or does not hold (`check_name`).
    """
    body = read_record(record, network=genesis.network)
    if body.aud != "name" or body.value is None:
        raise ProofError("it is no record of a name")
    check_term(body, term_ms_max=NAME_TERM_MS_MAX)
    try:
        value = NameValue.model_validate(body.value, strict=False)
    except ValidationError as bad:
        raise ProofError(f"it says nothing of a name: {first_flaw(bad)}") from bad
    check_name(body, value, genesis)
    if body.owner != home_of(body.name, genesis=genesis):
        raise ProofError(f"{body.owner} is not the home node of {coop_of_name(body.name)}")
    return view_name(record)


def view_name(record: Jws) -> NameView:
    """Return what a record says of a name; it was verified before, nothing is here."""
    body = jws.reread(record)
    value = body["value"]
    claim = jws.reread(value["claim"])
    ends = [jws.reread(end["claim"]) for end in value.get("freed", ())]
    return NameView(
        name=body["name"],
        coop=claim["aud"],
        home=body["owner"],
        member_id=claim["member_id"],
        did=claim["did"],
        target=_TARGET.validate_python(claim["target"]),
        ended=_is_revoked(value.get("member")),
        sequence=body["sequence"],
        claim_sequence=claim["sequence"],
        issued_at_ms=body["issued_at_ms"],
        lapses_at_ms=body["lapses_at_ms"],
        id=jws.record_id(record),
        record=record,
        freed=tuple((end["member_id"], end["sequence"]) for end in ends),
    )


def claim_in(claim: Jws) -> NameClaim:
    """Return what a claim says that was verified before: nothing of it is looked at here."""
    return NameClaim.model_validate(jws.reread(claim), strict=False)


def _is_revoked(chain: Sequence[Jws] | None) -> bool:
    """Return whether the last link of a chain that holds is a revocation."""
    if not chain:
        return False
    action: str = jws.reread(chain[-1])["action"]
    return action == "revoke"


def stands_before(one: NameView, other: NameView) -> bool:
    """Return whether the first of two records of a name stands before the second on every node."""
    return outranks(
        (one.sequence, bytes.fromhex(one.id)), (other.sequence, bytes.fromhex(other.id))
    )


def read_takeover(one: Jws, other: Jws, genesis: GenesisView) -> Takeover:
    """Return the proof that two records are, in whatever order they are given.

    Raises:
        ProofError: one of them does not verify, they are of two names, or they do not contradict
            each other (`contradict`).
    """
    views = (read_name(one, genesis), read_name(other, genesis))
    if views[0].name != views[1].name:
        raise ProofError("the records are of two names")
    first, second = views if stands_before(*views) else (views[1], views[0])
    if not contradict(first, second):
        raise ProofError("one may follow the other")
    return Takeover(name=first.name, home=first.home, first=first, second=second)


def contradict(first: NameView, second: NameView) -> bool:
    """Return whether two records of a name prove that its home node said two things.

    They do if they are of one sequence, or if both were countersigned for times that overlap, for
    two members, and neither the earlier one gave the name back nor the later one shows that its
    holder did after it.

    Args:
        first: the one that stands before the other.
        second: the other one.
    """
    if first.id == second.id:
        return False
    if first.sequence == second.sequence:
        return True
    if first.member_id == second.member_id or not second.held:
        return False
    if first.issued_at_ms >= second.lapses_at_ms or second.issued_at_ms >= first.lapses_at_ms:
        return False
    return not any(
        member_id == second.member_id and sequence >= second.claim_sequence
        for member_id, sequence in first.freed
    )

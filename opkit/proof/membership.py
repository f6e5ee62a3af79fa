"""Membership chains: who a member is, and which key is theirs now.

A member is an id, never a key. A founder's chain starts with the charter (sequence 0), anybody
else's with the first record (sequence 1); each record is the next in its own chain, so none can be
left out of the middle. The operator signs records until the coop decides; then its home node does,
and each cites the decision. Within a chain none of the operator's follows a decided one.
Source: ADR 0002, ADR 0042.
"""

from __future__ import annotations

from collections.abc import Sequence

from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Jws, MemberId, Slug
from opkit.wire.genesis import Founder
from opkit.wire.membership import (
    DECIDED_MEMBER_TYP,
    MEMBER_TYP,
    NO_COOP,
    DecidedMember,
    Member,
    MemberRecord,
)

OPERATOR_ID: MemberId = f"{NO_COOP}/operator"
"""The member id of the network's operator, who is a member by genesis."""

RECORDS_MAX = 1024
"""The longest chain that is folded."""


def coop_of(member_id: MemberId) -> Slug | None:
    """Return the coop part of a member id; None for members of no coop."""
    coop = member_id.partition("/")[0]
    return None if coop == NO_COOP else coop


def audience_of(member_id: MemberId) -> str:
    """Return the `aud` of this member's records: the coop, or `-`."""
    return coop_of(member_id) or NO_COOP


def founding_members(genesis: GenesisView) -> dict[MemberId, Member]:
    """Return the members by genesis: every charter's founders, and the operator."""
    ids = [founder.member_id for _, founder in genesis.founders()]
    members = (founding_member(member_id, genesis=genesis) for member_id in (*ids, OPERATOR_ID))
    return {member.member_id: member for member in members if member is not None}


def founding_member(member_id: MemberId, *, genesis: GenesisView) -> Member | None:
    """Return one member by genesis, if they are one."""
    founder = genesis.founder(member_id)
    if member_id == OPERATOR_ID:
        founder = Founder(
            member_id=OPERATOR_ID,
            name="Operator",
            title="network operator",
            did=genesis.operator,
            roles=("operator",),
        )
    if founder is None:
        return None
    return Member(
        member_id=member_id,
        coop=coop_of(member_id),
        name=founder.name,
        title=founder.title,
        did=founder.did,
        roles=founder.roles,
        active=True,
        sequence=0,
    )


def read_record(token: Jws, *, genesis: GenesisView) -> MemberRecord:
    """Return a membership record that the network's operator signed.

    Whether it is the next of its chain is for `apply_record`.

    Raises:
        ProofError: signature, type, network or shape; another audience than the member's coop; a
            coop without charter; a key that no honest member has.
    """
    record = jws.verify(
        token, typ=MEMBER_TYP, issuer=genesis.operator, network=genesis.network, of=MemberRecord
    )
    if record.aud != audience_of(record.member_id):
        raise ProofError(f"a record about {record.member_id} is not for {record.aud!r}")
    coop = coop_of(record.member_id)
    if coop is not None and genesis.charter(coop) is None:
        raise ProofError(f"the coop {coop} has no charter in this network")
    public_key_of(record.did)
    return record


def read_decided(token: Jws, *, genesis: GenesisView) -> DecidedMember:
    """Return a link that the home node of the member's coop signed, which cites a decision.

    Raises:
        ProofError: signature, type, network or shape; another audience than the member's coop; a
            coop without charter; another node than its home; a key that no honest member has.
    """
    said = jws.verify_by_author(
        token, typ=DECIDED_MEMBER_TYP, author="node", network=genesis.network, of=DecidedMember
    )
    if said.aud != coop_of(said.member_id):
        raise ProofError(f"a decision about {said.member_id} is not for {said.aud!r}")
    charter = genesis.charter(said.aud)
    if charter is None:
        raise ProofError(f"the coop {said.aud} has no charter in this network")
    if charter.home_node != said.node:
        raise ProofError(f"{said.node} is not the home node of {said.aud}")
    public_key_of(said.did)
    return said


def is_decided(token: Jws) -> bool:
    """Return whether a link says that it was decided, UNVERIFIED.

    Raises:
        ProofError: it is no token.
    """
    return jws.peek(token).typ == DECIDED_MEMBER_TYP


def read_link(token: Jws, *, genesis: GenesisView) -> MemberRecord:
    """Return a link of a membership chain, of either kind: `DecidedMember` if it was decided.

    Raises:
        ProofError: it does not hold (`read_record`, `read_decided`).
    """
    if is_decided(token):
        return read_decided(token, genesis=genesis)
    return read_record(token, genesis=genesis)


def apply_record(
    token: Jws, *, genesis: GenesisView, standing: Member | None, decided: bool = False
) -> Member:
    """Return the member after one more record of their chain.

    `add` makes the member what the record says, also one who stands already (a new key, other
    roles) or was revoked; `revoke` ends the membership and changes nothing else.

    Args:
        token: the record.
        genesis: the network's genesis.
        standing: the member before it; None if they were never known.
        decided: whether a record before it was decided.

    Raises:
        ProofError: the record does not hold (`read_link`), is the operator's after a decided one,
            is about another member, is not the next in sequence, or revokes a member who is not
            active or whose key is another.
    """
    record = read_link(token, genesis=genesis)
    if decided and not isinstance(record, DecidedMember):
        raise ProofError(f"the operator no longer says who is a member of {record.aud}")
    if standing is not None and standing.member_id != record.member_id:
        raise ProofError(f"the record is about {record.member_id}, not {standing.member_id}")
    follows = 1 if standing is None else standing.sequence + 1
    if record.sequence != follows:
        raise ProofError(
            f"record {record.sequence} of {record.member_id} does not follow: {follows} would"
        )
    stands = standing is not None and standing.active and standing.did == record.did
    if record.action == "revoke" and not stands:
        raise ProofError(f"{record.member_id} does not stand with that key")
    return member_after(record, standing=standing)


def member_after(record: MemberRecord, *, standing: Member | None) -> Member:
    """Return the member as a record leaves them; whether it applies was judged before.

    Args:
        record: the next in sequence.
        standing: the member before it; None if they were never known, which no `revoke` is about.
    """
    if record.action == "revoke":
        assert standing is not None, "who was never known cannot be revoked"
        return standing.model_copy(update={"active": False, "sequence": record.sequence})
    return Member(
        member_id=record.member_id,
        coop=coop_of(record.member_id),
        name=record.name,
        title=record.title,
        did=record.did,
        roles=record.roles,
        active=True,
        sequence=record.sequence,
    )


def member_history(
    member_id: MemberId, *, genesis: GenesisView, records: Sequence[Jws]
) -> tuple[Member, ...]:
    """Return every state of a member's chain, oldest first; empty if they were never known.

    Raises:
        ProofError: more than `RECORDS_MAX` records, one that does not apply, or one of another
            member; the first of them is named.
    """
    if len(records) > RECORDS_MAX:
        raise ProofError(f"a chain of {len(records)} records is longer than {RECORDS_MAX}")
    standing = founding_member(member_id, genesis=genesis)
    states = [] if standing is None else [standing]
    decided = False
    for number, record in enumerate(records, 1):
        try:
            standing = apply_record(record, genesis=genesis, standing=standing, decided=decided)
            decided = is_decided(record)
        except ProofError as bad:
            raise ProofError(f"link {number} of {member_id}: {bad.why}") from bad
        if standing.member_id != member_id:
            raise ProofError(f"link {number} of {member_id} is about {standing.member_id}")
        states.append(standing)
    return tuple(states)


def fold_member(
    member_id: MemberId, *, genesis: GenesisView, records: Sequence[Jws]
) -> Member | None:
    """Return a member as their whole chain says; None if they were never known.

    Raises:
        ProofError: the chain does not hold (`member_history`).
    """
    states = member_history(member_id, genesis=genesis, records=records)
    return states[-1] if states else None

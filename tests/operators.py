"""What a network's operator does in tests: sign a member's record, and have a node take it."""

from __future__ import annotations

from opkit.client import NodeClient
from opkit.proof import jws
from opkit.proof.membership import audience_of
from opkit.wire.base import Did, MemberId, Slug
from opkit.wire.membership import (
    CHANGE_MEMBER,
    MEMBER_TYP,
    ChangeMember,
    Member,
    MemberRecord,
)


async def record_member(
    operator: NodeClient, member_id: MemberId, did: Did, *, roles: tuple[Slug, ...]
) -> Member:
    """Have the operator make somebody a member who was none, at the node that it is asked of."""
    assert operator.identity is not None
    record = MemberRecord(
        network=operator.network,
        aud=audience_of(member_id),
        action="add",
        member_id=member_id,
        name="Kim",
        title="",
        did=did,
        roles=roles,
        sequence=1,
        issued_at_ms=1,
    )
    signed = jws.sign(record, typ=MEMBER_TYP, identity=operator.identity)
    return await operator.call(CHANGE_MEMBER, ChangeMember(record=signed))

"""Chains of members as they spread: which links stand, and one digest of how all chains stand.

The operator signs each link, or a coop's home node one that was decided, so it does not matter who
hands it on. Of two links of one place every reader chooses the same: a decided one before the
operator's, then a revocation before anything else. Source: ADR 0038, ADR 0042.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.proof.membership import (
    OPERATOR_ID,
    apply_record,
    founding_member,
    is_decided,
    read_link,
)
from opkit.wire.base import Did, Jws, MemberId, RecordId, Slug
from opkit.wire.membership import Member, MemberRecord
from opkit.wire.records import RecordBody, RecordName
from opkit.wire.standing import MemberValue, StandingValue


def link_name(member_id: MemberId, sequence: int) -> RecordName:
    """Return the name under which a link of a member's chain is handed on."""
    return f"{member_id}/{sequence}"


def may_write_member(owner: Did, genesis: GenesisView) -> bool:
    """Return whether a key's word counts that it recorded a link: that of the network's nodes.

    It keeps strangers from taking the room; what is believed is the signature on the link itself.
    """
    return genesis.node(owner) is not None


def may_write_standing(owner: Did, name: RecordName, genesis: GenesisView) -> bool:
    """Return whether a key speaks for a coop's members: that of the coop's home node alone."""
    charter = genesis.charter(name)
    return charter is not None and charter.home_node == owner


def read_member(body: RecordBody, value: MemberValue, genesis: GenesisView) -> MemberRecord:
    """Return the link that a record of the namespace `member` hands on.

    Raises:
        ProofError: the link does not verify, stands under another one's name, or is about the
            operator, who stands in genesis.
    """
    record = read_link(value.record, genesis=genesis)
    if record.member_id == OPERATOR_ID:
        raise ProofError("the operator stands in genesis, no record changes that")
    if body.name != link_name(record.member_id, record.sequence):
        raise ProofError(f"it is link {record.sequence} of {record.member_id}, not {body.name}")
    return record


def choose_links(
    member_id: MemberId, *, genesis: GenesisView, known: Mapping[int, Iterable[Jws]]
) -> tuple[tuple[Jws, ...], Member | None]:
    """Return the chain that stands of all links that are known, and the member as it leaves them.

    Of two links of one place a decided one stands before the operator's, then a revocation before
    anything else, then the lower id, then, of a link that was signed twice, the lower text; one
    that does not follow is passed over. The chain ends where nothing follows. So two readers who
    know the same links believe the same, in whatever order they heard of them.

    Args:
        member_id: whose chain it is.
        genesis: the network's genesis, by which the chain begins.
        known: links by their sequence number.
    """
    member = founding_member(member_id, genesis=genesis)
    chain: list[Jws] = []
    decided = False
    while True:
        links = known.get(len(chain) + 1, ())
        found = _next_link(member_id, member, links, genesis, decided=decided)
        if found is None:
            return tuple(chain), member
        token, member = found
        decided = is_decided(token)
        chain.append(token)


def _next_link(
    member_id: MemberId,
    standing: Member | None,
    links: Iterable[Jws],
    genesis: GenesisView,
    *,
    decided: bool,
) -> tuple[Jws, Member] | None:
    """Return which of the links of one place stands, and the member after it."""
    found: dict[tuple[bool, bool, RecordId, Jws], Member] = {}
    for token in links:
        try:
            after = apply_record(token, genesis=genesis, standing=standing, decided=decided)
        except ProofError:
            continue
        if after.member_id == member_id:
            found[not is_decided(token), after.active, jws.record_id(token), token] = after
    if not found:
        return None
    first = min(found)
    return first[-1], found[first]


def standing_of(
    coop: Slug, members: Iterable[tuple[MemberId, int, RecordId | None]]
) -> StandingValue:
    """Return what is to be said of a coop's members: how many there are, and a digest of all.

    Args:
        coop: whose members they are.
        members: of each its id, its sequence number and the id of its last link; None for founders
            who stand as the charter says.
    """
    told = sorted(members)
    lines = [coop, *(f"{member_id} {sequence} {last or '-'}" for member_id, sequence, last in told)]
    digest = sha256_hex("".join(f"{line}\n" for line in lines).encode())
    return StandingValue(members=len(told), digest=digest)

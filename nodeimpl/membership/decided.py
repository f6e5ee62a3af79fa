"""What an assembly decides about members: judged, and made a link of the member's chain.

The coop's home node signs the link in the transaction that executes the decision, and cites it.
Source: ADR 0042.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.kernel.tx import Tx
from nodeimpl.membership import store as tables
from nodeimpl.membership.rules import Limits, Standing, judge_room
from nodeimpl.membership.service import Membership
from opkit.proof import jws
from opkit.proof.governance import electorate_hash, votes_by
from opkit.proof.membership import coop_of, member_after
from opkit.wire.base import Did, Jws, MemberId, NetworkId, RecordId, Slug, TimeMs
from opkit.wire.membership import DECIDED_MEMBER_TYP, DecidedMember, DidTaken, Member, MemberMissing
from opkit.wire.votes import Elector, MembershipEffect


@dataclass(frozen=True, kw_only=True)
class DecidedFacts:
    """Of a link that was decided, all but what the effect says."""

    network: NetworkId
    node: Did
    issued_at_ms: TimeMs
    proposal: RecordId
    decision: RecordId


class AssemblyMembers:
    """A coop's members as its assembly sees them, and makes them, at the home node of the coop."""

    def __init__(self, membership: Membership) -> None:
        """Read and change what membership keeps."""
        self._membership = membership
        self._folded: dict[Slug, _Folded] = {}

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows."""
        return self._membership.member(tx, member_id)

    def electorate(self, tx: Tx, coop: Slug) -> tuple[RecordId, tuple[Elector, ...]]:
        """Return who may vote in a coop's assembly now, by member id, and the hash of that.

        It is made anew if anything about any member is other than when it was made last: what was
        read is compared as a whole, so nothing has to tell that it changed. One is kept for each
        coop whose home this is, of which there are as many as the genesis says.
        """
        rows = tables.standing_in_coop(tx, coop)
        known = self._folded.get(coop)
        if known is None or known.rows != rows:
            known = self._folded[coop] = _fold(coop, rows)
        return known.hash, known.electors

    def links(
        self, tx: Tx, coop: Slug, *, after: tuple[str, int], count_max: int
    ) -> list[tuple[MemberId, int, Jws]]:
        """Return links of the chains of a coop's members by member and number, those after one."""
        member_id, sequence = after
        return tables.links_of_coop(
            tx, coop, member_id=member_id, sequence=sequence, count_max=count_max
        )

    def decide(
        self, tx: Tx, effect: MembershipEffect, *, proposal: RecordId, decision: RecordId
    ) -> Member:
        """Make a member what was decided; tokens, streams and tasks end as with any other change.

        Refuses as `judge_decided` does.

        Args:
            effect: what was decided, and is well formed.
            proposal: the proposal's hash.
            decision: the decision's hash.
        """
        mine = self._membership
        before = tables.get_member(tx, effect.member_id)
        holder = tables.member_by_did(tx, effect.did) if effect.did else None
        link = judge_decided(
            effect,
            said=DecidedFacts(
                network=mine.genesis.network,
                node=mine.identity.did,
                issued_at_ms=tx.now_ms,
                proposal=proposal,
                decision=decision,
            ),
            standing=before,
            holder=holder.member.member_id if holder else None,
            members=tables.count_members(tx),
            records=tables.count_records(tx, effect.member_id),
            limits=mine.limits,
        )
        member = member_after(link, standing=before.member if before else None)
        assert mine.is_home(member), "only the home node says what a coop decided"
        token = jws.sign(link, typ=DECIDED_MEMBER_TYP, identity=mine.identity)
        mine.put_link(tx, member.member_id, member.sequence, token)
        mine.become(tx, before, Standing(member=member, local=True))
        return member


@dataclass(frozen=True, slots=True)
class _Folded:
    """An electorate, its hash, and the rows that it was made of."""

    rows: list[tables.StandingRow]
    hash: RecordId
    electors: tuple[Elector, ...]


def _fold(coop: Slug, rows: list[tables.StandingRow]) -> _Folded:
    electors = tuple(
        Elector(member_id=member_id, did=did, sequence=sequence, link=link)
        for member_id, did, sequence, link, active, roles in sorted(rows)
        if active and coop_of(member_id) == coop and votes_by(tables.roles_of(roles))
    )
    return _Folded(rows=rows, hash=electorate_hash(coop, electors), electors=electors)


def judge_decided(
    effect: MembershipEffect,
    *,
    said: DecidedFacts,
    standing: Standing | None,
    holder: MemberId | None,
    members: int,
    records: int,
    limits: Limits,
) -> DecidedMember:
    """Return the link that a decision makes of a member's chain, or refuse the decision's effect.

    Who is admitted becomes what the decision says, also one who stands already; who is removed or
    gets another key stays what they are in all else.

    Args:
        effect: what was decided, and is well formed.
        said: who says it, for which network, when, and by which decision.
        standing: the member before it.
        holder: who holds the effect's key now, if anybody does.
        members: how many members the node knows.
        records: how many links this member's chain has.

    Refuses, in this order:
        MemberMissing: who is to be removed, or to get another key, is no member now.
        DidTaken: another member holds the key, or this one does and should get another.
        MembersFull: the node knows as many members, or records of this one, as it may.
    """
    member = standing.member if standing else None
    if effect.action != "admit" and (member is None or not member.active):
        raise MemberMissing(member_id=effect.member_id)
    if effect.action == "admit":
        name, title, roles = effect.name, effect.title, effect.roles
    else:
        assert member is not None, "a missing member was refused above"
        name, title, roles = member.name, member.title, member.roles
    did = effect.did or (member.did if member else None)
    assert did is not None, "who is admitted has a key"
    link = DecidedMember(
        network=said.network,
        aud=effect.member_id.partition("/")[0],
        action="revoke" if effect.action == "remove" else "add",
        member_id=effect.member_id,
        name=name,
        title=title,
        did=did,
        roles=roles,
        sequence=(member.sequence if member else 0) + 1,
        issued_at_ms=said.issued_at_ms,
        node=said.node,
        proposal=said.proposal,
        decision=said.decision,
    )
    if effect.action == "rekey" and member is not None and member.did == did:
        raise DidTaken(did=did)
    judge_room(
        link, standing=standing, holder=holder, members=members, records=records, limits=limits
    )
    return link

"""Whose a key is, or was before it was replaced: what is said of a member counts for their keys."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from nodeimpl.kernel.statements import sql
from nodeimpl.kernel.tx import Tx
from nodeimpl.membership import store as tables
from nodeimpl.membership.service import Membership
from nodeimpl.membership.store import member_records, members
from opkit.proof import jws
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Did, MemberId, Slug
from opkit.wire.membership import Member

FORMER_MAX = 10_000
"""How many links that no longer stand are looked through: each is a decision of its own."""

_FORMER = sql(
    select(member_records.c.member_id, member_records.c.token)
    .select_from(members.join(member_records, members.c.member_id == member_records.c.member_id))
    .where(members.c.coop == bindparam("coop"), member_records.c.sequence < members.c.sequence)
    .order_by(member_records.c.member_id, member_records.c.sequence.desc())
    .limit(FORMER_MAX)
)


class KeyHolders:
    """Members by the keys that they have and had."""

    def __init__(self, membership: Membership, *, genesis: GenesisView) -> None:
        """Read what membership keeps."""
        self._membership = membership
        self._founders = {founder.did: founder.member_id for _, founder in genesis.founders()}

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows."""
        return self._membership.member(tx, member_id)

    def member_of_key(self, tx: Tx, coop: Slug, did: Did) -> Member | None:
        """Return the member of a coop whose a key is, or was before theirs was changed.

        Who has it now comes before who had it.
        """
        found = tables.member_by_did(tx, did)
        if found is not None and found.member.coop == coop:
            return found.member
        founder = self._founders.get(did)
        if founder is None:
            rows = tx.all(_FORMER, coop=coop)
            had = (member_id for member_id, token in rows if jws.reread(token).get("did") == did)
            founder = next(had, None)
        return None if founder is None else self._membership.member(tx, founder)

"""Chains of members as other nodes hand them on: let one stand here, with all that ends by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import structlog

from nodeimpl.kernel.tx import Tx
from nodeimpl.membership import store as tables
from nodeimpl.membership.rules import Standing
from nodeimpl.membership.service import Membership
from opkit.proof.membership import is_decided
from opkit.proof.standing import standing_of
from opkit.wire.base import Jws, MemberId, Slug
from opkit.wire.membership import Member
from opkit.wire.standing import StandingValue

_log = structlog.get_logger("membership")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The chain of a member as it is to stand.

    Attributes:
        before: the chain from which it was chosen, with what was heard.
        chain: the records that stand.
        member: what they make of the member.
    """

    before: tuple[Jws, ...]
    chain: tuple[Jws, ...]
    member: Member


class Chains:
    """The chains of all members that this node knows."""

    def __init__(self, membership: Membership) -> None:
        """Keep what membership keeps."""
        self._store = membership.store
        self._membership = membership

    async def of(self, members: Collection[MemberId]) -> dict[MemberId, tuple[Jws, ...]]:
        """Return the records of each of these members, oldest first."""
        return await self._store.read(
            lambda tx: {member_id: tables.records_of(tx, member_id) for member_id in members}
        )

    async def after(
        self, member_id: str, sequence: int, *, count_max: int
    ) -> list[tuple[MemberId, int, Jws]]:
        """Return links of all chains by member and number, those after this one."""
        return await self._store.read(
            lambda tx: tables.links_after(
                tx, member_id=member_id, sequence=sequence, count_max=count_max
            )
        )

    async def standing_of(self, coop: Slug) -> StandingValue:
        """Return how the chains of a coop's members stand here."""
        return standing_of(coop, await self._store.read(lambda tx: tables.members_of(tx, coop)))

    async def let_stand(self, chosen: Mapping[MemberId, Chosen]) -> set[MemberId]:
        """Let chains stand as they were chosen, and return those that changed meanwhile.

        What ends a membership here ends it as `Membership.change` does: tokens, streams, and what
        is queued.
        """

        def write(tx: Tx) -> set[MemberId]:
            return {each for each, one in chosen.items() if not self._put(tx, each, one)}

        return await self._store.write(write)

    def _put(self, tx: Tx, member_id: MemberId, chosen: Chosen) -> bool:
        """Put one chain; return whether it was still what it was chosen from."""
        if tables.records_of(tx, member_id) != chosen.before:
            return False
        before = tables.get_member(tx, member_id)
        if before is None and tables.count_members(tx) >= self._membership.limits.members_max:
            _log.error("a member is not known here: there is no room", member=member_id)
            return True
        pairs = zip(chosen.before, chosen.chain, strict=False)
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        if self._is_overruled(tx, chosen, new=chosen.chain[same:]):
            _log.warning("the operator's word on a member comes too late", member=member_id)
            return True
        tables.cut_records(tx, member_id, after=same)
        for sequence, token in enumerate(chosen.chain[same:], same + 1):
            self._membership.put_link(tx, member_id, sequence, token)
        local = before.local if before else self._membership.is_home(chosen.member)
        self._membership.become(tx, before, Standing(member=chosen.member, local=local))
        return True

    def _is_overruled(self, tx: Tx, chosen: Chosen, *, new: Sequence[Jws]) -> bool:
        """Return whether this node, as the home of a coop that decides, knows better.

        Elsewhere the operator's records are taken in whatever order they come, for only the home
        knows which of them are older than its coop's first decision.
        """
        if not self._membership.is_home(chosen.member) or all(map(is_decided, new)):
            return False
        return self._membership.has_decided(tx, chosen.member.member_id.partition("/")[0])

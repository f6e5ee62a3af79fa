"""What the ledger asks of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Did, MemberId, Slug
from opkit.wire.membership import Member


class Members(Protocol):
    """What this domain asks of membership."""

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows."""

    def member_of_key(self, tx: Tx, coop: Slug, did: Did) -> Member | None:
        """Return the member of a coop whose a key is, or was before theirs was changed."""

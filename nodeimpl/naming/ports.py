"""What naming asks of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.store import Tx
from opkit.wire.base import Did, Jws, MemberId
from opkit.wire.membership import Member
from opkit.wire.names import NameHeld, NameText, PassClaim
from opkit.wire.records import Carried


class Members(Protocol):
    """What this domain asks of membership."""

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows."""

    def records(self, tx: Tx, member_id: MemberId) -> tuple[Jws, ...]:
        """Return the operator's records about a member, oldest first."""


class Shelved(Protocol):
    """What this domain asks of the records that the node keeps."""

    def standing(self, name: NameText) -> Carried | None:
        """Return the record of a name that stands here."""

    async def recall(self, name: NameText) -> None:
        """Ask others, soon after the start, what this node countersigned under a name and lost."""

    def keep(self, carried: Carried) -> None:
        """Keep a record and tell others of it; one that is refused is only logged."""


class Homes(Protocol):
    """What this domain asks of other nodes."""

    async def ask(self, home: Did, ask: PassClaim) -> NameHeld:
        """Have a home node countersign a claim, connecting with it if need be.

        Raises:
            Refusal: it said no.
            Unreachable: it did not answer.
            Fault: it is broken, or answers outside the protocol.
        """

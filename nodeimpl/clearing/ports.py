"""What clearing asks of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.store import Tx
from opkit.wire.base import Did, MemberId, RecordId, Slug, TimeMs
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.ledger import AccountId, AccountView, Cause, Entry, EntryId, Posting, Unit
from opkit.wire.peer import PeerMethod
from opkit.wire.terms import Terms


class Agreements(Protocol):
    """What this domain asks of agreements."""

    def active(self, tx: Tx, agreement: str, now_world_ms: TimeMs) -> Terms:
        """Return the terms of an agreement that is in force.

        Refuses:
            AgreementUnknown, AgreementInactive: it is not.
        """

    def terms(self, tx: Tx, agreement: str) -> Terms:
        """Return the terms of an agreement, whatever became of it.

        Refuses:
            AgreementUnknown: this node holds none of that name.
        """


class Ledger(Protocol):
    """What this domain has the ledger do, in the transaction that decides it."""

    def post_exchanged(
        self,
        tx: Tx,
        *,
        coop: Slug,
        entry_id: EntryId,
        postings: tuple[Posting, ...],
        memo: str,
        cause: Cause,
        corrects: RecordId | None = None,
        by: MemberId | None = None,
    ) -> Entry:
        """Post this coop's half of an exchange. Refuses as `SETTLE_REFUSALS` says."""

    def set_aside(
        self,
        tx: Tx,
        *,
        coop: Slug,
        account: AccountId,
        unit: Unit,
        change: int,
        again: bool = False,
    ) -> None:
        """Add to what is set aside in an account, or let go of it.

        Args:
            again: the same transaction let go of it, and funds are not judged.

        Refuses:
            Overdrawn, AccountsFull: it has not so much to give, or there is no room for it.
        """

    def account(self, tx: Tx, *, coop: Slug, account: AccountId, unit: Unit) -> AccountView:
        """Return an account as it stands."""


class Nodes(Protocol):
    """Other nodes of the network."""

    async def ask(
        self, node: Did, method: PeerMethod[Ask, Answer], ask: Ask, *, deadline_ms: int
    ) -> Answer:
        """Ask a node one question, connecting with it if need be.

        Raises:
            Refusal: it said no.
            Unreachable, Fault: it did not answer, or not as it should.
        """

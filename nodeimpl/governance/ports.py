"""What governance asks of the rest of the node; the composition root satisfies it."""

from __future__ import annotations

from typing import Protocol

from nodeimpl.kernel.store import Tx
from opkit.wire.base import Did, Jws, MemberId, RecordId, Slug
from opkit.wire.governance import BallotPassed, PassBallot
from opkit.wire.ledger import AccountId, AccountView, Entry, EntryId, Posting, Unit
from opkit.wire.membership import Member
from opkit.wire.terms import AgreementEffect
from opkit.wire.votes import Elector, MembershipEffect


class Members(Protocol):
    """What this domain asks of membership, and has it do."""

    def member(self, tx: Tx, member_id: MemberId) -> Member | None:
        """Return a member that this node knows."""

    def electorate(self, tx: Tx, coop: Slug) -> tuple[RecordId, tuple[Elector, ...]]:
        """Return who may vote in a coop's assembly now, by member id, and the hash of that."""

    def links(
        self, tx: Tx, coop: Slug, *, after: tuple[str, int], count_max: int
    ) -> list[tuple[MemberId, int, Jws]]:
        """Return links of the chains of a coop's members by member and number, those after one."""

    def decide(
        self, tx: Tx, effect: MembershipEffect, *, proposal: RecordId, decision: RecordId
    ) -> Member:
        """Make a member what was decided.

        Refuses:
            MemberMissing, DidTaken, MembersFull: it cannot be.
        """


class Ledger(Protocol):
    """What this domain has the ledger do, in the transaction that decides it."""

    def post_decided(
        self,
        tx: Tx,
        *,
        coop: Slug,
        entry_id: EntryId,
        postings: tuple[Posting, ...],
        memo: str,
        decision: RecordId,
        by: MemberId | None = None,
    ) -> Entry:
        """Post what was decided, also from the treasury; `by` asked for it to be executed.

        Refuses as `SETTLE_REFUSALS` says.
        """

    def configure(
        self,
        tx: Tx,
        *,
        coop: Slug,
        account: AccountId,
        unit: Unit,
        decision: RecordId,
        floor: int | None = None,
        closed: bool | None = None,
    ) -> None:
        """Set the floor of an account, close it, or open it again; what is None stays."""

    def treasury(self, tx: Tx, coop: Slug) -> tuple[AccountView, ...]:
        """Return the accounts that nothing but a decision debits, at most 1,000."""


class Agreements(Protocol):
    """What this domain asks of agreements, and has them do."""

    def judge(self, tx: Tx, effect: AgreementEffect, *, coop: Slug) -> None:
        """Return if a coop may decide so about an agreement now.

        Refuses:
            EffectMalformed, then as `opkit.wire.agreements.EFFECT_REFUSALS` says.
        """

    def decided(
        self, tx: Tx, effect: AgreementEffect, *, coop: Slug, decision: Jws, attested: Jws
    ) -> RecordId:
        """Sign what was decided, and return which agreement it is about; refuses as `judge`."""


class Homes(Protocol):
    """The home nodes of assemblies elsewhere."""

    async def pass_ballot(self, home: Did, ask: PassBallot) -> BallotPassed:
        """Hand a lodged ballot to its assembly's home.

        Raises:
            Refusal: it said no.
            Unreachable, Fault: it did not answer, or not as it should.
        """

"""What tasks name, so that it is kept, and what members are charged for.

A blob that a task, a job or a receipt names is in `compute_uses` for good. A member is charged for
each blob that an ask of theirs made the node keep, once, for as long as it is kept; two members who
bring the same bytes are both charged, so that a quota tells nobody what others keep (ADR 0020).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, exists, select

from nodeimpl.kernel.engine import Row
from nodeimpl.kernel.references import NAMES_BLOBS, NAMES_NOTHING
from nodeimpl.kernel.store import Store, Tx, insert_new, metadata, sql, tally
from opkit.wire.base import Cid, MemberId
from opkit.wire.compute import StorageQuotaExceeded

uses = Table("compute_uses", metadata, Column("cid", Text, primary_key=True, info=NAMES_BLOBS))

charges = Table(
    "compute_charges",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("cid", Text, primary_key=True, info=NAMES_NOTHING),
    Column("size_bytes", BigInteger, nullable=False),
    Index("ix_compute_charges_cid", "cid"),
)

accounts = Table(
    "compute_accounts",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
)

_USE = insert_new(uses)
_CHARGE = insert_new(charges)
_CHARGED = sql(
    select(charges.c.size_bytes).where(
        charges.c.member_id == bindparam("member_id"), charges.c.cid == bindparam("cid")
    )
)
_CHARGED_FOR = sql(
    select(charges.c.member_id, charges.c.size_bytes).where(charges.c.cid == bindparam("cid"))
)
_FORGET = sql(charges.delete().where(charges.c.cid == bindparam("cid")))
_BOOK = tally(accounts)
_BOOK_NEW = tally(
    accounts,
    unless=exists().where(
        charges.c.member_id == bindparam("member_id"), charges.c.cid == bindparam("cid")
    ),
)
_ACCOUNT = sql(select(accounts.c.size_bytes).where(accounts.c.member_id == bindparam("member_id")))


def use(tx: Tx, *cids: Cid) -> None:
    """Note that a task names these blobs; once is enough, and for good."""
    for cid in cids:
        tx.later(_USE, cid=cid)


def charge(
    tx: Tx,
    *,
    member_id: MemberId,
    cid: Cid,
    size_bytes: int,
    told: Callable[[int], None] = lambda _: None,
) -> None:
    """Charge a member for a blob, if they were not.

    Args:
        told: gets all that they are charged for, if they were not: use it after the commit only.
    """

    def booked(row: Row | None) -> None:
        if row is not None:
            told(int(row[0]))

    row: dict[str, Any] = {"member_id": member_id, "cid": cid, "size_bytes": size_bytes}
    # First the sum, which looks whether there is a charge, and then the charge: so neither waits
    # for what came of the other.
    tx.later(_BOOK_NEW, **row, told=booked)
    tx.later(_CHARGE, **row)


def charged(tx: Tx, member_id: MemberId) -> int:
    """Return how many bytes a member is charged for."""
    row = tx.one(_ACCOUNT, member_id=member_id)
    return 0 if row is None else int(row[0])


@dataclass
class _Coming:
    """A blob that is not charged yet: how many asks bring it now, and whether one has."""

    size_bytes: int
    holders: int = 0
    is_kept: bool = False


class Quotas:
    """How much of the node's blobs each member may fill. Use it from one event loop.

    Bytes are kept before the transaction that charges for them; until then they are counted here.
    What is refused in that transaction stays counted until it is collected, for it lies on the
    disk. What a member is charged for is read once and then told by each commit that changes it, so
    that judging an upload asks the store for nothing: nobody else writes these rows.
    """

    def __init__(self, store: Store, *, bytes_max: int) -> None:
        """Begin with nothing on its way; what was charged is in the store."""
        self._store = store
        self._bytes_max = bytes_max
        self._pending: dict[Cid, dict[MemberId, _Coming]] = {}
        self._pending_of: dict[MemberId, int] = {}
        self._charged: dict[MemberId, int] = {}

    @asynccontextmanager
    async def keeping(
        self, member_id: MemberId, cid: Cid, size_bytes: int, *, is_kept: bool
    ) -> AsyncIterator[None]:
        """Count a blob while it is brought; once it is kept, until it is charged or collected.

        Args:
            is_kept: whether it was kept before; if not, it is as good as charged to nobody.

        Raises:
            StorageQuotaExceeded: it does not fit what the member may still fill.
        """
        # Counted first, judged then: two that come at once do not both take the last room.
        coming = self._hold(member_id, cid, size_bytes)
        try:
            is_known = is_kept and await self._is_charged(member_id, cid)
            if not is_known:
                await self._judge(member_id, cid=cid, size_bytes=size_bytes)
            yield
            coming.is_kept = coming.is_kept or not is_known
        finally:
            self._let_go(member_id, cid, coming)

    async def judge_fetch(self, member_id: MemberId) -> None:
        """Pass who may have the node fetch something whose size it does not know yet.

        Raises:
            StorageQuotaExceeded: they have nothing left.
        """
        charged_bytes = await self._charged_to(member_id)
        used = charged_bytes + self._pending_of.get(member_id, 0)
        self._refuse_beyond(used, asked_bytes=1)

    @contextmanager
    def fetching(self, member_id: MemberId, cid: Cid) -> Iterator[Callable[[int], None]]:
        """Count a blob from when its size is known; once it is fetched, until it is charged.

        Gives what judges the size, in bytes, that a provider announces, before any of them come,
        and raises `StorageQuotaExceeded`; `judge_fetch` must have passed the member.
        """
        coming: _Coming | None = None

        def judge(size_bytes: int) -> None:
            nonlocal coming
            if coming is not None:
                # The provider before this one gave nothing, and may have announced another size.
                self._let_go(member_id, cid, coming)
            coming = self._hold(member_id, cid, size_bytes)
            self._judge_held(member_id, cid=cid, size_bytes=size_bytes)

        try:
            yield judge
            if coming is not None:
                coming.is_kept = True
        finally:
            if coming is not None:
                self._let_go(member_id, cid, coming)

    async def _judge(self, member_id: MemberId, *, cid: Cid, size_bytes: int) -> None:
        """Pass a blob that is counted by now, and not known to be charged for.

        Raises:
            StorageQuotaExceeded: it does not fit.
        """
        await self._charged_to(member_id)
        self._judge_held(member_id, cid=cid, size_bytes=size_bytes)

    def _judge_held(self, member_id: MemberId, *, cid: Cid, size_bytes: int) -> None:
        charged_bytes = self._charged[member_id]
        own = self._pending.get(cid, {}).get(member_id)
        others = self._pending_of.get(member_id, 0) - (own.size_bytes if own else 0)
        self._refuse_beyond(charged_bytes + others, asked_bytes=size_bytes)

    async def _charged_to(self, member_id: MemberId) -> int:
        """Return how many bytes a member is charged for, as the last commit that was told says."""
        if member_id not in self._charged:
            found = await self._store.read(lambda tx: charged(tx, member_id))
            # A commit that was told meanwhile knows better.
            self._charged.setdefault(member_id, found)
        return self._charged[member_id]

    async def _is_charged(self, member_id: MemberId, cid: Cid) -> bool:
        def read(tx: Tx) -> bool:
            return tx.one(_CHARGED, member_id=member_id, cid=cid) is not None

        return await self._store.read(read)

    def _refuse_beyond(self, used: int, *, asked_bytes: int) -> None:
        if used + asked_bytes > self._bytes_max:
            raise StorageQuotaExceeded(
                asked_bytes=asked_bytes, used_bytes=used, limit_bytes=self._bytes_max
            )

    def settle(self, tx: Tx, *, member_id: MemberId, cid: Cid, size_bytes: int) -> None:
        """Charge for a blob that is kept, in the transaction that acknowledges it."""
        sums: list[int] = []
        charge(tx, member_id=member_id, cid=cid, size_bytes=size_bytes, told=sums.append)

        def tell() -> None:
            # Both in one turn of the loop: the bytes are counted once at any time.
            for charged_bytes in sums:
                self._charged[member_id] = charged_bytes
            self._release(member_id, cid)

        tx.after_commit(tell)

    def counts(self, tx: Tx, cid: Cid) -> bool:
        """Return whether anybody is charged for a blob."""
        return tx.one(_CHARGED_FOR, cid=cid) is not None

    def forget(self, tx: Tx, cid: Cid) -> None:
        """Charge nobody any more for a blob that is about to be collected."""
        left: dict[MemberId, int] = {}
        for member_id, size_bytes in tx.all(_CHARGED_FOR, cid=cid):

            def booked(row: Row | None, member_id: MemberId = member_id) -> None:
                assert row is not None, "adding up returns the sum"
                left[member_id] = int(row[0])

            tx.later(_BOOK, member_id=member_id, size_bytes=-size_bytes, told=booked)
        tx.later(_FORGET, cid=cid)

        def tell() -> None:
            self._charged.update(left)
            self._release_all(cid)

        tx.after_commit(tell)

    def _hold(self, member_id: MemberId, cid: Cid, size_bytes: int) -> _Coming:
        held = self._pending.setdefault(cid, {})
        if member_id not in held:
            held[member_id] = _Coming(size_bytes=size_bytes)
            self._pending_of[member_id] = self._pending_of.get(member_id, 0) + size_bytes
        held[member_id].holders += 1
        return held[member_id]

    def _let_go(self, member_id: MemberId, cid: Cid, coming: _Coming) -> None:
        """Bring a blob no longer; nobody counts it any more unless somebody else does, or did."""
        coming.holders -= 1
        is_counted = self._pending.get(cid, {}).get(member_id) is coming
        if is_counted and not coming.holders and not coming.is_kept:
            self._release(member_id, cid)

    def _release(self, member_id: MemberId, cid: Cid) -> None:
        held = self._pending.get(cid, {})
        coming = held.pop(member_id, None)
        if coming is None:
            return
        left = self._pending_of[member_id] - coming.size_bytes
        if left:
            self._pending_of[member_id] = left
        else:
            del self._pending_of[member_id]
        if not held:
            del self._pending[cid]

    def _release_all(self, cid: Cid) -> None:
        for member_id in tuple(self._pending.get(cid, ())):
            self._release(member_id, cid)

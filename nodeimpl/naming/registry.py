"""What this node countersigned: signed and kept in one transaction, then handed on.

Names lapse on schedule, also when nobody asks, and those of members whose membership has ended are
given back for them. Source: ADR 0035.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nodeimpl.kernel.store import Store, Tx
from nodeimpl.naming import rules
from nodeimpl.naming import store as table
from nodeimpl.naming.ports import Members, Shelved
from nodeimpl.naming.rules import Countersign, Standing, State
from opkit.proof import jws
from opkit.proof.keys import Identity
from opkit.proof.names import NameView, claim_in, view_name
from opkit.proof.record import make_record
from opkit.wire import names as wire
from opkit.wire.base import MemberId, NetworkId, TimeMs
from opkit.wire.records import Carried


class Registry:
    """The names of the coops whose home this node is.

    Attributes:
        due_ms: when the next one is to be looked at; None if there is none.
        on_due: called when that has become earlier.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        network: NetworkId,
        store: Store,
        members: Members,
        shelf: Shelved,
    ) -> None:
        """Sign with the node's key, for its network."""
        self.due_ms: TimeMs | None = None
        self.on_due: Callable[[], None] = lambda: None
        self._identity = identity
        self._network = network
        self._store = store
        self._members = members
        self._shelf = shelf
        self._handing: wire.NameText | None = None

    async def restore(self) -> None:
        """Hand to the shelf what was countersigned and is not there: it was told to somebody.

        Raises:
            StoreBusy, StoreFailed: the tables cannot be read.
        """
        after = ""
        while True:
            rows = await self._store.read(partial(table.page, after=after))
            for row in rows:
                if not self._stands(row):
                    self._shelf.keep(Carried(jws=row.record))
            if len(rows) < table.PAGE:
                break
            after = rows[-1].name
        self.due_ms = await self._store.read(table.next_due_ms)

    def countersign(self, tx: Tx, said: wire.NameClaim, effect: Countersign) -> Standing:
        """Sign what was judged, keep and journal it; it is handed on once it is committed."""
        record = make_record(
            self._identity,
            network=self._network,
            namespace="name",
            name=said.name,
            value=effect.value.model_dump(mode="json"),
            at_ms=effect.issued_at_ms,
            term_ms=effect.lapses_at_ms - effect.issued_at_ms,
        )
        standing = Standing(
            name=said.name,
            member_id=said.member_id,
            state=effect.state,
            sequence=effect.issued_at_ms,
            claim_sequence=said.sequence,
            claim_id=jws.record_id(effect.value.claim),
            lapses_at_ms=effect.lapses_at_ms,
            until_ms=effect.until_ms,
            keep_until_ms=effect.keep_until_ms,
            value=effect.value,
            record=record,
        )
        table.put(tx, standing)
        tx.announce(_event(standing, home=self._identity.did))
        tx.after_commit(partial(self._countersigned, standing))
        return standing

    def member_revoked(self, tx: Tx, member_id: MemberId) -> None:
        """Have the names of a member looked at whose membership ends in this transaction."""
        table.look_at(tx, member_id)
        tx.after_commit(partial(self._due_at, tx.now_ms))

    def is_news(self, view: NameView) -> bool:
        """Return whether a record of this node's own comes from others, and not from here."""
        return view.name != self._handing

    async def adopt(self, carried: Carried) -> None:
        """Keep what this node countersigned and lost, as others have kept it for it.

        Raises:
            StoreBusy, StoreFailed: it could not be kept.
        """
        standing = standing_of(carried)

        def work(tx: Tx) -> None:
            row = table.get(tx, standing.name)
            if row is None or row.sequence < standing.sequence:
                table.put(tx, standing)
                tx.after_commit(partial(self._kept, standing))

        await self._store.write(work)

    async def look_at_due(self) -> None:
        """Let lapse what is due, give back what has no member any more, forget what is of no use.

        Raises:
            StoreBusy, StoreFailed: it could not be written.
        """
        # What is countersigned meanwhile says by itself when it is due.
        self.due_ms = None
        next_ms = await self._store.write(self._look_at_due)
        if next_ms is not None:
            self._due_at(next_ms)

    def _look_at_due(self, tx: Tx) -> TimeMs | None:
        for standing in table.due(tx, now_ms=tx.now_ms):
            if standing.state == "held":
                self._look_at_held(tx, standing)
            elif tx.now_ms >= standing.keep_until_ms:
                table.drop(tx, standing.name)
        return table.next_due_ms(tx)

    def _look_at_held(self, tx: Tx, standing: Standing) -> None:
        if tx.now_ms >= standing.until_ms:
            table.put(tx, rules.lapse(standing))
            tx.announce(_event(rules.lapse(standing), home=self._identity.did))
            return
        member = self._members.member(tx, standing.member_id)
        chain = self._members.records(tx, standing.member_id)
        effect = rules.end_hold(standing, member=member, chain=chain, now_ms=tx.now_ms)
        if effect is None:
            table.put(tx, standing)  # It is due when its time is over.
        else:
            self.countersign(tx, claim_in(standing.value.claim), effect)

    def _stands(self, row: Standing) -> bool:
        carried = self._shelf.standing(row.name)
        return carried is not None and view_name(carried.jws).sequence >= row.sequence

    def _countersigned(self, standing: Standing) -> None:
        self._kept(standing)
        self._handing = standing.name
        try:
            self._shelf.keep(Carried(jws=standing.record))
        finally:
            self._handing = None

    def _kept(self, standing: Standing) -> None:
        self._due_at(standing.until_ms if standing.state == "held" else standing.keep_until_ms)

    def _due_at(self, at_ms: TimeMs) -> None:
        if self.due_ms is None or at_ms < self.due_ms:
            self.due_ms = at_ms
            self.on_due()


def standing_of(carried: Carried) -> Standing:
    """Return what a record says that this node signed and may have lost since."""
    view, value = view_name(carried.jws), table.value_in(carried.jws)
    state: State = "held" if view.held else "revoked" if view.target is not None else "withdrawn"
    return Standing(
        name=view.name,
        member_id=view.member_id,
        state=state,
        sequence=view.sequence,
        claim_sequence=view.claim_sequence,
        claim_id=jws.record_id(value.claim),
        lapses_at_ms=view.lapses_at_ms,
        until_ms=view.lapses_at_ms,
        keep_until_ms=rules.CLOCK_BACK_MS
        + max(view.lapses_at_ms, view.issued_at_ms + wire.NAME_TERM_MS_MAX),
        value=value,
        record=view.record,
    )


def _event(
    standing: Standing, *, home: str
) -> wire.NameRegistered | wire.NameWithdrawn | wire.NameLapsed:
    name, member_id, sequence = standing.name, standing.member_id, standing.sequence
    if standing.state == "held":
        return wire.NameRegistered(
            name=name,
            member_id=member_id,
            home=home,
            sequence=sequence,
            lapses_at_ms=standing.lapses_at_ms,
        )
    if standing.state == "lapsed":
        return wire.NameLapsed(name=name, member_id=member_id, home=home, sequence=sequence)
    return wire.NameWithdrawn(name=name, member_id=member_id, home=home, sequence=sequence)

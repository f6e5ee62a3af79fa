"""What follows from how a side stands: in its ledger, its positions, its outbox, the journal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from nodeimpl.clearing import machine
from nodeimpl.clearing import outbox_store as outbox
from nodeimpl.clearing import store as tables
from nodeimpl.clearing.counts import Counts
from nodeimpl.clearing.machine import Side
from nodeimpl.clearing.outbox_store import Errand, Task
from nodeimpl.clearing.ports import Ledger
from nodeimpl.clearing.rules import Limits
from nodeimpl.clearing.store import Kept
from nodeimpl.kernel.store import Tx
from opkit.proof import clearing as proof
from opkit.proof.clearing import changes_of
from opkit.proof.genesis import GenesisView
from opkit.wire import clearing as wire
from opkit.wire.base import Did, Slug, TimeMs
from opkit.wire.ledger import SETTLE_REFUSALS, Cause, Posting

NODE = "-"
"""Who posts what no member of this coop asked for."""

FIRST_TRY_MS = 1_000
"""When the outbox says again what whoever journalled it says at once."""

POST_AGAIN_MS = 5_000
"""How long until the ledger is asked again to take what it refused."""


class Books:
    """Ledger, positions and outbox of the coops whose home this is, kept in step."""

    def __init__(
        self,
        *,
        genesis: GenesisView,
        ledger: Ledger,
        limits: Limits,
        counts: Counts,
        due: asyncio.Event,
    ) -> None:
        """Keep the parts; `due` is set once something new is to be said or done."""
        self.ledger = ledger
        self._counts = counts
        self._genesis = genesis
        self._limits = limits
        self._due = due

    def home_of(self, coop: Slug) -> Did:
        """Return the home node of a party: it has a charter, or the offer would be none."""
        charter = self._genesis.charter(coop)
        assert charter is not None, f"{coop} has a charter"
        return charter.home_node

    def set_aside(self, tx: Tx, kept: Kept) -> Kept:
        """Set aside what an exchange would debit. Refuses: Overdrawn, AccountsFull."""
        for each in proof.postings_of(kept.offer, kept.coop):
            if each.amount < 0:
                self._change_aside(tx, kept, each, -each.amount)
        return replace(kept, aside=True)

    def let_go(self, tx: Tx, kept: Kept) -> Kept:
        """Let go of what was set aside, if anything still is."""
        if not kept.aside:
            return kept
        for each in proof.postings_of(kept.offer, kept.coop):
            if each.amount < 0:
                self._change_aside(tx, kept, each, each.amount)
        return replace(kept, aside=False)

    def _keep_aside(self, tx: Tx, kept: Kept) -> None:
        """Set aside again what was let go of for a posting that the ledger refused."""
        for each in proof.postings_of(kept.offer, kept.coop):
            if each.amount < 0 and kept.aside:
                self._change_aside(tx, kept, each, -each.amount, again=True)

    def _change_aside(
        self, tx: Tx, kept: Kept, posting: Posting, change: int, *, again: bool = False
    ) -> None:
        self.ledger.set_aside(
            tx,
            coop=kept.coop,
            account=posting.account,
            unit=posting.unit,
            change=change,
            again=again,
        )

    def try_post(self, tx: Tx, kept: Kept) -> Kept:
        """Return a side after its ledger did what it has to, or why it did not.

        What is set aside for it stays so until it is posted: nothing else may spend it meanwhile.
        """
        if machine.act_of(kept.side) is None:
            return kept
        try:
            return self.post(tx, kept)
        except SETTLE_REFUSALS as no:
            if kept.why != no.code:
                tx.announce(
                    wire.ExchangeStuck(
                        coop=kept.coop,
                        exchange=kept.exchange,
                        exchange_id=kept.offer.exchange_id,
                        why=no.code,
                    )
                )
            self._keep_aside(tx, kept)
            return replace(kept, why=no.code)

    def post(self, tx: Tx, kept: Kept) -> Kept:
        """Post what is to be posted, or turned round. Refuses as `SETTLE_REFUSALS`."""
        act = machine.act_of(kept.side)
        assert act is not None, "there is something to post"
        kept = self.let_go(tx, kept)
        side, ruling = kept.side, kept.side.ruling
        assert act == "post" or ruling is not None, "only a ruling turns round what was posted"
        last = kept.correction or kept.entry
        entry = self.ledger.post_exchanged(
            tx,
            coop=kept.coop,
            entry_id=proof.entry_id_of(kept.exchange, before=side.entries),
            postings=proof.postings_of(kept.offer, kept.coop, back=side.ending == "aborted"),
            memo=kept.offer.what,
            cause=Cause(kind="ruling", id=ruling[1])
            if act == "correct" and ruling is not None
            else Cause(kind="exchange", id=kept.exchange),
            corrects=None if act == "post" else last,
            by=None if kept.by == NODE else kept.by,
        )
        done = machine.did_act(side)
        if act == "post":
            return replace(kept, side=done, entry=entry.hash, why="")
        return replace(kept, side=done, correction=entry.hash, why="")

    def begin(self, tx: Tx, kept: Kept) -> Kept:
        """Keep a new side, with what it puts in doubt and has to say."""
        tables.add(tx, kept)
        if kept.side.accepted:
            self._move(tx, None, kept)
        self._say(tx, {}, kept)
        return kept

    def turn(self, tx: Tx, before: Kept, after: Kept) -> Kept:
        """Keep how a side stands now, with all that follows."""
        if after.side.ending == "aborted":
            after = self.let_go(tx, after)
        ending = after.side.ending
        if ending is not None and before.ended_ms is None:
            after = replace(after, ended_ms=tx.now_ms)
            self._counts.end(tx, ending)
        if after == before:
            return after
        tables.put(tx, after)
        if after.side.in_doubt != before.side.in_doubt:
            tables.mark_doubt(tx, after)
        if (before.side.entries, _pending(before.side)) != (
            after.side.entries,
            _pending(after.side),
        ):
            self._move(tx, before, after)
        self._say(tx, self._errands(before), after)
        self._tell(tx, before, after)
        return after

    def _move(self, tx: Tx, before: Kept | None, after: Kept) -> None:
        """Move the positions with the others, and what of them is in doubt."""
        offer, coop = after.offer, after.coop
        was = before.side if before is not None else None
        moved = int(after.side.posted) - int(was.posted if was is not None else 0)
        doubted = (0 if was is None else _pending(was), _pending(after.side))
        for (other, agreement), change in changes_of(offer.legs, coop).items():
            at = tables.position(tx, coop=coop, other=other, agreement=agreement, unit=offer.unit)
            ins = [max(0, change * each) for each in doubted]
            outs = [max(0, -change * each) for each in doubted]
            settled = at.settled
            if offer.period is not None and moved > 0:
                tables.settle(tx, after, other=other, agreement=agreement, period=offer.period)
                settled = offer.period
            elif offer.period is not None and moved < 0:
                tables.unsettle(tx, after, agreement=agreement)
                settled = tables.last_settled(tx, coop=coop, other=other, agreement=agreement)
            at = replace(
                at,
                balance=at.balance + moved * change,
                doubt_in=at.doubt_in + ins[1] - ins[0],
                doubt_out=at.doubt_out + outs[1] - outs[0],
                exchanges=at.exchanges + moved,
                settled=settled,
                changed_ms=tx.now_ms,
            )
            tables.put_position(tx, at)

    def _errands(self, kept: Kept) -> dict[tuple[Task, Slug], TimeMs]:
        """Return what a side has to say or do by itself, to whom, and how soon."""
        side, offer, limits = kept.side, kept.offer, self._limits
        errands: dict[tuple[Task, Slug], TimeMs] = {}
        for party in side.untold:
            errands["tell", party] = FIRST_TRY_MS if side.role == "proposer" else 0
        if side.is_owing:
            errands["post", ""] = POST_AGAIN_MS
        ttl_ms = offer.expires_ms - offer.offered_ms
        if side.is_pleading and self._genesis.node_of(offer.arbiter) is not None:
            errands["plead", offer.arbiter] = 0 if side.rival else ttl_ms + limits.rule_after_ms
        if side.ending is not None:
            return errands
        if side.role == "proposer":
            for party in side.awaited:
                errands["offer", party] = FIRST_TRY_MS
            errands["lapse", ""] = ttl_ms + limits.grace_ms
        elif side.accepted:
            errands["ask", offer.coop] = limits.ask_after_ms
        return errands

    def _say(self, tx: Tx, before: dict[tuple[Task, Slug], TimeMs], after: Kept) -> None:
        """Keep in the outbox what is to be said now, and nothing else."""
        wanted = self._errands(after)
        for task, party in before.keys() - wanted.keys():
            outbox.drop(tx, coop=after.coop, exchange=after.exchange, task=task, party=party)
        new = sorted(wanted.keys() - before.keys())
        if new:
            tx.after_commit(self._due.set)
        for task, party in new:
            outbox.put(
                tx,
                Errand(
                    coop=after.coop,
                    exchange=after.exchange,
                    task=task,
                    party=party,
                    node=self._node_of(task, party),
                    due_ms=tx.now_ms + wanted[task, party],
                ),
            )

    def _node_of(self, task: Task, party: Slug) -> Did:
        if task in ("lapse", "post"):
            return ""
        if task != "plead":
            return self.home_of(party)
        node = self._genesis.node_of(party)
        assert node is not None, "an arbiter without a node is not asked"
        return node.did

    def _tell(self, tx: Tx, before: Kept, after: Kept) -> None:
        """Announce what a step changed."""
        side, offer = after.side, after.offer
        name = {"coop": after.coop, "exchange": after.exchange}
        if after.entry is not None and before.entry is None:
            tx.announce(
                wire.ExchangeCommitted(**name, role=side.role, entry=after.entry, **about(offer))
            )
        if side.ending == "aborted" and before.side.ending is None:
            tx.announce(
                wire.ExchangeAborted(
                    **name,
                    role=side.role,
                    exchange_id=offer.exchange_id,
                    kind=offer.kind,
                    why=after.why,
                )
            )
        if side.ruling is not None and (
            side.ruling != before.side.ruling or after.correction != before.correction
        ):
            tx.announce(
                wire.ExchangeRuled(
                    **name,
                    exchange_id=offer.exchange_id,
                    arbiter=offer.arbiter,
                    ending=side.ruling[0],
                    ruling=side.ruling[1],
                    correction=after.correction,
                )
            )


def about(offer: wire.Offer) -> dict[str, Any]:
    """Return what events say of an exchange."""
    names = ("exchange_id", "kind", "unit", "legs", "period")
    return {name: getattr(offer, name) for name in names}


def _pending(side: Side) -> int:
    """Return how an exchange may still move positions: 1 by its amounts, -1 back by them, or 0."""
    if side.ending is None:
        return 1 if side.accepted else 0
    if not side.is_owing:
        return 0
    return -1 if side.posted else 1

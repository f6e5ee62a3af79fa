"""Holds at work: set aside, then posted, voided or lapsed, each in one transaction with its event.

What is set aside is counted in the account itself, so every spending minds it; the hold says for
what, for whom and until when. Its moment of world time is a timer's, and is judged as well by
whoever looks at it. Source: ADR 0040.
"""

from __future__ import annotations

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.timers import Timers
from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger import holds_rules as rules
from nodeimpl.ledger import holds_store as table
from nodeimpl.ledger.holds_rules import Limits
from nodeimpl.ledger.rules import Right, is_under, judge_poster, judge_reader, member_path, path_of
from nodeimpl.ledger.service import Ledger
from opkit.proof.holds import hold_hash
from opkit.wire import holds as wire
from opkit.wire.base import SAFE_INT_MAX, NetworkId, TimeMs
from opkit.wire.endpoint import Scope
from opkit.wire.ledger import AccountId, Posting

TIMER = "ledger.hold"
"""What the deadlines of holds are called."""


class Holds:
    """The holds of the ledgers that this node keeps."""

    def __init__(
        self, *, network: NetworkId, ledger: Ledger, timers: Timers, limits: Limits | None = None
    ) -> None:
        """Keep the parts; from now on holds lapse by `timers`."""
        self._network = network
        self._ledger = ledger
        self._timers = timers
        self._limits = limits or Limits()
        timers.on(TIMER, self._lapse_due)
        ledger.first = timers.catch_up

    def create(
        self, tx: Tx, ask: wire.CreateHold, caller: Caller | None, _: None = None
    ) -> wire.Hold:
        """Set money aside, or return the hold that the very same ask made before.

        Refuses, in this order:
            LedgerElsewhere: another node keeps that ledger.
            LedgerNotYours: the caller is of another coop.
            (the rest): as `rules.judge_create`, and AccountsFull before HoldsExhausted.
        """
        right = self._right(tx, ask.coop, caller)
        book = self._ledger.book(ask.coop)
        payer, payee = path_of(ask.from_account), path_of(ask.to_account)
        standing = table.get(tx, coop=ask.coop, hold_id=ask.hold_id)
        fresh = rules.judge_create(
            ask,
            right=right,
            standing=standing,
            payer=book.account(tx, payer, ask.unit) or book.fresh(payer, ask.unit),
            payee=book.account(tx, payee, ask.unit),
            open_holds=table.count_open(tx, account=ask.from_account, unit=ask.unit),
            world_ms=tx.world_ms,
            limits=self._limits,
        )
        if not fresh:
            assert standing is not None, "only what stands is not made anew"
            return _seen(standing, tx.world_ms)
        hold = self._made(tx, ask, right)
        self._set_aside(tx, hold, hold.amount)
        table.add(tx, hold)
        self._timers.set(tx, kind=TIMER, key=_key(hold), due_ms=hold.lapses_at_ms)
        tx.announce(
            wire.HoldCreated(
                coop=hold.coop,
                hold_id=hold.hold_id,
                hash=hold.hash,
                from_account=hold.from_account,
                to_account=hold.to_account,
                unit=hold.unit,
                amount=hold.amount,
                lapses_at_ms=hold.lapses_at_ms,
                by=hold.by,
            )
        )
        return hold

    def post(self, tx: Tx, ask: wire.PostHold, caller: Caller | None, _: None = None) -> wire.Hold:
        """Pay what is held, or a part of it, by an entry that cites the hold.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, HoldUnknown; then as `rules.judge_post`.
            AccountClosed, Overdrawn, BalanceOutOfBounds, AccountsFull: the entry cannot be posted:
                an account was closed since, or its floor raised.
        """
        right = self._right(tx, ask.coop, caller)
        hold = self._hold(tx, ask.coop, ask.hold_id)
        amount = rules.judge_post(hold, amount=ask.amount, right=right, world_ms=tx.world_ms)
        if amount is None:
            return hold
        self._set_aside(tx, hold, -hold.amount)
        entry = self._ledger.post_bound(
            tx,
            coop=hold.coop,
            entry_id=f"{wire.HOLD_ENTRY_PREFIX}{hold.hold_id}",
            postings=(
                Posting(account=hold.from_account, unit=hold.unit, amount=-amount),
                Posting(account=hold.to_account, unit=hold.unit, amount=amount),
            ),
            memo=hold.memo,
            hold=hold.hold_id,
            by=right.by,
        )
        ended = {"state": "posted", "posted": amount, "entry": entry.hash, "ended_by": right.by}
        hold = self._end(tx, hold, ended_world_ms=tx.world_ms, **ended)
        tx.announce(
            wire.HoldPosted(
                coop=hold.coop,
                hold_id=hold.hold_id,
                hash=hold.hash,
                amount=amount,
                released=hold.amount - amount,
                entry=entry.hash,
                by=right.by,
            )
        )
        return hold

    def void(self, tx: Tx, ask: wire.VoidHold, caller: Caller | None, _: None = None) -> wire.Hold:
        """Release what is held.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours, HoldUnknown; then as `rules.judge_void`.
        """
        right = self._right(tx, ask.coop, caller)
        hold = self._hold(tx, ask.coop, ask.hold_id)
        if not rules.judge_void(hold, right=right, world_ms=tx.world_ms):
            return hold
        self._set_aside(tx, hold, -hold.amount)
        hold = self._end(tx, hold, state="voided", ended_world_ms=tx.world_ms, ended_by=right.by)
        tx.announce(
            wire.HoldVoided(
                coop=hold.coop,
                hold_id=hold.hold_id,
                hash=hold.hash,
                released=hold.amount,
                by=right.by,
            )
        )
        return hold

    def get(self, tx: Tx, ask: wire.GetHold, caller: Caller | None, _: None = None) -> wire.Hold:
        """Return a hold as it is at this moment of world time.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours.
            LedgerOwnOnly: the caller reads their own, and neither account is theirs.
            HoldUnknown: there is none of this id.
        """
        assert caller is not None, "reading a ledger needs a token"
        self._ledger.book(ask.coop)
        hold = table.get(tx, coop=ask.coop, hold_id=ask.hold_id)
        accounts = () if hold is None else (hold.from_account, hold.to_account)
        self._judge_reader(ask.coop, caller, accounts)
        if hold is None:
            raise wire.HoldUnknown(hold_id=ask.hold_id)
        return _seen(hold, tx.world_ms)

    def list(
        self, tx: Tx, ask: wire.ListHolds, caller: Caller | None, _: None = None
    ) -> wire.HoldPage:
        """List holds, the newest first.

        Refuses, in this order:
            LedgerElsewhere, LedgerNotYours.
            LedgerOwnOnly: the caller reads their own, and it is not their account that they name.
        """
        assert caller is not None, "reading a ledger needs a token"
        self._ledger.book(ask.coop)
        self._judge_reader(ask.coop, caller, (ask.account,))
        holds = table.page(
            tx,
            coop=ask.coop,
            state=ask.state,
            account=ask.account,
            before=ask.before or SAFE_INT_MAX,
            holds_max=ask.holds_max,
        )
        more = len(holds) == ask.holds_max
        seen = [_seen(hold, tx.world_ms) for hold in holds]
        return wire.HoldPage(
            holds=tuple(hold for hold in seen if ask.state in {"", hold.state}),
            next_before=holds[-1].sequence if more else 0,
        )

    def _lapse_due(self, tx: Tx, key: str, due_ms: TimeMs) -> None:
        """End a hold whose moment has come; it is the only thing that its timer waits for."""
        coop, _, hold_id = key.partition(" ")
        hold = table.get(tx, coop=coop, hold_id=hold_id)
        assert hold is not None and hold.state == "held", f"{key} ended, and its timer did not"
        self._set_aside(tx, hold, -hold.amount)
        table.end(tx, _lapsed(hold))
        tx.announce(
            wire.HoldExpired(
                coop=hold.coop, hold_id=hold.hold_id, hash=hold.hash, released=hold.amount
            )
        )

    def _right(self, tx: Tx, coop: str, caller: Caller | None) -> Right:
        """Return by whose right a change is asked for, once all that is due is done.

        Refuses: LedgerElsewhere, LedgerNotYours.
        """
        assert caller is not None, "changing a hold needs a token"
        self._ledger.book(coop)
        judge_poster(coop, caller.member_id)
        self._timers.catch_up(tx)
        for_coop = Scope.LEDGER_WRITE in caller.scopes
        return Right(by=caller.member_id, kind="coop" if for_coop else "own")

    def _hold(self, tx: Tx, coop: str, hold_id: str) -> wire.Hold:
        """Return a hold. Refuses: HoldUnknown."""
        hold = table.get(tx, coop=coop, hold_id=hold_id)
        if hold is None:
            raise wire.HoldUnknown(hold_id=hold_id)
        return hold

    def _made(self, tx: Tx, ask: wire.CreateHold, right: Right) -> wire.Hold:
        body = wire.HoldBody(
            network=self._network, by=right.by, made_world_ms=tx.world_ms, **ask.model_dump()
        )
        return wire.Hold(
            **body.model_dump(),
            hash=hold_hash(body),
            sequence=table.next_sequence(tx, ask.coop),
            state="held",
            made_ms=tx.now_ms,
        )

    def _judge_reader(self, coop: str, caller: Caller, accounts: tuple[AccountId, ...]) -> None:
        """Return if a member may read about holds from or to these accounts."""
        own = f"{coop}:{member_path(caller.member_id)}"
        judge_reader(
            coop,
            caller.member_id,
            whole=Scope.LEDGER_READ in caller.scopes,
            asks_own=any(is_under(account, own) for account in accounts),
            auditors=self._ledger.auditors,
        )

    def _set_aside(self, tx: Tx, hold: wire.Hold, change: int) -> None:
        account: AccountId = hold.from_account
        self._ledger.set_aside(tx, coop=hold.coop, account=account, unit=hold.unit, change=change)

    def _end(self, tx: Tx, hold: wire.Hold, **how: object) -> wire.Hold:
        ended = hold.model_copy(update=how)
        table.end(tx, ended)
        self._timers.cancel(tx, kind=TIMER, key=_key(hold))
        return ended


def _seen(hold: wire.Hold, world_ms: TimeMs) -> wire.Hold:
    """Return a hold as it is at a moment, also if nobody has ended it yet that is over."""
    return _lapsed(hold) if rules.has_lapsed(hold, world_ms) else hold


def _lapsed(hold: wire.Hold) -> wire.Hold:
    return hold.model_copy(update={"state": "lapsed", "ended_world_ms": hold.lapses_at_ms})


def _key(hold: wire.Hold) -> str:
    return f"{hold.coop} {hold.hold_id}"

"""What members ask of clearing: propose, settle, net, and read how it stands."""

from __future__ import annotations

from nodeimpl.clearing import counts, rules
from nodeimpl.clearing import store as tables
from nodeimpl.clearing.carrier import Carrier
from nodeimpl.clearing.counts import Counts
from nodeimpl.clearing.desk import Desk, Wanted
from nodeimpl.clearing.store import Kept
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Store, Tx
from opkit.wire import clearing as wire
from opkit.wire.base import SAFE_INT_MAX, RecordId, Slug
from opkit.wire.clearing import Leg
from opkit.wire.terms import Terms


class Clearing:
    """The exchanges of the coops whose home this is."""

    def __init__(self, desk: Desk, carrier: Carrier, *, store: Store) -> None:
        """Keep the parts."""
        self._desk = desk
        self._carrier = carrier
        self._store = store

    @property
    def counts(self) -> Counts:
        """How often what happened."""
        return self._desk.counts

    @staticmethod
    def waiting(tx: Tx) -> tuple[int, int]:
        """Return how many sides of exchanges are in doubt, and how much is to be said or done."""
        return counts.waiting(tx)

    async def offer(self, ask: wire.PostOffer, caller: Caller | None) -> wire.Exchange:
        """Propose an exchange, and bring it as far as the other side lets it.

        Refuses, in this order:
            ClearingNotYours: the caller's coop is not at home here, or is no side of it.
            ExchangeConflict: its id names something else.
            (the rest): as `JUDGED_REFUSALS`, by this side or the other.
        """
        coop, by = self._own(caller)
        leg = Leg(agreement=ask.agreement, payer=ask.payer, payee=ask.payee, amount=ask.amount)
        if coop not in (ask.payer, ask.payee):
            raise wire.ClearingNotYours(member_id=by)
        wanted = Wanted(
            coop=coop,
            exchange_id=ask.exchange_id,
            kind="exchange",
            unit=ask.unit,
            legs=(leg,),
            what=ask.what,
            period=None,
            ttl_ms=ask.ttl_ms,
        )
        kept = await self._store.write(lambda tx: self._desk.propose(tx, wanted, by=by))
        return tables.view(await self._carrier.conclude(kept))

    async def settle(self, ask: wire.SettlePeriod, caller: Caller | None) -> wire.Exchange:
        """Have a coop say that it is owed no more, for a period, once. Refuses as `offer`."""
        coop, by = self._own(caller)
        kept = await self._store.write(lambda tx: self._settlement(tx, ask, coop, by))
        return tables.view(await self._carrier.conclude(kept))

    async def net(self, ask: wire.NetDebts, caller: Caller | None) -> wire.Exchange:
        """Take debts out that go around, all or none. Refuses as `offer`."""
        coop, by = self._own(caller)
        if not any(coop in (leg.payer, leg.payee) for leg in ask.legs):
            raise wire.ClearingNotYours(member_id=by)
        wanted = Wanted(
            coop=coop,
            exchange_id=ask.exchange_id,
            kind="netting",
            unit=ask.unit,
            legs=ask.legs,
            what=ask.what,
            period=None,
            ttl_ms=ask.ttl_ms,
        )
        kept = await self._store.write(lambda tx: self._desk.propose(tx, wanted, by=by))
        return tables.view(await self._carrier.conclude(kept))

    def exchanges(
        self, tx: Tx, ask: wire.ListExchanges, caller: Caller | None, _: None = None
    ) -> wire.ExchangePage:
        """List exchanges of a coop, the newest first."""
        del caller
        coop = self._shown(ask.coop)
        kept = tables.page(
            tx,
            coop=coop,
            agreement=ask.agreement,
            doubt=ask.doubt,
            before=ask.before or SAFE_INT_MAX,
            count_max=ask.exchanges_max,
        )
        more = len(kept) == ask.exchanges_max
        return wire.ExchangePage(
            exchanges=tuple(tables.view(each) for each in kept),
            next_before=kept[-1].sequence if more else 0,
        )

    def exchange(
        self, tx: Tx, ask: wire.AskClearing, caller: Caller | None, _: None = None
    ) -> wire.ExchangeAnswer:
        """Return an exchange with its proofs. Refuses: ExchangeUnknown."""
        del caller
        coops = (ask.coop,) if ask.coop else self._desk.coops
        kept = tables.find(tx, ask.exchange, coops=coops)
        if kept is None:
            raise wire.ExchangeUnknown(exchange=ask.exchange)
        return wire.ExchangeAnswer(exchange=tables.view(kept), evidence=kept.evidence)

    def positions(
        self, tx: Tx, ask: wire.ListPositions, caller: Caller | None, _: None = None
    ) -> wire.PositionList:
        """Return how a coop stands with others."""
        del caller
        found = tables.positions_of(
            tx,
            coop=self._shown(ask.coop),
            agreement=ask.agreement,
            count_max=wire.POSITIONS_MAX,
        )
        return wire.PositionList(
            positions=tuple(
                self._position(tx, each) for each in found if ask.other in ("", each.other)
            )
        )

    def _position(self, tx: Tx, at: tables.Position) -> wire.ClearingPosition:
        terms = self._desk.agreements.terms(tx, at.agreement)
        assert terms.clearing is not None, "nothing passes under an agreement without clearing"
        return wire.ClearingPosition(
            coop=at.coop,
            other=at.other,
            agreement=at.agreement,
            unit=at.unit,
            balance=at.balance,
            doubt_in=at.doubt_in,
            doubt_out=at.doubt_out,
            imbalance_max=terms.clearing.imbalance_max,
            exchanges=at.exchanges,
            settled=at.settled,
            changed_ms=at.changed_ms,
        )

    def _settlement(self, tx: Tx, ask: wire.SettlePeriod, coop: Slug, by: str) -> Kept:
        """Journal the offer of a settlement of all that stands between two.

        Refuses, in this order:
            AgreementUnknown, NotParty, UnitMismatch, PeriodWrong, SettlementDone, InDoubt,
            NothingToSettle; then as `Desk.propose`.
        """
        terms = self._desk.agreements.terms(tx, ask.agreement)
        other = _other_of(terms, ask, coop)
        clearing = terms.clearing
        if clearing is None:
            raise wire.UnitMismatch(agreement=ask.agreement, unit="", agreed="")
        rules.judge_period(ask.period, settled=clearing.settled)
        stand = tables.stand(
            tx,
            coop=coop,
            other=other,
            agreement=ask.agreement,
            unit=clearing.unit,
            period=ask.period,
        )
        rules.judge_settling(stand, agreement=ask.agreement, period=ask.period)
        owed = stand.balance > 0
        leg = Leg(
            agreement=ask.agreement,
            payer=coop if owed else other,
            payee=other if owed else coop,
            amount=abs(stand.balance),
        )
        wanted = Wanted(
            coop=coop,
            exchange_id=f"settle:{ask.agreement[:16]}:{tables.next_sequence(tx, coop)}",
            kind="settlement",
            unit=clearing.unit,
            legs=(leg,),
            what=ask.what or f"Settlement of {ask.period}",
            period=ask.period,
            ttl_ms=ask.ttl_ms,
        )
        return self._desk.propose(tx, wanted, by=by)

    def _own(self, caller: Caller | None) -> tuple[Slug, str]:
        """Return the caller's coop and who they are. Refuses: ClearingNotYours."""
        assert caller is not None, "clearing needs a token"
        coop = caller.member_id.partition("/")[0]
        if coop not in self._desk.coops:
            raise wire.ClearingNotYours(member_id=caller.member_id)
        return coop, caller.member_id

    def _shown(self, coop: str) -> str:
        """Return whose exchanges are meant: the node's first coop, unless one is named."""
        return coop or next(iter(self._desk.coops), "")


def _other_of(terms: Terms, ask: wire.SettlePeriod, coop: Slug) -> Slug:
    """Return with whom a position is settled. Refuses: NotParty, ExchangeMalformed."""
    if coop not in terms.parties:
        raise wire.NotParty(agreement=ask.agreement, coop=coop)
    others: list[RecordId] = [each for each in terms.parties if each != coop]
    if ask.other is not None:
        if ask.other not in others:
            raise wire.NotParty(agreement=ask.agreement, coop=ask.other)
        return ask.other
    if len(others) != 1:
        raise wire.ExchangeMalformed(why="the agreement has several parties: say with whom")
    return others[0]

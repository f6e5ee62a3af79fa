"""Exchanges, positions and settlements of the coops whose home this is; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    update,
)

from nodeimpl.clearing.machine import Side
from nodeimpl.clearing.rules import Stand
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from opkit.proof import jws
from opkit.proof.clearing import changes_of
from opkit.wire.base import MemberId, RecordId, Slug, TimeMs
from opkit.wire.clearing import Evidence, Exchange, Offer, Period
from opkit.wire.ledger import Unit

exchanges = Table(
    "clearing_exchanges",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("exchange", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("exchange_id", Text, nullable=False),
    Column("doubt", BigInteger, nullable=False),
    Column("aside", BigInteger, nullable=False),
    Column("side", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("entry", Text, nullable=True),
    Column("correction", Text, nullable=True),
    Column("ended_ms", BigInteger, nullable=True),
    Column("by", Text, nullable=False),
    Index("ix_clearing_exchanges_coop_sequence", "coop", "sequence", unique=True),
    Index("ix_clearing_exchanges_coop_proposer_id", "coop", "proposer", "exchange_id", unique=True),
    Index("ix_clearing_exchanges_exchange_id", "exchange_id"),
    Index("ix_clearing_exchanges_doubt", "doubt", "coop", "sequence"),
    Index("ix_clearing_exchanges_aside", "coop", "aside"),
)
"""Each side of an exchange that has its home here; `exchange` is the record id of its offer."""

legs = Table(
    "clearing_legs",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("exchange", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("agreement", Text, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("doubt", BigInteger, nullable=False),
    Index("ix_clearing_legs_with", "coop", "other", "doubt"),
    Index("ix_clearing_legs_agreement", "agreement", "sequence"),
)
"""With whom, under which agreement, a side exchanges; `doubt` as in its exchange."""

positions = Table(
    "clearing_positions",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("agreement", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("doubt_in", BigInteger, nullable=False),
    Column("doubt_out", BigInteger, nullable=False),
    Column("exchanges", BigInteger, nullable=False),
    Column("settled", Text, nullable=True),
    Column("changed_ms", BigInteger, nullable=False),
    Index("ix_clearing_positions_agreement", "agreement"),
)

settlements = Table(
    "clearing_settlements",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Column("agreement", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("exchange", Text, nullable=False),
)
"""Which period was settled by which exchange: once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One side of an exchange as it is kept.

    Attributes:
        offer: what the offer in `evidence` says.
        aside: whether what it may owe is set aside in its ledger.
        by: who proposed it; `-` for a side that only accepted.
    """

    coop: Slug
    exchange: RecordId
    sequence: int
    offer: Offer
    side: Side
    evidence: Evidence
    by: MemberId | str
    aside: bool = False
    why: str = ""
    entry: RecordId | None = None
    correction: RecordId | None = None
    ended_ms: TimeMs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A row of `positions`; its columns are its fields."""

    coop: Slug
    other: Slug
    agreement: RecordId
    unit: Unit
    balance: int = 0
    doubt_in: int = 0
    doubt_out: int = 0
    exchanges: int = 0
    settled: Period | None = None
    changed_ms: TimeMs = 0


_e, _l, _p, _s = exchanges.c, legs.c, positions.c, settlements.c
_ROW = (
    _e.coop,
    _e.exchange,
    _e.sequence,
    _e.side,
    _e.evidence,
    _e.aside,
    _e.why,
    _e.entry,
    _e.correction,
    _e.ended_ms,
    _e.by,
)

_PUT = upsert(exchanges)
_GET = sql(select(*_ROW).where(_e.coop == bindparam("coop"), _e.exchange == bindparam("exchange")))
_BY_ID = sql(
    select(*_ROW).where(
        _e.coop == bindparam("coop"),
        _e.proposer == bindparam("proposer"),
        _e.exchange_id == bindparam("exchange_id"),
    )
)
_NAMED = sql(
    select(*_ROW)
    .where(_e.exchange_id == bindparam("name"))
    .order_by(_e.sequence.desc(), _e.coop)
    .limit(64)
)
_LAST = sql(select(func.max(_e.sequence)).where(_e.coop == bindparam("coop")))
_ASIDE = sql(select(*_ROW).where(_e.coop == bindparam("coop"), _e.aside == 1))
_NEWEST = (
    select(*_ROW)
    .where(_e.coop == bindparam("coop"), _e.sequence < bindparam("before"))
    .order_by(_e.sequence.desc())
    .limit(bindparam("count_max"))
)
_OF_AGREEMENT = (
    select(_l.exchange)
    .where(_l.coop == _e.coop, _l.exchange == _e.exchange, _l.agreement == bindparam("agreement"))
    .exists()
)
_PAGES = {
    (False, False): sql(_NEWEST),
    (True, False): sql(_NEWEST.where(_OF_AGREEMENT)),
    (False, True): sql(_NEWEST.where(_e.doubt == 1)),
    (True, True): sql(_NEWEST.where(_OF_AGREEMENT, _e.doubt == 1)),
}
"""By whether an agreement is asked for, and only what is in doubt."""

_ADD_LEG = sql(legs.insert())
_DOUBT_LEGS = sql(
    update(legs)
    .where(_l.coop == bindparam("its_coop"), _l.exchange == bindparam("its_exchange"))
    .values(doubt=bindparam("doubt"))
)
_DOUBTFUL = sql(
    select(_l.kind, func.min(_l.exchange))
    .where(
        _l.coop == bindparam("coop"),
        _l.other == bindparam("other"),
        _l.agreement == bindparam("agreement"),
        _l.unit == bindparam("unit"),
        _l.doubt == 1,
    )
    .group_by(_l.kind)
)
_OPEN_WITH = sql(
    select(func.count(_l.exchange.distinct())).where(
        _l.coop == bindparam("coop"), _l.other == bindparam("other"), _l.doubt == 1
    )
)

_PUT_POSITION = upsert(positions)
_GET_POSITION = sql(
    select(*positions.columns).where(
        _p.coop == bindparam("coop"),
        _p.other == bindparam("other"),
        _p.agreement == bindparam("agreement"),
        _p.unit == bindparam("unit"),
    )
)
_POSITIONS = sql(
    select(*positions.columns)
    .where(_p.coop == bindparam("coop"))
    .order_by(_p.other, _p.agreement, _p.unit)
    .limit(bindparam("count_max"))
)
_POSITIONS_UNDER = sql(
    select(*positions.columns)
    .where(_p.coop == bindparam("coop"), _p.agreement == bindparam("agreement"))
    .order_by(_p.other, _p.unit)
    .limit(bindparam("count_max"))
)

_PUT_SETTLEMENT = upsert(settlements)
_SETTLED_WITH = (
    _s.coop == bindparam("coop"),
    _s.other == bindparam("other"),
    _s.agreement == bindparam("agreement"),
)
_GET_SETTLEMENT = sql(select(_s.exchange).where(*_SETTLED_WITH, _s.period == bindparam("period")))
_DROP_SETTLEMENT = sql(
    delete(settlements).where(
        _s.coop == bindparam("its_coop"),
        _s.exchange == bindparam("its_exchange"),
        _s.agreement == bindparam("its_agreement"),
    )
)
_LAST_SETTLED = sql(
    select(_s.period)
    .join(exchanges, (_e.coop == _s.coop) & (_e.exchange == _s.exchange))
    .where(*_SETTLED_WITH)
    .order_by(_e.sequence.desc())
    .limit(1)
)


def add(tx: Tx, kept: Kept) -> None:
    """Keep a new side of an exchange, and with whom it is."""
    put(tx, kept)
    for other, agreement in changes_of(kept.offer.legs, kept.coop):
        tx.run(
            _ADD_LEG,
            coop=kept.coop,
            exchange=kept.exchange,
            other=other,
            agreement=agreement,
            unit=kept.offer.unit,
            kind=kept.offer.kind,
            sequence=kept.sequence,
            doubt=int(kept.side.in_doubt),
        )


def put(tx: Tx, kept: Kept) -> None:
    """Keep how a side of an exchange stands now."""
    tx.run(
        _PUT,
        coop=kept.coop,
        exchange=kept.exchange,
        sequence=kept.sequence,
        proposer=kept.offer.coop,
        exchange_id=kept.offer.exchange_id,
        doubt=int(kept.side.in_doubt),
        aside=int(kept.aside),
        side=json.dumps(asdict(kept.side), default=sorted, separators=(",", ":")),
        evidence=kept.evidence.model_dump_json(),
        why=kept.why,
        entry=kept.entry,
        correction=kept.correction,
        ended_ms=kept.ended_ms,
        by=kept.by,
    )


def mark_doubt(tx: Tx, kept: Kept) -> None:
    """Keep whether the legs of an exchange are in doubt."""
    tx.run(
        _DOUBT_LEGS,
        its_coop=kept.coop,
        its_exchange=kept.exchange,
        doubt=int(kept.side.in_doubt),
    )


def get(tx: Tx, *, coop: Slug, exchange: RecordId) -> Kept | None:
    """Return a side of an exchange."""
    row = tx.one(_GET, coop=coop, exchange=exchange)
    return None if row is None else _kept(row)


def by_id(tx: Tx, *, coop: Slug, proposer: Slug, exchange_id: str) -> Kept | None:
    """Return a side of the exchange that its proposer named so."""
    row = tx.one(_BY_ID, coop=coop, proposer=proposer, exchange_id=exchange_id)
    return None if row is None else _kept(row)


def find(tx: Tx, name: str, *, coops: Iterable[Slug]) -> Kept | None:
    """Return some of these coops' side of an exchange of this hash, or else the newest of this id.

    Whoever proposes chooses the id, which may be another exchange's hash: it hides none.
    """
    sides = [get(tx, coop=coop, exchange=name) for coop in coops]
    named = [_kept(row) for row in tx.all(_NAMED, name=name)]
    found = [each for each in (*sides, *named) if each is not None and each.coop in coops]
    return found[0] if found else None


def next_sequence(tx: Tx, coop: Slug) -> int:
    """Return which exchange of a coop the next one is."""
    row = tx.one(_LAST, coop=coop)
    return 1 if row is None or row[0] is None else int(row[0]) + 1


def page(
    tx: Tx, *, coop: Slug, agreement: str, doubt: bool, before: int, count_max: int
) -> list[Kept]:
    """Return exchanges of a coop, newest first; an empty agreement stands for any."""
    more = {"agreement": agreement} if agreement else {}
    statement = _PAGES[bool(agreement), doubt]
    rows = tx.all(statement, coop=coop, before=before, count_max=count_max, **more)
    return [_kept(row) for row in rows]


def set_aside(tx: Tx, coop: Slug) -> list[Kept]:
    """Return the exchanges for which something is set aside in a coop's ledger."""
    return [_kept(row) for row in tx.all(_ASIDE, coop=coop)]


def open_with(tx: Tx, *, coop: Slug, other: Slug) -> int:
    """Return how many exchanges with another coop are in doubt."""
    row = tx.one(_OPEN_WITH, coop=coop, other=other)
    assert row is not None, "a count is always one row"
    return int(row[0])


def position(tx: Tx, *, coop: Slug, other: Slug, agreement: RecordId, unit: Unit) -> Position:
    """Return how a coop stands with another; all zero if nothing passed yet."""
    row = tx.one(_GET_POSITION, coop=coop, other=other, agreement=agreement, unit=unit)
    if row is None:
        return Position(coop=coop, other=other, agreement=agreement, unit=unit)
    return _position(row)


def put_position(tx: Tx, at: Position) -> None:
    """Keep how a coop stands with another."""
    tx.run(_PUT_POSITION, **{name: getattr(at, name) for name in _POSITION_NAMES})


def positions_of(tx: Tx, *, coop: Slug, agreement: str, count_max: int) -> list[Position]:
    """Return a coop's positions; an empty agreement stands for any."""
    if agreement:
        rows = tx.all(_POSITIONS_UNDER, coop=coop, agreement=agreement, count_max=count_max)
    else:
        rows = tx.all(_POSITIONS, coop=coop, count_max=count_max)
    return [_position(row) for row in rows]


def stand(
    tx: Tx, *, coop: Slug, other: Slug, agreement: RecordId, unit: Unit, period: str | None
) -> Stand:
    """Return how a coop stands with another as it is judged."""
    at = position(tx, coop=coop, other=other, agreement=agreement, unit=unit)
    rows = tx.all(_DOUBTFUL, coop=coop, other=other, agreement=agreement, unit=unit)
    doubtful = {kind: str(exchange) for kind, exchange in rows}
    done = None
    if period is not None:
        done = tx.one(_GET_SETTLEMENT, coop=coop, other=other, agreement=agreement, period=period)
    return Stand(
        balance=at.balance,
        doubt_in=at.doubt_in,
        doubt_out=at.doubt_out,
        exchanges=at.exchanges,
        doubtful=next(iter(doubtful.values()), None),
        settling=doubtful.get("settlement"),
        done=None if done is None else done[0],
    )


def settle(tx: Tx, kept: Kept, *, other: Slug, agreement: RecordId, period: Period) -> None:
    """Remember that a period is settled."""
    tx.run(
        _PUT_SETTLEMENT,
        coop=kept.coop,
        other=other,
        agreement=agreement,
        period=period,
        exchange=kept.exchange,
    )


def unsettle(tx: Tx, kept: Kept, *, agreement: RecordId) -> None:
    """Forget that an exchange settled a period: a ruling took it back."""
    tx.run(
        _DROP_SETTLEMENT,
        its_coop=kept.coop,
        its_exchange=kept.exchange,
        its_agreement=agreement,
    )


def last_settled(tx: Tx, *, coop: Slug, other: Slug, agreement: RecordId) -> Period | None:
    """Return the period that was settled last of those that still are."""
    row = tx.one(_LAST_SETTLED, coop=coop, other=other, agreement=agreement)
    return None if row is None else row[0]


def view(kept: Kept) -> Exchange:
    """Return a side of an exchange as it is answered."""
    offer, side = kept.offer, kept.side
    return Exchange(
        coop=kept.coop,
        hash=kept.exchange,
        exchange_id=offer.exchange_id,
        proposer=offer.coop,
        role=side.role,
        kind=offer.kind,
        unit=offer.unit,
        legs=offer.legs,
        what=offer.what,
        period=offer.period,
        state=side.state,
        in_doubt=side.in_doubt,
        ruled=side.ruling is not None,
        untold=len(side.untold),
        why=kept.why,
        entry=kept.entry,
        correction=kept.correction,
        sequence=kept.sequence,
        offered_ms=offer.offered_ms,
        expires_ms=offer.expires_ms,
        ended_ms=kept.ended_ms,
    )


def offer_in(evidence: Evidence) -> Offer:
    """Return the offer of evidence that was verified when it was kept."""
    return Offer.model_validate(jws.reread(evidence.offer), strict=False)


_POSITION_NAMES = tuple(column.name for column in positions.columns)


def _position(row: tuple[Any, ...]) -> Position:
    return Position(**dict(zip(_POSITION_NAMES, row, strict=True)))


def _side(text: str) -> Side:
    said = json.loads(text)
    for name in ("others", "awaited", "untold"):
        said[name] = frozenset(said[name])
    if said["ruling"] is not None:
        said["ruling"] = tuple(said["ruling"])
    return Side(**said)


def _kept(row: tuple[Any, ...]) -> Kept:
    coop, exchange, sequence, side, evidence, aside, why, entry, correction, ended_ms, by = row
    read = Evidence.model_validate_json(evidence)
    return Kept(
        coop=coop,
        exchange=exchange,
        sequence=sequence,
        offer=offer_in(read),
        side=_side(side),
        evidence=read,
        by=by,
        aside=bool(aside),
        why=why,
        entry=entry,
        correction=correction,
        ended_ms=ended_ms,
    )

"""What a node keeps of ballots that were lodged with it, until their home has answered for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, delete, func, select

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from opkit.wire.base import Did, Jws, MemberId, RecordId, Slug, TimeMs

lodged = Table(
    "governance_lodged",
    metadata,
    Column("ballot_id", Text, primary_key=True),
    Column("coop", Text, nullable=False),
    Column("home", Text, nullable=False),
    Column("proposal", Text, nullable=False),
    Column("member_id", Text, nullable=False),
    Column("ballot", Text, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("lodged_ms", BigInteger, nullable=False),
    Column("keep_until_ms", BigInteger, nullable=False),
    Column("tried_ms", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),
    Column("counted", Text, nullable=True),
    Index("ix_governance_lodged_member_id", "member_id"),
    Index("ix_governance_lodged_answer_tried_ms", "answer", "tried_ms"),
    Index("ix_governance_lodged_keep_until_ms", "keep_until_ms"),
)
"""`answer` is `waiting` until the home said what it made of the ballot; times are real."""

WAITING = "waiting"

_t = lodged.c
_ROW = (
    _t.ballot_id,
    _t.coop,
    _t.home,
    _t.proposal,
    _t.member_id,
    _t.ballot,
    _t.receipt,
    _t.lodged_ms,
    _t.keep_until_ms,
    _t.tried_ms,
    _t.answer,
    _t.counted,
)

_PUT = upsert(lodged)
_GET = sql(select(*_ROW).where(_t.ballot_id == bindparam("ballot_id")))
_COUNT = sql(select(func.count()).select_from(lodged))
_OF_MEMBER = sql(
    select(func.count()).select_from(lodged).where(_t.member_id == bindparam("member_id"))
)
_WAITING = sql(
    select(*_ROW)
    .where(_t.answer == WAITING, _t.tried_ms <= bindparam("before_ms"))
    .order_by(_t.tried_ms, _t.ballot_id)
    .limit(bindparam("count_max", type_=BigInteger))
)
_FORGET = sql(delete(lodged).where(_t.keep_until_ms <= bindparam("until_ms")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodged:
    """A ballot that was lodged here.

    Attributes:
        answer: `waiting`, `counted`, `voided`, or the code of the home's refusal.
        counted: the home's receipt, if it counted the ballot.
    """

    ballot_id: RecordId
    coop: Slug
    home: Did
    proposal: RecordId
    member_id: MemberId
    ballot: Jws
    receipt: Jws
    lodged_ms: TimeMs
    keep_until_ms: TimeMs
    tried_ms: TimeMs = 0
    answer: str = WAITING
    counted: Jws | None = None


def put(tx: Tx, one: Lodged) -> None:
    """Keep a lodged ballot, or what its home answered."""
    tx.run(_PUT, **{name: getattr(one, name) for name in _NAMES})


def get(tx: Tx, ballot_id: RecordId) -> Lodged | None:
    """Return a lodged ballot."""
    row = tx.one(_GET, ballot_id=ballot_id)
    return None if row is None else _lodged(row)


def used(tx: Tx, member_id: MemberId) -> tuple[int, int]:
    """Return how many ballots are kept, in all and of a member, once old ones are forgotten."""
    tx.run(_FORGET, until_ms=tx.now_ms)
    return _number(tx.one(_COUNT)), _number(tx.one(_OF_MEMBER, member_id=member_id))


def waiting(tx: Tx, *, before_ms: TimeMs, count_max: int) -> list[Lodged]:
    """Return ballots that wait for their home's answer and were last tried before a time."""
    return [_lodged(row) for row in tx.all(_WAITING, before_ms=before_ms, count_max=count_max)]


_NAMES = tuple(column.name for column in lodged.columns)


def _lodged(row: tuple[Any, ...]) -> Lodged:
    return Lodged(**dict(zip(_NAMES, row, strict=True)))


def _number(row: tuple[Any, ...] | None) -> int:
    assert row is not None, "a count is always one row"
    return int(row[0])

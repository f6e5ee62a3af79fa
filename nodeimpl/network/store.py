"""The clock records that were adopted: one row each, the newest counts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, insert, select

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql
from nodeimpl.network.rules import WorldTime

clock_records = Table(
    "clock_records",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("offset_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
)

_ADOPT = sql(insert(clock_records))
_STANDING = sql(
    select(clock_records.c.sequence, clock_records.c.offset_ms)
    .order_by(clock_records.c.sequence.desc())
    .limit(1)
)


def standing(tx: Tx) -> WorldTime:
    """Return the world time that was adopted last, zero if none was."""
    row = tx.one(_STANDING)
    return WorldTime(sequence=row[0], offset_ms=row[1]) if row else WorldTime()


def adopt(tx: Tx, time: WorldTime, *, record: str) -> None:
    """Keep an adopted record."""
    tx.run(_ADOPT, sequence=time.sequence, offset_ms=time.offset_ms, record=record)

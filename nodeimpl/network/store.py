"""What the network domain keeps: adopted clock records, and peers that served other bytes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, insert, select

from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, insert_new, sql
from nodeimpl.network.rules import WorldTime

clock_records = Table(
    "clock_records",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("offset_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
)

liars = Table(
    "network_liars",
    metadata,
    Column("did", Text, primary_key=True),
    Column("cid", Text, nullable=False, info=NAMES_NOTHING),
    Column("at_ms", BigInteger, nullable=False),
)

LIARS_KNOWN_MAX = 10_000
"""How many liars a starting node is told of: the latest. A key costs nothing, a list must end."""

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


_LIARS = sql(select(liars.c.did).order_by(liars.c.at_ms.desc()).limit(LIARS_KNOWN_MAX))
_REMEMBER = insert_new(liars)


def liars_known(tx: Tx) -> tuple[str, ...]:
    """Return the DIDs of peers that once served other bytes than they were asked for."""
    return tuple(row[0] for row in tx.all(_LIARS))


def remember_liar(tx: Tx, *, did: str, cid: str) -> None:
    """Keep that `did` served other bytes under the name `cid`; the first time counts."""
    tx.run(_REMEMBER, did=did, cid=cid, at_ms=tx.now_ms)

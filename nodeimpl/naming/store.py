"""What a home node keeps of names: what it countersigned last under each, as long as it matters."""

from __future__ import annotations

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

from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql, upsert
from nodeimpl.naming.rules import Standing, Used
from opkit.proof import jws
from opkit.wire.base import MemberId, Slug, TimeMs
from opkit.wire.names import NameText, NameValue

PAGE = 256
"""How many rows are read at once."""

names = Table(
    "names",
    metadata,
    Column("name", Text, primary_key=True),
    Column("coop", Text, nullable=False),
    Column("member_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("claim_sequence", BigInteger, nullable=False),
    Column("claim_id", Text, nullable=False),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("keep_until_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_names_coop", "coop"),
    Index("ix_names_member_id", "member_id"),
    Index("ix_names_due_at_ms", "due_at_ms"),
)
"""The registry of the coops whose home this node is; `due_at_ms` is when a row is looked at."""

_t = names.c
_ROW = (
    _t.name,
    _t.member_id,
    _t.state,
    _t.sequence,
    _t.claim_sequence,
    _t.claim_id,
    _t.lapses_at_ms,
    _t.until_ms,
    _t.keep_until_ms,
    _t.record,
)

_PUT = upsert(names)
_GET = sql(select(*_ROW).where(_t.name == bindparam("name")))
_DROP = sql(delete(names).where(_t.name == bindparam("name")))
_DUE = sql(
    select(*_ROW)
    .where(_t.due_at_ms <= bindparam("now_ms"))
    .order_by(_t.due_at_ms, _t.name)
    .limit(PAGE)
)
_NEXT_DUE = sql(select(func.min(_t.due_at_ms)))
_PAGE = sql(select(*_ROW).where(_t.name > bindparam("after")).order_by(_t.name).limit(PAGE))
_OF_MEMBER = sql(
    select(func.count()).select_from(names).where(_t.member_id == bindparam("member_id"))
)
_OF_COOP = sql(select(func.count()).select_from(names).where(_t.coop == bindparam("coop")))
_LOOK_AT = sql(
    update(names)
    .where(_t.member_id == bindparam("whose"), _t.state == "held")
    .values(due_at_ms=bindparam("at_ms"))
)


def put(tx: Tx, standing: Standing) -> None:
    """Keep what was countersigned last under a name."""
    held = standing.state == "held"
    tx.run(
        _PUT,
        name=standing.name,
        coop=standing.name.rpartition(".")[2],
        member_id=standing.member_id,
        state=standing.state,
        sequence=standing.sequence,
        claim_sequence=standing.claim_sequence,
        claim_id=standing.claim_id,
        lapses_at_ms=standing.lapses_at_ms,
        until_ms=standing.until_ms,
        keep_until_ms=standing.keep_until_ms,
        due_at_ms=standing.until_ms if held else standing.keep_until_ms,
        record=standing.record,
    )


def get(tx: Tx, name: NameText) -> Standing | None:
    """Return what was countersigned last under a name."""
    row = tx.one(_GET, name=name)
    return None if row is None else _standing(row)


def drop(tx: Tx, name: NameText) -> None:
    """Forget a name."""
    tx.run(_DROP, name=name)


def due(tx: Tx, *, now_ms: TimeMs) -> list[Standing]:
    """Return names that are to be looked at, at most `PAGE`."""
    return [_standing(row) for row in tx.all(_DUE, now_ms=now_ms)]


def next_due_ms(tx: Tx) -> TimeMs | None:
    """Return when the next name is to be looked at."""
    row = tx.one(_NEXT_DUE)
    return None if row is None or row[0] is None else int(row[0])


def page(tx: Tx, *, after: str) -> list[Standing]:
    """Return names in order, those after `after`, at most `PAGE`."""
    return [_standing(row) for row in tx.all(_PAGE, after=after)]


def used(tx: Tx, *, member_id: MemberId, coop: Slug) -> Used:
    """Return how much room a member and a coop take."""
    return Used(
        member=_count(tx.one(_OF_MEMBER, member_id=member_id)),
        coop=_count(tx.one(_OF_COOP, coop=coop)),
    )


def look_at(tx: Tx, member_id: MemberId) -> None:
    """Have all names looked at, at once, that a member holds."""
    tx.run(_LOOK_AT, whose=member_id, at_ms=tx.now_ms)


def value_in(record: str) -> NameValue:
    """Return what a record says that this node signed."""
    return NameValue.model_validate(jws.reread(record)["value"], strict=False)


def _standing(row: tuple[Any, ...]) -> Standing:
    name, member_id, state, sequence, claim_sequence, claim_id, *rest = row
    lapses_at_ms, until_ms, keep_until_ms, record = rest
    return Standing(
        name=name,
        member_id=member_id,
        state=state,
        sequence=sequence,
        claim_sequence=claim_sequence,
        claim_id=claim_id,
        lapses_at_ms=lapses_at_ms,
        until_ms=until_ms,
        keep_until_ms=keep_until_ms,
        value=value_in(record),
        record=record,
    )


def _count(row: tuple[Any, ...] | None) -> int:
    assert row is not None, "a count is always one row"
    return int(row[0])

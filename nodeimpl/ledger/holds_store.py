"""The holds of the ledgers that this node keeps; those that have ended stay, for their ids do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, func, or_, select, update

from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.store import Tx, sql
from nodeimpl.ledger.store import ledger_accounts
from opkit.wire.base import Slug
from opkit.wire.holds import Hold
from opkit.wire.ledger import AccountId, Unit

holds = Table(
    "ledger_holds",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("hold_id", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("network", Text, nullable=False),
    Column("from_account", Text, nullable=False),
    Column("to_account", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Column("memo", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("made_world_ms", BigInteger, nullable=False),
    Column("hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("state", Text, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("entry", Text),
    Column("ended_world_ms", BigInteger),
    Column("ended_by", Text),
    Index("ix_ledger_holds_coop_sequence", "coop", "sequence", unique=True),
    Index("ix_ledger_holds_coop_state_sequence", "coop", "state", "sequence"),
    Index("ix_ledger_holds_from", "from_account", "unit", "state"),
    Index("ix_ledger_holds_to", "to_account"),
)

_t = holds.c
_NAMES = tuple(Hold.model_fields)
_ROW = tuple(holds.c[name] for name in _NAMES)

_ADD = sql(holds.insert())
_GET = sql(select(*_ROW).where(_t.coop == bindparam("coop"), _t.hold_id == bindparam("hold_id")))
_END = sql(
    update(holds)
    .where(_t.coop == bindparam("its_coop"), _t.hold_id == bindparam("its_id"), _t.state == "held")
    .values(
        state=bindparam("state"),
        posted=bindparam("posted"),
        entry=bindparam("entry"),
        ended_world_ms=bindparam("ended_world_ms"),
        ended_by=bindparam("ended_by"),
    )
)
_LAST = sql(select(func.max(_t.sequence)).where(_t.coop == bindparam("coop")))
_OPEN = sql(
    select(func.count())
    .select_from(holds)
    .where(
        _t.from_account == bindparam("account"), _t.unit == bindparam("unit"), _t.state == "held"
    )
)
_HELD = sql(
    select(_t.from_account, _t.unit, func.sum(_t.amount))
    .where(_t.coop == bindparam("coop"), _t.state == "held")
    .group_by(_t.from_account, _t.unit)
)
_SET_ASIDE = sql(
    select(ledger_accounts.c.path, ledger_accounts.c.unit, ledger_accounts.c.held).where(
        ledger_accounts.c.coop == bindparam("coop"), ledger_accounts.c.held != 0
    )
)
_IN_ORDER = (
    select(*_ROW)
    .where(_t.coop == bindparam("coop"), _t.sequence < bindparam("before"))
    .order_by(_t.sequence.desc())
    .limit(bindparam("holds_max"))
)
_OF_ACCOUNT = or_(_t.from_account == bindparam("account"), _t.to_account == bindparam("account"))
_IN_STATE = _t.state == bindparam("state")
_PAGES = {
    (False, False): sql(_IN_ORDER),
    (True, False): sql(_IN_ORDER.where(_IN_STATE)),
    (False, True): sql(_IN_ORDER.where(_OF_ACCOUNT)),
    (True, True): sql(_IN_ORDER.where(_IN_STATE, _OF_ACCOUNT)),
}
"""By whether a state, and whether an account is asked for."""


def add(tx: Tx, hold: Hold) -> None:
    """Keep a new hold."""
    tx.later(_ADD, **hold.model_dump())


def get(tx: Tx, *, coop: Slug, hold_id: str) -> Hold | None:
    """Return a hold by its id."""
    row = tx.one(_GET, coop=coop, hold_id=hold_id)
    return None if row is None else _hold(row)


def end(tx: Tx, hold: Hold) -> None:
    """Keep how a hold ended; it must not have ended before."""
    touched = tx.run(
        _END,
        its_coop=hold.coop,
        its_id=hold.hold_id,
        state=hold.state,
        posted=hold.posted,
        entry=hold.entry,
        ended_world_ms=hold.ended_world_ms,
        ended_by=hold.ended_by,
    )
    assert touched == 1, f"{hold.hold_id} ends a second time"


def next_sequence(tx: Tx, coop: Slug) -> int:
    """Return which hold of a ledger the next one is."""
    row = tx.one(_LAST, coop=coop)
    return 1 if row is None or row[0] is None else int(row[0]) + 1


def count_open(tx: Tx, *, account: AccountId, unit: Unit) -> int:
    """Return how many holds from an account have not ended."""
    row = tx.one(_OPEN, account=account, unit=unit)
    assert row is not None, "a count is always one row"
    return int(row[0])


def held(tx: Tx, coop: Slug) -> dict[tuple[AccountId, Unit], int]:
    """Return what the holds of a ledger that have not ended hold, by account and unit."""
    rows = tx.all(_HELD, coop=coop)
    return {(account, unit): int(total) for account, unit, total in rows}


def set_aside(tx: Tx, coop: Slug) -> dict[tuple[AccountId, Unit], int]:
    """Return what the accounts of a ledger have set aside."""
    rows = tx.all(_SET_ASIDE, coop=coop)
    return {(f"{coop}:{bytes(path).decode('ascii')}", unit): total for path, unit, total in rows}


def page(
    tx: Tx, *, coop: Slug, state: str, account: str, before: int, holds_max: int
) -> list[Hold]:
    """Return holds of a ledger, the newest first; empty `state` and `account` stand for any."""
    said = {"state": state, "account": account}
    more = {name: value for name, value in said.items() if value}
    statement = _PAGES[bool(state), bool(account)]
    rows = tx.all(statement, coop=coop, before=before, holds_max=holds_max, **more)
    return [_hold(row) for row in rows]


def _hold(row: tuple[Any, ...]) -> Hold:
    return Hold.model_construct(**dict(zip(_NAMES, row, strict=True)))

"""What a ledger keeps: entries as they were spelled, postings by account, accounts, checkpoints."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
)

from nodeimpl.kernel.engine import Row
from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.schema import metadata
from nodeimpl.kernel.statements import sql, upsert
from nodeimpl.kernel.tx import Tx
from nodeimpl.ledger.rules import Account
from opkit.wire.base import Slug
from opkit.wire.ledger import ACCOUNTS_PER_PAGE_MAX

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", Text, nullable=False),
    Column("short", BigInteger, nullable=False),
    Column("world_ms", BigInteger, nullable=False),
    Column("units", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_ledger_entries_coop_entry_id", "coop", "entry_id", unique=True),
    Index("ix_ledger_entries_short", "short"),
    Index("ix_ledger_entries_coop_world_ms", "coop", "world_ms", "sequence"),
)
"""Entries: `body` is the whole of one as it is answered, `short` begins its hash, `units` are those
of its postings. World time never runs back along a ledger."""

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("account", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Postings by account, in the order of their entries, each with the balance after it."""

ledger_causes = Table(
    "ledger_causes",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
)
"""Entries by what they are for."""

ledger_accounts = Table(
    "ledger_accounts",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("coop", Text, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("root", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("closed", BigInteger, nullable=False),
    Column("decision", Text, nullable=True),
    Column("sequence", BigInteger, nullable=False),
    Index("ix_ledger_accounts_coop_path", "coop", "path", "unit", unique=True),
)
"""Accounts, each unit of one by itself; `held` is what holds set aside. Paths are kept as bytes,
which every database puts in the same order."""

ledger_checks = Table(
    "ledger_checks",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False, info=NAMES_NOTHING),
)
"""Up to which entry the node has added up all postings: one checkpoint for each ledger."""

_e, _p, _c, _a = ledger_entries.c, ledger_postings.c, ledger_causes.c, ledger_accounts.c

_ACCOUNT = (
    _a.number,
    _a.path,
    _a.unit,
    _a.balance,
    _a.held,
    _a.floor,
    _a.closed,
    _a.decision,
    _a.sequence,
)
_of_coop = _e.coop == bindparam("coop")
_account_of_coop = _a.coop == bindparam("coop")

ADD_ENTRY = sql(ledger_entries.insert())
ADD_POSTING = sql(ledger_postings.insert())
ADD_CAUSE = sql(ledger_causes.insert())
PUT_ACCOUNT = upsert(ledger_accounts)
MOVE_ACCOUNT = sql(
    ledger_accounts.update()
    .where(_a.number == bindparam("of_number"))
    .values({each: bindparam(each.name) for each in (_a.balance, _a.held, _a.sequence)})
)
"""What postings and holds change of an account that there is: for a third of what all of it costs,
whose index by path has to be looked at."""
PUT_CHECK = upsert(ledger_checks)

LAST_ENTRY = sql(select(_e.body).where(_of_coop).order_by(_e.sequence.desc()).limit(1))
BY_SEQUENCE = sql(select(_e.body).where(_of_coop, _e.sequence == bindparam("sequence")))
BY_ENTRY_ID = sql(select(_e.body).where(_of_coop, _e.entry_id == bindparam("entry_id")))
BY_SHORT = sql(select(_e.body).where(_e.short == bindparam("short"), _of_coop).limit(16))
FIRST_SINCE = sql(
    select(_e.sequence)
    .where(_of_coop, _e.world_ms >= bindparam("at_ms"))
    .order_by(_e.world_ms, _e.sequence)
    .limit(1)
)

GET_ACCOUNT = sql(
    select(*_ACCOUNT).where(
        _account_of_coop, _a.path == bindparam("path"), _a.unit == bindparam("unit")
    )
)
AT_PATH = sql(
    select(*_ACCOUNT)
    .where(_account_of_coop, _a.path == bindparam("path"))
    .order_by(_a.unit)
    .limit(64)
)
UNDER = sql(
    select(*_ACCOUNT)
    .where(
        _account_of_coop,
        _a.path >= bindparam("first"),
        _a.path < bindparam("end"),
        or_(
            _a.path > bindparam("after"),
            (_a.path == bindparam("after")) & (_a.unit > bindparam("after_unit")),
        ),
    )
    .order_by(_a.path, _a.unit)
    .limit(bindparam("rows_max", type_=BigInteger))
)
LAST_NUMBER = sql(select(func.max(_a.number)))
COUNT_ACCOUNTS = sql(select(func.count()).select_from(ledger_accounts).where(_account_of_coop))
_posted_to = func.count(case((_a.sequence > 0, 1)))
"""How many accounts had a posting: one that was only decided about is none that has a unit."""

TOTALS = sql(
    select(
        _a.unit,
        _posted_to,
        func.sum(case((_a.balance > 0, _a.balance), else_=literal(0, BigInteger))),
        func.sum(case((_a.balance < 0, _a.balance), else_=literal(0, BigInteger))),
        func.sum(_a.held),
    )
    .where(_account_of_coop)
    .group_by(_a.unit)
    .order_by(_a.unit)
)
GROUPS = sql(
    select(_a.root, _a.unit, _posted_to, func.sum(_a.balance))
    .where(_account_of_coop)
    .group_by(_a.root, _a.unit)
    .order_by(_a.root, _a.unit)
    .limit(ACCOUNTS_PER_PAGE_MAX)
)

_in_range = (_e.sequence > bindparam("after"), _e.sequence < bindparam("before"))
_posted_in_range = (_p.sequence > bindparam("after"), _p.sequence < bindparam("before"))
_caused_in_range = (_c.sequence > bindparam("after"), _c.sequence < bindparam("before"))
_rows_max = bindparam("rows_max", type_=BigInteger)
_ALL = select(_e.sequence, _e.units, _e.body).where(_of_coop, *_in_range)
_OF_ACCOUNT = (
    select(_p.sequence, _e.units, _e.body)
    .select_from(ledger_postings.join(ledger_entries, _e.sequence == _p.sequence))
    .where(_of_coop, _p.account == bindparam("account"), *_posted_in_range)
)
_OF_CAUSE = (
    select(_c.sequence, _e.units, _e.body)
    .select_from(
        ledger_causes.join(ledger_entries, (_e.sequence == _c.sequence) & (_e.coop == _c.coop))
    )
    .where(_c.coop == bindparam("coop"), _c.cause == bindparam("cause"), *_caused_in_range)
)
ENTRIES = (
    sql(_ALL.order_by(_e.sequence).limit(_rows_max)),
    sql(_ALL.order_by(_e.sequence.desc()).limit(_rows_max)),
)
"""Entries of a range, oldest first and newest first; the next two likewise."""
OF_ACCOUNT = (
    sql(_OF_ACCOUNT.order_by(_p.sequence).limit(_rows_max)),
    sql(_OF_ACCOUNT.order_by(_p.sequence.desc()).limit(_rows_max)),
)
OF_CAUSE = (
    sql(_OF_CAUSE.order_by(_c.sequence).limit(_rows_max)),
    sql(_OF_CAUSE.order_by(_c.sequence.desc()).limit(_rows_max)),
)
LINES = sql(
    select(_p.sequence, _p.amount, _p.balance, _e.body)
    .select_from(ledger_postings.join(ledger_entries, _e.sequence == _p.sequence))
    .where(_of_coop, _p.account == bindparam("account"), *_posted_in_range)
    .order_by(_p.sequence)
    .limit(_rows_max)
)
POSTINGS = sql(
    select(_p.sequence, _p.amount, _p.balance)
    .where(_p.account == bindparam("account"), *_posted_in_range)
    .order_by(_p.sequence)
    .limit(_rows_max)
)
BALANCE_BEFORE = sql(
    select(_p.balance)
    .where(_p.account == bindparam("account"), _p.sequence < bindparam("before"))
    .order_by(_p.sequence.desc())
    .limit(1)
)
GET_CHECK = sql(
    select(ledger_checks.c.sequence, ledger_checks.c.hash).where(
        ledger_checks.c.coop == bindparam("coop")
    )
)


def short_of(digest: str) -> int:
    """Return what an entry is looked up by of its hash: the first 63 bits, for the index is small.

    Hashes that begin alike are told apart by whoever looks.
    """
    return int(digest[:16], 16) >> 1


def account_of(row: tuple[Any, ...]) -> Account:
    """Return an account from its row."""
    number, path, unit, balance, held, floor, closed, decision, sequence = row
    return Account(
        number=number,
        path=bytes(path).decode("ascii"),
        unit=unit,
        balance=balance,
        held=held,
        floor=floor,
        closed=bool(closed),
        decision=decision,
        sequence=sequence,
    )


def accounts_under(tx: Tx, coop: Slug, root: str, *, rows_max: int) -> list[Account]:
    """Return the accounts at a path and under it, by path and unit."""
    at = [account_of(row) for row in tx.all(AT_PATH, coop=coop, path=root.encode("ascii"))]
    under = page_under(tx, coop, f"{root}/", after=("", ""), rows_max=rows_max)
    return [*at, *under][:rows_max]


def page_under(
    tx: Tx, coop: Slug, prefix: str, *, after: tuple[str, str], rows_max: int
) -> list[Account]:
    """Return accounts whose paths begin with something, those after one of them."""
    first = prefix.encode("ascii")
    rows = tx.all(
        UNDER,
        coop=coop,
        first=first,
        end=first + b"\xff",
        after=after[0].encode("ascii"),
        after_unit=after[1],
        rows_max=rows_max,
    )
    return [account_of(row) for row in rows]


def account_row(coop: str, account: Account) -> Row:
    """Return an account as `PUT_ACCOUNT` writes it."""
    return (
        account.number,
        coop,
        account.path.encode("ascii"),
        account.path.partition("/")[0],
        account.unit,
        account.balance,
        account.held,
        account.floor,
        int(account.closed),
        account.decision,
        account.sequence,
    )


def moved_row(account: Account) -> Row:
    """Return an account as `MOVE_ACCOUNT` writes it."""
    return account.balance, account.held, account.sequence, account.number

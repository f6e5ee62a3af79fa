"""What is still to be said to other nodes, or to be done again; and what the arbiter ruled.

It is written with what it follows from, and goes only when it has been heard: so whoever crashes in
between goes on where it was. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

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
from opkit.wire.base import Did, RecordId, Slug, TimeMs
from opkit.wire.clearing import Ending, Evidence

Task = Literal["offer", "lapse", "tell", "ask", "plead", "post"]
"""`offer`: a party's acceptance is awaited; `lapse`: its time will be over; `tell`: a side is to
know how it ended; `ask`: the proposer is to say so; `plead`: the arbiter is; `post`: the ledger is
to take what it did not."""

outbox = Table(
    "clearing_outbox",
    metadata,
    Column("coop", Text, primary_key=True),
    Column("exchange", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("party", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("tries", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Index("ix_clearing_outbox_node_due_ms", "node", "due_ms"),
    Index("ix_clearing_outbox_due_ms", "due_ms"),
)
"""`party` is whom it is said to, `node` their node; real time."""

rulings = Table(
    "clearing_rulings",
    metadata,
    Column("exchange", Text, primary_key=True),
    Column("ending", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("ruled_ms", BigInteger, nullable=False),
)
"""What this node ruled as an arbiter: once for each exchange."""

_o, _r = outbox.c, rulings.c

_PUT = upsert(outbox)
_DROP = sql(
    delete(outbox).where(
        _o.coop == bindparam("its_coop"),
        _o.exchange == bindparam("its_exchange"),
        _o.task == bindparam("its_task"),
        _o.party == bindparam("its_party"),
    )
)
_NODES = sql(select(_o.node, func.min(_o.due_ms)).group_by(_o.node).order_by(_o.node).limit(1_000))
_DUE = sql(
    select(*outbox.columns)
    .where(_o.node == bindparam("node"), _o.due_ms <= bindparam("now_ms"))
    .order_by(_o.due_ms, _o.coop, _o.exchange, _o.task, _o.party)
    .limit(bindparam("count_max"))
)
_LATER = sql(
    update(outbox)
    .where(
        _o.coop == bindparam("its_coop"),
        _o.exchange == bindparam("its_exchange"),
        _o.task == bindparam("its_task"),
        _o.party == bindparam("its_party"),
    )
    .values(tries=_o.tries + 1, due_ms=bindparam("due_ms"))
)
_HASTEN = sql(
    update(outbox)
    .where(_o.node == bindparam("its_node"), _o.tries > 0, _o.due_ms > bindparam("now_ms"))
    .values(due_ms=bindparam("now_ms"))
)
_COUNT = sql(select(func.count()).select_from(outbox))

_PUT_RULING = upsert(rulings)
_GET_RULING = sql(select(_r.ending, _r.evidence).where(_r.exchange == bindparam("exchange")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A row of the outbox; its columns are its fields."""

    coop: Slug
    exchange: RecordId
    task: Task
    party: Slug
    node: Did | Literal[""]
    tries: int = 0
    due_ms: TimeMs


def put(tx: Tx, errand: Errand) -> None:
    """Have something said, or done."""
    tx.run(_PUT, **{name: getattr(errand, name) for name in _NAMES})


def drop(tx: Tx, *, coop: Slug, exchange: RecordId, task: Task, party: Slug) -> None:
    """Have it said no more."""
    tx.run(_DROP, its_coop=coop, its_exchange=exchange, its_task=task, its_party=party)


def nodes(tx: Tx) -> list[tuple[Did, TimeMs]]:
    """Return to whom something is to be said, and from when on; at most 1,000."""
    return [(str(node), int(due_ms)) for node, due_ms in tx.all(_NODES)]


def due(tx: Tx, *, node: str, now_ms: TimeMs, count_max: int) -> list[Errand]:
    """Return what is to be said to a node now, the oldest first."""
    rows = tx.all(_DUE, node=node, now_ms=now_ms, count_max=count_max)
    return [Errand(**dict(zip(_NAMES, row, strict=True))) for row in rows]


def postpone(tx: Tx, errands: Iterable[Errand], *, due_ms: TimeMs) -> None:
    """Have it said later, after it was tried once more."""
    for each in errands:
        tx.run(
            _LATER,
            its_coop=each.coop,
            its_exchange=each.exchange,
            its_task=each.task,
            its_party=each.party,
            due_ms=due_ms,
        )


def hasten(tx: Tx, node: Did, *, now_ms: TimeMs) -> None:
    """Have what a node was silent to said to it now."""
    tx.run(_HASTEN, its_node=node, now_ms=now_ms)


def count(tx: Tx) -> int:
    """Return how much is to be said."""
    row = tx.one(_COUNT)
    assert row is not None, "a count is always one row"
    return int(row[0])


def put_ruling(tx: Tx, exchange: RecordId, ending: Ending, evidence: Evidence) -> None:
    """Keep a ruling with what it was given on."""
    tx.run(
        _PUT_RULING,
        exchange=exchange,
        ending=ending,
        evidence=evidence.model_dump_json(),
        ruled_ms=tx.now_ms,
    )


def ruling(tx: Tx, exchange: RecordId) -> Evidence | None:
    """Return what was ruled on an exchange, the ruling among it."""
    row = tx.one(_GET_RULING, exchange=exchange)
    return None if row is None else Evidence.model_validate_json(row[1])


_NAMES: tuple[Any, ...] = tuple(column.name for column in outbox.columns)

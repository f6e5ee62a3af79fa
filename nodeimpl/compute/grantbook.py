"""What a node keeps of grants, and of the tasks it submitted under them: tables and statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text, bindparam, func, select, update

from nodeimpl.compute.rules import KeptGrant
from nodeimpl.kernel.references import NAMES_NOTHING
from nodeimpl.kernel.store import Tx, metadata, sql
from opkit.wire.base import Jws, MemberId, RecordId, TimeMs
from opkit.wire.compute import TaskId

grants = Table(
    "compute_grants",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("grant_id", Text, primary_key=True, info=NAMES_NOTHING),
    Column("token", Text, nullable=False),
    Column("tasks_used", BigInteger, nullable=False),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=False),
)
"""Each grant that may still be used or must not come back; `revoked_at_ms` is 0 until it is."""

granted = Table(
    "compute_granted",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("member_id", Text, nullable=False),
    Column("grant_id", Text, nullable=False, info=NAMES_NOTHING),
    Column("context_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("accepted_at_ms", BigInteger, nullable=False),
    Index("ix_compute_granted_member_message", "member_id", "message_id", unique=True),
    Index("ix_compute_granted_member_accepted", "member_id", "accepted_at_ms", "task_id"),
    Index("ix_compute_granted_grant", "grant_id"),
)
"""Tasks that the node submitted for somebody, by the message that asked for each."""

_ADD = sql(grants.insert())
_ONE = sql(
    select(grants).where(
        grants.c.member_id == bindparam("member_id"), grants.c.grant_id == bindparam("grant_id")
    )
)
_PAGE = sql(
    select(grants)
    .where(grants.c.member_id == bindparam("member_id"), grants.c.grant_id > bindparam("after"))
    .order_by(grants.c.grant_id)
    .limit(bindparam("count", type_=BigInteger()))
)
_COUNT = sql(
    select(func.count()).select_from(grants).where(grants.c.member_id == bindparam("member_id"))
)
_DROP = sql(
    grants.delete().where(
        grants.c.member_id == bindparam("member_id"),
        grants.c.lapses_at_ms <= bindparam("until_ms"),
    )
)
_USE = sql(
    update(grants)
    .where(grants.c.member_id == bindparam("whose"), grants.c.grant_id == bindparam("which"))
    .values(tasks_used=bindparam("tasks_used"))
)
_REVOKE = sql(
    update(grants)
    .where(grants.c.member_id == bindparam("whose"), grants.c.grant_id == bindparam("which"))
    .values(revoked_at_ms=bindparam("revoked_at_ms"))
)
_ADD_TASK = sql(granted.insert())
_TASK = sql(
    select(granted).where(
        granted.c.task_id == bindparam("task_id"), granted.c.member_id == bindparam("member_id")
    )
)
_BY_MESSAGE = sql(
    select(granted).where(
        granted.c.member_id == bindparam("member_id"),
        granted.c.message_id == bindparam("message_id"),
    )
)
_UNDER = sql(select(granted.c.task_id).where(granted.c.grant_id == bindparam("grant_id")))
_TASKS = (
    select(granted)
    .where(granted.c.member_id == bindparam("member_id"))
    .order_by(granted.c.accepted_at_ms.desc(), granted.c.task_id.desc())
    .limit(bindparam("count", type_=BigInteger()))
)
_TASKS_NEWEST = sql(_TASKS)


@dataclass(frozen=True, kw_only=True)
class GrantedTask:
    """A task that the node submitted for a member, and the message that asked for it."""

    task_id: TaskId
    member_id: MemberId
    grant_id: RecordId
    context_id: str
    message_id: str
    accepted_at_ms: TimeMs


def add_grant(tx: Tx, kept: KeptGrant) -> None:
    """Keep a grant that nobody kept before."""
    tx.run(
        _ADD,
        member_id=kept.member_id,
        grant_id=kept.grant_id,
        token=kept.token,
        tasks_used=kept.tasks_used,
        lapses_at_ms=kept.lapses_at_ms,
        revoked_at_ms=kept.revoked_at_ms or 0,
    )


def grant(tx: Tx, *, member_id: MemberId, grant_id: RecordId) -> KeptGrant | None:
    """Return a member's grant."""
    row = tx.one(_ONE, member_id=member_id, grant_id=grant_id)
    return None if row is None else _kept(row)


def grants_of(tx: Tx, member_id: MemberId, *, after: str, count: int) -> list[KeptGrant]:
    """Return a member's grants behind `after`, by id."""
    return [_kept(row) for row in tx.all(_PAGE, member_id=member_id, after=after, count=count)]


def count_grants(tx: Tx, member_id: MemberId) -> int:
    """Return how many grants are kept of a member."""
    row = tx.one(_COUNT, member_id=member_id)
    assert row is not None, "an aggregate has one row"
    return int(row[0])


def drop_lapsed(tx: Tx, member_id: MemberId) -> None:
    """Forget a member's grants that nobody may use or give again, for their time is over."""
    tx.run(_DROP, member_id=member_id, until_ms=tx.now_ms)


def use_place(tx: Tx, kept: KeptGrant, *, tasks_used: int) -> None:
    """Note how many places of a grant were given out."""
    tx.run(_USE, whose=kept.member_id, which=kept.grant_id, tasks_used=tasks_used)


def revoke_grant(tx: Tx, kept: KeptGrant) -> None:
    """Note that a grant was taken back now."""
    tx.run(_REVOKE, whose=kept.member_id, which=kept.grant_id, revoked_at_ms=tx.now_ms)


def add_task(tx: Tx, task: GrantedTask) -> None:
    """Keep which message a task was submitted for."""
    tx.run(_ADD_TASK, **vars(task))


def granted_task(tx: Tx, *, task_id: str, member_id: MemberId) -> GrantedTask | None:
    """Return a member's task if the node submitted it for them."""
    row = tx.one(_TASK, task_id=task_id, member_id=member_id)
    return None if row is None else _task(row)


def task_of_message(tx: Tx, *, member_id: MemberId, message_id: str) -> GrantedTask | None:
    """Return the task that this message of a member was answered with."""
    row = tx.one(_BY_MESSAGE, member_id=member_id, message_id=message_id)
    return None if row is None else _task(row)


def tasks_under(tx: Tx, grant_id: RecordId) -> list[TaskId]:
    """Return the tasks that were submitted under a grant."""
    return [str(row[0]) for row in tx.all(_UNDER, grant_id=grant_id)]


def newest_tasks(tx: Tx, member_id: MemberId, *, count: int) -> list[GrantedTask]:
    """Return the tasks that were submitted for a member last, newest first."""
    return [_task(row) for row in tx.all(_TASKS_NEWEST, member_id=member_id, count=count)]


def _kept(row: Any) -> KeptGrant:
    member_id, grant_id, token, tasks_used, lapses_at_ms, revoked_at_ms = row
    return KeptGrant(
        grant_id=str(grant_id),
        member_id=str(member_id),
        token=_jws(token),
        tasks_used=int(tasks_used),
        lapses_at_ms=int(lapses_at_ms),
        revoked_at_ms=int(revoked_at_ms) or None,
    )


def _jws(token: Any) -> Jws:
    return str(token)


def _task(row: Any) -> GrantedTask:
    task_id, member_id, grant_id, context_id, message_id, accepted_at_ms = row
    return GrantedTask(
        task_id=str(task_id),
        member_id=str(member_id),
        grant_id=str(grant_id),
        context_id=str(context_id),
        message_id=str(message_id),
        accepted_at_ms=int(accepted_at_ms),
    )

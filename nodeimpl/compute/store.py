"""Modules, tasks, jobs, receipts and small contents: tables, statements, row ↔ value.

A *task* is what the submitter's node knows, a *job* what the executor knows; a node that runs its
own member's task keeps both. Contents of at most 64 KiB live in rows, so that accepting a task or
ending it is one commit and no further sync.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    bindparam,
    func,
    select,
    update,
)

from nodeimpl.compute import grantbook  # noqa: F401 - its tables are this store's too
from nodeimpl.compute.holdings import use
from nodeimpl.kernel.references import NAMES_BLOBS, NAMES_NOTHING
from nodeimpl.kernel.store import Tx, insert_new, metadata, sql
from opkit.wire.base import Cid, Did, Jws, MemberId, RecordId
from opkit.wire.compute import FINAL, Fetched, ModuleInfo, TaskState

modules = Table(
    "compute_modules",
    metadata,
    Column("wasm_hash", Text, primary_key=True, info=NAMES_BLOBS),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("deployed_at_ms", BigInteger, nullable=False),
    Index("ix_compute_modules_owner_position", "owner", "position"),
)

contents = Table(
    "compute_contents",
    metadata,
    Column("cid", Text, primary_key=True, info=NAMES_NOTHING),  # The row is the content.
    Column("content", LargeBinary, nullable=False),
)

tasks = Table(
    "compute_tasks",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("manifest_hash", Text, nullable=False, info=NAMES_NOTHING),
    Column("member_id", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("executor", Text, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("output_hash", Text, nullable=False, info=NAMES_NOTHING),  # What is a blob is in `uses`.
    Column("fetched", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("cancelling", BigInteger, nullable=False),
    Column("accepted_at_ms", BigInteger, nullable=False),
    Index("ix_compute_tasks_state_member", "state", "member_id"),
)

jobs = Table(
    "compute_jobs",
    metadata,
    Column("manifest_hash", Text, primary_key=True, info=NAMES_NOTHING),
    Column("task_id", Text, nullable=False),
    Column("member_id", Text, nullable=False),
    Column("origins", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("output_hash", Text, nullable=False, info=NAMES_NOTHING),  # What is a blob is in `uses`.
    Column("fetched", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("cancelling", BigInteger, nullable=False),
    Column("accepted_at_ms", BigInteger, nullable=False),
    Index("ix_compute_jobs_member_task", "member_id", "task_id", unique=True),
    Index("ix_compute_jobs_state_member", "state", "member_id"),
)

receipts = Table(
    "compute_receipts",
    metadata,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("record_id", Text, nullable=False),
    Column("manifest_hash", Text, nullable=False, unique=True, info=NAMES_NOTHING),
    Column("receipt", Text, nullable=False),
)

_OPEN = [state.value for state in TaskState if state not in FINAL]

_ADD_MODULE = insert_new(modules)
_MODULE = sql(select(modules).where(modules.c.wasm_hash == bindparam("wasm_hash")))
_LAST_POSITION = sql(select(func.coalesce(func.max(modules.c.position), 0)))
_PAGE = sql(
    select(modules)
    .where(modules.c.position > bindparam("after"))
    .order_by(modules.c.position)
    .limit(bindparam("count", type_=BigInteger()))
)
_PAGE_OF = sql(
    select(modules)
    .where(modules.c.owner == bindparam("owner"), modules.c.position > bindparam("after"))
    .order_by(modules.c.position)
    .limit(bindparam("count", type_=BigInteger()))
)
_KEEP = insert_new(contents)
_CONTENT = sql(select(contents.c.content).where(contents.c.cid == bindparam("cid")))
_ADD_TASK = sql(tasks.insert())
_TASK = sql(select(tasks).where(tasks.c.task_id == bindparam("task_id")))
_SHOWN = (
    select(tasks, contents.c.content)
    .outerjoin_from(tasks, contents, contents.c.cid == tasks.c.output_hash)
    .where(tasks.c.task_id == bindparam("task_id"))
)
_TASK_SHOWN = sql(_SHOWN)
_TASK_SHOWN_OF = sql(_SHOWN.where(tasks.c.member_id == bindparam("member_id")))
_SET_TASK = sql(
    update(tasks)
    .where(tasks.c.task_id == bindparam("which"))
    .values(
        state=bindparam("state"),
        executor=bindparam("executor"),
        receipt=bindparam("receipt"),
        output_hash=bindparam("output_hash"),
        fetched=bindparam("fetched"),
        problem=bindparam("problem"),
        cancelling=bindparam("cancelling"),
    )
)
_OPEN_TASKS = sql(
    select(tasks.c.task_id).where(tasks.c.state.in_(_OPEN)).order_by(tasks.c.accepted_at_ms)
)
_OPEN_TASKS_OF = sql(
    select(tasks.c.task_id).where(
        tasks.c.state.in_(_OPEN), tasks.c.member_id == bindparam("member_id")
    )
)
_COUNT_TASKS_OF = sql(
    select(func.count())
    .select_from(tasks)
    .where(tasks.c.state.in_(_OPEN), tasks.c.member_id == bindparam("member_id"))
)
_ADD_JOB = sql(jobs.insert())
_JOB = sql(select(jobs).where(jobs.c.manifest_hash == bindparam("manifest_hash")))
_JOB_OF = sql(
    select(jobs.c.manifest_hash).where(
        jobs.c.member_id == bindparam("member_id"), jobs.c.task_id == bindparam("task_id")
    )
)
_SET_JOB = sql(
    update(jobs)
    .where(jobs.c.manifest_hash == bindparam("which"))
    .values(
        origins=bindparam("origins"),
        state=bindparam("state"),
        output_hash=bindparam("output_hash"),
        fetched=bindparam("fetched"),
        problem=bindparam("problem"),
        cancelling=bindparam("cancelling"),
    )
)
_OPEN_JOBS = sql(
    select(jobs.c.manifest_hash).where(jobs.c.state.in_(_OPEN)).order_by(jobs.c.accepted_at_ms)
)
_OPEN_JOBS_OF = sql(
    select(jobs.c.manifest_hash).where(
        jobs.c.state.in_(_OPEN), jobs.c.member_id == bindparam("member_id")
    )
)
_COUNT_JOBS = sql(select(func.count()).select_from(jobs).where(jobs.c.state.in_(_OPEN)))
_COUNT_JOBS_OF = sql(
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.state.in_(_OPEN), jobs.c.member_id == bindparam("member_id"))
)
_ADD_RECEIPT = sql(receipts.insert())
_LAST_RECEIPT = sql(
    select(receipts.c.sequence, receipts.c.record_id)
    .where(receipts.c.generation == bindparam("generation"))
    .order_by(receipts.c.sequence.desc())
    .limit(1)
)
_RECEIPT_OF = sql(
    select(receipts.c.receipt).where(receipts.c.manifest_hash == bindparam("manifest_hash"))
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task as its submitter's node keeps it."""

    task_id: str
    manifest_hash: RecordId
    member_id: MemberId
    manifest: Jws
    state: TaskState
    executor: Did | None
    receipt: Jws | None
    output_hash: Cid | None
    fetched: Fetched | None
    problem: dict[str, Any] | None
    cancelling: bool
    accepted_at_ms: int


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A task as its executor keeps it.

    `origins` are the nodes that offered it, in order, and whether each has dropped it since.
    """

    manifest_hash: RecordId
    task_id: str
    member_id: MemberId
    origins: dict[Did, bool]
    manifest: Jws
    state: TaskState
    output_hash: Cid | None
    fetched: Fetched | None
    problem: dict[str, Any] | None
    cancelling: bool
    accepted_at_ms: int


def add_module(tx: Tx, info: ModuleInfo) -> ModuleInfo:
    """Keep a module's metadata unless it is known, and return what stands."""
    standing = module(tx, info.wasm_hash)
    if standing is not None:
        return standing
    last = tx.one(_LAST_POSITION)
    assert last is not None, "an aggregate has one row"
    tx.later(_ADD_MODULE, position=last[0] + 1, **info.model_dump())
    return info


def module(tx: Tx, wasm_hash: str) -> ModuleInfo | None:
    """Return a module's metadata."""
    row = tx.one(_MODULE, wasm_hash=wasm_hash)
    return None if row is None else _module(row)


def module_page(tx: Tx, *, owner: str, after: str, count: int) -> list[ModuleInfo]:
    """Return modules, oldest first, behind the one named `after`; none if that is not known."""
    start = 0
    if after:
        row = tx.one(_MODULE, wasm_hash=after)
        if row is None:
            return []
        start = row[1]
    if owner:
        rows = tx.all(_PAGE_OF, owner=owner, after=start, count=count)
    else:
        rows = tx.all(_PAGE, after=start, count=count)
    return [_module(row) for row in rows]


def _module(row: Any) -> ModuleInfo:
    return ModuleInfo(
        wasm_hash=row[0], owner=row[2], name=row[3], size_bytes=row[4], deployed_at_ms=row[5]
    )


def keep(tx: Tx, cid: Cid, content: bytes) -> None:
    """Keep a small content under its name; once is enough."""
    tx.later(_KEEP, cid=cid, content=content)


def content(tx: Tx, cid: str) -> bytes | None:
    """Return a small content."""
    row = tx.one(_CONTENT, cid=cid)
    return None if row is None else bytes(row[0])


def add_task(tx: Tx, task: Task, *, names: Sequence[Cid]) -> None:
    """Keep a new task, and the blobs that it `names`."""
    use(tx, *names)
    tx.later(
        _ADD_TASK,
        task_id=task.task_id,
        manifest_hash=task.manifest_hash,
        member_id=task.member_id,
        manifest=task.manifest,
        accepted_at_ms=task.accepted_at_ms,
        executor=task.executor or "",
        receipt=task.receipt or "",
        **_shared(task),
    )


def task(tx: Tx, task_id: str) -> Task | None:
    """Return a task."""
    row = tx.one(_TASK, task_id=task_id)
    return None if row is None else _task(row)


def shown_task(
    tx: Tx, task_id: str, *, member_id: MemberId | None
) -> tuple[Task, bytes | None] | None:
    """Return a task and its output, if that is small, by one statement.

    Args:
        member_id: whose it has to be, if anybody's: another's costs as much to look for as none.
    """
    if member_id is None:
        row = tx.one(_TASK_SHOWN, task_id=task_id)
    else:
        row = tx.one(_TASK_SHOWN_OF, task_id=task_id, member_id=member_id)
    if row is None:
        return None
    return _task(row), None if row[12] is None else bytes(row[12])


def _task(row: Any) -> Task:
    return Task(
        task_id=row[0],
        manifest_hash=row[1],
        member_id=row[2],
        manifest=row[3],
        state=TaskState(row[4]),
        executor=row[5] or None,
        receipt=row[6] or None,
        output_hash=row[7] or None,
        fetched=_fetched(row[8]),
        problem=_problem(row[9]),
        cancelling=bool(row[10]),
        accepted_at_ms=row[11],
    )


def set_task(tx: Tx, changed: Task) -> None:
    """Replace what can change in a task."""
    tx.later(
        _SET_TASK,
        which=changed.task_id,
        executor=changed.executor or "",
        receipt=changed.receipt or "",
        **_shared(changed),
    )


def open_tasks(tx: Tx, member_id: MemberId | None = None) -> list[str]:
    """Return the ids of unfinished tasks, oldest first; of one member if given."""
    if member_id is None:
        return [row[0] for row in tx.all(_OPEN_TASKS)]
    return [row[0] for row in tx.all(_OPEN_TASKS_OF, member_id=member_id)]


def count_tasks(tx: Tx, member_id: MemberId) -> int:
    """Return how many unfinished tasks a member has."""
    return _count(tx.one(_COUNT_TASKS_OF, member_id=member_id))


def add_job(tx: Tx, job: JobRow, *, names: Sequence[Cid]) -> None:
    """Keep a job that was taken, and the blobs that it `names`."""
    use(tx, *names)
    tx.later(
        _ADD_JOB,
        manifest_hash=job.manifest_hash,
        task_id=job.task_id,
        member_id=job.member_id,
        origins=json.dumps(job.origins),
        manifest=job.manifest,
        accepted_at_ms=job.accepted_at_ms,
        **_shared(job),
    )


def job(tx: Tx, manifest_hash: RecordId) -> JobRow | None:
    """Return a job."""
    row = tx.one(_JOB, manifest_hash=manifest_hash)
    if row is None:
        return None
    return JobRow(
        manifest_hash=row[0],
        task_id=row[1],
        member_id=row[2],
        origins=json.loads(row[3]),
        manifest=row[4],
        state=TaskState(row[5]),
        output_hash=row[6] or None,
        fetched=_fetched(row[7]),
        problem=_problem(row[8]),
        cancelling=bool(row[9]),
        accepted_at_ms=row[10],
    )


def job_of(tx: Tx, *, member_id: MemberId, task_id: str) -> RecordId | None:
    """Return the manifest that stands under a member's task id."""
    row = tx.one(_JOB_OF, member_id=member_id, task_id=task_id)
    return None if row is None else str(row[0])


def set_job(tx: Tx, changed: JobRow) -> None:
    """Replace what can change in a job."""
    origins = json.dumps(changed.origins)
    tx.later(_SET_JOB, which=changed.manifest_hash, origins=origins, **_shared(changed))


def join_job(tx: Tx, row: JobRow, *, origin: Did) -> JobRow:
    """Note that one more node offered a job; return the job as it stands then."""
    if origin in row.origins:
        return row
    changed = replace(row, origins={**row.origins, origin: False})
    set_job(tx, changed)
    return changed


def open_jobs(tx: Tx, member_id: MemberId | None = None) -> list[RecordId]:
    """Return the manifests of unfinished jobs, oldest first; of one member if given."""
    if member_id is None:
        return [row[0] for row in tx.all(_OPEN_JOBS)]
    return [row[0] for row in tx.all(_OPEN_JOBS_OF, member_id=member_id)]


def count_jobs(tx: Tx, member_id: MemberId | None = None) -> int:
    """Return how many jobs are unfinished; of one member if given."""
    if member_id is None:
        return _count(tx.one(_COUNT_JOBS))
    return _count(tx.one(_COUNT_JOBS_OF, member_id=member_id))


def last_receipt(tx: Tx, generation: int) -> tuple[int, RecordId | None]:
    """Return sequence and record id of a generation's last receipt; 0 and None before the first."""
    row = tx.one(_LAST_RECEIPT, generation=generation)
    return (0, None) if row is None else (row[0], str(row[1]))


def add_receipt(
    tx: Tx,
    *,
    generation: int,
    sequence: int,
    record_id: RecordId,
    manifest_hash: RecordId,
    receipt: Jws,
) -> None:
    """Keep a receipt: the database holds one per manifest and one per place in the chain."""
    tx.later(
        _ADD_RECEIPT,
        generation=generation,
        sequence=sequence,
        record_id=record_id,
        manifest_hash=manifest_hash,
        receipt=receipt,
    )


def receipt_of(tx: Tx, manifest_hash: RecordId) -> Jws | None:
    """Return the one receipt for a manifest."""
    row = tx.one(_RECEIPT_OF, manifest_hash=manifest_hash)
    return None if row is None else str(row[0])


def _shared(row: Task | JobRow) -> dict[str, Any]:
    return {
        "state": row.state.value,
        "output_hash": row.output_hash or "",
        "fetched": "" if row.fetched is None else row.fetched.model_dump_json(),
        "problem": "" if row.problem is None else json.dumps(row.problem),
        "cancelling": int(row.cancelling),
    }


def _fetched(text: str) -> Fetched | None:
    return Fetched.model_validate_json(text) if text else None


def _problem(text: str) -> dict[str, Any] | None:
    return json.loads(text) if text else None


def _count(row: Any) -> int:
    return int(row[0])

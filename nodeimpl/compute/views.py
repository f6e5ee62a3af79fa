"""Rows as the wire shows them."""

from __future__ import annotations

from nodeimpl.compute import store as table
from nodeimpl.compute.parts import Members, Progress
from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Did
from opkit.wire.compute import FINAL, TaskView


def task_view(tx: Tx, task: table.Task, progress: Progress, members: Members) -> TaskView:
    """Return a task as its submitter's node shows it, its small output included."""
    output = None if task.output_hash is None else table.content(tx, task.output_hash)
    return task_view_with(tx, task, output, progress, members)


def task_view_with(
    tx: Tx, task: table.Task, output: bytes | None, progress: Progress, members: Members
) -> TaskView:
    """Return a task and its small output, which are read already, as `task_view`."""
    state = task.state
    if state not in FINAL:
        # A task that runs here is known by its job, one that runs elsewhere by what was heard.
        state = progress.states.get(task.manifest_hash, progress.states.get(task.task_id, state))
    return TaskView(
        task_id=task.task_id,
        state=state,
        member_id=task.member_id,
        manifest=task.manifest,
        manifest_hash=task.manifest_hash,
        executor=task.executor,
        receipt=task.receipt,
        records=() if task.receipt is None else members.records(tx, task.member_id),
        output_hash=task.output_hash,
        output_inline=output,
        fetched=task.fetched,
        problem=task.problem,
        accepted_at_ms=task.accepted_at_ms,
    )


def job_view(tx: Tx, job: table.JobRow, progress: Progress, *, me: Did) -> TaskView:
    """Return a job as its executor shows it to the peer that offered it."""
    state = job.state if job.state in FINAL else progress.states.get(job.manifest_hash, job.state)
    return TaskView(
        task_id=job.task_id,
        state=state,
        member_id=job.member_id,
        manifest=job.manifest,
        manifest_hash=job.manifest_hash,
        executor=me,
        receipt=table.receipt_of(tx, job.manifest_hash),
        output_hash=job.output_hash,
        output_inline=None if job.output_hash is None else table.content(tx, job.output_hash),
        fetched=job.fetched,
        problem=job.problem,
        accepted_at_ms=job.accepted_at_ms,
    )

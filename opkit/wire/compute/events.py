"""What a node journals about modules and tasks."""

from __future__ import annotations

from typing import Literal

from opkit.wire.base import Cid, Count, Did, MemberId, RecordId, Text
from opkit.wire.compute.types import Outcome, TaskId
from opkit.wire.endpoint import Scope
from opkit.wire.events import Event


class ModuleDeployed(Event):
    """A module was kept for the first time."""

    type = "compute.module-deployed"
    scope = Scope.WASM_READ
    wasm_hash: Cid
    owner: MemberId
    size_bytes: Count


class ModuleFetched(Event):
    """The node fetched a blob from a peer, and it hashes to its name."""

    type = "compute.module-fetched"
    scope = Scope.COMPUTE_READ
    wasm_hash: Cid
    peer: Did
    size_bytes: Count
    took_us: Count
    manifest_hash: RecordId


class TaskAccepted(Event):
    """The submitter's node took a task on."""

    type = "compute.task-accepted"
    scope = Scope.COMPUTE_READ
    task_id: TaskId
    member_id: MemberId
    manifest_hash: RecordId
    wasm_hash: Cid


class TaskPlaced(Event):
    """An executor accepted the task."""

    type = "compute.task-placed"
    scope = Scope.COMPUTE_READ
    task_id: TaskId
    manifest_hash: RecordId
    executor: Did


class TaskStarted(Event):
    """The executor handed the task to a worker."""

    type = "compute.task-started"
    scope = Scope.COMPUTE_READ
    task_id: TaskId
    manifest_hash: RecordId


class TaskFinished(Event):
    """The executor signed a receipt."""

    type = "compute.task-finished"
    scope = Scope.COMPUTE_READ
    task_id: TaskId
    manifest_hash: RecordId
    outcome: Outcome
    receipt_hash: RecordId
    fuel_used: Count


class TaskEnded(Event):
    """The submitter's node knows how its task ended."""

    type = "compute.task-ended"
    scope = Scope.COMPUTE_READ
    task_id: TaskId
    manifest_hash: RecordId
    state: Literal["done", "failed", "cancelled", "refused"]
    code: Text = ""

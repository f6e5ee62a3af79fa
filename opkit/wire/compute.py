"""Content-addressed computing: modules, tasks, receipts.

A module is a WASI command (preview 1): input on stdin, output on stdout. A task is a manifest that
its submitter signed; a receipt is what the executor says happened, signed, citing the manifest and
the executor's previous receipt. A receipt proves what the executor said, and says that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    B64,
    Cid,
    CidText,
    Count,
    Did,
    Jws,
    MemberId,
    NetworkId,
    RecordId,
    Text,
    TimeMs,
    Wire,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.errors import Busy, Conflict, Denied, Exhausted, Invalid, Lapsed, Missing, Oversize
from opkit.wire.events import Event
from opkit.wire.network import EngineId

TASK_TYP = "opkit-task+jws"
RECEIPT_TYP = "opkit-receipt+jws"

MODULE_BYTES_MAX = 4 * 2**20
BLOB_BYTES_MAX = 32 * 2**20
INLINE_BYTES_MAX = 64 * 2**10

TaskId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 random bits in hex, made by the submitter: the permanent id of a task, used once."""


class Outcome(StrEnum):
    """How a run ended. The first three are reproducible; the others are the executor's word."""

    OK = "ok"
    TRAP = "trap"
    FUEL = "fuel"
    TIME = "time"
    MEMORY = "memory"
    STACK = "stack"
    CANCELLED = "cancelled"


REPRODUCIBLE = frozenset({Outcome.OK, Outcome.TRAP, Outcome.FUEL})
"""Outcomes that a replay under the same engine id must repeat, to the unit of fuel."""


class TaskState(StrEnum):
    """Where a task is. `DONE`, `FAILED`, `CANCELLED` and `REFUSED` are final."""

    ACCEPTED = "accepted"
    PLACED = "placed"
    FETCHING = "fetching"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


FINAL = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.REFUSED})
"""A task in one of these states never changes again."""


class TaskLimits(Wire):
    """What one run may use at most; all bound together, whichever ends first."""

    fuel: Annotated[int, Field(ge=1, le=100_000_000_000)] = 1_000_000_000
    time_ms: Annotated[int, Field(ge=1, le=60_000)] = 5_000
    memory_bytes: Annotated[int, Field(ge=65_536, le=268_435_456)] = 67_108_864
    output_bytes: Annotated[int, Field(ge=0, le=8_388_608)] = 1_048_576


class Grants(Wire):
    """What a run may know beyond its input. None means that the call answers `ENOTSUP`.

    Attributes:
        clock_ms: the one time that every clock shows, in milliseconds since the epoch.
        random_seed: the seed of the one random stream.
    """

    clock_ms: TimeMs | None = None
    random_seed: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None


class Manifest(Wire):
    """A task as its submitter signed it (the payload of a JWS of type `opkit-task+jws`).

    `aud` is the executor's DID, or `any`: the submitter's node then chooses.
    """

    network: NetworkId
    aud: Annotated[str, StringConstraints(max_length=64)]
    task_id: TaskId
    member_id: MemberId
    wasm_hash: CidText
    input_hash: CidText
    limits: TaskLimits
    grants: Grants = Grants()
    issued_at_ms: TimeMs
    expires_at_ms: TimeMs


class Receipt(Wire):
    """What the executor says happened (the payload of a JWS of type `opkit-receipt+jws`).

    Attributes:
        aud: the member who submitted the task.
        manifest_hash: record id of the manifest's JWS.
        output_hash: name of the output; the empty output has a name too. None unless `ok`.
        reason: why it ended so, in a few words: the trap's name, `exit 3`, `output limit`.
        generation: counts the executor's histories; `sequence` counts receipts within one, from 1.
        previous: record id of the receipt before; None for the first of a generation.
        world_offset_ms: by how much world time ran ahead of real time.
    """

    network: NetworkId
    aud: MemberId
    executor: Did
    generation: Count
    sequence: Annotated[int, Field(ge=1)]
    previous: RecordId | None
    manifest_hash: RecordId
    task_id: TaskId
    wasm_hash: Cid
    input_hash: Cid
    output_hash: Cid | None
    outcome: Outcome
    reason: Text
    limits: TaskLimits
    fuel_used: Count
    time_used_us: Count
    memory_peak_bytes: Count
    output_bytes: Count
    engine: EngineId
    started_at_ms: TimeMs
    ended_at_ms: TimeMs
    world_offset_ms: Count


class ReceiptBundle(Wire):
    """A receipt with what a third party needs to check it: the file `opkit receipt verify` reads.

    `records` are the membership records of a submitter who is no founder.
    """

    receipt: Jws
    manifest: Jws
    records: tuple[Jws, ...] = ()


class ModuleInfo(Wire):
    """A module as a node knows it."""

    wasm_hash: Cid
    owner: MemberId
    name: Text
    size_bytes: Count
    deployed_at_ms: TimeMs


class DeployModule(Wire):
    """Ask the node to keep a module. Repeating the same bytes answers the same hash and owner."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    module: B64


class GetModule(Wire):
    """Ask for a module's metadata by hash."""

    wasm_hash: CidText


class ListModules(Wire):
    """Ask for modules, by owner if given, oldest first; `after` is the last hash of the page before."""

    owner: Annotated[str, StringConstraints(max_length=130)] = ""
    after: CidText = ""
    modules_max: Annotated[int, Field(ge=1, le=200)] = 100


class ModulePage(Wire):
    """Modules, oldest first; `next_after` is empty on the last page."""

    modules: tuple[ModuleInfo, ...]
    next_after: CidText


class PutBlob(Wire):
    """Ask the node to keep an input for a task that will cite it by hash."""

    content: B64


class BlobInfo(Wire):
    """The name of kept bytes."""

    cid: Cid
    size_bytes: Count


class GetBlob(Wire):
    """Ask for bytes by their name: a module, an input or an output that is kept here."""

    cid: CidText


class BlobContent(Wire):
    """The bytes; whoever asked hashes them again."""

    content: B64


class SubmitTask(Wire):
    """Ask the node to have a task run. `input_inline` saves an upload when the input is small."""

    manifest: Jws
    input_inline: Annotated[B64, Field(max_length=INLINE_BYTES_MAX)] | None = None


class GetTask(Wire):
    """Ask how a task is doing. `wait_ms` holds the answer until the task is final, or that long."""

    task_id: TaskId
    wait_ms: Annotated[int, Field(ge=0, le=30_000)] = 0


class CancelTask(Wire):
    """Ask to end a task. A task that is final already stays as it is."""

    task_id: TaskId


class Fetched(Wire):
    """Where the executor got the module from, when it did not hold it."""

    peer: Did
    size_bytes: Count
    took_us: Count


class TaskView(Wire):
    """A task as this node knows it.

    Attributes:
        receipt: the executor's receipt once there is one, verified by this node before it is shown.
        output_inline: the output if it has at most 64 KiB, else fetch it by `output_hash`.
        problem: the refusal's problem document if the task was refused.
    """

    task_id: TaskId
    state: TaskState
    member_id: MemberId
    manifest: Jws
    manifest_hash: RecordId
    executor: Did | None
    receipt: Jws | None = None
    output_hash: Cid | None = None
    output_inline: B64 | None = None
    fetched: Fetched | None = None
    problem: dict[str, Any] | None = None
    accepted_at_ms: TimeMs


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


@dataclass(eq=False, kw_only=True)
class HashMalformed(Invalid):
    """This is not a content name: CIDv1, raw, sha2-256, base32."""

    code = "hash-malformed"
    hint = "copy the name whole; it starts with bafkrei and has 59 characters"
    value: str


@dataclass(eq=False, kw_only=True)
class ModuleUnknown(Missing):
    """Nobody who can be asked has a module of this name."""

    code = "module-unknown"
    hint = "deploy it first (`opkit wasm deploy FILE`)"
    wasm_hash: str


@dataclass(eq=False, kw_only=True)
class BlobUnknown(Missing):
    """These bytes are not kept here, nor with any connected peer."""

    code = "blob-unknown"
    hint = "upload the input first, or send it inline"
    cid: str


@dataclass(eq=False, kw_only=True)
class BlobOversize(Oversize):
    """These bytes are more than a node takes in one piece."""

    code = "blob-oversize"
    hint = "split it"
    size_bytes: int
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class StorageFull(Exhausted):
    """The node keeps as many bytes as it may."""

    code = "storage-full"
    hint = "the operator can raise the quota or collect unused blobs"
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class ModuleInvalid(Invalid):
    """The bytes are no module that this node runs: they do not validate, compile, or keep limits."""

    code = "module-invalid"
    hint = "build a WASI preview 1 command with `_start`"
    why: str


@dataclass(eq=False, kw_only=True)
class ManifestRejected(Invalid):
    """The manifest does not verify: signature, type, network, audience, member or shape."""

    code = "manifest-rejected"
    hint = "the submitter signs the manifest with the member's current key, for this network"
    why: str


@dataclass(eq=False, kw_only=True)
class SubmitterMismatch(Denied):
    """The manifest was signed by another member than the one who sends it."""

    code = "submitter-mismatch"
    hint = "each member submits their own tasks"
    signed_by: str
    sent_by: str


@dataclass(eq=False, kw_only=True)
class ManifestExpired(Lapsed):
    """The manifest is past its time, or issued too far in the future."""

    code = "manifest-expired"
    hint = "sign a new one; compare clocks"
    expires_at_ms: int
    now_ms: int


@dataclass(eq=False, kw_only=True)
class LimitsExcessive(Invalid):
    """The task asks for more than this executor gives anyone."""

    code = "limits-excessive"
    hint = "ask for less"
    field: str
    asked: int
    limit: int


@dataclass(eq=False, kw_only=True)
class InputMismatch(Invalid):
    """The inline input does not hash to the manifest's `input_hash`."""

    code = "input-mismatch"
    hint = "hash exactly the bytes that you send"
    cid: str


@dataclass(eq=False, kw_only=True)
class TaskConflict(Conflict):
    """This task id was used before for another manifest."""

    code = "task-conflict"
    hint = "a task id is used once: make a fresh one"
    task_id: str


@dataclass(eq=False, kw_only=True)
class TaskUnknown(Missing):
    """This node knows no such task, or it is not yours to see."""

    code = "task-unknown"
    hint = "ask the node that you submitted it to"
    task_id: str


@dataclass(eq=False, kw_only=True)
class SubmitterNotAccepted(Denied):
    """This executor does not run tasks of this member or coop."""

    code = "submitter-not-accepted"
    hint = "choose another executor, or `any`"
    member_id: str


@dataclass(eq=False, kw_only=True)
class QuotaExceeded(Exhausted):
    """This submitter has as many unfinished tasks here as one may have."""

    code = "quota-exceeded"
    hint = "wait for some to end"
    limit: int


@dataclass(eq=False, kw_only=True)
class ExecutorUnavailable(Busy):
    """The named executor is not connected, or nobody who accepts this task is."""

    code = "executor-unavailable"
    hint = "try again, or name another executor"
    executor: str


@dataclass(eq=False, kw_only=True)
class QueueFull(Busy):
    """The executor's queue is full."""

    code = "queue-full"
    hint = "try again later, or name another executor"
    limit: int


MANIFEST_REFUSALS = (
    ManifestRejected,
    HashMalformed,
    ManifestExpired,
    LimitsExcessive,
    TaskConflict,
)
"""What both the submitter's node and the executor judge, in this order."""

DEPLOY = Endpoint(
    name="compute.deploy",
    method="POST",
    path="/v1/compute/wasm",
    ask=DeployModule,
    answer=ModuleInfo,
    scope=Scope.WASM_WRITE,
    changes=True,
    raw_ask="module",
    body_bytes_max=MODULE_BYTES_MAX,
    refuses=(ModuleInvalid, StorageFull),
)

GET_MODULE = Endpoint(
    name="compute.module",
    method="GET",
    path="/v1/compute/wasm/{wasm_hash}",
    ask=GetModule,
    answer=ModuleInfo,
    scope=Scope.WASM_READ,
    refuses=(HashMalformed, ModuleUnknown),
)

LIST_MODULES = Endpoint(
    name="compute.modules",
    method="GET",
    path="/v1/compute/wasm",
    ask=ListModules,
    answer=ModulePage,
    scope=Scope.WASM_READ,
)

PUT_BLOB = Endpoint(
    name="compute.put-blob",
    method="POST",
    path="/v1/compute/blobs",
    ask=PutBlob,
    answer=BlobInfo,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    raw_ask="content",
    body_bytes_max=BLOB_BYTES_MAX,
    refuses=(StorageFull,),
)

GET_BLOB = Endpoint(
    name="compute.get-blob",
    method="GET",
    path="/v1/compute/blobs/{cid}",
    ask=GetBlob,
    answer=BlobContent,
    scope=Scope.WASM_READ,
    raw_answer="content",
    refuses=(HashMalformed, BlobUnknown),
)

SUBMIT = Endpoint(
    name="compute.submit",
    method="POST",
    path="/v1/compute/tasks",
    ask=SubmitTask,
    answer=TaskView,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    refuses=(
        ManifestRejected,
        SubmitterMismatch,
        HashMalformed,
        ManifestExpired,
        LimitsExcessive,
        TaskConflict,
        InputMismatch,
        BlobUnknown,
        QuotaExceeded,
        StorageFull,
    ),
)

GET_TASK = Endpoint(
    name="compute.task",
    method="GET",
    path="/v1/compute/tasks/{task_id}",
    ask=GetTask,
    answer=TaskView,
    scope=Scope.COMPUTE_READ,
    refuses=(TaskUnknown,),
)

CANCEL = Endpoint(
    name="compute.cancel",
    method="POST",
    path="/v1/compute/tasks/{task_id}/cancel",
    ask=CancelTask,
    answer=TaskView,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    refuses=(TaskUnknown,),
)

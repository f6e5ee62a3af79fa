"""Modules, manifests, receipts and tasks: the values of content-addressed computing."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from opkit.wire.base import (
    B64,
    PLAIN,
    Cid,
    CidText,
    Count,
    Did,
    Jws,
    MemberId,
    MemberIdText,
    NetworkId,
    RecordId,
    Text,
    TimeMs,
    Wire,
)
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
    aud: Annotated[str, StringConstraints(max_length=64, pattern=PLAIN)]
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

    name: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN)]
    module: B64


class GetModule(Wire):
    """Ask for a module's metadata by hash."""

    wasm_hash: CidText


class ListModules(Wire):
    """Ask for modules, by owner if given, oldest first; `after` is the last hash before."""

    owner: MemberIdText = ""
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
        records: the submitter's membership records, for whoever checks the receipt with no more
            than the genesis; empty for a founder.
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
    records: tuple[Jws, ...] = ()
    output_hash: Cid | None = None
    output_inline: B64 | None = None
    fetched: Fetched | None = None
    problem: dict[str, Any] | None = None
    accepted_at_ms: TimeMs

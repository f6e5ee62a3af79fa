"""Every way in which computing can be refused, each with its code and a hint."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.wire.errors import (
    Busy,
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    Lapsed,
    Missing,
    Oversize,
)


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
    hint = "the operator can free the disk or raise the quota; unused blobs go after a while"
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class StorageQuotaExceeded(Exhausted):
    """This member's uploads, modules and outputs fill as much of the node as one member may."""

    code = "storage-quota-exceeded"
    hint = "what no task uses goes after a while; the operator can raise `store.member_bytes_max`"
    asked_bytes: int
    used_bytes: int
    limit_bytes: int


@dataclass(eq=False, kw_only=True)
class ModuleInvalid(Invalid):
    """The bytes are no module this node runs: they do not validate, compile, or keep limits."""

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

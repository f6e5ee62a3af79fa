"""A2A's values as this node reads and says them: asks that are checked, tasks that are shown.

What A2A defines is read leniently, for a newer client may say more; what stands in the one data
part is ours, and is read strictly. Source: ADR 0037; the Agent2Agent protocol, version 1.0,
section 4.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from nodeimpl.compute.granting import Wanted
from nodeimpl.gateway.a2a_errors import (
    CONTENT_TYPE_NOT_SUPPORTED,
    INVALID_PARAMS,
    PUSH_NOT_SUPPORTED,
    A2AError,
)
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.receipt import ANY_EXECUTOR
from opkit.wire.base import B64, PLAIN, CidText, Did
from opkit.wire.compute import (
    FINAL,
    INLINE_BYTES_MAX,
    ReceiptBundle,
    TaskLimits,
    TaskState,
    TaskView,
)
from opkit.wire.flaws import first_flaw

STATES = {
    TaskState.ACCEPTED: "TASK_STATE_SUBMITTED",
    TaskState.PLACED: "TASK_STATE_SUBMITTED",
    TaskState.FETCHING: "TASK_STATE_WORKING",
    TaskState.RUNNING: "TASK_STATE_WORKING",
    TaskState.DONE: "TASK_STATE_COMPLETED",
    TaskState.FAILED: "TASK_STATE_FAILED",
    TaskState.CANCELLED: "TASK_STATE_CANCELED",
    TaskState.REFUSED: "TASK_STATE_REJECTED",
}
"""What A2A calls a task's states."""

PARTS_MAX = 16
PAGE_SIZE_MAX = 100
PAGE_SIZE = 50

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN)]
IdOrNone = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]

T = TypeVar("T", bound=BaseModel)


class _Said(BaseModel):
    """Something that A2A defines: members by either of its names, unknown ones left out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Part(_Said):
    """A piece of a message; this node reads those with data."""

    text: Any = None
    raw: Any = None
    url: Any = None
    data: Any = None


class Message(_Said):
    """What a client says."""

    message_id: Id
    context_id: IdOrNone = ""
    task_id: IdOrNone = ""
    parts: Annotated[list[Part], Field(min_length=1, max_length=PARTS_MAX)]


class Configuration(_Said):
    """How a client wants to be answered."""

    return_immediately: bool = False
    task_push_notification_config: Any = None


class SendMessage(_Said):
    """The ask of sending, plain and streaming."""

    tenant: IdOrNone = ""
    message: Message
    configuration: Configuration = Configuration()


class NameTask(_Said):
    """The ask of whatever is about one task."""

    tenant: IdOrNone = ""
    id: Id


class ListTasks(_Said):
    """The ask for a page of tasks."""

    tenant: IdOrNone = ""
    context_id: IdOrNone = ""
    status: IdOrNone = ""
    page_size: Annotated[int, Field(ge=0, le=PAGE_SIZE_MAX)] = 0
    page_token: IdOrNone = ""
    status_timestamp_after: datetime | None = None
    include_artifacts: bool = False


class TaskData(BaseModel):
    """What the one data part says. Exactly one of the three inputs is given.

    Attributes:
        input: text, which the module reads as UTF-8.
        input_b64: bytes in base64url without padding.
        input_hash: the name of bytes that were uploaded before.
        executor: the node that is to run it; empty leaves the choice to this one.
    """

    model_config = ConfigDict(extra="forbid")

    wasm_hash: CidText
    input: Annotated[str, StringConstraints(max_length=INLINE_BYTES_MAX)] | None = None
    input_b64: B64 | None = None
    input_hash: CidText | None = None
    limits: TaskLimits | None = None
    executor: Did | None = None


def read(of: type[T], said: Any) -> T:
    """Return an ask.

    Raises:
        A2AError: what it says first that is wrong; never what was sent.
    """
    try:
        return of.model_validate(said)
    except ValidationError as bad:
        flaw = first_flaw(bad)
        field = flaw.where[:200] or "params"
        said = {"field": field, "why": flaw.why[:200]}
        raise A2AError(INVALID_PARAMS, f"{field}: {flaw.why}", said) from None


def read_wanted(said: SendMessage, *, context_id: str) -> Wanted:
    """Return the task that a message asks for.

    Raises:
        A2AError: callbacks are asked for; there is not exactly one part, of data; its members are
            not ours; not one input.
    """
    if said.configuration.task_push_notification_config is not None:
        raise A2AError(PUSH_NOT_SUPPORTED, "this node calls nobody back: stream, or ask again")
    with_data = [part for part in said.message.parts if part.data is not None]
    if len(with_data) != 1 or len(said.message.parts) != 1:
        why = "one part of data says {wasm_hash, input}, and nothing else is read"
        raise A2AError(CONTENT_TYPE_NOT_SUPPORTED, why)
    data = read(TaskData, with_data[0].data)
    given = [each for each in (data.input, data.input_b64, data.input_hash) if each is not None]
    if len(given) != 1:
        raise A2AError(INVALID_PARAMS, "give one of input, input_b64 and input_hash")
    stdin = data.input_b64 if data.input is None else data.input.encode("utf-8")
    if stdin is not None and len(stdin) > INLINE_BYTES_MAX:
        why = f"more than {INLINE_BYTES_MAX} bytes are uploaded first, and named by input_hash"
        raise A2AError(INVALID_PARAMS, why)
    return Wanted(
        wasm_hash=data.wasm_hash,
        input_hash=str(data.input_hash) if stdin is None else cid_of(stdin),
        stdin=stdin,
        limits=data.limits,
        executor=data.executor or ANY_EXECUTOR,
        message_id=said.message.message_id,
        context_id=context_id,
    )


def task_said(
    view: TaskView, *, context_id: str, base: str, artifacts: bool = True
) -> dict[str, Any]:
    """Return a task as A2A shows it.

    Args:
        view: the task as its member may see it.
        base: where this node was called, for outputs that are fetched.
        artifacts: whether the output and the receipt are wanted.
    """
    said: dict[str, Any] = {
        "id": view.task_id,
        "contextId": context_id,
        "status": status_said(view, context_id=context_id),
    }
    if artifacts and view.state in FINAL:
        made = artifacts_said(view, base=base)
        if made:
            said["artifacts"] = made
    return said


def status_said(view: TaskView, *, context_id: str) -> dict[str, Any]:
    """Return where a task is, since when, and for one that did not end well, why."""
    said: dict[str, Any] = {
        "state": STATES[view.state],
        "timestamp": datetime.fromtimestamp(changed_at_ms(view) / 1_000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
    }
    why = _why(view)
    if why:
        said["message"] = {
            "messageId": f"{view.task_id}-end",
            "contextId": context_id,
            "taskId": view.task_id,
            "role": "ROLE_AGENT",
            "parts": [{"text": why}],
        }
    return said


def artifacts_said(view: TaskView, *, base: str) -> list[dict[str, Any]]:
    """Return the output of a task, and the receipt that anybody can check."""
    made: list[dict[str, Any]] = []
    if view.output_hash is not None:
        made.append({"artifactId": "output", "name": "output", "parts": [_output(view, base=base)]})
    if view.receipt is not None:
        bundle = ReceiptBundle(receipt=view.receipt, manifest=view.manifest, records=view.records)
        part = {"data": bundle.model_dump(mode="json"), "mediaType": "application/json"}
        made.append({"artifactId": "receipt", "name": "receipt", "parts": [part]})
    return made


def changed_at_ms(view: TaskView) -> int:
    """Return when a task came into its state, as far as that is kept."""
    if view.receipt is None:
        return view.accepted_at_ms
    return int(jws.peek(view.receipt).payload["ended_at_ms"])


def _output(view: TaskView, *, base: str) -> dict[str, Any]:
    """Return the output: text where it is some, bytes where not, an address where it is large."""
    metadata = {"cid": view.output_hash}
    inline = view.output_inline
    if inline is None:
        url = f"{base}/v1/compute/blobs/{view.output_hash}"
        return {"url": url, "mediaType": "application/octet-stream", "metadata": metadata}
    try:
        return {"text": inline.decode("utf-8"), "mediaType": "text/plain", "metadata": metadata}
    except UnicodeDecodeError:
        raw = base64.b64encode(inline).decode("ascii")
        return {"raw": raw, "mediaType": "application/octet-stream", "metadata": metadata}


def _why(view: TaskView) -> str:
    if view.problem is not None:
        return f"{view.problem.get('code', '')}: {view.problem.get('title', '')}"
    if view.receipt is None or view.state is TaskState.DONE:
        return ""
    payload = jws.peek(view.receipt).payload
    return f"{payload['outcome']}: {payload['reason']}"

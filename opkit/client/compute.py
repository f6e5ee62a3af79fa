"""Tasks, by a client: sign the manifest, submit it, wait, and believe no receipt unchecked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opkit.client.errors import Cancelled
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.receipt import ANY_EXECUTOR, examine_receipt
from opkit.wire.base import Cid, Did, Jws
from opkit.wire.compute import (
    CANCEL,
    FINAL,
    GET_TASK,
    INLINE_BYTES_MAX,
    PUT_BLOB,
    SUBMIT,
    TASK_TYP,
    CancelTask,
    GetTask,
    Grants,
    Manifest,
    Outcome,
    PutBlob,
    Receipt,
    ReceiptBundle,
    SubmitTask,
    TaskId,
    TaskLimits,
    TaskState,
    TaskView,
)
from opkit.wire.errors import Fault, Unreachable, refusal_from
from opkit.wire.events import Cursor, JournalEntry

if TYPE_CHECKING:
    from opkit.client.node import NodeClient

TTL_MS = 300_000
RESULT_MS = 60_000
WAIT_MS_MAX = 20_000

_TASK_ENDED = "compute.task-ended"


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """How a task ended: the view, the output (empty unless `ok`), and the checked receipt."""

    view: TaskView
    output: bytes
    receipt: Receipt
    bundle: ReceiptBundle

    @property
    def outcome(self) -> Outcome:
        """How the run ended, as the executor says."""
        return self.receipt.outcome


class ComputeCalls:
    """The tasks of one member at one node."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def submit(
        self,
        wasm_hash: Cid | str,
        input_bytes: bytes,
        *,
        executor: Did | None = None,
        limits: TaskLimits | None = None,
        grants: Grants | None = None,
        ttl_ms: int = TTL_MS,
        task_id: TaskId | None = None,
        manifest: Jws | None = None,
    ) -> TaskHandle:
        """Submit a task and return its handle.

        A large input is uploaded first. The task id is also the idempotency key, so a repeat is
        the same task.

        Args:
            wasm_hash: the module's name.
            input_bytes: what the module reads from its standard input.
            executor: who runs it; None lets the node choose.
            limits: what the run may use at most.
            grants: what the run may know beyond its input.
            ttl_ms: how long the manifest is good for.
            task_id: 32 hex digits, used once; random unless given.
            manifest: an already signed manifest, which then says all of the above.

        Raises:
            Refusal: see `compute.submit` and `compute.put-blob`.
        """
        if manifest is None:
            manifest = await self._sign(
                wasm_hash=wasm_hash,
                input_bytes=input_bytes,
                executor=executor,
                limits=limits or TaskLimits(),
                grants=grants or Grants(),
                ttl_ms=ttl_ms,
                task_id=task_id or secrets.token_hex(16),
            )
        inline = len(input_bytes) <= INLINE_BYTES_MAX
        if not inline:
            await self._client.call(PUT_BLOB, PutBlob(content=input_bytes))
        ask = SubmitTask(manifest=manifest, input_inline=input_bytes if inline else None)
        key = jws.record_id(manifest)
        view = await self._client.call(SUBMIT, ask, idempotency_key=key)
        return TaskHandle(client=self._client, task_id=view.task_id, manifest=manifest)

    def handle(self, task_id: TaskId, manifest: Jws) -> TaskHandle:
        """Return the handle of a task that was submitted before."""
        return TaskHandle(client=self._client, task_id=task_id, manifest=manifest)

    async def _sign(
        self,
        *,
        wasm_hash: str,
        input_bytes: bytes,
        executor: Did | None,
        limits: TaskLimits,
        grants: Grants,
        ttl_ms: int,
        task_id: TaskId,
    ) -> Jws:
        identity = self._client.identity
        assert identity is not None, "a manifest is signed by its submitter"
        member_id = await self._client.member_id()
        now_ms = self._client.now_ms()
        manifest = Manifest(
            network=self._client.network,
            aud=executor or ANY_EXECUTOR,
            task_id=task_id,
            member_id=member_id,
            wasm_hash=wasm_hash,
            input_hash=cid_of(input_bytes),
            limits=limits,
            grants=grants,
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + ttl_ms,
        )
        return jws.sign(manifest, typ=TASK_TYP, identity=identity)


class TaskHandle:
    """One submitted task."""

    def __init__(self, *, client: NodeClient, task_id: TaskId, manifest: Jws) -> None:
        """Follow this task by this client."""
        self.task_id = task_id
        self.manifest = manifest
        self._client = client

    async def view(self, wait_ms: int = 0) -> TaskView:
        """Return how the task is doing; wait at most `wait_ms` for it to be final.

        Raises:
            TaskUnknown: the node knows no such task of this member.
        """
        return await self._client.call(GET_TASK, GetTask(task_id=self.task_id, wait_ms=wait_ms))

    async def cancel(self) -> TaskView:
        """End the task; one that is final already stays as it is.

        Raises:
            TaskUnknown: the node knows no such task of this member.
        """
        return await self._client.call(CANCEL, CancelTask(task_id=self.task_id))

    async def result(self, deadline_ms: int = RESULT_MS) -> TaskResult:
        """Return how the task ended, checked: the receipt verifies and the output is the one named.

        Raises:
            Refusal: what the task was refused with.
            Cancelled: it was cancelled before it ran.
            Unreachable: it is not final within `deadline_ms`.
            Fault: the receipt does not verify for this manifest, or the output is another.
        """
        view = await self._final(deadline_ms)
        if view.state is TaskState.REFUSED:
            raise refusal_from(view.problem) or self._fault("the task's problem is none we know")
        if view.receipt is None:
            if view.state is TaskState.CANCELLED:
                raise Cancelled(task_id=self.task_id)
            raise self._fault(f"the task is {view.state} and has no receipt")
        bundle = ReceiptBundle(receipt=view.receipt, manifest=self.manifest, records=view.records)
        receipt = self._checked(bundle)
        output = await self._output(view, receipt)
        return TaskResult(view=view, output=output, receipt=receipt, bundle=bundle)

    async def events(self, after: Cursor | None = None) -> AsyncGenerator[JournalEntry, None]:
        """Return what the node journals about this task, up to its end.

        Args:
            after: where in the node's journal to begin; None for the beginning.
        """
        async with aclosing(self._client.events(after)) as pages:
            async for page in pages:
                for entry in page.entries:
                    if entry.body.get("task_id") != self.task_id:
                        continue
                    yield entry
                    if entry.type == _TASK_ENDED:
                        return

    async def _final(self, deadline_ms: int) -> TaskView:
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_ms / 1000
        while True:
            left_ms = int((ends - loop.time()) * 1000)
            view = await self.view(wait_ms=max(0, min(left_ms, WAIT_MS_MAX)))
            if view.state in FINAL:
                return view
            if loop.time() >= ends:
                why = f"task {self.task_id} is still {view.state} after {deadline_ms} ms"
                raise Unreachable(where=self._client.url, why=why)

    def _checked(self, bundle: ReceiptBundle) -> Receipt:
        """Return the receipt once every check but the anchoring in genesis has passed."""
        verdict, receipt = examine_receipt(bundle, genesis=None)
        for check in verdict.failures:
            said = f"{check.name} is {check.actual}, not {check.expected}"
            raise self._fault(f"the receipt does not verify: {said}")
        assert receipt is not None, "its signature is one of the checks"
        if receipt.network != self._client.network:
            raise self._fault("the receipt does not verify: it belongs to another network")
        return receipt

    async def _output(self, view: TaskView, receipt: Receipt) -> bytes:
        if receipt.output_hash is None:
            return b""
        if view.output_inline is None:
            return await self._client.wasm.fetch(receipt.output_hash)
        if cid_of(view.output_inline) != receipt.output_hash:
            raise self._fault(f"the output is not {receipt.output_hash}")
        return view.output_inline

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.url, incident="", why=why)

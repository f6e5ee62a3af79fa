"""What A2A clients ask of a node, as tasks of the compute domain under grants.

Each operation returns the values that A2A names; the bindings put them into their envelopes.
Source: ADR 0037; the Agent2Agent protocol, version 1.0, section 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from nodeimpl.compute.granting import MessageTaken
from nodeimpl.compute.service import Compute
from nodeimpl.gateway.a2a_errors import (
    INVALID_PARAMS,
    TASK_NOT_CANCELABLE,
    TASK_NOT_FOUND,
    UNSUPPORTED_OPERATION,
    A2AError,
)
from nodeimpl.gateway.a2a_types import (
    PAGE_SIZE,
    STATES,
    ListTasks,
    NameTask,
    SendMessage,
    artifacts_said,
    changed_at_ms,
    read,
    read_wanted,
    status_said,
    task_said,
)
from nodeimpl.gateway.admit import Admitted
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.ending import WHY, Ending
from nodeimpl.kernel.ids import random_id
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from nodeimpl.membership.service import Membership
from opkit.wire.compute import FINAL, CancelTask, GetTask, TaskView
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing, StoreBusy

BLOCK_MS_MAX = 50_000
"""How long a plain send is held open; who wants to wait longer asks again, or streams."""

CANCEL_MS = 20_000
"""How long it is waited for that a cancelled task has ended."""

WAIT_MS_MAX = 20_000

STEPS_MS = (20, 50, 100, 250, 500, 1_000)
"""How often a stream looks whether a task has come further, while it has not ended."""

LISTED_MAX = 500
"""Among how many of a member's last tasks is listed."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, and by which address: that is where they are told to fetch what is large."""

    admitted: Admitted
    base: str

    @property
    def caller(self) -> Caller:
        """The member's token, as the store confirmed it."""
        assert self.admitted.caller is not None, "A2A asks for a token"
        return self.admitted.caller


class Tasks:
    """The operations of A2A at one node."""

    def __init__(
        self, *, compute: Compute, store: Store, membership: Membership, ending: Ending
    ) -> None:
        """Ask this domain."""
        self._compute = compute
        self._store = store
        self._membership = membership
        self._ending = ending

    async def send(self, asker: Asker, params: Any) -> dict[str, Any]:
        """Submit a task, and return it once it has ended, unless that takes too long."""
        said = read(SendMessage, params)
        view, context_id = await self._submitted(asker, said)
        if not said.configuration.return_immediately:
            view = await self._awaited(asker, view, wait_ms=BLOCK_MS_MAX)
        await self.confirm(asker)
        return {"task": task_said(view, context_id=context_id, base=asker.base)}

    async def stream(self, asker: Asker, params: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Submit a task, and yield what becomes of it until it has ended."""
        view, context_id = await self._submitted(asker, read(SendMessage, params))
        async for event in self._followed(asker, view, context_id):
            yield event

    async def subscribe(self, asker: Asker, params: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what becomes of a task that was submitted before.

        Raises:
            A2AError: it is none of the caller's; it has ended.
        """
        view, context_id = await self._found(asker, read(NameTask, params).id)
        if view.state in FINAL:
            raise A2AError(UNSUPPORTED_OPERATION, "the task has ended: get it")
        async for event in self._followed(asker, view, context_id):
            yield event

    async def get(self, asker: Asker, params: Any) -> dict[str, Any]:
        """Return a task. Raises: A2AError: it is none of the caller's."""
        view, context_id = await self._found(asker, read(NameTask, params).id)
        return task_said(view, context_id=context_id, base=asker.base)

    async def cancel(self, asker: Asker, params: Any) -> dict[str, Any]:
        """Have a task end, and return it once it has.

        Raises:
            A2AError: it is none of the caller's; it has ended.
        """
        self._judge_scope(asker)
        view, context_id = await self._found(asker, read(NameTask, params).id)
        if view.state in FINAL:
            raise A2AError(TASK_NOT_CANCELABLE, "the task has ended")
        ask = CancelTask(task_id=view.task_id)

        def work(tx: Tx) -> TaskView:
            self._confirm(tx, asker)
            return self._compute.cancel(tx, ask, asker.caller, None)

        view = await self._awaited(asker, await self._store.write(work), wait_ms=CANCEL_MS)
        return task_said(view, context_id=context_id, base=asker.base)

    async def list(self, asker: Asker, params: Any) -> dict[str, Any]:
        """Return a page of the caller's tasks, those whose state changed last first.

        Raises:
            A2AError: there is no such state, or no such page.
        """
        ask = read(ListTasks, params)
        if ask.status and ask.status not in (*STATES.values(), "TASK_STATE_UNSPECIFIED"):
            raise A2AError(INVALID_PARAMS, "status is no state that a task is in here")
        who = asker.caller.member_id
        granting = self._compute.granting
        shown = await self._store.read(lambda tx: granting.shown(tx, who, count=LISTED_MAX))
        views = {view.task_id: (view, task.context_id) for task, view in shown}
        wanted = [
            view
            for view, context_id in views.values()
            if ask.context_id in ("", context_id)
            and ask.status in ("", "TASK_STATE_UNSPECIFIED", STATES[view.state])
            and _is_after(view, ask)
        ]
        wanted.sort(key=lambda view: (-changed_at_ms(view), view.task_id))
        first = _place(wanted, ask.page_token)
        size = ask.page_size or PAGE_SIZE
        page = wanted[first : first + size]
        tasks = []
        for view in page:
            whole = view
            if ask.include_artifacts and view.state in FINAL:
                whole = await self._compute.get_task(GetTask(task_id=view.task_id), asker.caller)
            context_id, with_all = views[view.task_id][1], ask.include_artifacts
            tasks.append(
                task_said(whole, context_id=context_id, base=asker.base, artifacts=with_all)
            )
        more = len(wanted) > first + size
        return {
            "tasks": tasks,
            "nextPageToken": page[-1].task_id if more else "",
            "pageSize": size,
            "totalSize": len(wanted),
        }

    async def confirm(self, asker: Asker) -> None:
        """Return if the token holds that the caller came with.

        Raises:
            TokenRejected: it ended meanwhile: who was revoked does not get what they waited for.
        """
        if self._membership.revision != asker.admitted.revision:
            await self._store.read(lambda tx: self._membership.confirm(tx, asker.caller))

    def _confirm(self, tx: Tx, asker: Asker) -> None:
        if self._membership.revision != asker.admitted.revision:
            self._membership.confirm(tx, asker.caller)

    def _judge_scope(self, asker: Asker) -> None:
        """Pass who may submit and end tasks, while the node takes any.

        Raises:
            ScopeMissing: their token is for reading.
            StoreBusy: the node ends.
        """
        has = asker.caller.scopes
        if Scope.COMPUTE_SUBMIT not in has:
            raise ScopeMissing(needs=Scope.COMPUTE_SUBMIT, has=sorted(has))
        if self._ending.begun:
            raise StoreBusy(why=WHY)

    async def _submitted(self, asker: Asker, said: SendMessage) -> tuple[TaskView, str]:
        """Submit the task that a message asks for, or find the one that it asked for before."""
        self._judge_scope(asker)
        if said.message.task_id:
            await self._found(asker, said.message.task_id)
            raise A2AError(UNSUPPORTED_OPERATION, "a task takes one message: send a new one")
        wanted = read_wanted(said, context_id=said.message.context_id or random_id())
        self._compute.judge_crowd(wanted.executor)

        def work(tx: Tx) -> Any:
            self._confirm(tx, asker)
            return self._compute.granting.submit(tx, wanted, asker.caller)

        try:
            task, view = await self._store.write(work)
        except MessageTaken:
            raise A2AError(INVALID_PARAMS, "this messageId asked for another task") from None
        if view is None:
            view = await self._compute.get_task(GetTask(task_id=task.task_id), asker.caller)
        return view, task.context_id

    async def _found(self, asker: Asker, task_id: str) -> tuple[TaskView, str]:
        """Return a task that this node submitted for the caller.

        Raises:
            A2AError: there is none.
        """
        who, granting = asker.caller.member_id, self._compute.granting
        task = await self._store.read(lambda tx: granting.find(tx, task_id, who))
        if task is None:
            raise A2AError(TASK_NOT_FOUND, "there is no such task of yours")
        view = await self._compute.get_task(GetTask(task_id=task.task_id), asker.caller)
        return view, task.context_id

    async def _awaited(self, asker: Asker, view: TaskView, *, wait_ms: int) -> TaskView:
        """Return a task once it has ended, or as it stands so much later."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_ms / 1_000
        while view.state not in FINAL and not self._ending.is_over:
            left_ms = int((until - loop.time()) * 1_000)
            if left_ms <= 0:
                break
            ask = GetTask(task_id=view.task_id, wait_ms=min(left_ms, WAIT_MS_MAX))
            view = await self._compute.get_task(ask, asker.caller)
        return view

    async def _followed(
        self, asker: Asker, view: TaskView, context_id: str
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the task, then each state it comes into, and with the last one what it made."""
        task = task_said(view, context_id=context_id, base=asker.base, artifacts=False)
        if view.state in FINAL:
            task = task_said(view, context_id=context_id, base=asker.base)
            yield {"task": task}
            return
        yield {"task": task}
        attempt, told = 0, STATES[view.state]
        while view.state not in FINAL and not self._ending.is_over:
            wait_ms = STEPS_MS[min(attempt, len(STEPS_MS) - 1)]
            ask = GetTask(task_id=view.task_id, wait_ms=wait_ms)
            view = await self._compute.get_task(ask, asker.caller)
            await self.confirm(asker)
            attempt += 1
            if view.state not in FINAL and STATES[view.state] != told:
                told = STATES[view.state]
                yield _status(view, context_id)
        if view.state in FINAL:
            for artifact in artifacts_said(view, base=asker.base):
                update = {"taskId": view.task_id, "contextId": context_id, "artifact": artifact}
                yield {"artifactUpdate": update | {"lastChunk": True}}
            yield _status(view, context_id)


def _status(view: TaskView, context_id: str) -> dict[str, Any]:
    update = {"taskId": view.task_id, "contextId": context_id}
    return {"statusUpdate": update | {"status": status_said(view, context_id=context_id)}}


def _is_after(view: TaskView, ask: ListTasks) -> bool:
    after = ask.status_timestamp_after
    return after is None or changed_at_ms(view) >= after.timestamp() * 1_000


def _place(views: list[TaskView], token: str) -> int:
    """Return where a page begins: behind the task that ended the page before."""
    if not token:
        return 0
    places = [place for place, view in enumerate(views) if view.task_id == token]
    if not places:
        raise A2AError(INVALID_PARAMS, "there is no such page: begin again")
    return places[0] + 1

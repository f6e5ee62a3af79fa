"""The submitter's side: finds an executor for each task, waits for its word, and checks it.

Every unfinished task has one asyncio task here, also after a restart. An executor that is silent
or whose word does not verify costs a task for `any` nothing but time: it is placed elsewhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from nodeimpl.compute import store as table
from nodeimpl.compute.executor import Executor
from nodeimpl.compute.holdings import use
from nodeimpl.compute.offers import OfferFailed, Offers, record_placed
from nodeimpl.compute.parts import Crew, Parts, cancelled
from nodeimpl.compute.patience import until_taken
from nodeimpl.compute.rules import backoff_ms
from nodeimpl.compute.supply import Supply
from nodeimpl.compute.verdicts import judge_end, manifest_of, receipt_of
from nodeimpl.kernel.tx import Tx
from opkit.proof.receipt import ANY_EXECUTOR
from opkit.wire.base import Did, Jws, MemberId
from opkit.wire.compute import (
    FINAL,
    INLINE_BYTES_MAX,
    BlobUnknown,
    ExecutorUnavailable,
    Manifest,
    ManifestExpired,
    ModuleInvalid,
    ModuleUnknown,
    StorageFull,
    StorageQuotaExceeded,
    TaskEnded,
    TaskState,
    TaskUnknown,
    TaskView,
)
from opkit.wire.errors import Fault, Refusal, Unreachable, refusal_from
from opkit.wire.peer import AWAIT_TASK, DROP_TASK, OFFER_TASK, AwaitTask, DropTask

AWAIT_MS = 25_000
HASTY_S = 0.5
"""An answer that says nothing new sooner than this was not waited for."""

ENDS = frozenset(
    {*OFFER_TASK.refuses, ModuleUnknown, ModuleInvalid, BlobUnknown, StorageQuotaExceeded}
)
"""The refusals that a task may end with by an executor's word; any other is not passed on."""

PASSING = frozenset({TaskState.PLACED, TaskState.FETCHING, TaskState.RUNNING})

_log = structlog.get_logger("compute")


class ExecutorLost(Exception):
    """The executor is silent for too long, forgot the task, or its word does not verify."""


@dataclass
class _Live:
    """A task under way in this process. `avoid` names executors that failed it."""

    task_id: str
    manifest: Manifest
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    avoid: set[Did] = field(default_factory=set)


class Placement:
    """Drives each of this node's members' tasks to its end."""

    def __init__(self, parts: Parts, executor: Executor, supply: Supply) -> None:
        """Place tasks on `executor` or on peers."""
        self.progress = executor.progress
        self._parts = parts
        self._executor = executor
        self._supply = supply
        self._offers = Offers(parts, executor)
        self._live: dict[str, _Live] = {}
        self._crew = Crew()

    async def run(self) -> None:
        """Drive tasks, those left by the last stop first, until cancelled."""
        await self._crew.run(self._begin_open)

    async def _begin_open(self) -> None:
        for row in await self._parts.store.read(_open_rows):
            self.begin(row)

    def rest(self) -> None:
        """Drive no further task from now on; the next start does."""
        self._crew.rest()

    def begin(self, row: table.Task) -> None:
        """Drive a task that was accepted; called after the commit."""
        if not self._crew.runs or row.task_id in self._live or row.state in FINAL:
            return
        if row.executor == self._parts.me:
            # The job ends the task in the transaction of its receipt (`end_local`).
            return
        live = _Live(task_id=row.task_id, manifest=manifest_of(row.manifest))
        if row.cancelling:
            live.cancelled.set()
        self._live[row.task_id] = live
        self._crew.begin(lambda: self._drive(live), name=f"task {row.task_id}")

    @property
    def tasks(self) -> int:
        """How many tasks are placed elsewhere or look for a place, in this process."""
        return len(self._live)

    def cancel(self, tx: Tx, row: table.Task) -> table.Task:
        """Note that a task shall end; a final one stays as it is. Return what stands."""
        if row.state in FINAL:
            return row
        changed = replace(row, cancelling=True)
        table.set_task(tx, changed)
        if row.executor == self._parts.me:
            self._executor.drop(tx, row.manifest_hash, origin=self._parts.me)
        tx.after_commit(lambda: self._stop(row.task_id))
        return changed

    def cancel_all_of(self, tx: Tx, member_id: MemberId) -> None:
        """End every task of a member."""
        for task_id in table.open_tasks(tx, member_id):
            row = table.task(tx, task_id)
            if row is not None:
                self.cancel(tx, row)

    def end(self, tx: Tx, row: table.Task) -> None:
        """Record a task's final state and tell who waits, after the commit."""
        assert row.state in FINAL, row.state
        table.set_task(tx, row)
        code = "" if row.problem is None else str(row.problem.get("code", ""))
        ended: dict[str, Any] = {"state": row.state.value, "code": code}
        tx.announce(TaskEnded(task_id=row.task_id, manifest_hash=row.manifest_hash, **ended))
        tx.after_commit(lambda: self.progress.end(row.task_id))

    def end_local(self, tx: Tx, job: table.JobRow, *, receipt: Jws | None) -> None:
        """Record the end of a task that ran on this very node, in the receipt's transaction."""
        row = table.task(tx, job.task_id)
        if row is None or row.state in FINAL or row.manifest_hash != job.manifest_hash:
            return
        self.end(
            tx,
            replace(
                row,
                state=job.state,
                executor=self._parts.me,
                receipt=receipt,
                output_hash=job.output_hash,
                fetched=job.fetched,
                problem=job.problem,
            ),
        )

    def _stop(self, task_id: str) -> None:
        live = self._live.get(task_id)
        if live is not None:
            live.cancelled.set()

    async def _drive(self, live: _Live) -> None:
        """Place, follow, and if need be place again, until the task is final."""
        try:
            while not await until_taken(lambda: self._go_on(live)):
                continue
        finally:
            del self._live[live.task_id]

    async def _go_on(self, live: _Live) -> bool:
        """Do what the task needs next; return whether it needs nothing more from here."""
        row = await self._parts.store.read(lambda tx: table.task(tx, live.task_id))
        if row is None or row.state in FINAL:
            return True
        if row.executor is None:
            return not await self._place(live, row)
        if row.executor == self._parts.me:
            return True
        try:
            await self._follow(live, row, row.executor)
        except ExecutorLost as lost:
            await self._lose(live, row, row.executor, why=str(lost))
        return False

    async def _place(self, live: _Live, row: table.Task) -> bool:
        """Find an executor; return whether the task goes on (False: it is final)."""
        offering = asyncio.create_task(self._offers.place(row, live.manifest, live.avoid))
        stop = asyncio.create_task(live.cancelled.wait())
        try:
            await asyncio.wait({offering, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not offering.done():
                await self._write_end(replace(row, state=TaskState.CANCELLED))
                return False
            executor = offering.result()
        except OfferFailed as failed:
            await self._refuse(row, failed.refusal)
            return False
        finally:
            await cancelled(offering, stop)
        if executor != self._parts.me:
            await self._parts.store.write(lambda tx: self._note_placed(tx, row.task_id, executor))
        return True

    def _note_placed(self, tx: Tx, task_id: str, executor: Did) -> None:
        row = table.task(tx, task_id)
        if row is not None and row.state not in FINAL:
            record_placed(tx, row, executor)

    async def _follow(self, live: _Live, row: table.Task, executor: Did) -> None:
        """Wait for an executor's word until it is final and recorded.

        Raises:
            ExecutorLost: it must be placed elsewhere.
        """
        loop = asyncio.get_running_loop()
        heard, attempt = loop.time(), 0
        while True:
            asked = loop.time()
            try:
                view = await self._hear(live, row, executor)
            except TaskUnknown:
                raise ExecutorLost("it does not know the task any more") from None
            except (Unreachable, Fault, Refusal) as bad:
                if live.cancelled.is_set():
                    await self._write_end(replace(row, state=TaskState.CANCELLED))
                    return
                self._judge_silence(live, loop.time() - heard, why=str(bad))
                await asyncio.sleep(backoff_ms(attempt) / 1000)
                attempt += 1
                continue
            heard = loop.time()
            if view.state in FINAL:
                await self._settle(row, executor, view)
                return
            self._judge_delay(live)
            if view.state in PASSING:
                self.progress.states[live.task_id] = view.state
            # An executor that holds no ask open must not make this node ask without a pause.
            attempt = attempt + 1 if heard - asked < HASTY_S else 0
            if attempt:
                await asyncio.sleep(backoff_ms(attempt) / 1000)

    def _judge_silence(self, live: _Live, silent_s: float, *, why: str) -> None:
        """Give an executor up that was silent for too long, if the task may run elsewhere."""
        limits, manifest = self._parts.limits, live.manifest
        if manifest.aud == ANY_EXECUTOR and silent_s * 1000 >= limits.silence_ms_max:
            raise ExecutorLost(why)
        if self._parts.clock.now_ms() >= manifest.expires_at_ms + limits.dead_letter_ms:
            raise ExecutorLost(why)

    def _judge_delay(self, live: _Live) -> None:
        """Give an executor up that never comes to an end, whatever it says in between.

        An honest one begins nothing after the task's expiry, and stops what runs by its limit.
        """
        manifest, limits = live.manifest, self._parts.limits
        latest_ms = manifest.expires_at_ms + manifest.limits.time_ms + limits.dead_letter_ms
        if self._parts.clock.now_ms() >= latest_ms:
            raise ExecutorLost("it does not come to an end")

    async def _hear(self, live: _Live, row: table.Task, executor: Did) -> TaskView:
        """Return what the executor says next: once it is final, or after a while."""
        ask = self._parts.network.ask
        waiting = asyncio.create_task(
            ask(executor, AWAIT_TASK, AwaitTask(manifest_hash=row.manifest_hash, wait_ms=AWAIT_MS))
        )
        stop = asyncio.create_task(live.cancelled.wait())
        try:
            await asyncio.wait({waiting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
        finally:
            await cancelled(waiting, stop)
        await ask(executor, DROP_TASK, DropTask(manifest_hash=row.manifest_hash))
        last = AwaitTask(manifest_hash=row.manifest_hash, wait_ms=1_000)
        return await ask(executor, AWAIT_TASK, last)

    async def _settle(self, row: table.Task, executor: Did, view: TaskView) -> None:
        """Check an executor's last word and record it.

        Raises:
            ExecutorLost: it does not verify.
        """
        if view.state is TaskState.REFUSED:
            said = refusal_from(view.problem)
            if said is None or type(said) not in ENDS:
                said = ExecutorUnavailable(executor=executor)
            await self._refuse(row, said)
            return
        members = self._parts.members
        records = await self._parts.store.read(lambda tx: members.records(tx, row.member_id))
        why = judge_end(
            view, task=row, executor=executor, records=records, genesis=self._parts.genesis
        )
        if why:
            raise ExecutorLost(why)
        await self._keep_output(view, row.member_id)

        def work(tx: Tx) -> None:
            standing = table.task(tx, row.task_id)
            if standing is None or standing.state in FINAL:
                return
            if view.output_inline is not None and view.output_hash is not None:
                table.keep(tx, view.output_hash, view.output_inline)
            elif view.output_hash is not None:
                use(tx, view.output_hash)
            self.end(
                tx,
                replace(
                    standing,
                    state=view.state,
                    receipt=view.receipt,
                    output_hash=view.output_hash,
                    fetched=view.fetched,
                ),
            )

        await self._parts.store.write(work)

    async def _keep_output(self, view: TaskView, member_id: MemberId) -> None:
        """Have the output here before the task is called done.

        Raises:
            ExecutorLost: the executor signed for an output that it does not give.
        """
        if view.output_hash is None or view.output_inline is not None:
            return
        assert view.receipt is not None, "it was verified"
        size = receipt_of(view.receipt).output_bytes
        if size <= INLINE_BYTES_MAX:
            raise ExecutorLost("it keeps a small output back")
        try:
            await self._supply.output(view.output_hash, size_max=size, member_id=member_id)
        except BlobUnknown:
            raise ExecutorLost("it does not give the output that it signed for") from None
        except (StorageFull, StorageQuotaExceeded):
            # The receipt stands; the output stays with the executor and can be fetched later.
            _log.warning("output-not-kept", cid=view.output_hash)

    async def _lose(self, live: _Live, row: table.Task, executor: Did, *, why: str) -> None:
        """Take a task away from an executor, and end it if nobody else may run it."""
        _log.warning("executor-lost", task_id=row.task_id, executor=executor, why=why)
        manifest, now_ms = live.manifest, self._parts.clock.now_ms()
        if now_ms >= manifest.expires_at_ms:
            expired = ManifestExpired(expires_at_ms=manifest.expires_at_ms, now_ms=now_ms)
            await self._refuse(row, expired)
            return
        if executor in live.avoid or manifest.aud != ANY_EXECUTOR:
            await self._refuse(row, ExecutorUnavailable(executor=executor))
            return
        again = replace(row, state=TaskState.ACCEPTED, executor=None)
        await self._parts.store.write(lambda tx: table.set_task(tx, again))
        # Not before: with a busy store it still has the task, and may yet say how that ended.
        live.avoid.add(executor)

    async def _refuse(self, row: table.Task, no: Refusal) -> None:
        await self._write_end(replace(row, state=TaskState.REFUSED, problem=no.problem()))

    async def _write_end(self, ended: table.Task) -> None:
        def work(tx: Tx) -> None:
            standing = table.task(tx, ended.task_id)
            if standing is not None and standing.state not in FINAL:
                self.end(tx, ended)

        await self._parts.store.write(work)


def _open_rows(tx: Tx) -> list[table.Task]:
    found = (table.task(tx, task_id) for task_id in table.open_tasks(tx))
    return [row for row in found if row is not None]

"""The executor's side: takes jobs durably, runs each to one receipt, and never signs two.

A job that was taken survives a crash: on the next start it runs again, unless its receipt stands.
A receipt is made, signed, numbered and stored in one transaction on the single writer, so the
chain has no gap and nothing signed leaves before it is durable.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

from nodeimpl.compute import store as table
from nodeimpl.compute.holdings import use
from nodeimpl.compute.pace import Pace
from nodeimpl.compute.parts import Crew, Parts, Progress
from nodeimpl.compute.patience import until_taken
from nodeimpl.compute.rules import (
    ManifestCase,
    Offer,
    backoff_ms,
    judge_offer,
    judge_time,
    state_of,
)
from nodeimpl.compute.supply import Supply
from nodeimpl.compute.underway import Ended, Live
from nodeimpl.compute.verdicts import Signed, manifest_of
from nodeimpl.kernel.blobs import name_of
from nodeimpl.kernel.tx import Tx
from nodeimpl.sandbox.result import RunResult, no_result
from nodeimpl.sandbox.sandbox import Job, SandboxBusy
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.wire.base import Cid, Did, Jws, MemberId, RecordId
from opkit.wire.compute import (
    FINAL,
    INLINE_BYTES_MAX,
    RECEIPT_TYP,
    Manifest,
    ModuleFetched,
    Outcome,
    Receipt,
    TaskFinished,
    TaskStarted,
    TaskState,
)
from opkit.wire.errors import Refusal
from opkit.wire.gateway import StoreBusy
from opkit.wire.network import EngineId

STARTED_AFTER_S = 0.02
"""A run that takes longer is announced while it runs; a shorter one together with its end."""

CARRIED_BYTES_MAX = 4_096
"""The longest input that a job carries from where it was taken to its worker, instead of reading it
again: so many, as many times as jobs may wait, are no burden."""


class EndLocal(Protocol):
    """How the submitter's side of this very node learns, in the same transaction, of an end."""

    def __call__(self, tx: Tx, job: table.JobRow, *, receipt: Jws | None) -> None:
        """Record that the job's task ended so, with this receipt."""
        ...


STOPPED = Ended(result=no_result(Outcome.CANCELLED, "cancelled"), refusal=None)
"""How a job ends that was stopped, before its run or in the middle of it."""


class Executor:
    """Runs jobs; owns one asyncio task for each, all in one group."""

    def __init__(self, parts: Parts, supply: Supply) -> None:
        """Use these parts; `end_local` is set by the service."""
        self.progress = Progress(waiters_max=parts.limits.waiters_max)
        self.end_local: EndLocal | None = None
        self.pace = Pace(slots=parts.sandbox.slots)
        self._parts = parts
        self._supply = supply
        self._live: dict[RecordId, Live] = {}
        self._recording = 0
        self._ended = asyncio.Event()
        self.ends = dict.fromkeys([each.value for each in Outcome] + ["refused"], 0)
        self._crew = Crew()

    async def run(self) -> None:
        """Run jobs, those left by the last stop first, until cancelled."""
        await self._crew.run(self._begin_open)

    async def _begin_open(self) -> None:
        for row in await self._parts.store.read(_open_rows):
            self._begin(row, manifest_of(row.manifest))

    @property
    def jobs(self) -> int:
        """How many jobs are under way in this process."""
        return len(self._live)

    def rest(self) -> None:
        """Take and begin no job from now on; those that no worker has yet wait for the next start.

        Their rows stand in the store as open, so nothing is lost by not beginning them.
        """
        self._crew.rest()
        for live in self._live.values():
            if live.started_at_ms is None and live.task is not None:
                live.task.cancel()

    async def idle(self) -> None:
        """Return once no job is under way in this process."""
        while self._live:
            self._ended.clear()
            await self._ended.wait()

    def take(
        self,
        tx: Tx,
        signed: Signed,
        *,
        origin: Did,
        inline: bytes | None = None,
        stdin: bytes | None = None,
        crowded: bool = False,
    ) -> table.JobRow:
        """Take a task for good, or say no; taking it twice is taking it once.

        Args:
            signed: the manifest and its verdict.
            origin: the node that offers it. A second one to offer the same hears of its end too,
                so that nobody who saw a manifest can take a task away by offering it first.
            inline: its input, if it came along; ignored if it is another.
            stdin: its input, if it is kept here and at hand.
            crowded: what `is_crowded` said before the transaction, if nobody was refused by it yet.

        Raises:
            Refusal: as `judge_offer` says.
        """
        manifest = signed.manifest
        taken = None
        if manifest is not None:
            taken = table.job_of(tx, member_id=manifest.member_id, task_id=manifest.task_id)
        limits, jobs = self._parts.limits, table.count_jobs(tx)
        offer = Offer(
            case=ManifestCase(
                manifest=manifest,
                why=signed.why,
                manifest_hash=signed.manifest_hash,
                taken_hash=taken,
                now_ms=tx.now_ms,
            ),
            me=self._parts.me,
            jobs_of_submitter=table.count_jobs(tx, manifest.member_id) if manifest else 0,
            jobs=jobs,
            wait_ms=self.pace.wait_ms(jobs),
            crowded=crowded,
            ready=self._crew.runs,
        )
        manifest = judge_offer(offer, limits, self._parts.policy)
        if taken is not None:
            standing = table.job(tx, taken)
            assert standing is not None, "the index and the row are one"
            return table.join_job(tx, standing, origin=origin)
        if inline is not None and cid_of(inline) == manifest.input_hash:
            table.keep(tx, manifest.input_hash, inline)
            stdin = inline
        row = table.JobRow(
            manifest_hash=signed.manifest_hash,
            task_id=manifest.task_id,
            member_id=manifest.member_id,
            origins={origin: False},
            manifest=signed.token,
            state=TaskState.ACCEPTED,
            output_hash=None,
            fetched=None,
            problem=None,
            cancelling=False,
            accepted_at_ms=tx.now_ms,
        )
        # This node's own task has named its module and input already.
        named = () if origin == self._parts.me else (manifest.wasm_hash, manifest.input_hash)
        table.add_job(tx, row, names=named)
        tx.after_commit(lambda: self._begin(row, manifest, stdin))
        return row

    def is_crowded(self) -> bool:
        """Return whether one more job would wait for too long; ask before each.

        What is on its way to the store counts as work ahead, for each of that takes about as long;
        but for the ends of jobs, which count already. It is judged before the transaction, once:
        who has waited for that is not sent away at its end for those who came meanwhile.
        """
        limits = self._parts.limits
        ahead = self.jobs + self._parts.store.figures().waiting - self._recording
        if ahead >= limits.queue_max:
            return True
        crowded = self.pace.is_crowded(
            ahead,
            wait_ms_max=limits.wait_ms_max,
            crowd_ms_max=limits.crowd_ms_max,
            burst_ms_max=limits.burst_ms_max,
            burst_max=limits.burst_max,
        )
        return crowded and ahead >= limits.queue_short

    def catch_up(self, tx: Tx, row: table.JobRow) -> None:
        """Tell the submitter's side of this node of a job that had ended before it was theirs."""
        if row.state in FINAL and self.end_local is not None:
            self.end_local(tx, row, receipt=table.receipt_of(tx, row.manifest_hash))

    def drop(self, tx: Tx, manifest_hash: RecordId, *, origin: Did) -> None:
        """Note that `origin` wants no more of a job; it ends once nobody does."""
        row = table.job(tx, manifest_hash)
        if row is None or row.state in FINAL:
            return
        origins = {**row.origins, origin: True}
        table.set_job(tx, replace(row, origins=origins))
        if all(origins.values()):
            self.cancel(tx, manifest_hash)

    def cancel(self, tx: Tx, manifest_hash: RecordId) -> None:
        """End a job as soon as may be; one that has ended stays as it is."""
        row = table.job(tx, manifest_hash)
        if row is None or row.state in FINAL:
            return
        table.set_job(tx, replace(row, cancelling=True))
        tx.after_commit(lambda: self._stop(manifest_hash))

    def cancel_all_of(self, tx: Tx, member_id: MemberId) -> None:
        """End every job of a member."""
        for manifest_hash in table.open_jobs(tx, member_id):
            self.cancel(tx, manifest_hash)

    def _stop(self, manifest_hash: RecordId) -> None:
        live = self._live.get(manifest_hash)
        if live is not None:
            live.stop()

    def _begin(self, row: table.JobRow, manifest: Manifest, stdin: bytes | None = None) -> None:
        if not self._crew.runs or row.manifest_hash in self._live:
            return
        live = Live(row=row, manifest=manifest, stopped=row.cancelling)
        if stdin is not None and len(stdin) <= CARRIED_BYTES_MAX:
            live.stdin = stdin
        self._live[row.manifest_hash] = live
        self.pace.began(len(self._live))
        live.task = self._crew.begin(lambda: self._see_through(live), name=f"job {row.task_id}")

    async def _see_through(self, live: Live) -> None:
        """Bring one job to its end."""
        try:
            ended = await live.unless_stopped(lambda: self._end_of(live))
            await live.told()
            await self._record(live, ended or STOPPED)
        finally:
            await live.leave()
            del self._live[live.row.manifest_hash]
            self.pace.ended(len(self._live))
            self._ended.set()
        self.progress.end(live.row.manifest_hash)

    async def _end_of(self, live: Live) -> Ended:
        try:
            result = await self._run(live)
        except Refusal as no:
            return Ended(result=None, refusal=no)
        if result.outcome is not Outcome.OK:
            return Ended(result=result, refusal=None)
        if len(result.output) <= INLINE_BYTES_MAX:
            name = cid_of(result.output)
            return Ended(result=result, refusal=None, output_hash=name, inline=result.output)
        name, who = await name_of(result.output), live.manifest.member_id
        try:
            await until_taken(lambda: self._parts.keep(result.output, cid=name, member_id=who))
        except Refusal as no:
            return Ended(result=None, refusal=no)
        return Ended(result=result, refusal=None, output_hash=name)

    async def _run(self, live: Live) -> RunResult:
        """Get module and input, and run.

        Raises:
            Refusal: expired, module or input unknown, module invalid, no room.
        """
        manifest, limits = live.manifest, self._parts.limits
        judge_time(manifest, now_ms=self._parts.clock.now_ms(), limits=limits)
        self.progress.states[live.row.manifest_hash] = TaskState.FETCHING
        who, wasm_hash = manifest.member_id, manifest.wasm_hash
        stdin = live.stdin
        if stdin is None:
            stdin = await self._supply.input(manifest.input_hash, member_id=who)
        path, live.fetched = await self._supply.module(wasm_hash, member_id=who)
        if live.fetched is not None:
            live.events.append(_fetched_event(live))
            self._tell_soon(live)
        judge_time(manifest, now_ms=self._parts.clock.now_ms(), limits=limits)
        job = Job(
            wasm_hash=manifest.wasm_hash,
            module=path,
            stdin=stdin,
            limits=manifest.limits,
            grants=manifest.grants,
        )
        return await self._in_sandbox(live, job)

    async def _in_sandbox(self, live: Live, job: Job) -> RunResult:
        """Run, waiting for room: the queue of jobs is bounded where they are taken."""
        attempt = 0
        while True:
            try:
                return await self._parts.sandbox.run(job, started=lambda: self._mark(live))
            except SandboxBusy:
                await asyncio.sleep(backoff_ms(attempt) / 1000)
                attempt += 1

    def _mark(self, live: Live) -> None:
        """Note that a worker has the job now; one that expired while it waited is not begun.

        Raises:
            ManifestExpired: it has.
        """
        if live.started_at_ms is not None:
            return
        now_ms = self._parts.clock.now_ms()
        judge_time(live.manifest, now_ms=now_ms, limits=self._parts.limits)
        live.started_at_ms = now_ms
        self.progress.states[live.row.manifest_hash] = TaskState.RUNNING
        live.events.append(
            TaskStarted(task_id=live.row.task_id, manifest_hash=live.row.manifest_hash)
        )
        self._tell_soon(live)

    def _tell_soon(self, live: Live) -> None:
        live.tell_in(STARTED_AFTER_S, lambda: self._announce_so_far(live))

    async def _announce_so_far(self, live: Live) -> None:
        """Journal what happened to a job that takes its time."""
        events, live.events = live.events, []

        def work(tx: Tx) -> None:
            for event in events:
                tx.announce(event)

        try:
            await self._parts.store.write(work)
        except StoreBusy:
            live.events = [*events, *live.events]

    async def _record(self, live: Live, ended: Ended) -> None:
        """Make the end durable; a store that is busy is asked again."""
        write = self._parts.store.write
        self._recording += 1
        try:
            await until_taken(lambda: write(lambda tx: self._finish(tx, live, ended)))
        except StoreBusy:
            return  # The job stays open in the store: it runs again after the next start.
        finally:
            self._recording -= 1
        self.ends["refused" if ended.result is None else ended.result.outcome.value] += 1

    def _finish(self, tx: Tx, live: Live, ended: Ended) -> None:
        row = table.job(tx, live.row.manifest_hash)
        assert row is not None, "a job is never removed while it is under way"
        if row.state in FINAL:
            return
        for event in live.events:
            tx.announce(event)
        if ended.output_hash is not None:
            self._keep_output(tx, live, ended, ended.output_hash)
        if ended.result is None:
            assert ended.refusal is not None, "an end is a run or a refusal"
            state, problem, receipt = TaskState.REFUSED, ended.refusal.problem(), None
        else:
            state, problem = state_of(ended.result.outcome), None
            receipt = self._sign(tx, live, ended.result, ended.output_hash)
        changed = replace(
            row,
            state=state,
            problem=problem,
            fetched=live.fetched,
            output_hash=ended.output_hash,
        )
        table.set_job(tx, changed)
        if self._parts.me in row.origins and self.end_local is not None:
            self.end_local(tx, changed, receipt=receipt)

    def _keep_output(self, tx: Tx, live: Live, ended: Ended, name: Cid) -> None:
        """Keep a small output as a row; a large one is a blob by now, and is named and charged."""
        if ended.inline is not None:
            table.keep(tx, name, ended.inline)
            return
        assert ended.result is not None, "what has an output has run"
        size, who = len(ended.result.output), live.manifest.member_id
        use(tx, name)
        self._parts.quotas.settle(tx, member_id=who, cid=name, size_bytes=size)

    def _sign(self, tx: Tx, live: Live, result: RunResult, output_hash: Cid | None) -> Jws:
        """Make the next receipt of the chain: numbered, signed and stored in this transaction."""
        parts, manifest = self._parts, live.manifest
        generation = parts.store.generation
        last, previous = table.last_receipt(tx, generation)
        started = tx.now_ms if live.started_at_ms is None else min(live.started_at_ms, tx.now_ms)
        receipt = Receipt(
            network=parts.genesis.network,
            aud=manifest.member_id,
            executor=parts.me,
            generation=generation,
            sequence=last + 1,
            previous=previous,
            manifest_hash=live.row.manifest_hash,
            task_id=manifest.task_id,
            wasm_hash=manifest.wasm_hash,
            input_hash=manifest.input_hash,
            output_hash=output_hash,
            outcome=result.outcome,
            reason=result.reason,
            limits=manifest.limits,
            fuel_used=result.fuel_used,
            time_used_us=result.time_used_us,
            memory_peak_bytes=result.memory_peak_bytes,
            output_bytes=len(result.output),
            engine=self.engine,
            started_at_ms=started,
            ended_at_ms=tx.now_ms,
            world_offset_ms=tx.world_ms - tx.now_ms,
        )
        token = jws.sign(receipt, typ=RECEIPT_TYP, identity=parts.identity)
        record_id = jws.record_id(token)
        table.add_receipt(
            tx,
            generation=generation,
            sequence=receipt.sequence,
            record_id=record_id,
            manifest_hash=receipt.manifest_hash,
            receipt=token,
        )
        tx.announce(
            TaskFinished(
                task_id=receipt.task_id,
                manifest_hash=receipt.manifest_hash,
                outcome=receipt.outcome,
                receipt_hash=record_id,
                fuel_used=receipt.fuel_used,
            )
        )
        return token

    @property
    def engine(self) -> EngineId:
        """What runs modules here."""
        return self._parts.sandbox.engine


def _open_rows(tx: Tx) -> list[table.JobRow]:
    found = (table.job(tx, manifest_hash) for manifest_hash in table.open_jobs(tx))
    return [row for row in found if row is not None]


def _fetched_event(live: Live) -> ModuleFetched:
    assert live.fetched is not None, "only what was fetched is announced"
    return ModuleFetched(
        wasm_hash=live.manifest.wasm_hash,
        manifest_hash=live.row.manifest_hash,
        **live.fetched.model_dump(),
    )

"""Finding an executor that takes a task: who is asked, in which order, and for how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from nodeimpl.compute import store as table
from nodeimpl.compute.executor import Executor
from nodeimpl.compute.parts import Parts
from nodeimpl.compute.rules import Candidate, backoff_ms, judge_time, rank
from nodeimpl.compute.verdicts import read_manifest
from nodeimpl.kernel.tx import Tx
from opkit.proof.receipt import ANY_EXECUTOR
from opkit.wire.base import Did
from opkit.wire.compute import (
    INLINE_BYTES_MAX,
    ExecutorUnavailable,
    Manifest,
    ManifestExpired,
    TaskPlaced,
    TaskState,
)
from opkit.wire.errors import Busy, Fault, Refusal, Unreachable
from opkit.wire.gateway import StoreBusy
from opkit.wire.peer import LOAD, OFFER_TASK, AskLoad, OfferTask, PeerRateExceeded

LOAD_DEADLINE_MS = 1_000


class OfferFailed(Exception):
    """Nobody takes the task; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        """Keep the refusal that the task ends with."""
        super().__init__(str(refusal))
        self.refusal = refusal


class Offers:
    """Offers tasks to executors, one after another, the least loaded first."""

    def __init__(self, parts: Parts, executor: Executor) -> None:
        """Offer to `executor` and to the network's peers."""
        self._parts = parts
        self._executor = executor

    async def place(self, row: table.Task, manifest: Manifest, avoid: set[Did]) -> Did:
        """Return the executor that took the task; who said no for good joins `avoid`.

        Raises:
            OfferFailed: expired; refused by the executor that it names; or nobody took it in time.
            StoreBusy: this node's own store is: then nothing was decided.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._parts.limits.placement_ms_max / 1000
        last: Refusal = ExecutorUnavailable(executor=manifest.aud)
        attempt = 0
        while True:
            self._judge_time(manifest)
            candidates, silent = await self._candidates(manifest, avoid)
            for executor in candidates:
                no = await self._offer(executor, row, manifest)
                if no is None:
                    return executor
                last = no
                if not _may_pass(no):
                    avoid.add(executor)
            hopeless = not silent and self._hopeless(manifest, avoid, candidates)
            if hopeless or loop.time() >= until:
                raise OfferFailed(last)
            await asyncio.sleep(backoff_ms(attempt) / 1000)
            attempt += 1

    def _judge_time(self, manifest: Manifest) -> None:
        try:
            judge_time(manifest, now_ms=self._parts.clock.now_ms(), limits=self._parts.limits)
        except ManifestExpired as no:
            raise OfferFailed(no) from None

    def _hopeless(self, manifest: Manifest, avoid: set[Did], candidates: list[Did]) -> bool:
        """Return whether waiting cannot help: all who could were asked, and said no for good."""
        if manifest.aud != ANY_EXECUTOR:
            return manifest.aud in avoid
        left = [each for each in candidates if each not in avoid]
        return not left and bool(self._parts.network.connected())

    async def _candidates(self, manifest: Manifest, avoid: set[Did]) -> tuple[list[Did], bool]:
        """Return who may take the task, and whether somebody else did not say if they would."""
        if manifest.aud != ANY_EXECUTOR:
            return [] if manifest.aud in avoid else [manifest.aud], False
        me = self._parts.me
        local = Candidate(
            did=me,
            running=self._parts.sandbox.running,
            waiting=max(0, self._executor.jobs - self._parts.sandbox.running),
            slots=self._parts.sandbox.slots,
            accepts=self._parts.policy.accepts(manifest.member_id),
            local=True,
        )
        connected = self._parts.network.connected()
        peers = [did for did in connected if self._is_node(did) and did not in avoid]
        asked = await asyncio.gather(*(self._load(did, manifest) for did in peers))
        known = [each for each in asked if each is not None]
        able = known if me in avoid else [local, *known]
        return rank(able)[: self._parts.limits.offers_max], len(known) < len(asked)

    def _is_node(self, did: Did) -> bool:
        """Return whether receipts of this peer can be verified: it stands in the genesis."""
        return self._parts.genesis.node(did) is not None

    async def _load(self, did: Did, manifest: Manifest) -> Candidate | None:
        try:
            load = await self._parts.network.ask(
                did, LOAD, AskLoad(member_id=manifest.member_id), deadline_ms=LOAD_DEADLINE_MS
            )
        except (Unreachable, Fault, Refusal):
            # Who does not say how busy it is, is not chosen now; it may say so a moment later.
            return None
        return Candidate(
            did=did,
            running=load.running,
            waiting=load.waiting,
            slots=load.slots,
            accepts=load.accepts,
            local=False,
        )

    async def _offer(self, executor: Did, row: table.Task, manifest: Manifest) -> Refusal | None:
        """Offer a task to one executor; return why it did not take it, None if it did.

        Raises:
            StoreBusy: this node's own store is, which nobody refused the task with.
        """
        if executor == self._parts.me:
            crowded = self._executor.is_crowded()
            try:
                await self._parts.store.write(lambda tx: self._take_here(tx, row, crowded=crowded))
            except StoreBusy:
                raise
            except Refusal as no:
                return no
            return None
        offer = await self._offer_of(row, manifest)
        try:
            await self._parts.network.ask(executor, OFFER_TASK, offer)
        except Refusal as no:
            return no
        except (Unreachable, Fault):
            return ExecutorUnavailable(executor=executor)
        return None

    async def _offer_of(self, row: table.Task, manifest: Manifest) -> OfferTask:
        """Return what a peer is offered. Raises `StoreBusy`."""
        members = self._parts.members

        def read(tx: Tx) -> tuple[tuple[str, ...], bytes | None]:
            records = members.records(tx, row.member_id)
            return records, table.content(tx, manifest.input_hash)

        records, inline = await self._parts.store.read(read)
        blobs = self._parts.blobs
        if inline is None and (blobs.size(manifest.input_hash) or 0) <= INLINE_BYTES_MAX:
            inline = await blobs.get(manifest.input_hash)
        return OfferTask(manifest=row.manifest, records=records, input_inline=inline)

    def _take_here(self, tx: Tx, row: table.Task, *, crowded: bool) -> None:
        """Take a task of this node's own member and record its placement, in one transaction."""
        signed = read_manifest(
            tx,
            row.manifest,
            records=(),
            members=self._parts.members,
            genesis=self._parts.genesis,
        )
        job = self._executor.take(tx, signed, origin=self._parts.me, crowded=crowded)
        standing = table.task(tx, row.task_id)
        if standing is None or standing.executor is not None:
            return
        record_placed(tx, standing, self._parts.me)
        self._executor.catch_up(tx, job)


def record_placed(tx: Tx, row: table.Task, executor: Did) -> table.Task:
    """Record that an executor took a task. Return what stands."""
    changed = replace(row, state=TaskState.PLACED, executor=executor)
    table.set_task(tx, changed)
    announce_placed(tx, row, executor)
    return changed


def announce_placed(tx: Tx, row: table.Task, executor: Did) -> None:
    """Say that an executor took a task, which is recorded already."""
    tx.announce(TaskPlaced(task_id=row.task_id, manifest_hash=row.manifest_hash, executor=executor))


def _may_pass(no: Refusal) -> bool:
    """Return whether the same offer may be taken a moment later."""
    return isinstance(no, (Busy, PeerRateExceeded))

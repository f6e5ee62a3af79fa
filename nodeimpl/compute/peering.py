"""What an executor answers to its peers: offers, waiting, dropping, load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from nodeimpl.compute import store as table
from nodeimpl.compute.executor import Executor
from nodeimpl.compute.parts import Parts
from nodeimpl.compute.verdicts import read_manifest
from nodeimpl.compute.views import job_view
from nodeimpl.kernel.tx import Tx
from opkit.wire.base import Did, RecordId
from opkit.wire.compute import FINAL, ManifestRejected, TaskUnknown, TaskView
from opkit.wire.peer import (
    AWAIT_TASK,
    DROP_TASK,
    LOAD,
    OFFER_TASK,
    AskLoad,
    AwaitTask,
    DropTask,
    Load,
    OfferTask,
    PeerMethod,
    TaskTaken,
)


class Serving(Protocol):
    """What this needs of the peer-to-peer layer: a place to hang answers on."""

    def serve(
        self, method: PeerMethod[Any, Any], handler: Callable[[Did, Any], Awaitable[Any]]
    ) -> None:
        """Answer `method` by `handler`, which gets the peer and the ask."""
        ...


class Peering:
    """The four methods; who asks is the key that the transport authenticated."""

    def __init__(self, parts: Parts, executor: Executor) -> None:
        """Answer for this executor."""
        self._parts = parts
        self._executor = executor

    def serve_on(self, peers: Serving) -> None:
        """Register all methods; call it before the peers run."""
        peers.serve(LOAD, self.load)
        peers.serve(OFFER_TASK, self.offer)
        peers.serve(AWAIT_TASK, self.wait)
        peers.serve(DROP_TASK, self.drop)

    async def load(self, peer: Did, ask: AskLoad) -> Load:
        """Say how busy the workers are, and whether they would run this member's tasks."""
        sandbox = self._parts.sandbox
        return Load(
            running=sandbox.running,
            waiting=max(0, self._executor.jobs - sandbox.running),
            slots=sandbox.slots,
            accepts=self._parts.policy.accepts(ask.member_id),
            engine=sandbox.engine,
        )

    async def offer(self, peer: Did, ask: OfferTask) -> TaskTaken:
        """Take a task durably.

        Raises:
            ManifestRejected: the peer is no node of the network: a manifest that somebody saw is
                no right to have it run.
            Refusal: as `rules.judge_offer` says; StoreBusy.
        """
        if self._parts.genesis.node(peer) is None:
            raise ManifestRejected(why="it was offered by no node of the network")
        crowded = self._executor.is_crowded()

        def work(tx: Tx) -> RecordId:
            signed = read_manifest(
                tx,
                ask.manifest,
                records=ask.records,
                members=self._parts.members,
                genesis=self._parts.genesis,
            )
            row = self._executor.take(
                tx, signed, origin=peer, inline=ask.input_inline, crowded=crowded
            )
            return row.manifest_hash

        return TaskTaken(manifest_hash=await self._parts.store.write(work))

    async def wait(self, peer: Did, ask: AwaitTask) -> TaskView:
        """Say how a job does, once it is final or `wait_ms` have passed.

        Raises:
            TaskUnknown: this peer offered none such.
        """
        progress = self._executor.progress
        waiter = progress.register(ask.manifest_hash) if ask.wait_ms else None
        if waiter is None:
            return await self._view(peer, ask.manifest_hash)
        try:
            view = await self._view(peer, ask.manifest_hash)
            if view.state in FINAL:
                return view
            await progress.wait(waiter, wait_ms=ask.wait_ms)
        finally:
            progress.unregister(ask.manifest_hash, waiter)
        return await self._view(peer, ask.manifest_hash)

    async def drop(self, peer: Did, ask: DropTask) -> TaskView:
        """End a job that this peer offered, unless another one offered it too.

        Raises:
            TaskUnknown: this peer offered none such.
            StoreBusy: ask again.
        """

        def work(tx: Tx) -> TaskView:
            row = _offered(tx, peer, ask.manifest_hash)
            self._executor.drop(tx, row.manifest_hash, origin=peer)
            return job_view(tx, row, self._executor.progress, me=self._parts.me)

        return await self._parts.store.write(work)

    async def _view(self, peer: Did, manifest_hash: RecordId) -> TaskView:
        def read(tx: Tx) -> TaskView:
            row = _offered(tx, peer, manifest_hash)
            return job_view(tx, row, self._executor.progress, me=self._parts.me)

        return await self._parts.store.read(read)


def _offered(tx: Tx, peer: Did, manifest_hash: RecordId) -> table.JobRow:
    """Return a job if this peer offered it."""
    row = table.job(tx, manifest_hash)
    if row is None or peer not in row.origins:
        raise TaskUnknown(task_id=manifest_hash)
    return row

"""The compute domain: modules, contents and tasks, read → judge → record → announce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nodeimpl.compute import store as table
from nodeimpl.compute.executor import Executor
from nodeimpl.compute.granting import Granting
from nodeimpl.compute.holdings import Quotas
from nodeimpl.compute.offers import announce_placed
from nodeimpl.compute.parts import Members, Network, Parts
from nodeimpl.compute.peering import Peering, Serving
from nodeimpl.compute.placement import Placement
from nodeimpl.compute.rules import (
    Limits,
    ManifestCase,
    Policy,
    Submission,
    judge_module,
    judge_submission,
)
from nodeimpl.compute.supply import EMPTY, Supply
from nodeimpl.compute.verdicts import Signed, claimed_executor, read_manifest
from nodeimpl.compute.views import task_view, task_view_with
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.blobs import BlobStore, name_of
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.sandbox.sandbox import Sandbox, SandboxBusy
from opkit.proof.cid import cid_of, is_cid
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.membership import OPERATOR_ID
from opkit.proof.receipt import ANY_EXECUTOR
from opkit.wire import compute as wire
from opkit.wire.base import Cid, MemberId
from opkit.wire.errors import Refusal
from opkit.wire.gateway import StoreBusy

PROVIDED_MAX = 4_000
"""Of how many modules, the oldest, a starting node says that it keeps them: what it says in all has
a bound."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Bytes that were kept before the transaction began."""

    cid: Cid
    size_bytes: int


class Compute:
    """Keeps modules, takes tasks on, and shows how they do."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        sandbox: Sandbox,
        network: Network,
        members: Members,
        identity: Identity,
        genesis: GenesisView,
        clock: Clock,
        limits: Limits,
        policy: Policy,
    ) -> None:
        """Join the parts; nothing runs before `run`."""
        self.parts = Parts(
            store=store,
            blobs=blobs,
            sandbox=sandbox,
            network=network,
            members=members,
            identity=identity,
            genesis=genesis,
            clock=clock,
            limits=limits,
            policy=policy,
            quotas=Quotas(store, bytes_max=limits.member_bytes_max),
        )
        self.supply = Supply(self.parts)
        self.executor = Executor(self.parts, self.supply)
        self.placement = Placement(self.parts, self.executor, self.supply)
        self.executor.end_local = self.placement.end_local
        self.granting = Granting(
            self.parts, self, progress=self.placement.progress, cancel=self.placement.cancel
        )

    def serve_peers(self, peers: Serving) -> None:
        """Answer peers' offers, waits, drops and questions of load; call it before they run."""
        Peering(self.parts, self.executor).serve_on(peers)

    async def run(self) -> None:
        """Run the sandbox, jobs and placements, those of before the last stop too."""
        await self.parts.sandbox.start()
        await self._provide_modules()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.executor.run(), name="executor")
            group.create_task(self.executor.pace.watch(), name="pace")
            group.create_task(self.placement.run(), name="placement")

    async def _provide_modules(self) -> None:
        """Say in the network which modules are here, as when they were deployed."""
        first = await self.parts.store.read(
            lambda tx: table.module_page(tx, owner="", after="", count=PROVIDED_MAX)
        )
        for info in first:
            self.parts.network.provide(info.wasm_hash, info.size_bytes)

    def rest(self) -> None:
        """Begin nothing new, here or elsewhere; what a worker has goes on."""
        self.executor.rest()
        self.placement.rest()

    @property
    def running(self) -> int:
        """How many jobs are under way in this process."""
        return self.executor.jobs

    async def idle(self) -> None:
        """Return once no job is under way in this process."""
        await self.executor.idle()

    def answer_all(self) -> None:
        """Answer everybody who waits for the end of a task, as things stand."""
        self.executor.progress.end_all()

    def _shown(self, tx: Tx, task: table.Task) -> wire.TaskView:
        """Return a task as its submitter may see it."""
        return task_view(tx, task, self.placement.progress, self.parts.members)

    def member_revoked(self, tx: Tx, member_id: MemberId) -> None:
        """End a revoked member's grants, tasks and jobs, in the transaction that revoked them."""
        self.granting.member_revoked(tx, member_id)
        self.placement.cancel_all_of(tx, member_id)
        self.executor.cancel_all_of(tx, member_id)

    async def stage_module(self, ask: wire.DeployModule, caller: Caller | None) -> Kept:
        """Check, compile and keep a module's bytes.

        Raises:
            ModuleInvalid: empty, too large, or it does not compile within the limits.
            StorageQuotaExceeded: it does not fit what the member may fill.
            StorageFull: it does not fit.
            StoreBusy: too many compile already.
        """
        judge_module(size_bytes=len(ask.module), limits=self.parts.limits)
        cid = cid_of(ask.module)
        try:
            await self.parts.sandbox.compile(ask.module, cid)
        except SandboxBusy:
            raise StoreBusy(why="too many modules are being compiled") from None
        return await self._keep(ask.module, cid, caller)

    async def _keep(self, content: bytes, cid: Cid, caller: Caller | None) -> Kept:
        """Keep bytes on a member's account."""
        await self.parts.keep(content, cid=cid, member_id=_known(caller).member_id)
        return Kept(cid=cid, size_bytes=len(content))

    def _acknowledge(self, tx: Tx, kept: Kept, who: MemberId) -> None:
        """Charge for bytes that were kept before this transaction.

        Raises:
            StoreBusy: they were so long before it that they were collected.
        """
        # Its age begins with the acknowledgement.
        if not self.parts.blobs.touch(kept.cid):
            raise StoreBusy(why="the bytes were collected before they were acknowledged")
        self.parts.quotas.settle(tx, member_id=who, cid=kept.cid, size_bytes=kept.size_bytes)

    def deploy(
        self, tx: Tx, ask: wire.DeployModule, caller: Caller | None, kept: Kept
    ) -> wire.ModuleInfo:
        """Record a module; the first to bring it owns it."""
        owner = _known(caller).member_id
        self._acknowledge(tx, kept, owner)
        info = wire.ModuleInfo(
            wasm_hash=kept.cid,
            owner=owner,
            name=ask.name,
            size_bytes=kept.size_bytes,
            deployed_at_ms=tx.now_ms,
        )
        if table.module(tx, kept.cid) is None:
            tx.announce(
                wire.ModuleDeployed(wasm_hash=kept.cid, owner=owner, size_bytes=kept.size_bytes)
            )
            tx.after_commit(lambda: self.parts.network.provide(kept.cid, kept.size_bytes))
        return table.add_module(tx, info)

    def get_module(
        self, tx: Tx, ask: wire.GetModule, caller: Caller | None, _: None
    ) -> wire.ModuleInfo:
        """Return a module's metadata.

        Raises:
            HashMalformed: not a CID.
            ModuleUnknown: none of this name was deployed here.
        """
        if not is_cid(ask.wasm_hash):
            raise wire.HashMalformed(value=ask.wasm_hash)
        found = table.module(tx, ask.wasm_hash)
        if found is None:
            raise wire.ModuleUnknown(wasm_hash=ask.wasm_hash)
        return found

    def list_modules(
        self, tx: Tx, ask: wire.ListModules, caller: Caller | None, _: None
    ) -> wire.ModulePage:
        """Return a page of modules, oldest first."""
        found = table.module_page(tx, owner=ask.owner, after=ask.after, count=ask.modules_max + 1)
        page = tuple(found[: ask.modules_max])
        more = len(found) > ask.modules_max
        return wire.ModulePage(modules=page, next_after=page[-1].wasm_hash if more else "")

    async def stage_blob(self, ask: wire.PutBlob, caller: Caller | None) -> Kept:
        """Keep bytes. Raises: StorageQuotaExceeded, StorageFull."""
        return await self._keep(ask.content, await name_of(ask.content), caller)

    def put_blob(
        self, tx: Tx, ask: wire.PutBlob, caller: Caller | None, kept: Kept
    ) -> wire.BlobInfo:
        """Answer with the name of what was kept."""
        self._acknowledge(tx, kept, _known(caller).member_id)
        return wire.BlobInfo(cid=kept.cid, size_bytes=kept.size_bytes)

    async def get_blob(self, ask: wire.GetBlob, caller: Caller | None) -> wire.BlobContent:
        """Return bytes that are kept here: a module, an input or an output.

        Raises:
            HashMalformed: not a CID.
            BlobUnknown: none of this name are kept here.
        """
        if not is_cid(ask.cid):
            raise wire.HashMalformed(value=ask.cid)
        found = await self.supply.kept(ask.cid)
        if found is None:
            raise wire.BlobUnknown(cid=ask.cid)
        return wire.BlobContent(content=found)

    async def admit(self, ask: wire.SubmitTask, caller: Caller | None) -> None:
        """Say no to a task that would have to wait for too long, before anything is done for it.

        Raises:
            QueueFull: nobody but this node may run it, and its queue stands.
        """
        self.judge_crowd(claimed_executor(ask.manifest))

    def judge_crowd(self, executor: str) -> None:
        """Pass a task for this executor unless it would have to wait for too long.

        Raises:
            QueueFull: nobody but this node may run it, and its queue stands.
        """
        if self.executor.is_crowded() and self._only_here(executor):
            raise wire.QueueFull(limit=self.executor.jobs)

    def submit(self, tx: Tx, ask: wire.SubmitTask, caller: Caller | None, _: None) -> wire.TaskView:
        """Take a task on, and run it here at once if here is where it belongs.

        Raises:
            Refusal: as `judge_submission` says; QueueFull.
        """
        parts = self.parts
        signed = read_manifest(
            tx, ask.manifest, records=(), members=parts.members, genesis=parts.genesis
        )
        standing = self._standing(tx, signed)
        manifest = judge_submission(
            self._submission(tx, ask, _known(caller), signed, standing), parts.limits
        )
        if standing is not None:
            return self._shown(tx, standing)
        if ask.input_inline is not None:
            table.keep(tx, manifest.input_hash, ask.input_inline)
            names = [manifest.wasm_hash]
        else:
            names = [manifest.wasm_hash, manifest.input_hash]
        job = self._take_at_once(tx, signed, manifest, stdin=ask.input_inline)
        row = self._accept(tx, signed, manifest, names, is_here=job is not None)
        if job is not None and job.state in wire.FINAL:
            self.executor.catch_up(tx, job)
            row = table.task(tx, row.task_id) or row
        tx.after_commit(lambda: self._begin(row))
        return self._shown(tx, row)

    def _begin(self, row: table.Task) -> None:
        """Have a task that was just accepted driven to its end."""
        if row.state not in wire.FINAL:
            self.placement.progress.under_way[row.task_id] = row.member_id
        self.placement.begin(row)

    def _standing(self, tx: Tx, signed: Signed) -> table.Task | None:
        return None if signed.manifest is None else table.task(tx, signed.manifest.task_id)

    def _submission(
        self,
        tx: Tx,
        ask: wire.SubmitTask,
        caller: Caller,
        signed: Signed,
        standing: table.Task | None,
    ) -> Submission:
        manifest, why = signed.manifest, signed.why
        if manifest is not None and not self._may_execute(manifest.aud):
            why, manifest = f"{manifest.aud} is no executor of this network", None
        return Submission(
            case=ManifestCase(
                manifest=manifest,
                why=why,
                manifest_hash=signed.manifest_hash,
                taken_hash=None if standing is None else standing.manifest_hash,
                now_ms=tx.now_ms,
            ),
            sender=caller.member_id,
            inline_hash=None if ask.input_inline is None else cid_of(ask.input_inline),
            input_kept=ask.input_inline is not None
            or (manifest is not None and self._is_kept(tx, manifest.input_hash)),
            unfinished=table.count_tasks(tx, caller.member_id),
            placing=0
            if manifest is None or self._only_here(manifest.aud)
            else self.placement.tasks,
        )

    def _may_execute(self, aud: str) -> bool:
        return aud in (ANY_EXECUTOR, self.parts.me) or self.parts.genesis.node(aud) is not None

    def _is_kept(self, tx: Tx, cid: str) -> bool:
        if cid == EMPTY or self.parts.blobs.size(cid) is not None:
            return True
        return table.content(tx, cid) is not None

    def _only_here(self, aud: str) -> bool:
        """Return whether nobody but this node can run a task now."""
        return aud == self.parts.me or (aud == ANY_EXECUTOR and not self.parts.network.connected())

    def _accept(
        self,
        tx: Tx,
        signed: Signed,
        manifest: wire.Manifest,
        names: Sequence[Cid],
        *,
        is_here: bool,
    ) -> table.Task:
        """Keep a task, and say so; `is_here` says that it is placed already, on this very node."""
        row = table.Task(
            task_id=manifest.task_id,
            manifest_hash=signed.manifest_hash,
            member_id=manifest.member_id,
            manifest=signed.token,
            state=wire.TaskState.PLACED if is_here else wire.TaskState.ACCEPTED,
            executor=self.parts.me if is_here else None,
            receipt=None,
            output_hash=None,
            fetched=None,
            problem=None,
            cancelling=False,
            accepted_at_ms=tx.now_ms,
        )
        table.add_task(tx, row, names=names)
        tx.announce(
            wire.TaskAccepted(
                task_id=row.task_id,
                member_id=row.member_id,
                manifest_hash=row.manifest_hash,
                wasm_hash=manifest.wasm_hash,
            )
        )
        if is_here:
            announce_placed(tx, row, self.parts.me)
        return row

    def _take_at_once(
        self, tx: Tx, signed: Signed, manifest: wire.Manifest, *, stdin: bytes | None
    ) -> table.JobRow | None:
        """Take a task here in the transaction that accepts it, if nobody is less loaded.

        That saves a commit. What stands against it, stands against the ordinary way too, which
        finds it and says so; but that there is no room is said at once, and nothing is kept.

        Raises:
            QueueFull: nobody else may take it, and there is no room here.
        """
        only_here = self._only_here(manifest.aud)
        if not only_here and (manifest.aud != ANY_EXECUTOR or self.executor.jobs > 0):
            return None
        try:
            return self.executor.take(tx, signed, origin=self.parts.me, stdin=stdin)
        except wire.QueueFull:
            if only_here:
                raise
            return None
        except Refusal:
            return None

    async def get_task(self, ask: wire.GetTask, caller: Caller | None) -> wire.TaskView:
        """Return how a task does, once it is final or `wait_ms` have passed.

        Raises:
            TaskUnknown: there is none, or it is another member's.
        """
        who, progress = _known(caller).member_id, self.placement.progress
        waiter = progress.register(ask.task_id) if ask.wait_ms else None
        if waiter is None:
            return await self._view(ask.task_id, who)
        try:
            if progress.under_way.get(ask.task_id) != who:
                view = await self._view(ask.task_id, who)
                if view.state in wire.FINAL:
                    return view
            await progress.wait(waiter, wait_ms=ask.wait_ms)
        finally:
            progress.unregister(ask.task_id, waiter)
        return await self._view(ask.task_id, who)

    async def _view(self, task_id: str, who: MemberId) -> wire.TaskView:
        def read(tx: Tx) -> wire.TaskView:
            task, output = _visible(tx, task_id, who)
            return task_view_with(tx, task, output, self.placement.progress, self.parts.members)

        return await self.parts.store.read(read)

    def cancel(self, tx: Tx, ask: wire.CancelTask, caller: Caller | None, _: None) -> wire.TaskView:
        """Have a task end; one that is final stays as it is.

        Raises:
            TaskUnknown: there is none, or it is another member's.
        """
        row, _output = _visible(tx, ask.task_id, _known(caller).member_id)
        return self._shown(tx, self.placement.cancel(tx, row))


def _known(caller: Caller | None) -> Caller:
    assert caller is not None, "these endpoints ask for a token"
    return caller


def _visible(tx: Tx, task_id: str, who: MemberId) -> tuple[table.Task, bytes | None]:
    """Return a task and its small output if it is this member's, or the operator asks."""
    found = table.shown_task(tx, task_id, member_id=None if who == OPERATOR_ID else who)
    if found is None:
        raise wire.TaskUnknown(task_id=task_id)
    return found

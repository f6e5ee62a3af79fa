"""Modules and tasks by the client: what it signs, what it checks, and what it does not believe."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from nodeimpl.kernel.binding import Caller, Route, answer, serve
from nodeimpl.kernel.store import Store, Tx
from opkit.client import Cancelled, TaskHandle
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire import compute as wire
from opkit.wire.errors import Fault, Unreachable
from opkit.wire.network import EngineId


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 120))


class Bench:
    """Answers the compute endpoints by echoing the input; `lie` changes what it says."""

    def __init__(self, executor: Identity) -> None:
        self.executor = executor
        self.lie: dict[str, Any] = {}
        self.view: dict[str, Any] = {}
        self.kept: dict[str, bytes] = {}
        self.modules: list[wire.ModuleInfo] = []

    def routes(self, _store: Store) -> Sequence[Route]:
        return [
            serve(wire.DEPLOY, self.deploy),
            serve(wire.PUT_BLOB, self.put),
            serve(wire.SUBMIT, self.submit),
            serve(wire.CANCEL, self.cancel),
            answer(wire.GET_TASK, self.task),
            answer(wire.GET_BLOB, self.blob),
            answer(wire.GET_MODULE, self.module),
            answer(wire.LIST_MODULES, self.list),
        ]

    def deploy(self, tx: Tx, ask: wire.DeployModule, caller: Caller | None, _: Any) -> Any:
        assert caller is not None
        info = wire.ModuleInfo(
            wasm_hash=self.lie.get("wasm_hash", cid_of(ask.module)),
            owner=caller.member_id,
            name=ask.name,
            size_bytes=len(ask.module),
            deployed_at_ms=tx.now_ms,
        )
        self.modules.append(info)
        return info

    def put(self, _tx: Tx, ask: wire.PutBlob, _caller: Caller | None, _: Any) -> wire.BlobInfo:
        self.kept[cid_of(ask.content)] = ask.content
        return wire.BlobInfo(cid=cid_of(ask.content), size_bytes=len(ask.content))

    def submit(self, tx: Tx, ask: wire.SubmitTask, _caller: Caller | None, _: Any) -> wire.TaskView:
        manifest = wire.Manifest.model_validate(jws.peek(ask.manifest).payload)
        given = ask.input_inline
        output = self.kept[manifest.input_hash] if given is None else given
        receipt = self.receipt(manifest, ask.manifest, output, now_ms=tx.now_ms)
        large = len(output) > wire.INLINE_BYTES_MAX
        self.view = {
            "task_id": manifest.task_id,
            "state": wire.TaskState.DONE,
            "member_id": manifest.member_id,
            "manifest": ask.manifest,
            "manifest_hash": jws.record_id(ask.manifest),
            "executor": self.executor.did,
            "receipt": receipt,
            "output_hash": cid_of(output),
            "output_inline": None if large else output,
            "accepted_at_ms": tx.now_ms,
        }
        tx.announce(
            wire.TaskEnded(
                task_id=manifest.task_id,
                manifest_hash=jws.record_id(ask.manifest),
                state="done",
            )
        )
        return wire.TaskView(**self.view)

    def receipt(self, manifest: wire.Manifest, token: str, output: bytes, *, now_ms: int) -> str:
        fields: dict[str, Any] = {
            "network": manifest.network,
            "aud": manifest.member_id,
            "executor": self.executor.did,
            "generation": 1,
            "sequence": 1,
            "previous": None,
            "manifest_hash": jws.record_id(token),
            "task_id": manifest.task_id,
            "wasm_hash": manifest.wasm_hash,
            "input_hash": manifest.input_hash,
            "output_hash": cid_of(output),
            "outcome": wire.Outcome.OK,
            "reason": "",
            "limits": manifest.limits,
            "fuel_used": 1,
            "time_used_us": 1,
            "memory_peak_bytes": 1,
            "output_bytes": len(output),
            "engine": EngineId(name="echo", version="1", settings="none"),
            "started_at_ms": now_ms,
            "ended_at_ms": now_ms,
            "world_offset_ms": 0,
        }
        receipt = wire.Receipt(**{**fields, **self.lie})
        return jws.sign(receipt, typ=wire.RECEIPT_TYP, identity=self.executor)

    def cancel(self, _tx: Tx, _ask: wire.CancelTask, _caller: Caller | None, _: Any) -> Any:
        self.view |= {"state": wire.TaskState.CANCELLED, "receipt": None}
        return wire.TaskView(**self.view)

    async def task(self, _ask: wire.GetTask, _caller: Caller | None) -> wire.TaskView:
        return wire.TaskView(**self.view)

    async def blob(self, ask: wire.GetBlob, _caller: Caller | None) -> wire.BlobContent:
        if ask.cid not in self.kept:
            raise wire.BlobUnknown(cid=ask.cid)
        return wire.BlobContent(content=self.lie.get("content", self.kept[ask.cid]))

    async def module(self, ask: wire.GetModule, _caller: Caller | None) -> wire.ModuleInfo:
        for info in self.modules:
            if info.wasm_hash == ask.wasm_hash:
                return info
        raise wire.ModuleUnknown(wasm_hash=ask.wasm_hash)

    async def list(self, ask: wire.ListModules, _caller: Caller | None) -> wire.ModulePage:
        hashes = [info.wasm_hash for info in self.modules]
        start = hashes.index(ask.after) + 1 if ask.after else 0
        page = tuple(self.modules[start : start + 1])
        more = start + 1 < len(self.modules)
        return wire.ModulePage(modules=page, next_after=page[-1].wasm_hash if more else "")


@pytest.fixture
def bench(doorstep: Any) -> Bench:
    """The executor is the other coop's node."""
    return Bench(doorstep.people.far)


async def submitted(ana: Any, given: bytes = b"hey", **named: Any) -> TaskHandle:
    handle: TaskHandle = await ana.compute.submit(cid_of(b"module"), given, **named)
    return handle


@pytest.mark.parametrize("size", [0, 3, wire.INLINE_BYTES_MAX, wire.INLINE_BYTES_MAX + 1])
def test_a_task_of_any_size_comes_back_with_its_output_and_checked_receipt(
    doorstep: Any, bench: Bench, size: int
) -> None:
    async def story() -> None:
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana, b"x" * size, executor=bench.executor.did)
            result = await handle.result()
            assert result.output == b"x" * size
            assert result.outcome is wire.Outcome.OK
            assert result.receipt.manifest_hash == jws.record_id(handle.manifest)
            assert result.bundle.manifest == handle.manifest

    run(story())


def test_a_repeated_submission_of_one_manifest_is_one_task(doorstep: Any, bench: Bench) -> None:
    async def story() -> None:
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana, task_id="1" * 32)
            again = await submitted(ana, manifest=handle.manifest)
            assert (again.task_id, again.manifest) == (handle.task_id, handle.manifest)
            assert node.store.head().sequence == 2, "one login, one end"
            later = ana.compute.handle(handle.task_id, handle.manifest)
            assert (await later.result()).output == b"hey"

    run(story())


LIES: list[dict[str, Any]] = [
    {"output_hash": cid_of(b"other")},
    {"manifest_hash": "0" * 64},
    {"task_id": "2" * 32},
    {"wasm_hash": cid_of(b"another module")},
    {"input_hash": cid_of(b"another input")},
    {"network": "b" * 26},
    {"aud": "mill/ben"},
    {"fuel_used": 10**12},
    {"executor": Identity.generate().did},
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: next(iter(lie)))
def test_a_receipt_that_says_something_else_is_not_believed(
    doorstep: Any, bench: Bench, lie: dict[str, Any]
) -> None:
    async def story() -> None:
        bench.lie = lie
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana)
            with pytest.raises(Fault):
                await handle.result()

    run(story())


def test_a_task_that_was_refused_raises_what_refused_it(doorstep: Any, bench: Bench) -> None:
    async def story() -> None:
        refused = {"state": wire.TaskState.REFUSED, "receipt": None}
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana)
            bench.view |= {**refused, "problem": wire.QueueFull(limit=3).problem()}
            with pytest.raises(wire.QueueFull):
                await handle.result()
            bench.view |= {**refused, "problem": None}
            with pytest.raises(Fault):
                await handle.result()

    run(story())


def test_a_task_without_receipt_is_cancelled_or_a_fault_or_not_ready(
    doorstep: Any, bench: Bench
) -> None:
    async def story() -> None:
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana)
            assert (await handle.cancel()).state is wire.TaskState.CANCELLED
            with pytest.raises(Cancelled, match=handle.task_id):
                await handle.result()
            bench.view |= {"state": wire.TaskState.FAILED}
            with pytest.raises(Fault):
                await handle.result()
            bench.view |= {"state": wire.TaskState.RUNNING}
            with pytest.raises(Unreachable, match="still running"):
                await handle.result(deadline_ms=20)

    run(story())


def test_a_failed_run_is_a_result_with_its_outcome(doorstep: Any, bench: Bench) -> None:
    async def story() -> None:
        bench.lie = {"outcome": wire.Outcome.FUEL, "output_hash": None, "output_bytes": 0}
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana)
            bench.view |= {"state": wire.TaskState.FAILED}
            result = await handle.result()
            assert (result.outcome, result.output) == (wire.Outcome.FUEL, b"")

    run(story())


def test_the_events_of_a_task_end_with_it(doorstep: Any, bench: Bench) -> None:
    async def story() -> None:
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            handle = await submitted(ana)
            await submitted(ana)
            types = [entry.type async for entry in handle.events()]
            assert types == ["compute.task-ended"]

    run(story())


def test_modules_are_deployed_listed_and_fetched_by_their_hash(doorstep: Any, bench: Bench) -> None:
    async def story() -> None:
        async with doorstep.node(routes=bench.routes) as node, node.client("mill/ana") as ana:
            made = [await ana.wasm.deploy(each, name="m") for each in (b"one", b"two", b"three")]
            assert [info async for info in ana.wasm.list()] == made
            assert await ana.wasm.get(made[0].wasm_hash) == made[0]
            with pytest.raises(wire.ModuleUnknown):
                await ana.wasm.get("nothing")
            with pytest.raises(wire.BlobUnknown):
                await ana.wasm.fetch(cid_of(b"nothing"))
            bench.kept[cid_of(b"bytes")] = b"bytes"
            assert await ana.wasm.fetch(cid_of(b"bytes")) == b"bytes"
            bench.lie = {"content": b"other", "wasm_hash": cid_of(b"other")}
            with pytest.raises(Fault, match="not"):
                await ana.wasm.fetch(cid_of(b"bytes"))
            with pytest.raises(Fault, match="not its hash"):
                await ana.wasm.deploy(b"four", name="m")

    run(story())

"""`opkit report verify` on a report with a thousand receipts, each of a task that was run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median

from bench.network import OPKIT, ROOT, run, seconds_of_command
from bench.node import AskedNode, asked_node
from bench.rows import Row, quick, row
from opkit.proof.receipt import verify_receipt
from opkit.runner.folder import write_folder
from opkit.story.record import FlowRecord, RunRecord
from opkit.story.report import CheckRecord, MarkerRecord, ReceiptRecord
from opkit.wire.compute import ReceiptBundle

RECEIPTS, QUICK_RECEIPTS = 1_000, 100
PER_MARKER = 16
"""As many proofs as one marker may carry."""

AT_ONCE = 16
TIMES = 5
TASKS_S_MAX = 600


def receipts() -> list[Row]:
    """Seconds of the command, from its start to its verdict."""
    count = QUICK_RECEIPTS if quick() else RECEIPTS
    with asked_node("SQLite") as node:
        bundles = asyncio.run(asyncio.wait_for(_run_tasks(node, count), TASKS_S_MAX))
        folder, genesis = node.folder / "report", node.folder / "genesis.jws"
        _write(node, folder, bundles)
        command = [str(OPKIT), "report", "verify", str(folder), "--genesis", str(genesis)]
        run(command)
        taken = [seconds_of_command(command) for _ in range(TIMES)]
    name = f"opkit report verify, {count} receipts"
    return [row(name, median(taken), "s", target="<= 1", of=taken)]


async def _run_tasks(node: AskedNode, count: int) -> list[ReceiptBundle]:
    """Return the receipts of so many tasks, of several members in turn, with other inputs each."""
    module = (ROOT / "wasm" / "upper.wasm").read_bytes()
    members = [node.members[n % len(node.members)] for n in range(AT_ONCE)]

    async def some(place: int) -> list[ReceiptBundle]:
        async with node.client(members[place]) as client:
            info = await client.wasm.deploy(module, name="upper")
            done = []
            for number in range(place, count, AT_ONCE):
                handle = await client.compute.submit(info.wasm_hash, b"task %d" % number)
                done.append((await handle.result()).bundle)
            return done

    async with asyncio.TaskGroup() as group:
        working = [group.create_task(some(place)) for place in range(AT_ONCE)]
    return [bundle for one in working for bundle in one.result()]


def _write(node: AskedNode, folder: Path, bundles: list[ReceiptBundle]) -> None:
    """Write a report that rests on these receipts, signed as `opkit demo` signs its own."""
    now_ms = time.time_ns() // 1_000_000
    markers = tuple(
        _marker(node, number, bundles[at : at + PER_MARKER], at_ms=now_ms)
        for number, at in enumerate(range(0, len(bundles), PER_MARKER))
    )
    flow = FlowRecord(
        name="receipts",
        title="Many tasks",
        story="Every task was run, and its receipt verifies.",
        ok=True,
        planned=tuple(marker.name for marker in markers),
        markers=markers,
    )
    view = node.world.view
    record = RunRecord(
        run_id="bench",
        seed=7,
        profile="three",
        network=view.network,
        operator=view.operator,
        ok=True,
        interrupted=False,
        clock_moved_ms=0,
        created_ms=now_ms,
        took_ms=0,
        versions={},
        nodes=(),
        flows=(flow,),
    )
    folder.mkdir()
    write_folder(folder, record, blobs={}, genesis=view, operator=node.world.operator)


def _marker(
    node: AskedNode, number: int, bundles: list[ReceiptBundle], *, at_ms: int
) -> MarkerRecord:
    """Return a step that shows these receipts; each was checked when it was told."""
    verdicts = [verify_receipt(bundle, genesis=node.world.view) for bundle in bundles]
    failed = [check.name for verdict in verdicts for check in verdict.failures]
    said = CheckRecord(name="receipts", ok=not failed, expected="none fails", actual=str(failed))
    return MarkerRecord(
        name=f"TASKS_{number}",
        ok=not failed,
        kind="shown",
        sentence="Tasks were run, and their receipts verify.",
        evidence={"receipts": len(bundles)},
        checks=(said,),
        proofs=tuple(ReceiptRecord(bundle=bundle) for bundle in bundles),
        at_ms=at_ms,
        took_ms=0,
    )

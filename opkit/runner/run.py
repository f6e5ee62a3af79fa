"""Runs flows: kernels and network are started together, notebooks executed, the report written.

Source: ADR 0011.
"""

from __future__ import annotations

import asyncio
import platform
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from opkit.runner.collect import Collector
from opkit.runner.execute import CELL_SECONDS_MAX, Job, execute
from opkit.runner.folder import write_folder
from opkit.runner.kernels import KernelPool
from opkit.runner.network import (
    Network,
    NetworkFacts,
    OnEvent,
    OpenNetwork,
    RunEvent,
    RunResult,
    ignore,
)
from opkit.story.flow import Flow
from opkit.story.record import FlowRecord, RunRecord
from opkit.story.states import State

PARALLEL_MAX = 8
PRELOAD = ("devnet.attach", "flows", "opkit.story.notebook")
_TO_EXECUTE = ("papermill", "opkit.runner.engine")
_TO_WRITE = ("nbconvert", "opkit.views.report")


@dataclass
class _Run:
    """What one run needs everywhere."""

    run_id: str
    seed: int
    profile: str
    notebooks: Path
    out: Path
    cell_seconds: int
    on_event: OnEvent
    pool: KernelPool
    began: float = field(default_factory=time.monotonic)
    created_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    lock: threading.Lock = field(default_factory=threading.Lock)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def say(self, event: RunEvent) -> None:
        """Hand an event on, one at a time."""
        with self.lock:
            self.on_event(event)


async def run_flows(
    *,
    flows: Sequence[Flow[Any]],
    open_network: OpenNetwork,
    notebooks: Path,
    out: Path,
    run_id: str,
    seed: int,
    profile: str,
    parallel: int = 2,
    junit: Path | None = None,
    on_event: OnEvent = ignore,
    cell_seconds: int = CELL_SECONDS_MAX,
    preload: tuple[str, ...] = PRELOAD,
) -> RunResult:
    """Tell flows by their notebooks on one network, and write a signed report.

    Flows that disturb others are told one after another, after the rest. When the call is
    cancelled (Ctrl-C), kernels are killed, the report is written with what there is and marked as
    interrupted, and the cancellation goes on.

    Args:
        flows: what to tell, in this order; all must apply to the profile.
        open_network: starts or finds the network, while kernels boot.
        notebooks: the folder with the notebooks that the flows name.
        out: the run folder; made new, must not exist or be empty.
        run_id: tells this run from every other on the network.
        seed: fixes figures, order and faults.
        profile: the network's profile.
        parallel: how many notebooks at once, at most `PARALLEL_MAX`.
        junit: where to write JUnit XML besides the run folder's own.
        on_event: called with progress, from several threads, never twice at once.
        cell_seconds: how long one cell may take.
        preload: modules that kernels import while they boot.

    Raises:
        FileExistsError: there is something in `out`.
        FileNotFoundError: a flow's notebook is not there.
        OSError: the folder cannot be written.
    """
    notebooks, out = _folders(flows, notebooks=notebooks, out=out, parallel=parallel)
    run = _Run(
        run_id=run_id,
        seed=seed,
        profile=profile,
        notebooks=notebooks,
        out=out,
        cell_seconds=cell_seconds,
        on_event=on_event,
        pool=KernelPool(preload=preload),
    )
    run.say(RunEvent(kind="opening"))
    # Kernels boot and modules load while the network starts.
    ahead = _Ahead(run.pool, kernels=min(parallel, len(flows)))
    try:
        async with open_network() as network:
            run.say(RunEvent(kind="network", title=network.name))
            await ahead.can_execute()
            result = await _tell_all(run, flows, network, ahead=ahead, parallel=parallel)
    finally:
        await ahead.can_write()
        await asyncio.to_thread(run.pool.close)
    if junit is not None:
        shutil.copyfile(result.folder / "junit.xml", junit)
    return result


def _folders(
    flows: Sequence[Flow[Any]], *, notebooks: Path, out: Path, parallel: int
) -> tuple[Path, Path]:
    assert flows, "a run tells at least one flow"
    assert 1 <= parallel <= PARALLEL_MAX, f"parallel is between 1 and {PARALLEL_MAX}"
    for flow in flows:
        if not (notebooks / flow.notebook).is_file():
            raise FileNotFoundError(f"flow {flow.name} has no notebook {flow.notebook!r}")
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty: a run folder is made new")
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    return notebooks.resolve(), out.resolve()


class _Ahead:
    """What is started beside the network, in one thread after the other.

    Two threads that import packages of Jupyter at once can meet one half imported, so whoever
    needs them waits here first.
    """

    def __init__(self, pool: KernelPool, *, kernels: int) -> None:
        """Begin at once."""
        self._executing = asyncio.create_task(asyncio.to_thread(_start, pool, kernels))
        self._writing = asyncio.create_task(self._then_writing())

    async def can_execute(self) -> None:
        """Return once kernels were started and papermill is there."""
        await asyncio.shield(self._executing)

    async def can_write(self) -> None:
        """Return once what writes the report is there."""
        await asyncio.shield(self._writing)

    async def _then_writing(self) -> None:
        await self._executing
        await asyncio.to_thread(_load, _TO_WRITE)


def _start(pool: KernelPool, count: int) -> None:
    pool.start(count)
    _load(_TO_EXECUTE)


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        import_module(name)


async def _tell_all(
    run: _Run,
    flows: Sequence[Flow[Any]],
    network: Network,
    *,
    ahead: _Ahead,
    parallel: int,
) -> RunResult:
    told: dict[str, FlowRecord] = {}
    interrupted = False
    try:
        await _execute_all(run, flows, network, parallel=parallel, told=told)
    except asyncio.CancelledError:
        interrupted = True
        raise
    finally:
        # Also on the way out of a cancelled run: what was told so far is kept.
        facts = NetworkFacts(nodes=(), clock_moved_ms=0) if interrupted else await network.facts()
        record = _record(
            run,
            network,
            facts,
            flows=tuple(told[flow.name] for flow in flows if flow.name in told),
            interrupted=interrupted,
            took_ms=round((time.monotonic() - run.began) * 1000),
        )
        await ahead.can_write()
        await asyncio.shield(asyncio.to_thread(_write, run, network, record))
        result = RunResult(run=record, folder=run.out)
        run.say(RunEvent(kind="report", run=record, folder=run.out))
    return result


async def _execute_all(
    run: _Run,
    flows: Sequence[Flow[Any]],
    network: Network,
    *,
    parallel: int,
    told: dict[str, FlowRecord],
) -> None:
    places = asyncio.Semaphore(parallel)

    async def one(flow: Flow[Any]) -> None:
        async with places:
            working = asyncio.create_task(asyncio.to_thread(_execute, run, flow, network.name))
            try:
                told[flow.name] = await asyncio.shield(working)
            except asyncio.CancelledError:
                # The thread ends soon after its kernel; what it saw until then is kept.
                run.pool.interrupt()
                told[flow.name] = await working
                raise

    async with asyncio.TaskGroup() as group:
        for flow in flows:
            if not flow.disturbs:
                group.create_task(one(flow))
    for flow in flows:
        if flow.disturbs:
            await one(flow)


def _execute(run: _Run, flow: Flow[Any], devnet: str) -> FlowRecord:
    total = len(flow.steps)
    run.say(RunEvent(kind="flow", flow=flow.name, title=flow.title, total=total))
    places = {step.marker: (index, step) for index, step in enumerate(flow.steps)}

    def on_step(marker: str, state: State, took_ms: int | None) -> None:
        if marker in places:
            index, step = places[marker]
            run.say(
                RunEvent(
                    kind="step",
                    flow=flow.name,
                    index=index,
                    total=total,
                    marker=marker,
                    sentence=step.sentence,
                    state=state,
                    took_ms=took_ms,
                )
            )

    collector = Collector(flow, on_step=on_step)
    parameters = {
        "profile": run.profile,
        "seed": run.seed,
        "devnet": devnet,
        "run_id": run_id_of(run.run_id, flow),
    }
    job = Job(
        source=run.notebooks / flow.notebook,
        target=run.out / "notebooks" / flow.notebook,
        parameters=parameters,
        cell_seconds=run.cell_seconds,
    )
    record = execute(job, collector, run.pool)
    with run.lock:
        run.blobs.update(collector.blobs)
    run.say(RunEvent(kind="end", flow=flow.name, title=flow.title, total=total, record=record))
    return record


def run_id_of(run_id: str, flow: Flow[Any]) -> str:
    """Return the run id that one flow of a run stamps into what it makes."""
    return f"{run_id}-{flow.name}"


def _write(run: _Run, network: Network, record: RunRecord) -> None:
    with run.lock:
        blobs = dict(run.blobs)
    write_folder(run.out, record, blobs=blobs, genesis=network.genesis, operator=network.operator)


def _record(
    run: _Run,
    network: Network,
    facts: NetworkFacts,
    *,
    flows: tuple[FlowRecord, ...],
    interrupted: bool,
    took_ms: int,
) -> RunRecord:
    ok = bool(flows) and all(flow.ok for flow in flows) and not interrupted
    return RunRecord(
        run_id=run.run_id,
        seed=run.seed,
        profile=run.profile,
        network=network.genesis.network,
        operator=network.operator.did,
        ok=ok,
        interrupted=interrupted,
        clock_moved_ms=facts.clock_moved_ms,
        created_ms=run.created_ms,
        took_ms=took_ms,
        versions=versions(),
        nodes=facts.nodes,
        flows=flows,
    )


def versions() -> dict[str, str]:
    """Return the versions of this kit and of what it runs on."""
    found = {"python": platform.python_version()}
    for name in ("opkit", "papermill", "wasmtime", "iroh"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found

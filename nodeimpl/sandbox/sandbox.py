"""The sandbox: where modules are compiled and tasks run, in processes that hold no keys.

`Sandbox.launch` forks a spawner before keys are loaded; the spawner forks workers. One worker
runs one task at a time. Compiling happens in a process of its own that ends afterwards, and what
it made is kept under a MAC. A worker that hangs or dies is replaced; its task gets an honest
outcome.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nodeimpl.sandbox import framing
from nodeimpl.sandbox.codecache import CodeCache
from nodeimpl.sandbox.engine import engine_id, require_tested
from nodeimpl.sandbox.result import RunResult, no_result
from nodeimpl.sandbox.workers import Spawner, SpawnerGone, Worker, WorkerDied, WorkerSilent
from opkit.proof.cid import cid_of
from opkit.wire.base import Cid, Text
from opkit.wire.compute import Grants, ModuleInvalid, Outcome, TaskLimits
from opkit.wire.network import EngineId


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What the sandbox gives to compiling and running, beyond each task's own limits.

    Attributes:
        run_grace_ms: how long after a task's time limit its worker is killed from outside.
        tasks_per_worker_max: after so many tasks a worker is replaced.
        fork_ms_max: how long the spawner may take for a worker before it is replaced.
        spawners_max: how many spawners that ended are replaced within `spawners_ms`; one more,
            and the sandbox is broken.
    """

    compile_cpu_s: int = 10
    compile_wall_ms: int = 40_000
    compile_memory_bytes: int = 512 * 2**20
    compiles_waiting_max: int = 128
    tasks_waiting_max: int = 1_024
    run_grace_ms: int = 1_000
    tasks_per_worker_max: int = 10_000
    invalid_kept_max: int = 1_024
    cache_files_max: int = 256
    cache_bytes_max: int = 512 * 2**20
    fork_ms_max: int = 30_000
    spawners_max: int = 5
    spawners_ms: int = 600_000


COMPILE_TRIES = 2
"""How often a module is compiled whose compiler was killed by others."""

USED_MAX = 2**53 - 1
"""The greatest integer that canonical JSON spells."""

_TEXT = TypeAdapter(Text)

_FROM_OUTSIDE = frozenset({None, signal.SIGKILL})
"""What ends a compiler that its module did not end: nobody knows, or somebody killed it."""


class SandboxBusy(Exception):
    """More is waiting for a worker than the sandbox keeps."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: `module` is its bytes, or the file that holds them (read only to compile)."""

    wasm_hash: Cid
    module: bytes | Path
    stdin: bytes
    limits: TaskLimits
    grants: Grants


class Sandbox:
    """Worker processes behind two questions: compile this, run that."""

    def __init__(
        self, spawner: Spawner, *, workers_max: int, cache: CodeCache, limits: SandboxLimits
    ) -> None:
        """Use `launch`."""
        self._spawner = spawner
        self._workers_max = workers_max
        self._cache = cache
        self._limits = limits
        self._invalid: OrderedDict[str, str] = OrderedDict()
        self._replaced: deque[float] = deque(maxlen=limits.spawners_max)
        self._forget_loop()

    @classmethod
    def launch(
        cls, *, workers_max: int = 2, cache_folder: Path, limits: SandboxLimits | None = None
    ) -> Sandbox:
        """Start the spawner. Call this before keys are loaded, threads started, loops made.

        Raises:
            EngineUntested: the installed engine is another than this was tested with.
            CacheUnsafe: the cache folder is not ours alone.
        """
        assert workers_max >= 1
        require_tested()
        kept = limits or SandboxLimits()
        cache = CodeCache(
            cache_folder,
            engine=engine_id(),
            files_max=kept.cache_files_max,
            bytes_max=kept.cache_bytes_max,
        )
        return cls(Spawner.launch(), workers_max=workers_max, cache=cache, limits=kept)

    def _forget_loop(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[Worker] = []
        self._free = asyncio.Semaphore(self._workers_max)
        self._compiling = asyncio.Semaphore(1)
        self._compiles_waiting = 0
        self._running = 0
        self._waiting = 0

    @property
    def engine(self) -> EngineId:
        """What runs the modules."""
        return engine_id()

    @property
    def running(self) -> int:
        """How many tasks run now."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return self._waiting

    @property
    def slots(self) -> int:
        """How many tasks may run at once."""
        return self._workers_max

    @property
    def pids(self) -> tuple[int, ...]:
        """The spawner's process id and the workers'."""
        return (self._spawner.pid, *self._spawner.pids.values())

    async def start(self) -> None:
        """Serve the running loop, with one worker warm. Starting twice does nothing."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            await self.stop()
        self._loop = loop
        self._spawner.attach()
        self._idle.append(await self._fork())

    async def stop(self) -> None:
        """End the workers; the sandbox can be started again, on another loop too."""
        for worker in self._idle:
            worker.release()
        self._spawner.detach()
        self._forget_loop()

    async def close(self) -> None:
        """End the workers and the spawner for good."""
        await self.stop()
        self._spawner.close()

    async def compile(self, module: bytes, cid: Cid) -> None:
        """Have native code for `module` ready in the cache.

        Raises:
            ModuleInvalid: it does not compile within the limits; remembered by name.
            SandboxBusy: too many compiles wait.
        """
        await self._code(cid, module)

    async def run(self, job: Job, *, started: Callable[[], None] | None = None) -> RunResult:
        """Run one task to its end. Cancelling this kills the worker.

        Args:
            started: called when a worker was found for it; what it raises ends the run.

        Raises:
            ModuleInvalid: the module does not compile within the limits.
            SandboxBusy: too many tasks wait.
            SpawnerGone: the sandbox is broken: the node must start again.
        """
        if self._waiting >= self._limits.tasks_waiting_max:
            raise SandboxBusy
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            if started is not None:
                started()
            return await self._run_twice_at_most(job)
        finally:
            self._running -= 1
            self._free.release()

    async def _run_twice_at_most(self, job: Job) -> RunResult:
        """Run the job; once more if its worker died, for that may not be the module's doing."""
        try:
            return await self._run_on(await self._take(job.wasm_hash), job)
        except WorkerDied:
            pass
        try:
            return await self._run_on(await self._fork(), job)
        except WorkerDied as died:
            return no_result(Outcome.CANCELLED, f"the worker ended twice (signal {died.signal})")

    async def _take(self, name: str) -> Worker:
        """Return an idle worker, best one that holds the module, or a new one."""
        for worker in self._idle:
            if name in worker.holds:
                self._idle.remove(worker)
                return worker
        return self._idle.pop() if self._idle else await self._fork()

    async def _fork(self, *, compiles: bool = False) -> Worker:
        """Return a new worker; a spawner that has ended, or hangs, is replaced.

        Raises:
            SpawnerGone: that happened too often.
        """
        while True:
            spawner = self._spawner
            try:
                return await spawner.fork(compiles=compiles, wait_s=self._limits.fork_ms_max / 1000)
            except SpawnerGone:
                if spawner is self._spawner:
                    self._replace_spawner()

    def _replace_spawner(self) -> None:
        """Start a spawner in place of one that is of no use; its workers are gone with it.

        It is a fresh interpreter, not a fork: this process holds keys by now.

        Raises:
            SpawnerGone: it was replaced too often already.
        """
        now, limits = time.monotonic(), self._limits
        kept = self._replaced
        if len(kept) == limits.spawners_max and now - kept[0] < limits.spawners_ms / 1000:
            raise SpawnerGone(f"the spawner of workers ended {limits.spawners_max + 1} times")
        kept.append(now)
        for worker in self._idle:
            worker.release()
        self._idle.clear()
        self._spawner.close(by_force=True)
        self._spawner = Spawner.launch(fresh=True)
        self._spawner.attach()

    async def _run_on(self, worker: Worker, job: Job) -> RunResult:
        try:
            code = b"" if job.wasm_hash in worker.holds else await self._code_of(job)
        except BaseException:
            self._idle.append(worker)
            raise
        head = {
            "name": job.wasm_hash,
            "code_bytes": len(code),
            "limits": job.limits.model_dump(),
            "grants": job.grants.model_dump(),
        }
        deadline_s = (job.limits.time_ms + self._limits.run_grace_ms) / 1000
        try:
            answer, output = await worker.ask(
                framing.encode(head, code, job.stdin),
                deadline_s=deadline_s,
                bytes_max=job.limits.output_bytes,
            )
        except WorkerSilent:
            return no_result(
                Outcome.TIME, "time limit (killed)", time_used_us=round(deadline_s * 1e6)
            )
        try:
            result, worker.holds = _judged(answer, output, job.limits)
        except (KeyError, TypeError, ValueError):
            # Whatever made a worker say this, it is no worker of ours any more.
            worker.kill()
            raise WorkerDied(signal=None) from None
        self._put_back(worker)
        return result

    def _put_back(self, worker: Worker) -> None:
        worker.tasks_done += 1
        if worker.tasks_done < self._limits.tasks_per_worker_max:
            self._idle.append(worker)
        else:
            worker.release()

    async def _code_of(self, job: Job) -> bytes:
        if (code := self._cache.get(job.wasm_hash)) is not None:
            return code
        module = job.module
        if isinstance(module, Path):
            module = await asyncio.to_thread(module.read_bytes)
        return await self._code(job.wasm_hash, module)

    async def _code(self, cid: Cid, module: bytes) -> bytes:
        """Return native code, compiling it unless it is kept; one compile at a time."""
        self._refuse_known(cid)
        if (code := self._cache.get(cid)) is not None:
            return code
        if self._compiles_waiting >= self._limits.compiles_waiting_max:
            raise SandboxBusy
        self._compiles_waiting += 1
        try:
            async with self._compiling:
                self._refuse_known(cid)
                if (code := self._cache.get(cid)) is not None:
                    return code
                if cid_of(module) != cid:
                    raise ModuleInvalid(why="the bytes are not the module of this name")
                code = await self._compile(cid, module)
        finally:
            self._compiles_waiting -= 1
        await asyncio.to_thread(self._cache.put, cid, code)
        return code

    def _refuse_known(self, cid: Cid) -> None:
        if cid in self._invalid:
            raise ModuleInvalid(why=self._invalid[cid])

    async def _compile(self, cid: Cid, module: bytes) -> bytes:
        """Return native code, or remember why there is none.

        Only what the module itself brought about is remembered. The wall clock also counts what
        else the machine does, and whoever is out of memory may kill a compiler that is not at
        fault: it gets a second try.
        """
        why, code = await self._compile_patiently(module)
        if not why:
            return code
        self._invalid[cid] = why
        while len(self._invalid) > self._limits.invalid_kept_max:
            self._invalid.popitem(last=False)
        raise ModuleInvalid(why=why)

    async def _compile_patiently(self, module: bytes) -> tuple[str, bytes]:
        """Return why a module does not compile, empty if it does, and its native code.

        Raises:
            ModuleInvalid: nothing is known of it but that it could not be compiled now.
        """
        limits = self._limits
        for _ in range(COMPILE_TRIES):
            try:
                return await self._compile_once(module)
            except WorkerSilent:
                raise ModuleInvalid(why="compiling takes too long") from None
            except WorkerDied as died:
                if died.signal in _FROM_OUTSIDE:
                    continue
                why = (
                    f"compiling takes more than {limits.compile_cpu_s} s of CPU time or "
                    f"{limits.compile_memory_bytes} bytes (signal {died.signal})"
                )
                return why, b""
        raise ModuleInvalid(why=f"its compiler was killed {COMPILE_TRIES} times")

    async def _compile_once(self, module: bytes) -> tuple[str, bytes]:
        """Return why a module does not compile, empty if it does, and its native code."""
        limits = self._limits
        head = {"cpu_s": limits.compile_cpu_s, "memory_bytes": limits.compile_memory_bytes}
        worker = await self._fork(compiles=True)
        try:
            answer, code = await worker.ask(
                framing.encode(head, module), deadline_s=limits.compile_wall_ms / 1000
            )
            return _TEXT.validate_python(answer["why"], strict=True), code
        except (KeyError, ValueError):
            worker.kill()
            raise WorkerDied(signal=0) from None
        finally:
            worker.release()


def _judged(
    answer: dict[str, Any], output: bytes, limits: TaskLimits
) -> tuple[RunResult, list[str]]:
    """Return a worker's answer and the modules that it holds now, if it can be an honest one's.

    A module that broke out of the engine speaks for its worker: what it says must not break the
    node, nor make it sign what contradicts itself.

    Raises:
        KeyError, TypeError, ValueError: it cannot.
    """
    outcome, holds = Outcome(answer["outcome"]), answer["holds"]
    used = {
        "fuel_used": limits.fuel,
        "time_used_us": USED_MAX,
        "memory_peak_bytes": limits.memory_bytes,
    }
    figures: dict[str, int] = {name: answer[name] for name in used}
    for name, most in used.items():
        if type(figures[name]) is not int or not 0 <= figures[name] <= most:
            raise ValueError(name)
    if not isinstance(holds, list) or not all(isinstance(name, str) for name in holds):
        raise TypeError("holds")
    reason = _TEXT.validate_python(answer["reason"], strict=True)
    if len(output) > (limits.output_bytes if outcome is Outcome.OK else 0):
        raise ValueError("output")
    return RunResult(outcome=outcome, reason=reason, output=output, **figures), holds

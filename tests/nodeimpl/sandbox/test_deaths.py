"""Workers and spawners that end at every stage: honest ends, and the next task is served."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nodeimpl.sandbox.sandbox import Job, Sandbox, SandboxLimits
from nodeimpl.sandbox.workers import SpawnerGone
from opkit.wire.compute import Outcome

PROGRAM = Path(__file__).parent / "dying_workers.py"
PROGRAM_S_MAX = 240
ONE = SandboxLimits(spawners_max=1)
KILLED = "invalid: its compiler was killed 2 times"
BUSY = {"fuel": 100_000_000_000, "time_ms": 60_000}

CASES: dict[str, tuple[str, str]] = {
    "hello 1 SIGKILL": ("ok", "ok"),
    "hello 3 SIGKILL": (KILLED, "ok"),
    "hello 1 SIGSTOP": ("time", "ok"),
    "compiling 1 SIGKILL": ("ok", "ok"),
    "compiling 2 SIGKILL": (KILLED, "ok"),
    "compiling 1 SIGABRT": ("invalid: ", "invalid: "),
    "compiling 1 SIGSTOP": ("invalid: compiling takes too long", "ok"),
    "answering a compile 1 SIGKILL": ("ok", "ok"),
    "answering a compile 2 SIGKILL": (KILLED, "ok"),
    "loading 1 SIGKILL": ("ok", "ok"),
    "loading 2 SIGKILL": ("cancelled", "ok"),
    "loading 1 SIGABRT": ("ok", "ok"),
    "loading 1 SIGSTOP": ("time", "ok"),
    "running 1 SIGKILL": ("ok", "ok"),
    "running 2 SIGKILL": ("cancelled", "ok"),
    "running 2 SIGABRT": ("cancelled", "ok"),
    "running 1 SIGSTOP": ("time", "ok"),
    "answering 1 SIGKILL": ("ok", "ok"),
    "answering 2 SIGKILL": ("cancelled", "ok"),
    "answering 1 SIGSTOP": ("time", "ok"),
    "between tasks 1 SIGKILL": ("ok", "ok"),
    "between tasks 1 SIGSTOP": ("ok", "time"),
}
"""Stage, how many workers end there, by which signal: how the task ends, and when asked again."""


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, Any]]:
    """What came of every case, each in a sandbox of its own."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input="\n".join(CASES),
        capture_output=True,
        text=True,
        timeout=PROGRAM_S_MAX,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(CASES), done.stderr
    return dict(zip(CASES, lines, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(PROGRAM_S_MAX + 30)
@pytest.mark.parametrize("case", CASES)
def test_a_worker_that_ends_at_any_stage_costs_its_task_an_honest_end_and_nobody_else_anything(
    told: dict[str, dict[str, Any]], case: str
) -> None:
    first, again = CASES[case]
    said = told[case]
    assert said["first"].startswith(first), said
    assert said["again"].startswith(again), said
    assert said["other"] == "ok"
    assert said["left"] == 0


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., Any]:
    """Run an async function with a sandbox of its own, which it may break."""

    def run(work: Callable[..., Any], limits: SandboxLimits) -> Any:
        made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code", limits=limits)

        async def main() -> Any:
            await made.start()
            try:
                async with asyncio.timeout(90):
                    return await work(made)
            finally:
                await made.close()

        return asyncio.run(main())

    return run


async def killed_spawner(sandbox: Sandbox) -> int:
    """Kill the spawner and return the process id that it had, once its workers are gone too."""
    spawner, *workers = sandbox.pids
    os.kill(spawner, signal.SIGKILL)
    while any(psutil.pid_exists(pid) for pid in workers):
        await asyncio.sleep(0.01)
    return spawner


def test_a_spawner_killed_between_tasks_is_replaced(
    alone: Callable[..., Any], job: Callable[..., Job], module: Callable[[str], bytes]
) -> None:
    async def work(sandbox: Sandbox) -> None:
        assert (await sandbox.run(job(module("upper"), b"one"))).output == b"ONE"
        before = await killed_spawner(sandbox)
        assert (await sandbox.run(job(module("upper"), b"two"))).output == b"TWO"
        assert sandbox.pids[0] != before
        assert not psutil.pid_exists(before), "it is not left as a zombie either"

    alone(work, SandboxLimits())


def test_a_spawner_killed_while_a_task_runs_costs_it_a_second_try(
    alone: Callable[..., Any], job: Callable[..., Job], module: Callable[[str], bytes]
) -> None:
    async def work(sandbox: Sandbox) -> None:
        begun = asyncio.Event()
        spin = job(module("spin"), **BUSY | {"time_ms": 1_500})
        running = asyncio.create_task(sandbox.run(spin, started=begun.set))
        await begun.wait()
        await killed_spawner(sandbox)
        assert (await running).outcome is Outcome.TIME
        assert (await sandbox.run(job(module("upper"), b"next"))).output == b"NEXT"

    alone(work, SandboxLimits())


def test_a_spawner_killed_while_a_module_compiles_costs_it_a_second_try(
    alone: Callable[..., Any], job: Callable[..., Job], module: Callable[[str], bytes]
) -> None:
    async def work(sandbox: Sandbox) -> None:
        os.kill(sandbox.pids[0], signal.SIGSTOP)
        running = asyncio.create_task(sandbox.run(job(module("upper"), b"compiled")))
        done, _ = await asyncio.wait({running}, timeout=0.1)
        assert not done
        await killed_spawner(sandbox)
        assert (await running).output == b"COMPILED"

    alone(work, SandboxLimits())


@pytest.mark.slow
def test_a_spawner_that_hangs_is_replaced(
    alone: Callable[..., Any], job: Callable[..., Job], module: Callable[[str], bytes]
) -> None:
    async def work(sandbox: Sandbox) -> None:
        await sandbox.run(job(module("upper"), b"one"))
        before = sandbox.pids[0]
        os.kill(before, signal.SIGSTOP)
        assert (await sandbox.run(job(module("upper"), b"two"))).output == b"TWO"
        assert sandbox.pids[0] != before

    alone(work, SandboxLimits(fork_ms_max=5_000, tasks_per_worker_max=1))


def test_a_spawner_that_never_stays_breaks_the_sandbox(
    alone: Callable[..., Any], job: Callable[..., Job], module: Callable[[str], bytes]
) -> None:
    async def work(sandbox: Sandbox) -> None:
        await killed_spawner(sandbox)
        await sandbox.run(job(module("upper"), b"one"))
        await killed_spawner(sandbox)
        with pytest.raises(SpawnerGone):
            await sandbox.run(job(module("upper"), b"two"))

    alone(work, ONE)


def test_a_fresh_spawner_holds_nothing_of_the_node(
    alone: Callable[..., Any],
    job: Callable[..., Job],
    module: Callable[[str], bytes],
    tmp_path: Path,
) -> None:
    async def work(sandbox: Sandbox) -> None:
        with (tmp_path / "secret").open("wb") as kept:
            os.set_inheritable(kept.fileno(), True)
            await killed_spawner(sandbox)
            await sandbox.run(job(module("upper"), b"one"))
            while len(sandbox.pids) != 2:  # Whoever compiled ends by itself, a moment later.
                await asyncio.sleep(0.01)
            for pid in sandbox.pids:
                held = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
                assert not [name for name in held if name.startswith(str(tmp_path))]

    alone(work, SandboxLimits())

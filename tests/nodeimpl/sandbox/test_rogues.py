"""Every module that means harm is bounded and ends as it must, and the next task is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from bench.rogues import Rogue, rogues
from nodeimpl.sandbox.result import RunResult
from nodeimpl.sandbox.sandbox import Job, Sandbox
from opkit.wire.compute import ModuleInvalid

ROGUES = rogues()
WORKER_BYTES_MAX = 64 * 2**20
"""What a worker may keep of its own once a task is over."""


async def ended(sandbox: Sandbox, job: Job) -> RunResult | None:
    """Return how a job ended; None if its module was refused."""
    try:
        return await sandbox.run(job)
    except ModuleInvalid:
        return None


def left_over(sandbox: Sandbox) -> str:
    """Return what the spawner still has that no idle worker is; empty if there is nothing."""
    try:
        below = psutil.Process(sandbox.pids[0]).children(recursive=True)
        fat = [each.pid for each in below if each.memory_full_info().uss >= WORKER_BYTES_MAX]
    except psutil.NoSuchProcess:
        return "a process that just ends"
    if {each.pid for each in below} != set(sandbox.pids[1:]) or len(below) > sandbox.slots:
        return f"the processes {below}"
    return f"what was used, in {fat}" if fat else ""


async def nothing_is_left_over(sandbox: Sandbox) -> None:
    """Return once the spawner has no children but small workers that wait."""
    until = time.monotonic() + 20
    while why := left_over(sandbox):
        assert time.monotonic() < until, why
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", ROGUES)
def test_a_module_that_means_harm_is_bounded_and_the_next_task_is_served(
    inside: Callable[..., Any],
    job: Callable[..., Job],
    module: Callable[[str], bytes],
    name: str,
) -> None:
    rogue: Rogue = ROGUES[name]

    async def work(sandbox: Sandbox) -> None:
        bad = job(rogue.make(), b"", **rogue.limits, **rogue.grants)
        result = await ended(sandbox, bad)
        if not rogue.ends:
            assert result is None
        else:
            assert result is not None
            assert result.outcome in rogue.ends, result
            assert result.output == b""
            assert result.fuel_used <= bad.limits.fuel
            assert result.memory_peak_bytes <= bad.limits.memory_bytes
        assert (await sandbox.run(job(module("upper"), b"next"))).output == b"NEXT"
        assert (sandbox.running, sandbox.waiting) == (0, 0)
        await nothing_is_left_over(sandbox)

    inside(work)

"""Sandboxes whose workers end themselves at a stage of their life: run as a program by its test.

Each line of its input names one case, `STAGE DEATHS SIGNAL`; each line of its output says as JSON
how the task ended, how it ended when it was asked for again, and what is left over. The workers'
code is changed before they are forked, so that the moment is exact.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from nodeimpl.sandbox import confine, framing, wasi, worker
from nodeimpl.sandbox.machine import Machine
from nodeimpl.sandbox.sandbox import Job, Sandbox, SandboxLimits
from opkit.proof.cid import cid_of
from opkit.wire.compute import Grants, ModuleInvalid, TaskLimits

UPPER = Path(__file__).resolve().parents[3] / "wasm" / "upper.wasm"
OTHER = Path(__file__).resolve().parents[3] / "wasm" / "patronage.wasm"
LIMITS = SandboxLimits(compile_wall_ms=20_000, run_grace_ms=300)
STOPPED = SandboxLimits(compile_wall_ms=4_000, run_grace_ms=300)
"""Where a compiler is stopped: how long it is waited for, which is enough for one that goes on."""

CASE_S_MAX = 60

_deaths = mmap.mmap(-1, 1)


def dies(deaths: int, number: int) -> Callable[..., None]:
    """Return what ends its process by a signal, so often over all processes."""

    def end(*_: Any) -> None:
        if _deaths[0] < deaths:
            _deaths[0] += 1
            os.kill(os.getpid(), number)

    return end


def before(owner: Any, name: str, end: Callable[..., Any]) -> None:
    """Have `end` called before each call of a function, with its first argument."""
    real = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        end(*arguments[:1])
        return real(*arguments, **named)

    setattr(owner, name, changed)


def in_the_answer(end: Callable[..., None], *, of: str) -> None:
    """Have `end` called when half of an answer that has this field has been sent."""
    real, channels = framing.encode, list[socket.socket]()
    for name in ("serve_runs", "serve_compile"):
        before(worker, name, channels.append)

    def halved(head: dict[str, Any], *parts: bytes) -> bytes:
        frame = real(head, *parts)
        if of not in head:
            return frame
        half = len(frame) // 2
        channels[0].sendall(frame[:half])
        end()
        return frame[half:]

    worker.framing = type("Changed", (), {**vars(framing), "encode": staticmethod(halved)})


def after_the_answer(end: Callable[..., None]) -> None:
    """Have `end` called when a worker waits for its second task."""
    real, seen = framing.read, []

    def read(channel: Any) -> Any:
        seen.append(channel)
        if len(seen) == 2:
            end()
        return real(channel)

    framing.read = read


def change(stage: str, end: Callable[..., None]) -> None:
    """Have workers call `end` at this stage."""
    match stage:
        case "hello":
            before(confine, "limit", end)
        case "compiling":
            before(Machine, "compile", end)
        case "loading":
            before(Machine, "load", end)
        case "running":
            before(wasi.Wasi, "_pay", end)
        case "answering":
            in_the_answer(end, of="outcome")
        case "answering a compile":
            in_the_answer(end, of="why")
        case "between tasks":
            after_the_answer(end)
        case _:
            raise ValueError(stage)


async def ended(sandbox: Sandbox, path: Path) -> str:
    """Return how a task with this module ended, in a word."""
    module = path.read_bytes()
    job = Job(
        wasm_hash=cid_of(module),
        module=module,
        stdin=b"surplus 10\nHugo 1\n",
        limits=TaskLimits(time_ms=2_000),
        grants=Grants(),
    )
    try:
        return (await sandbox.run(job)).outcome.value
    except ModuleInvalid as no:
        return f"invalid: {no.why}"


async def left_over(sandbox: Sandbox) -> int:
    """Return how many processes more there are than workers that wait, once none end any more."""
    for _ in range(500):
        below = psutil.Process(sandbox.pids[0]).children(recursive=True)
        if {each.pid for each in below} == set(sandbox.pids[1:]) and len(below) <= 1:
            return 0
        await asyncio.sleep(0.02)
    return len(below)


async def tell(sandbox: Sandbox, stage: str) -> dict[str, Any]:
    """Run the task twice and another one, and say what came of it."""
    async with asyncio.timeout(CASE_S_MAX):
        await sandbox.start()
        try:
            # The warm worker is the first to end: a compiler that begins now could be as quick.
            while stage == "hello" and not _deaths[0]:
                await asyncio.sleep(0.01)
            return {
                "first": await ended(sandbox, UPPER),
                "again": await ended(sandbox, UPPER),
                "other": await ended(sandbox, OTHER),
                "left": await left_over(sandbox),
            }
        finally:
            await sandbox.close()


def case(stage: str, deaths: int, number: int) -> None:
    """Tell one case, in a process of its own."""
    change(stage, dies(deaths, number))
    limits = STOPPED if (stage, number) == ("compiling", signal.SIGSTOP) else LIMITS
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox.launch(workers_max=1, cache_folder=Path(folder) / "c", limits=limits)
        sys.stdout.write(json.dumps(asyncio.run(tell(sandbox, stage))) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Tell each case that is asked for."""
    for line in sys.stdin:
        stage, deaths, name = line.strip().rsplit(" ", 2)
        _deaths[0] = 0
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                case(stage, int(deaths), signal.Signals[name])
                status = 0
            finally:
                os._exit(status)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()

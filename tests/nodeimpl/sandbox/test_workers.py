"""Workers that die, hang or lie; a spawner that must not outlive anybody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nodeimpl.sandbox import framing
from nodeimpl.sandbox.sandbox import Job, Sandbox, SandboxLimits
from nodeimpl.sandbox.workers import Spawner, Worker, WorkerDied, WorkerSilent
from opkit.proof.cid import cid_of
from opkit.wire.compute import ModuleInvalid, Outcome

Module = Callable[[str], bytes]
ENDLESS: dict[str, Any] = {"fuel": 100_000_000_000, "time_ms": 60_000}


async def begun(sandbox: Sandbox, job: Job) -> asyncio.Task[Any]:
    """Return a run that a worker has begun."""
    has_worker = asyncio.Event()
    running = asyncio.create_task(sandbox.run(job, started=has_worker.set))
    await has_worker.wait()
    return running


async def worker_pids(sandbox: Sandbox) -> list[int]:
    """Return the process ids of the workers that wait, once all others are told to have ended.

    Whoever has compiled ends by itself, a moment after its answer.
    """
    async with asyncio.timeout(60):
        while len(sandbox.pids) != 1 + len(sandbox._idle):
            await asyncio.sleep(0.01)
    return list(sandbox.pids[1:])


def cpu_s(pid: int) -> float:
    """Return how much a process has computed; nothing, once it is gone."""
    try:
        return float(psutil.Process(pid).cpu_times().user)
    except psutil.NoSuchProcess:
        return 0.0


def test_a_worker_killed_while_idle_is_replaced(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> bytes:
        await sandbox.run(job(module("upper"), b"first"))
        for pid in await worker_pids(sandbox):
            os.kill(pid, signal.SIGKILL)
        return (await sandbox.run(job(module("upper"), b"second"))).output

    assert inside(work) == b"SECOND"


def test_a_task_whose_worker_dies_twice_gets_an_honest_outcome(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> tuple[Any, bytes]:
        running = await begun(sandbox, job(module("spin"), **ENDLESS))
        killed: set[int] = set()
        while not running.done():
            for pid in sandbox.pids[1:]:
                if pid not in killed and cpu_s(pid) > 0.05:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            await asyncio.sleep(0.02)
        after = await sandbox.run(job(module("upper"), b"still here"))
        assert len(killed) == 2
        return running.result(), after.output

    result, after = inside(work)
    assert result.outcome is Outcome.CANCELLED
    assert "signal 9" in result.reason
    assert after == b"STILL HERE"


def test_a_worker_that_hangs_is_killed_from_outside(
    tmp_path: Path, job: Callable[..., Job], module: Module
) -> None:
    made = Sandbox.launch(
        workers_max=1, cache_folder=tmp_path / "code", limits=SandboxLimits(run_grace_ms=200)
    )

    async def work() -> tuple[Any, bytes]:
        await made.start()
        try:
            await made.run(job(module("upper"), b"warm"))
            for pid in await worker_pids(made):
                os.kill(pid, signal.SIGSTOP)
            hung = await made.run(job(module("upper"), b"hung", time_ms=100))
            return hung, (await made.run(job(module("upper"), b"next"))).output
        finally:
            await made.close()

    hung, after = asyncio.run(work())
    assert (hung.outcome, hung.reason) == (Outcome.TIME, "time limit (killed)")
    assert after == b"NEXT"


def test_a_worker_holds_no_files_but_its_channel_and_few_rights(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> None:
        await sandbox.run(job(module("upper"), b"x"))
        (pid,) = (await worker_pids(sandbox))[:1]
        targets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert all(each == "/dev/null" or each.startswith("socket:") for each in targets)
        assert sum(each.startswith("socket:") for each in targets) == 1
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        assert "NoNewPrivs:\t1" in status
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
        rows = {line[:25].strip(): line[25:].split() for line in limits.splitlines()[1:]}
        assert rows["Max file size"][:2] == ["0", "0"]
        assert rows["Max core file size"][:2] == ["0", "0"]
        assert rows["Max open files"][:2] == ["16", "16"]

    inside(work)


def test_a_worker_is_small(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> list[int]:
        await sandbox.run(job(module("upper"), b"x"))
        pids = await worker_pids(sandbox)
        return [psutil.Process(pid).memory_full_info().uss for pid in pids]

    assert max(inside(work)) < 20 * 2**20


def test_what_a_large_task_used_is_given_back(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> int:
        result = await sandbox.run(job(module("balloon"), memory_bytes=64 * 2**20))
        assert result.memory_peak_bytes == 64 * 2**20
        (pid,) = (await worker_pids(sandbox))[:1]
        uss: int = psutil.Process(pid).memory_full_info().uss
        return uss

    assert inside(work) < 32 * 2**20


def test_no_worker_outlives_a_killed_node(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib, sys
from nodeimpl.sandbox.sandbox import Sandbox
made = Sandbox.launch(cache_folder=pathlib.Path({str(tmp_path / "code")!r}))
async def main():
    await made.start()
    while len(made.pids) < 2:
        await asyncio.sleep(0.01)
    print(*made.pids, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    node = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        pids = [int(each) for each in node.stdout.readline().split()]
        assert len(pids) == 2
    finally:
        node.kill()
        node.wait()
        node.stdout.close()
    until = time.monotonic() + 30
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_spawner_starts_beside_threads_too(
    tmp_path: Path, job: Callable[..., Job], module: Module
) -> None:
    async def work() -> bytes:
        await asyncio.to_thread(time.sleep, 0)
        made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code")
        await made.start()
        try:
            return (await made.run(job(module("upper"), b"threads"))).output
        finally:
            await made.close()

    assert asyncio.run(work()) == b"THREADS"


def test_a_spawner_killed_before_it_read_what_it_was_asked_is_replaced(
    tmp_path: Path, job: Callable[..., Job], module: Module
) -> None:
    async def work() -> list[dict[str, Any]]:
        complaints: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, said: complaints.append(said))
        made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code")
        await made.start()
        try:
            spawner = made.pids[0]
            os.kill(spawner, signal.SIGSTOP)
            running = asyncio.create_task(made.compile(module("upper"), cid_of(module("upper"))))
            done, _ = await asyncio.wait({running}, timeout=0.1)
            assert not done
            os.kill(spawner, signal.SIGKILL)
            await asyncio.wait_for(running, 60)
            assert made.pids[0] != spawner
        finally:
            await made.close()
        return complaints

    assert asyncio.run(work()) == []


@pytest.mark.slow
def test_a_compile_that_takes_too_much_is_ended_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = SandboxLimits(compile_cpu_s=1, compile_wall_ms=20_000)
    made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code", limits=limits)
    bomb = heavy()

    async def work() -> str:
        await made.start()
        try:
            with pytest.raises(ModuleInvalid) as no:
                await made.compile(bomb, cid_of(bomb))
            monkeypatch.setattr(made, "_spawner", None)  # No worker is asked again.
            with pytest.raises(ModuleInvalid):
                await made.compile(bomb, cid_of(bomb))
            return no.value.why
        finally:
            monkeypatch.undo()
            await made.close()

    assert "CPU time" in asyncio.run(work())


def test_a_compile_that_needs_too_much_memory_is_ended_and_remembered(tmp_path: Path) -> None:
    limits = SandboxLimits(compile_memory_bytes=12 * 2**20)
    made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code", limits=limits)
    bomb = heavy()

    async def work() -> None:
        await made.start()
        try:
            for _ in range(2):
                with pytest.raises(ModuleInvalid):
                    await made.compile(bomb, cid_of(bomb))
                assert list(made._invalid) == [cid_of(bomb)]
        finally:
            await made.close()

    asyncio.run(work())


def test_an_answer_larger_than_the_task_allows_is_not_read(
    inside: Callable[..., Any],
    job: Callable[..., Job],
    module: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(sandbox: Sandbox) -> None:
        large = job(module("upper"), b"x" * 1_000, output_bytes=1_000)
        assert (await sandbox.run(large)).output == b"X" * 1_000
        ask, announced = Worker.ask, framing.encode({}, b"x" * 1_000)[:8]

        async def told(self: Worker, frame: bytes, **named: Any) -> tuple[dict[str, Any], bytes]:
            # What a worker would send that was taken over: here its task allows less than it has.
            assert named["bytes_max"] == 1_000
            return await ask(self, frame, **named | {"bytes_max": 999})

        with monkeypatch.context() as smaller:
            smaller.setattr(Worker, "ask", told)
            assert (await sandbox.run(large)).outcome is Outcome.CANCELLED
        reader = asyncio.StreamReader()
        reader.feed_data(announced)
        with pytest.raises(framing.FrameBroken):
            await framing.receive(reader, bytes_max=999)
        assert (await sandbox.run(job(module("upper"), b"x"))).output == b"X"

    inside(work)


def test_a_compile_that_waits_too_long_is_refused_but_not_remembered(tmp_path: Path) -> None:
    limits = SandboxLimits(compile_wall_ms=50)
    made = Sandbox.launch(workers_max=1, cache_folder=tmp_path / "code", limits=limits)
    bomb = heavy()

    async def work() -> None:
        await made.start()
        try:
            with pytest.raises(ModuleInvalid, match="too long"):
                await made.compile(bomb, cid_of(bomb))
            assert not made._invalid
        finally:
            await made.close()

    asyncio.run(work())


def heavy() -> bytes:
    """Return a module within the limits of shape that takes seconds to compile."""
    import wasmtime

    locals_, depth = 780, 500
    sets = "".join(
        f"(local.set {n % locals_} (i32.add (local.get {n % locals_}) (local.get {n // 2})))"
        for n in range(800)
    )
    loops = "".join(
        f"(loop (br_if 0 (local.get {n})) (br_if {n} (local.get {n * 7 % locals_}))"
        for n in range(depth)
    )
    body = loops + sets + ")" * depth
    functions = "".join(f"(func $f{n} (local {'i32 ' * locals_}) {body})" for n in range(4))
    text = f'(module (memory 1) {functions} (func (export "_start")))'
    return bytes(wasmtime.wat2wasm(text))


def test_a_worker_that_says_nonsense_or_nothing_is_killed(tmp_path: Path) -> None:
    async def work() -> None:
        spawner = Spawner.launch()
        spawner.attach()
        try:
            worker = await spawner.fork()
            with pytest.raises(WorkerDied):
                await worker.ask(framing.encode({"no": "question"}), deadline_s=10)
            silent = await spawner.fork()
            with pytest.raises(WorkerSilent):
                await silent.ask(b"\0", deadline_s=0.2)
            spawner.kill(silent.number)
        finally:
            spawner.close()

    asyncio.run(work())


HONEST = {
    "outcome": "ok",
    "reason": "",
    "fuel_used": 1,
    "time_used_us": 1,
    "memory_peak_bytes": 1,
    "holds": [],
}
TALES: dict[str, tuple[dict[str, Any], bytes]] = {
    "an outcome that there is not": ({"outcome": "rich"}, b""),
    "more fuel than there was": ({"fuel_used": 10**15}, b""),
    "figures below nothing": ({"time_used_us": -1}, b""),
    "figures that are none": ({"memory_peak_bytes": "much"}, b""),
    "a truth for a figure": ({"fuel_used": True}, b""),
    "an endless reason": ({"reason": "x" * 2_000}, b""),
    "a reason that is none": ({"reason": None}, b""),
    "a reason that no receipt may hold": ({"reason": "\0"}, b""),
    "modules that are none": ({"holds": [1]}, b""),
    "nothing of what it holds": ({"holds": None}, b""),
    "more output than allowed": ({}, b"x" * 11),
    "output of a failed run": ({"outcome": "trap"}, b"x"),
}


@pytest.mark.parametrize("tale", TALES)
def test_a_worker_that_tells_what_cannot_be_is_killed_and_breaks_nothing(
    inside: Callable[..., Any],
    job: Callable[..., Job],
    module: Callable[[str], bytes],
    monkeypatch: pytest.MonkeyPatch,
    tale: str,
) -> None:
    changed, output = TALES[tale]
    killed = []

    async def ask(self: Worker, frame: bytes, **_: Any) -> tuple[dict[str, Any], bytes]:
        return HONEST | changed, output

    async def work(sandbox: Sandbox) -> None:
        await sandbox.compile(module("upper"), cid_of(module("upper")))
        kill = Worker.kill
        with monkeypatch.context() as broken_out:
            broken_out.setattr(Worker, "ask", ask)
            broken_out.setattr(Worker, "kill", lambda one: (killed.append(one), kill(one)))
            result = await sandbox.run(job(module("upper"), b"x", output_bytes=10))
        assert result.outcome is Outcome.CANCELLED
        assert len(killed) == 2
        assert (await sandbox.run(job(module("upper"), b"x"))).output == b"X"

    inside(work)

"""What a task can do in a worker, what ends it, and that the next task is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from nodeimpl.sandbox.engine import SETTINGS
from nodeimpl.sandbox.result import RunResult
from nodeimpl.sandbox.sandbox import Job, Sandbox, SandboxBusy, SandboxLimits
from opkit.proof.cid import cid_of
from opkit.wire.compute import ModuleInvalid, Outcome

Run = Callable[..., RunResult]
Module = Callable[[str], bytes]
Wat = Callable[..., bytes]
SPIN = '(func (export "_start") (loop $l br $l))'
EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
WRITE = (
    '(import "wasi_snapshot_preview1" "fd_write" '
    "(func $write (param i32 i32 i32 i32) (result i32)))"
)


def probe_says(result: RunResult) -> dict[str, list[int]]:
    lines = result.output.decode().splitlines()
    return {line.split()[0]: [int(each) for each in line.split()[1:]] for line in lines}


def test_input_goes_in_and_output_comes_out(run_once: Run, module: Module) -> None:
    result = run_once(module("upper"), b"four bolts, please")
    assert result.outcome is Outcome.OK
    assert result.output == b"FOUR BOLTS, PLEASE"
    assert 0 < result.fuel_used < 100_000
    assert result.memory_peak_bytes >= 65_536


def test_input_and_output_larger_than_one_transfer_pass(run_once: Run, module: Module) -> None:
    result = run_once(module("upper"), b"ab" * 700_000, output_bytes=1_400_000)
    assert result.outcome is Outcome.OK
    assert result.output == b"AB" * 700_000


def test_an_endless_loop_is_stopped_by_fuel(run_once: Run, module: Module) -> None:
    result = run_once(module("spin"), fuel=5_000_000)
    assert result.outcome is Outcome.FUEL
    assert result.fuel_used == 5_000_000
    assert result.output == b""


def test_an_endless_loop_is_stopped_by_time(run_once: Run, module: Module) -> None:
    result = run_once(module("spin"), fuel=100_000_000_000, time_ms=100)
    assert result.outcome is Outcome.TIME
    assert result.time_used_us >= 100_000


def test_a_memory_bomb_is_bounded(run_once: Run, module: Module) -> None:
    result = run_once(module("balloon"), memory_bytes=8 * 2**20)
    assert result.outcome is Outcome.MEMORY
    assert result.memory_peak_bytes == 8 * 2**20


def test_one_huge_growth_that_is_denied_counts_as_memory(run_once: Run, wat: Wat) -> None:
    grow = "(if (i32.eq (memory.grow (i32.const 30000)) (i32.const -1)) (then unreachable))"
    result = run_once(wat(f'(func (export "_start") {grow})'))
    assert result.outcome is Outcome.MEMORY
    assert "unreachable" in result.reason


def test_a_program_that_lives_with_denied_growth_is_fine(run_once: Run, wat: Wat) -> None:
    result = run_once(wat('(func (export "_start") (drop (memory.grow (i32.const 30000))))'))
    assert result.outcome is Outcome.OK


def test_a_first_memory_beyond_the_limit_counts_as_memory(run_once: Run, module: Module) -> None:
    assert run_once(module("upper"), memory_bytes=65_536).outcome is Outcome.MEMORY


def test_a_table_that_grows_is_bounded(run_once: Run, wat: Wat) -> None:
    grow = "(drop (table.grow 0 (ref.null func) (i32.const 1000)))"
    body = f'(table 1 funcref) (func (export "_start") (loop $l {grow} (br $l)))'
    result = run_once(wat(body), fuel=1_000_000)
    assert result.outcome is Outcome.FUEL


def test_endless_recursion_ends_on_the_stack(run_once: Run, wat: Wat) -> None:
    assert run_once(wat('(func $f (export "_start") call $f)')).outcome is Outcome.STACK


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("unreachable", "unreachable"),
        ("(drop (i32.load (i32.const -4)))", "memory out of bounds"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer division by zero"),
        ("(call $exit (i32.const 3))", "exit 3"),
    ],
)
def test_a_trap_is_named(run_once: Run, wat: Wat, body: str, reason: str) -> None:
    result = run_once(wat(f'(func (export "_start") {body})', head=EXIT))
    assert (result.outcome, result.reason) == (Outcome.TRAP, reason)


def test_exit_zero_is_a_good_end(run_once: Run, wat: Wat) -> None:
    result = run_once(wat('(func (export "_start") (call $exit (i32.const 0)))', head=EXIT))
    assert result.outcome is Outcome.OK


def test_an_output_flood_ends_at_its_limit(run_once: Run, wat: Wat) -> None:
    flood = """(data (i32.const 0) "\\10\\00\\00\\00\\00\\10\\00\\00")
      (func (export "_start") (loop $l
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l)))"""
    result = run_once(wat(flood, head=WRITE), output_bytes=100_000)
    assert (result.outcome, result.reason) == (Outcome.TRAP, "output limit")
    assert result.output == b""


def test_a_host_call_loop_pays_for_its_calls(run_once: Run, wat: Wat) -> None:
    loop = """(func (export "_start") (loop $l
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 8))) (br $l)))"""
    result = run_once(wat(loop, head=WRITE), fuel=2_000_000)
    assert result.outcome is Outcome.FUEL
    assert result.fuel_used == 2_000_000


def test_without_grants_nothing_of_the_world_is_seen(run_once: Run, module: Module) -> None:
    said = probe_says(run_once(module("probe")))
    assert said == {
        "clock-real": [58],
        "clock-monotonic": [58],
        "clock-resolution": [58],
        "random": [58],
        "sleep": [58],
        "folder": [8],
        "file": [76],
        "network": [58],
        "environment": [0, 0],
        "arguments": [0, 1],
    }


def test_a_grant_gives_the_manifests_values_and_never_waits(run_once: Run, module: Module) -> None:
    # The probe asks to sleep for three seconds: were it to, its time would run out.
    grants = {"clock_ms": 1_700_000_000_000, "random_seed": 7}
    result = run_once(module("probe"), time_ms=2_900, **grants)
    assert result.outcome is Outcome.OK
    said = probe_says(result)
    assert said["clock-real"] == [0, 1_700_000_000_000_000_000]
    assert said["clock-monotonic"] == [0, 1_700_000_000_000_000_000]
    assert said["sleep"] == [0, 1]
    assert said["random"][0] == 0
    again = probe_says(run_once(module("probe"), random_seed=7))
    other = probe_says(run_once(module("probe"), random_seed=8))
    assert again["random"] == said["random"] != other["random"]
    assert again["clock-real"] == [58]


def test_the_same_task_gives_the_same_output_and_fuel_on_every_worker(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    one = job(module("patronage"), b"surplus 3840\nHugo 120\nLeila 115\nBram 104\n")

    async def work(sandbox: Sandbox) -> set[tuple[bytes, int]]:
        results = await asyncio.gather(*(sandbox.run(one) for _ in range(20)))
        return {(result.output, result.fuel_used) for result in results}

    assert len(inside(work)) == 1


def test_fuel_spent_before_a_trap_is_the_same_each_time(run_once: Run, wat: Wat) -> None:
    module = wat('(func (export "_start") (drop (i32.load (i32.const -4))))')
    assert len({run_once(module).fuel_used for _ in range(3)}) == 1


def test_what_is_no_number_is_so_in_the_same_bits_on_every_machine(run_once: Run, wat: Wat) -> None:
    """Left to themselves processors choose a sign for 0/0, and another module's output differs."""
    divide = """(data (i32.const 0) "\\10\\00\\00\\00\\04\\00\\00\\00")
      (func (export "_start")
        (f32.store (i32.const 16) (f32.div (f32.load (i32.const 32)) (f32.load (i32.const 36))))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))"""
    result = run_once(wat(divide, head=WRITE))
    assert result.output.hex() == "0000c07f"


REFUSED_BY_SETTING = {
    "threads": "(memory 1 1 shared)",
    "memory64": "(memory i64 1)",
    "multi_memory": "(memory 1) (memory 1)",
    "tail_call": "(memory 1) (func $f) (func return_call $f)",
    "exceptions": "(memory 1) (tag $e) (func throw $e)",
    "gc": "(memory 1) (type (struct (field i32)))",
    "relaxed_simd": """(memory 1) (func (param v128) (result v128)
        (i32x4.relaxed_trunc_f32x4_s (local.get 0)))""",
}
"""What a module would have to contain to use what a receipt's engine says is off."""


@pytest.mark.parametrize("setting", REFUSED_BY_SETTING)
def test_what_the_name_of_the_engine_says_is_off_is_off(run_once: Run, setting: str) -> None:
    """Refused by the check before compiling or by the engine: each alone would do."""
    assert SETTINGS[setting] is False
    text = f'(module {REFUSED_BY_SETTING[setting]} (func (export "_start")))'
    with pytest.raises(ModuleInvalid):
        run_once(bytes(wasmtime.wat2wasm(text)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('(import "env" "f" (func)) (memory 1) (func (export "_start"))', "it imports"),
        ("(memory 1)", "_start"),
        ('(memory 1) (func (export "_start") (param i32))', "takes or returns"),
        ('(memory 1) (global (export "_start") i32 (i32.const 1))', "_start"),
        ('(import "wasi_snapshot_preview1" "nothing" (func))', "nothing"),
    ],
)
def test_a_module_that_is_no_command_is_invalid(run_once: Run, text: str, why: str) -> None:
    with pytest.raises(ModuleInvalid, match=why):
        run_once(bytes(wasmtime.wat2wasm(f"(module {text})")))


def test_a_failed_compile_is_remembered(
    inside: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = b"\0asm\x01\0\0\0junk"

    async def work(sandbox: Sandbox) -> None:
        with pytest.raises(ModuleInvalid) as first:
            await sandbox.compile(bad, cid_of(bad))
        monkeypatch.setattr(sandbox, "_spawner", None)  # No worker is asked again.
        with pytest.raises(ModuleInvalid) as again:
            await sandbox.compile(bad, cid_of(bad))
        monkeypatch.undo()
        assert again.value.why == first.value.why

    inside(work)


def test_bytes_of_another_name_are_never_compiled(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    async def work(sandbox: Sandbox) -> None:
        named = cid_of(b"something else")
        with pytest.raises(ModuleInvalid, match="of this name"):
            await sandbox.compile(module("spin"), named)
        with pytest.raises(ModuleInvalid, match="of this name"):
            await sandbox.compile(module("spin"), named)

    inside(work)


def test_a_module_is_read_from_its_file_when_it_must_be_compiled(
    inside: Callable[..., Any], job: Callable[..., Job], wat: Wat, tmp_path: Path
) -> None:
    module = wat('(func (export "_start") (drop (i32.const 4711)))')
    path = tmp_path / "module"
    path.write_bytes(module)
    from dataclasses import replace

    from_file = replace(job(module), module=path)

    async def work(sandbox: Sandbox) -> Outcome:
        await sandbox.run(from_file)
        path.unlink()
        return (await sandbox.run(from_file)).outcome

    assert inside(work) is Outcome.OK


def test_cancelling_ends_a_run_at_once_and_the_next_task_is_served(
    inside: Callable[..., Any], job: Callable[..., Job], module: Module
) -> None:
    endless = job(module("spin"), fuel=100_000_000_000, time_ms=60_000)

    async def work(sandbox: Sandbox) -> RunResult:
        begun = asyncio.Event()
        running = asyncio.create_task(sandbox.run(endless, started=begun.set))
        await begun.wait()
        assert sandbox.running == 1
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert sandbox.running == 0
        return await sandbox.run(job(module("upper"), b"next"))

    assert inside(work).output == b"NEXT"


def test_tasks_wait_for_a_slot_and_the_queue_is_bounded(
    tmp_path: Path, job: Callable[..., Job], module: Module
) -> None:
    made = Sandbox.launch(
        workers_max=1, cache_folder=tmp_path / "code", limits=SandboxLimits(tasks_waiting_max=1)
    )
    slow = job(module("spin"), fuel=100_000_000_000, time_ms=300)

    async def work() -> None:
        await made.start()
        await made.start()
        try:
            tasks = [asyncio.create_task(made.run(slow)) for _ in range(2)]
            await asyncio.sleep(0)
            assert (made.running, made.waiting, made.slots) == (1, 1, 1)
            with pytest.raises(SandboxBusy):
                await made.run(slow)
            assert [(await task).outcome for task in tasks] == [Outcome.TIME, Outcome.TIME]
        finally:
            await made.close()

    asyncio.run(work())


def test_so_many_compiles_wait_and_who_comes_then_is_busy_and_may_come_again(
    tmp_path: Path, wat: Wat
) -> None:
    made = Sandbox.launch(
        workers_max=1, cache_folder=tmp_path / "code", limits=SandboxLimits(compiles_waiting_max=2)
    )
    modules = [wat(f'(func (export "_start") (drop (i32.const {n})))') for n in range(3)]

    async def work() -> None:
        await made.start()
        try:
            compiling = [made.compile(each, cid_of(each)) for each in modules]
            ends = await asyncio.gather(*compiling, return_exceptions=True)
            assert [type(end) for end in ends] == [type(None), type(None), SandboxBusy]
            await made.compile(modules[2], cid_of(modules[2]))
        finally:
            await made.close()

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_worker_is_replaced_after_so_many_tasks(
    tmp_path: Path, job: Callable[..., Job], module: Module
) -> None:
    made = Sandbox.launch(
        workers_max=1, cache_folder=tmp_path / "code", limits=SandboxLimits(tasks_per_worker_max=2)
    )

    async def work() -> list[int]:
        await made.start()
        seen = []
        try:
            for _ in range(4):
                await made.run(job(module("upper"), b"x"))
                seen.append(made._spawner._numbers)
        finally:
            await made.close()
        return seen

    numbers = asyncio.run(work())
    assert numbers[-1] > numbers[0]

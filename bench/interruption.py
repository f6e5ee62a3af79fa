"""What it costs that a run can be ended, by fuel, by epochs, by both; and what a start costs.

Processor time of single runs, in turn, so that what else the machine does meets all alike. The
figures stand in ADR 0024; every release of the engine is worth another look.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from statistics import median

import wasmtime
from wasmtime import _bindings as bindings

from bench.rows import Row, quick, row
from nodeimpl.sandbox.engine import SETTINGS, STACK_BYTES_MAX
from nodeimpl.sandbox.memory import LinearMemory
from opkit.wire.compute import TaskLimits

TIMES, QUICK_TIMES = 31, 7
STARTS, QUICK_STARTS = 300, 60
FUEL = 10**12

COUNTING = """(module (func (export "_start") (local i32) (local.set 0 (i32.const 20000000))
  (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"""
SIEVE = """(module (memory (export "memory") 16) (func (export "_start") (local i32 i32)
  (local.set 0 (i32.const 2))
  (loop $next
    (local.set 1 (i32.mul (local.get 0) (local.get 0)))
    (if (i32.eqz (i32.load8_u (local.get 0))) (then
      (loop $mark (if (i32.lt_u (local.get 1) (i32.const 1000000)) (then
        (i32.store8 (local.get 1) (i32.const 1))
        (local.set 1 (i32.add (local.get 1) (local.get 0))) (br $mark))))))
    (local.set 0 (i32.add (local.get 0) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get 0) (i32.const 1000))))))"""
CALLS = """(module (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "_start") (drop (call $fib (i32.const 29)))))"""
FLOATS = """(module (memory 1) (func (export "_start") (local i32 f64)
  (local.set 0 (i32.const 4000000))
  (loop $l
    (local.set 1 (f64.mul (local.get 1) (f64.const 0.5)))
    (local.set 1 (f64.add (local.get 1) (f64.convert_i32_u (local.get 0))))
    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
  (f64.store (i32.const 0) (local.get 1))))"""
LOOPS = {"counting": COUNTING, "sieve": SIEVE, "calls": CALLS, "floats": FLOATS}
EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'


def interruption() -> list[Row]:
    """Each kind of loop under each kind of interruption, and a start with each kind of memory."""
    return [*_loops(), *_starts()]


def _loops() -> Iterator[Row]:
    kinds = {
        "fuel": {"fuel": True},
        "epochs": {"epochs": True},
        "both": {"fuel": True, "epochs": True},
        "both and canonical NaN": {"fuel": True, "epochs": True, "nan": True},
    }
    for name, text in LOOPS.items():
        module = bytes(wasmtime.wat2wasm(text))
        plain = _runner(module)
        runners = {kind: _runner(module, **how) for kind, how in kinds.items()}
        ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(QUICK_TIMES if quick() else TIMES):
            alone = _ms(plain)
            for kind, runner in runners.items():
                ratios[kind].append(_ms(runner) / alone)
        for kind, of in ratios.items():
            yield row(f"{name} loop with {kind}, to neither", median(of), "x", target="", of=of)


def _starts() -> Iterator[Row]:
    module = bytes(wasmtime.wat2wasm(EMPTY))
    ours = LinearMemory()
    config = _config(fuel=True, epochs=True)
    ours.install(config)
    limit_bytes = TaskLimits().memory_bytes
    runners = {
        "on demand": _runner(module, fuel=True, epochs=True),
        "from a pool": _of(wasmtime.Engine(_pooled()), module, fuel=True),
        "made by the executor": _of(
            wasmtime.Engine(config),
            module,
            fuel=True,
            first=lambda: ours.begin(limit_bytes=limit_bytes),
        ),
    }
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(QUICK_STARTS if quick() else STARTS):
        for name, runner in runners.items():
            taken[name].append(_ms(runner) * 1000)
    for name, of in taken.items():
        yield row(f"start of a run, memory {name}", median(of), "us", target="", of=of)


def _config(*, fuel: bool = False, epochs: bool = False, nan: bool = False) -> wasmtime.Config:
    config = wasmtime.Config()
    config.consume_fuel = fuel
    config.epoch_interruption = epochs
    config.cranelift_nan_canonicalization = nan
    config.cranelift_opt_level = str(SETTINGS["opt_level"])
    config.max_wasm_stack = STACK_BYTES_MAX
    return config


def _pooled() -> wasmtime.Config:
    """Return a configuration whose memories come from a pool; no public name sets it."""
    config = _config(fuel=True, epochs=True)
    pool = bindings.wasmtime_pooling_allocation_config_new()
    bindings.wasmtime_pooling_allocation_config_total_memories_set(pool, ctypes.c_uint32(4))
    bindings.wasmtime_pooling_allocation_config_total_core_instances_set(pool, ctypes.c_uint32(4))
    bindings.wasmtime_pooling_allocation_config_total_stacks_set(pool, ctypes.c_uint32(4))
    bindings.wasmtime_pooling_allocation_config_total_tables_set(pool, ctypes.c_uint32(4))
    bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    bindings.wasmtime_pooling_allocation_config_delete(pool)
    return config


def _runner(module: bytes, **how: bool) -> Callable[[], None]:
    return _of(wasmtime.Engine(_config(**how)), module, fuel=how.get("fuel", False))


def _of(
    engine: wasmtime.Engine,
    module: bytes,
    *,
    fuel: bool,
    first: Callable[[], None] = lambda: None,
) -> Callable[[], None]:
    """Return what runs a module once on an engine, in a store of its own, after `first`."""
    prepared = wasmtime.Linker(engine).instantiate_pre(wasmtime.Module(engine, module))

    def run() -> None:
        first()
        store = wasmtime.Store(engine)
        if fuel:
            store.set_fuel(FUEL)
        store.set_epoch_deadline(1)
        start = prepared.instantiate(store).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func), "it is exported"
        start(store)
        store.close()

    run()
    return run


def _ms(work: Callable[[], None]) -> float:
    """Return the processor time of this thread for one call, in milliseconds."""
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / 1e6

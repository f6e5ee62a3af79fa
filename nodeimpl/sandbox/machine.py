"""One engine in one worker: compiles, keeps compiled code, runs a task to its outcome.

Runs only in worker processes (and in tests): it imports the engine. Fuel, time and memory are
bounded together; whichever ends first gives the outcome.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import wasmtime

from nodeimpl.sandbox import wasi
from nodeimpl.sandbox.engine import SETTINGS, STACK_BYTES_MAX, TABLE_ELEMENTS_MAX
from nodeimpl.sandbox.memory import LinearMemory
from nodeimpl.sandbox.result import RunResult
from opkit.wire.compute import Grants, Outcome, TaskLimits

MODULES_KEPT_MAX = 8
"""How many compiled modules a worker keeps ready."""

_TYPES = {"i": wasmtime.ValType.i32, "l": wasmtime.ValType.i64}


class CompileFailed(Exception):
    """The engine does not take the module; `str()` says why in a few words."""


class Alarm:
    """Ends a run at its deadline, from a thread beside it: the run itself holds no clock."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        """Start the thread; it ends with the process."""
        self._engine = engine
        self._changed = threading.Condition()
        self._due: float | None = None
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def set(self, seconds: float | None) -> None:
        """Ring that many seconds from now, or not at all."""
        with self._changed:
            self._due = None if seconds is None else time.monotonic() + seconds
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                if self._due is None:
                    self._changed.wait()
                elif (left := self._due - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    self._due = None
                    self._engine.increment_epoch()


def make_config(memory: LinearMemory) -> wasmtime.Config:
    """Return the engine's configuration as `SETTINGS` says it."""
    config = wasmtime.Config()
    config.consume_fuel = bool(SETTINGS["consume_fuel"])
    config.epoch_interruption = bool(SETTINGS["epoch_interruption"])
    config.cranelift_nan_canonicalization = bool(SETTINGS["nan_canonicalization"])
    config.cranelift_opt_level = str(SETTINGS["opt_level"])
    config.wasm_relaxed_simd = bool(SETTINGS["relaxed_simd"])
    config.wasm_threads = bool(SETTINGS["threads"])
    config.wasm_memory64 = bool(SETTINGS["memory64"])
    config.wasm_multi_memory = bool(SETTINGS["multi_memory"])
    config.wasm_tail_call = bool(SETTINGS["tail_call"])
    config.wasm_exceptions = bool(SETTINGS["exceptions"])
    config.wasm_gc = bool(SETTINGS["gc"])
    config.wasm_component_model = bool(SETTINGS["component_model"])
    config.max_wasm_stack = STACK_BYTES_MAX
    config.parallel_compilation = True
    config.memory_init_cow = False
    memory.install(config)
    return config


class Machine:
    """An engine, its linker, and the compiled modules that were used last."""

    def __init__(self) -> None:
        """Make the engine and bind all WASI functions to it, once."""
        self._memory = LinearMemory()
        self._engine = wasmtime.Engine(make_config(self._memory))
        self._linker = wasmtime.Linker(self._engine)
        self._wasi = wasi.Wasi(self._memory)
        for name, (parameters, results, function) in self._wasi.functions().items():
            type_ = wasmtime.FuncType(
                [_TYPES[letter]() for letter in parameters],
                [_TYPES[letter]() for letter in results],
            )
            self._linker.define_func(wasi.MODULE, name, type_, function)
        self._alarm: Alarm | None = None
        self._kept: OrderedDict[str, wasmtime.InstancePre] = OrderedDict()

    def compile(self, module: bytes) -> bytes:
        """Return native code for `module`; only this engine, with these settings, takes it.

        Raises:
            CompileFailed: it does not validate, asks for other imports than WASI, or has no
                `_start` without parameters and results.
        """
        try:
            compiled = wasmtime.Module(self._engine, module)
            self._linker.instantiate_pre(compiled)
        except wasmtime.WasmtimeError as bad:
            raise CompileFailed(_short(str(bad))) from bad
        starts = [e.type for e in compiled.exports if e.name == "_start"]
        if len(starts) != 1 or not isinstance(starts[0], wasmtime.FuncType):
            raise CompileFailed("it exports no function `_start`")
        if starts[0].params or starts[0].results:
            raise CompileFailed("`_start` takes or returns values")
        return bytes(compiled.serialize())

    def holds(self) -> list[str]:
        """Return the names of the modules that are ready, the oldest first."""
        return list(self._kept)

    def load(self, name: str, code: bytes) -> None:
        """Make compiled code ready to run. `code` must come from `compile` of an equal engine."""
        module = wasmtime.Module.deserialize(self._engine, code)
        self._kept[name] = self._linker.instantiate_pre(module)
        while len(self._kept) > MODULES_KEPT_MAX:
            self._kept.popitem(last=False)

    def run(self, name: str, *, stdin: bytes, limits: TaskLimits, grants: Grants) -> RunResult:
        """Run a module that is ready, to its end or to the first limit.

        Args:
            name: what `load` called it.
        """
        prepared = self._kept[name]
        self._kept.move_to_end(name)
        if self._alarm is None:
            self._alarm = Alarm(self._engine)
        io = wasi.Io(stdin=stdin, output_bytes_max=limits.output_bytes, grants=grants)
        self._memory.begin(limit_bytes=limits.memory_bytes)
        self._wasi.io = io
        store = wasmtime.Store(self._engine)
        store.set_limits(table_elements=TABLE_ELEMENTS_MAX, instances=1, tables=8, memories=1)
        store.set_fuel(limits.fuel)
        store.set_epoch_deadline(1)
        self._wasi.fuel_left, self._wasi.set_fuel = store.get_fuel, store.set_fuel
        started = time.perf_counter_ns()
        self._alarm.set(limits.time_ms / 1000)
        outcome, reason = self._end_of(store, prepared)
        self._alarm.set(None)
        took_us = (time.perf_counter_ns() - started) // 1000
        if took_us > limits.time_ms * 1000 and outcome is not Outcome.TIME:
            outcome, reason = Outcome.TIME, "time limit"
        left = 0 if outcome is Outcome.FUEL else store.get_fuel()
        peak = self._memory.size_bytes
        store.close()
        return RunResult(
            outcome=outcome,
            reason=reason,
            output=bytes(io.output) if outcome is Outcome.OK else b"",
            fuel_used=limits.fuel - left,
            time_used_us=took_us,
            memory_peak_bytes=peak,
        )

    def _end_of(self, store: wasmtime.Store, prepared: wasmtime.InstancePre) -> tuple[Outcome, str]:
        """Run to the end and judge what kind of end it is."""
        try:
            start = prepared.instantiate(store).exports(store)["_start"]
            assert isinstance(start, wasmtime.Func), "compile() let a module without _start pass"
            start(store)
        except wasi.Exited as end:
            return self._judge_exit(end.code)
        except wasi.FuelSpent:
            return Outcome.FUEL, "out of fuel"
        except wasi.OutputFull:
            return Outcome.TRAP, "output limit"
        except wasmtime.Trap as trap:
            return self._judge_trap(trap.trap_code)
        except wasmtime.WasmtimeError as bad:
            if self._memory.denied:
                return Outcome.MEMORY, "memory limit"
            return Outcome.TRAP, _short(str(bad))
        return Outcome.OK, ""

    def _judge_exit(self, code: int) -> tuple[Outcome, str]:
        if code == 0:
            return Outcome.OK, ""
        if self._memory.denied:
            return Outcome.MEMORY, f"memory limit, then exit {code}"
        return Outcome.TRAP, f"exit {code}"

    def _judge_trap(self, code: wasmtime.TrapCode | None) -> tuple[Outcome, str]:
        name = "trap" if code is None else code.name.lower().replace("_", " ")
        if code is wasmtime.TrapCode.OUT_OF_FUEL:
            return Outcome.FUEL, "out of fuel"
        if code is wasmtime.TrapCode.INTERRUPT:
            return Outcome.TIME, "time limit"
        if code is wasmtime.TrapCode.STACK_OVERFLOW:
            return Outcome.STACK, "stack overflow"
        if self._memory.denied or code is wasmtime.TrapCode.ALLOCATION_TOO_LARGE:
            return Outcome.MEMORY, f"memory limit, then {name}"
        return Outcome.TRAP, name


def _short(text: str) -> str:
    """Return the gist of an engine's message: its last cause, without addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(("Caused by", "Stack backtrace"))]
    return "; ".join(causes)[:200] or "unknown"

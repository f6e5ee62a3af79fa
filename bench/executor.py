"""What the executor's own code adds to a run: a job of 10 ms by it, and by the engine alone.

Both run in this process, on engines with the same settings, the same fuel and the same deadline by
epoch. What the executor does besides is its own memory, its own WASI, its alarm and its accounts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import wasmtime

from bench.rows import Row, quick, row
from nodeimpl.sandbox.engine import TABLE_ELEMENTS_MAX
from nodeimpl.sandbox.machine import Machine, make_config
from nodeimpl.sandbox.memory import LinearMemory
from opkit.wire.compute import Grants, Outcome, TaskLimits

JOB_MS = 10
TIMES, QUICK_TIMES = 101, 21
FUEL, TIME_MS = 10_000_000_000, 5_000
_LOOP = """(module (memory (export "memory") 1) (func (export "_start") (local i32 i32)
  (local.set 0 (i32.const %d))
  (loop $again
    (i32.store (i32.and (local.get 0) (i32.const 65532))
      (local.tee 1 (i32.add (local.get 1) (i32.mul (local.get 0) (i32.const 7)))))
    (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"""


class Bare:
    """The engine alone, with the executor's settings, fuel and deadline."""

    def __init__(self, module: bytes) -> None:
        """Compile `module`, which imports nothing."""
        self._memory = LinearMemory()
        self._engine = wasmtime.Engine(make_config(self._memory))
        self._module = wasmtime.Module(self._engine, module)
        self._prepared = wasmtime.Linker(self._engine).instantiate_pre(self._module)

    def run(self) -> None:
        """Run it once to its end."""
        self._memory.begin(limit_bytes=TaskLimits().memory_bytes)
        store = wasmtime.Store(self._engine)
        store.set_limits(table_elements=TABLE_ELEMENTS_MAX, instances=1, tables=8, memories=1)
        store.set_fuel(FUEL)
        store.set_epoch_deadline(1)
        start = self._prepared.instantiate(store).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func), "it is exported"
        start(store)
        store.close()


def executor() -> list[Row]:
    """A job of about 10 ms: by the worker's code, against the engine called directly."""
    module = _sized()
    machine, bare = Machine(), Bare(module)
    machine.load("job", machine.compile(module))

    def ours() -> None:
        ran = machine.run(
            "job", stdin=b"", limits=TaskLimits(fuel=FUEL, time_ms=TIME_MS), grants=Grants()
        )
        assert ran.outcome is Outcome.OK, ran

    for _ in range(5):
        ours()
        bare.run()
    # In turn, so that what else the machine does meets both.
    pairs = [(_ms(ours), _ms(bare.run)) for _ in range(QUICK_TIMES if quick() else TIMES)]
    ratios = [mine / theirs for mine, theirs in pairs]
    alone = [theirs for _, theirs in pairs]
    name = "job of 10 ms in the executor"
    return [
        row(f"{name}, against the engine", median(ratios), "x", target="<= 1.2", of=ratios),
        row(f"{name}, the engine alone", median(alone), "ms", target="", of=alone),
    ]


def _sized() -> bytes:
    """Return a module that takes about 10 ms here."""
    steps = 1_000_000
    module = bytes(wasmtime.wat2wasm(_LOOP % steps))
    took_ms = median(_ms(Bare(module).run) for _ in range(5))
    return bytes(wasmtime.wat2wasm(_LOOP % max(1, int(steps * JOB_MS / took_ms))))


def _ms(work: Callable[[], None]) -> float:
    """Return the processor time of this thread for one call, in milliseconds."""
    began = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - began) / 1e6

"""Modules that mean harm, one for each way to keep a node busy: made here, byte by byte or by text.

Each says how it must end: with which outcome of a receipt, or with a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import wasmtime

from bench.modules import u32
from opkit.proof.wasm import MAGIC
from opkit.wire.compute import Outcome

MB = 2**20


@dataclass(frozen=True, kw_only=True)
class Rogue:
    """One module and its end.

    Attributes:
        make: returns its bytes.
        ends: the outcomes that are right; none if it must be refused before it runs.
        limits: what its manifest allows, besides the usual.
        grants: what its manifest grants.
    """

    make: Callable[[], bytes]
    ends: frozenset[Outcome]
    limits: dict[str, int] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)


FUEL, TIME, MEMORY = (frozenset({each}) for each in (Outcome.FUEL, Outcome.TIME, Outcome.MEMORY))
TRAP, STACK, REFUSED = frozenset({Outcome.TRAP}), frozenset({Outcome.STACK}), frozenset[Outcome]()
ENDLESS = {"fuel": 100_000_000_000, "time_ms": 300}
FEW = {"fuel": 20_000_000, "time_ms": 30_000}
"""Fuel ends it long before its time, also on a machine with much else to do."""

_WASI = '(import "wasi_snapshot_preview1" '
_WRITE = _WASI + '"fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
_READ = _WASI + '"fd_read" (func $read (param i32 i32 i32 i32) (result i32)))'
_POLL = _WASI + '"poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))'
_CLOCK = _WASI + '"clock_time_get" (func $clock (param i32 i64 i32) (result i32)))'
_RANDOM = _WASI + '"random_get" (func $random (param i32 i32) (result i32)))'
_EXIT = _WASI + '"proc_exit" (func $exit (param i32)))'
_START = '(func (export "_start")'


def _text(body: str, *, imports: str = "", pages: int = 1) -> Callable[[], bytes]:
    text = f'(module {imports} (memory (export "memory") {pages}) {body})'
    return lambda: bytes(wasmtime.wat2wasm(text))


def _loop(step: str, *, imports: str = "", data: str = "", pages: int = 1) -> Callable[[], bytes]:
    """Return what makes a module that does one thing for ever."""
    body = f"{data} {_START} (loop $again {step} (br $again)))"
    return _text(body, imports=imports, pages=pages)


def _buffer(size: int) -> str:
    """Return a data segment: one buffer at 64, of this size, named by a vector at 0."""
    raw = (64).to_bytes(4, "little") + size.to_bytes(4, "little")
    return '(data (i32.const 0) "' + "".join(f"\\{byte:02x}" for byte in raw) + '")'


def _call(fd: int) -> str:
    return f"(drop (call $write (i32.const {fd}) (i32.const 0) (i32.const 1) (i32.const 16)))"


def section(kind: int, *parts: bytes) -> bytes:
    """Return a section of a module."""
    content = b"".join(parts)
    return bytes([kind]) + u32(len(content)) + content


def _coded(body: bytes, *, count: int = 1, extra: bytes = b"") -> bytes:
    """Return a module of `count` functions with this body, the first of which is `_start`."""
    whole = u32(len(body)) + body
    return b"".join(
        (
            MAGIC,
            section(1, b"\x01\x60\x00\x00"),
            section(3, u32(count), bytes(count)),
            extra,
            section(7, b"\x01\x06_start\x00\x00"),
            section(10, u32(count), whole * count),
        )
    )


def nested(depth: int, locals_: int) -> bytes:
    """Return a module of one function: so many blocks in each other, so many locals."""
    groups = b"\x01" + u32(locals_) + b"\x7f"
    return _coded(groups + b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b")


def _branches(targets: int) -> bytes:
    """Return a module with one jump table."""
    return _coded(b"\x00\x02\x40\x41\x00\x0e" + u32(targets) + bytes(targets) + b"\x00\x0b\x0b")


def _types(count: int) -> bytes:
    return MAGIC + section(1, u32(count), b"\x60\x00\x00" * count)


def _globals(count: int) -> bytes:
    return _coded(b"\x00\x0b", extra=section(6, u32(count), b"\x7f\x01\x41\x00\x0b" * count))


def _tables(count: int, *, elements: int) -> bytes:
    return _coded(b"\x00\x0b", extra=section(4, u32(count), (b"\x70\x00" + u32(elements)) * count))


def _data(size: int) -> Callable[[], bytes]:
    return _text(f'(data (i32.const 65000) "{"x" * size}") {_START})')


@cache
def rogues() -> dict[str, Rogue]:
    """Return every such module by what it does."""
    return {**_bombs(), **_runners(), **_callers()}


def _bombs() -> dict[str, Rogue]:
    """Modules that cost before they run."""
    big: dict[str, Any] = {"ends": REFUSED}
    return {
        "compile bomb": Rogue(make=lambda: nested(2_000, 10_000), **big),
        "blocks without end": Rogue(make=lambda: nested(100_000, 1), **big),
        "many locals": Rogue(make=lambda: nested(1, 50_000), **big),
        "many functions": Rogue(make=lambda: _coded(b"\x00\x0b", count=20_001), **big),
        "many types": Rogue(make=lambda: _types(4_001), **big),
        "many globals": Rogue(make=lambda: _globals(2_001), **big),
        "many tables": Rogue(make=lambda: _tables(5, elements=1), **big),
        "huge table": Rogue(make=lambda: _tables(1, elements=2**32 - 1), **big),
        "huge memory": Rogue(make=_text(f"{_START})", pages=65_536), **big),
        "huge jump table": Rogue(make=lambda: _branches(600_000), **big),
        "data beyond memory": Rogue(make=_data(1_000_000), ends=TRAP),
        "memory beyond its limit": Rogue(make=_text(f"{_START})", pages=2_000), ends=MEMORY),
    }


def _runners() -> dict[str, Rogue]:
    """Modules that do not end, or not well, by themselves."""
    grow = "(drop (memory.grow (i32.const 1)))"
    table = "(table 1 funcref)"
    grow_table = "(drop (table.grow 0 (ref.null func) (i32.const 1000)))"
    fill = "(memory.fill (i32.const 0) (i32.const 7) (i32.const 16777216))"
    use = f"(if (i32.eqz (i32.load8_u (i32.const 9))) (then {grow}))"
    return {
        "endless loop, fuel": Rogue(make=_loop("nop"), ends=FUEL, limits=FEW),
        "endless loop, time": Rogue(make=_loop("nop"), ends=TIME, limits=ENDLESS),
        "endless start function": Rogue(
            make=_text(f"(func $s (loop $l (br $l))) (start $s) {_START})"),
            ends=TIME,
            limits=ENDLESS,
        ),
        "trap in the start function": Rogue(
            make=_text(f"(func $s unreachable) (start $s) {_START})"), ends=TRAP
        ),
        "exit in the start function": Rogue(
            make=_text(f"(func $s (call $exit (i32.const 3))) (start $s) {_START})", imports=_EXIT),
            ends=TRAP,
        ),
        "recursion": Rogue(make=_text('(func $f (export "_start") (call $f))'), ends=STACK),
        "recursion with large frames": Rogue(
            make=_text(
                f"(func $f (param i64) (local {'i64 ' * 2_000}) (local.set 1999 (local.get 0))"
                "(call $f (i64.add (local.get 1999) (i64.const 1))) (drop (local.get 1999)))"
                f"{_START} (call $f (i64.const 1)))"
            ),
            ends=STACK,
        ),
        # A growth that is denied takes the host longer than its fuel says: time ends it.
        "memory growth for ever": Rogue(make=_loop(grow), ends=TIME, limits=ENDLESS),
        "memory growth that must work": Rogue(
            make=_text(
                f"{_START} (loop $l (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1))"
                " (then unreachable)) (br $l)))"
            ),
            ends=MEMORY,
        ),
        "table growth": Rogue(make=_loop(grow_table, data=table), ends=FUEL, limits=FEW),
        "memory filled for ever": Rogue(make=_loop(fill, pages=256), ends=TIME, limits=ENDLESS),
        "loop that reads": Rogue(make=_loop(use), ends=TIME, limits=ENDLESS),
    }


def _callers() -> dict[str, Rogue]:
    """Modules that keep the host busy."""
    sleep = "(drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256)))"
    clock = "(drop (call $clock (i32.const 1) (i64.const 0) (i32.const 0)))"
    random = "(drop (call $random (i32.const 0) (i32.const 65536)))"
    read = "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))"
    flood = {"output_bytes": 100_000}
    both = _call(2) + _call(1)
    granted = {"clock_ms": 1_700_000_000_000, "random_seed": 7}
    return {
        "sleeper": Rogue(make=_loop(sleep, imports=_POLL), ends=FUEL, limits=FEW),
        "sleeper with a clock": Rogue(
            make=_loop(sleep, imports=_POLL), ends=FUEL, limits=FEW, grants=granted
        ),
        "clock reader": Rogue(
            make=_loop(clock, imports=_CLOCK), ends=FUEL, limits=FEW, grants=granted
        ),
        "random reader": Rogue(
            make=_loop(random, imports=_RANDOM), ends=FUEL, limits=FEW, grants=granted
        ),
        "host-call loop, fuel by the call": Rogue(
            make=_loop(read, imports=_READ, data=_buffer(16)), ends=FUEL, limits=FEW
        ),
        "host-call loop, fuel by the byte": Rogue(
            make=_loop(_call(2), imports=_WRITE, data=_buffer(MB - 64), pages=16),
            ends=FUEL,
            limits=FEW,
        ),
        "host-call loop, time": Rogue(
            make=_loop(read, imports=_READ, data=_buffer(16)), ends=TIME, limits=ENDLESS
        ),
        "flood of stdout": Rogue(
            make=_loop(_call(1), imports=_WRITE, data=_buffer(4_096)), ends=TRAP, limits=flood
        ),
        "flood of stderr": Rogue(
            make=_loop(_call(2), imports=_WRITE, data=_buffer(4_096)), ends=FUEL, limits=FEW
        ),
        "flood of both": Rogue(
            make=_loop(both, imports=_WRITE, data=_buffer(4_096)), ends=TRAP, limits=flood
        ),
    }

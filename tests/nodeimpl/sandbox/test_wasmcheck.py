"""The shape of a module is judged before anything compiles it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.sandbox.wasmcheck import CheckLimits, ModuleUnfit, check

WASM = Path(__file__).resolve().parents[3] / "wasm"
LIMITS = CheckLimits()
HEAD = b"\0asm\x01\0\0\0"


def number(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + number(len(body)) + body


def code(body: bytes) -> bytes:
    """Return a module whose one function has this body (locals included)."""
    whole = number(len(body)) + body
    return HEAD + section(10, number(1) + whole)


def nested(depth: int, locals_: int) -> bytes:
    groups = number(1) + number(locals_) + b"\x7f" if locals_ else number(0)
    return code(groups + b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b")


def refused(module: bytes, limits: CheckLimits = LIMITS) -> str:
    with pytest.raises(ModuleUnfit) as no:
        check(module, limits)
    return str(no.value)


@pytest.mark.parametrize("path", sorted(WASM.glob("*.wasm")), ids=lambda path: path.stem)
def test_the_modules_of_this_repository_pass(path: Path) -> None:
    check(path.read_bytes(), LIMITS)


def test_a_module_with_every_kind_of_section_passes() -> None:
    text = """(module
      (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
      (type (func (param i32 i64) (result i32)))
      (table 2 4 funcref) (memory (export "memory") 1 2)
      (global (mut i32) (i32.const 1))
      (elem (i32.const 0) $f) (data (i32.const 0) "x") (start $f)
      (func $f (export "_start")
        (block (loop (br_if 1 (i32.const 1)) (br_table 0 1 (i32.const 0))))
        (drop (f32.const 1)) (drop (f64.const 1)) (drop (memory.grow (i32.const 0)))
        (drop (select (i32.const 1) (i32.const 2) (i32.const 3)))
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))
        (drop (i32x4.add (v128.const i32x4 1 2 3 4) (v128.load (i32.const 0))))
        (drop (i8x16.extract_lane_s 1 (v128.const i32x4 1 2 3 4)))
        (drop (v128.load8_lane 0 (i32.const 0) (v128.const i32x4 1 2 3 4)))
        (call_indirect (i32.const 0)) (if (i32.const 1) (then) (else))))"""
    check(bytes(wasmtime.wat2wasm(text)), CheckLimits(nesting_max=2))


def test_the_compile_bomb_is_refused() -> None:
    bomb = nested(2_000, 10_000)
    assert len(bomb) < 32_000
    assert "locals" in refused(bomb)


def test_nesting_is_bounded_exactly() -> None:
    limits = CheckLimits(nesting_max=10)
    check(nested(10, 0), limits)
    assert "nested blocks" in refused(nested(11, 0), limits)


def test_locals_times_nesting_is_bounded() -> None:
    limits = CheckLimits(weight_max=100)
    check(nested(10, 10), limits)
    assert "locals times nesting" in refused(nested(10, 11), limits)


def test_blocks_beside_each_other_are_not_deep() -> None:
    body = number(0) + b"\x02\x40\x0b" * 5_000 + b"\x0b"
    check(code(body), LIMITS)


def test_bytes_that_look_like_blocks_are_none() -> None:
    body = number(0) + b"\x41\x02\x1a" * 5_000 + b"\x0b"
    check(code(body), CheckLimits(nesting_max=1))


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (b"", "no WebAssembly module"),
        (b"\0asm\x02\0\0\0", "no WebAssembly module"),
        (HEAD + b"\x0a", "cut short"),
        (HEAD + section(10, b""), "cut short"),
        (HEAD + b"\x0a" + number(9) + b"x", "cut short"),
        (HEAD + section(99, b""), "section 99"),
        (HEAD + section(1, b"\xff\xff\xff\xff\xff\xff"), "longer than 32 bits"),
        (HEAD + section(1, number(1) + b"\x5f"), "no function's"),
        (HEAD + section(1, number(1) + b"\x60" + number(200)), "parameters"),
        (HEAD + section(1, number(5_000)), "types"),
        (HEAD + section(2, number(1) + b"\x03env\x01f\x00\x00"), "it imports"),
        (HEAD + section(2, number(200)), "imports"),
        (HEAD + section(3, number(20_001)), "functions"),
        (HEAD + section(4, number(5)), "tables"),
        (HEAD + section(4, number(1) + b"\x70\x00" + number(100_001)), "table elements"),
        (HEAD + section(5, number(2)), "memories"),
        (HEAD + section(5, number(1) + b"\x00" + number(4_097)), "memory pages"),
        (HEAD + section(5, number(1) + b"\x03\x01\x01"), "shared"),
        (HEAD + section(6, number(2_001)), "globals"),
        (HEAD + section(7, number(2_001)), "exports"),
        (HEAD + section(9, number(4_001)), "element segments"),
        (HEAD + section(10, number(20_001)), "functions"),
        (HEAD + section(10, number(1) + number(600_000)), "bytes of one function"),
        (HEAD + section(11, number(4_001)), "data segments"),
        (HEAD + section(0, b"") * 257, "sections"),
        (code(number(4_001)), "groups of locals"),
    ],
)
def test_what_is_no_module_or_too_much_is_refused(module: bytes, why: str) -> None:
    assert why in refused(module)


def deep(tail: bytes) -> bytes:
    """Return a module whose body must be read instruction by instruction."""
    return code(number(0) + b"\x02\x40" + tail)


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b"\xff\x02\x02", "0xff"),
        (b"\xfc\x7f\x02", "0xfc 127"),
        (b"\xfd\x80\x02\x02", "relaxed"),
        (b"\x43\x02", "cut short"),
        (b"\x44\x02", "cut short"),
        (b"\x0c" + b"\x82" * 11 + b"\x02\x02", "longer than 64 bits"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(tail: bytes, why: str) -> None:
    assert why in refused(deep(tail), CheckLimits(nesting_max=1, weight_max=0))


def test_a_body_that_is_read_to_its_end_passes() -> None:
    tail = b"\x1c\x01\x7f\xd0\x70\xd2\x00\x3f\x00\x0b\x03\x40\x0b\x0b"
    check(deep(tail), CheckLimits(nesting_max=1))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    for module in (data, HEAD + data, code(number(0) + b"\x02\x02\x02" + data)):
        with contextlib.suppress(ModuleUnfit):
            check(module, CheckLimits(nesting_max=1))


@given(st.data())
def test_a_damaged_module_is_refused_or_passes_but_never_breaks(data: st.DataObject) -> None:
    module = bytearray((WASM / "patronage.wasm").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        module[data.draw(st.integers(0, len(module) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModuleUnfit):
        check(bytes(module), LIMITS)


def test_a_module_is_read_in_time_that_grows_with_its_size_and_no_faster() -> None:
    """Eight times the code takes about eight times as long, not sixty-four times."""

    def least_s(times: int) -> float:
        body = number(0) + b"\x02\x40\x0b\x41\x01\x1a" * times + b"\x0b"
        took_s = []
        for _ in range(3):
            began = time.process_time()
            check(code(body), CheckLimits(nesting_max=512))
            took_s.append(time.process_time() - began)
        return min(took_s)

    assert least_s(40_000) < 24 * least_s(5_000)

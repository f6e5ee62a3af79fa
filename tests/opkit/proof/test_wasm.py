"""Custom sections go in and come out, and broken modules are refused."""

from __future__ import annotations

import contextlib

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.checks import ProofError
from opkit.proof.wasm import MAGIC, SECTIONS_MAX, add_custom_section, read_custom_sections

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(st.tuples(TEXT, st.binary(max_size=300)), max_size=4))
def test_sections_come_out_in_the_order_they_went_in(sections: list[tuple[str, bytes]]) -> None:
    module = MAGIC
    for name, payload in sections:
        module = add_custom_section(module, name, payload)
    assert read_custom_sections(module) == tuple(sections)


@pytest.mark.parametrize(
    ("size", "spelled"),
    [
        (126, "7e"),
        (127, "7f"),
        (128, "8001"),
        (129, "8101"),
        (16_383, "ff7f"),
        (16_384, "808001"),
    ],
)
def test_a_length_has_seven_bits_in_each_byte_and_as_few_bytes_as_may_be(
    size: int, spelled: str
) -> None:
    payload = bytes(size - 1)
    module = add_custom_section(MAGIC, "", payload)
    assert module == MAGIC + b"\0" + bytes.fromhex(spelled) + b"\0" + payload
    assert read_custom_sections(module) == (("", payload),)


def test_a_real_engine_takes_the_module_and_other_sections_are_passed_over() -> None:
    module = bytes(wasmtime.wat2wasm('(module (func (export "_start")))'))
    stamped = add_custom_section(module, "opkit.run", b"x" * 20_000)
    wasmtime.Module.validate(wasmtime.Engine(), stamped)
    assert stamped.startswith(module)
    assert read_custom_sections(stamped) == ((("opkit.run"), b"x" * 20_000),)


@pytest.mark.parametrize("module", [b"", b"\0asm", b"\0asm\x0d\0\1\0", b"MZ" + MAGIC])
def test_what_is_no_module_is_refused(module: bytes) -> None:
    with pytest.raises(ProofError, match="not a WebAssembly module"):
        add_custom_section(module, "a", b"")
    with pytest.raises(ProofError, match="not a WebAssembly module"):
        read_custom_sections(module)


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b"\0", "LEB128"),
        (b"\0\x80", "LEB128"),
        (b"\0\x80\x80\x80\x80\x80\x00", "LEB128"),
        (b"\x01\x80\x80\x80\x80\x80\x00", "LEB128"),
        (b"\0\xff\xff\xff\xff\x1f", "LEB128"),
        (b"\x01\x80\x80\x80\x80\x10", "LEB128"),
        (b"\0\x05", "past the module"),
        (b"\0\xff\xff\xff\xff\x0f", "past the module"),
        (b"\0\x00", "LEB128"),
        (b"\0\x02\x05a", "past the section"),
        (b"\0\x02\x01\xff", "not UTF-8"),
        (b"\x01\x01\x00" * (SECTIONS_MAX + 1), "more than"),
    ],
)
def test_broken_sections_are_refused(tail: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        read_custom_sections(MAGIC + tail)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_break_the_reader(tail: bytes) -> None:
    with contextlib.suppress(ProofError):
        read_custom_sections(MAGIC + tail)


def test_a_module_may_have_as_many_sections_as_are_read() -> None:
    assert len(read_custom_sections(MAGIC + b"\0\1\0" * SECTIONS_MAX)) == SECTIONS_MAX

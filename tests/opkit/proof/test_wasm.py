"""Custom sections are spelled as the specification says, and a real engine takes them."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from opkit.proof.checks import ProofError
from opkit.proof.wasm import MAGIC, add_custom_section

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(st.tuples(TEXT, st.binary(max_size=300)), max_size=4))
def test_a_real_engine_takes_sections_of_any_name_and_content(
    sections: list[tuple[str, bytes]],
) -> None:
    module = bytes(wasmtime.wat2wasm('(module (func (export "_start")))'))
    for name, payload in sections:
        before = module
        module = add_custom_section(module, name, payload)
        assert module.startswith(before)
        assert module.endswith(name.encode() + payload)
    wasmtime.Module.validate(wasmtime.Engine(), module)


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


def test_a_name_goes_before_the_content_with_its_length_in_bytes() -> None:
    assert add_custom_section(MAGIC, "Å", b"ab") == MAGIC + b"\0\x05\x02\xc3\x85ab"


def test_a_large_section_is_taken_too() -> None:
    wasmtime.Module.validate(
        wasmtime.Engine(), add_custom_section(MAGIC, "opkit.run", b"x" * 20_000)
    )


@pytest.mark.parametrize("module", [b"", b"\0asm", b"\0asm\x0d\0\1\0", b"MZ" + MAGIC])
def test_what_is_no_module_is_refused(module: bytes) -> None:
    with pytest.raises(ProofError, match="not a WebAssembly module"):
        add_custom_section(module, "a", b"")

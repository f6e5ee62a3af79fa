"""Custom sections of WebAssembly modules: text that travels in a module and changes only its hash.

Source: WebAssembly Core Specification 2.0, section 5.5 (modules), 5.2.2 (LEB128 integers).
"""

from __future__ import annotations

from opkit.proof.checks import ProofError

MAGIC = b"\0asm\x01\0\0\0"
"""The magic number and version 1 that every module starts with."""

SECTIONS_MAX = 4096
"""The most sections that are read."""

_CUSTOM = 0
_U32_BYTES_MAX = 5


def add_custom_section(module: bytes, name: str, payload: bytes) -> bytes:
    """Return `module` with one more custom section at its end.

    Raises:
        ProofError: `module` is no WebAssembly module by its first eight bytes.
    """
    if not module.startswith(MAGIC):
        raise ProofError("not a WebAssembly module of version 1")
    label = name.encode("utf-8")
    content = _u32(len(label)) + label + payload
    return module + bytes([_CUSTOM]) + _u32(len(content)) + content


def read_custom_sections(module: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the custom sections of a module as (name, payload), in order.

    Raises:
        ProofError: not a module, a section that ends past the module, a malformed length or name,
            or more than `SECTIONS_MAX` sections.
    """
    if not module.startswith(MAGIC):
        raise ProofError("not a WebAssembly module of version 1")
    found: list[tuple[str, bytes]] = []
    place = len(MAGIC)
    for _ in range(SECTIONS_MAX + 1):
        if place == len(module):
            return tuple(found)
        kind = module[place]
        size, start = _read_u32(module, place + 1)
        place = start + size
        if place > len(module):
            raise ProofError("a section ends past the module's end")
        if kind == _CUSTOM:
            found.append(_named(module[start:place]))
    raise ProofError(f"the module has more than {SECTIONS_MAX} sections")


def _named(content: bytes) -> tuple[str, bytes]:
    size, start = _read_u32(content, 0)
    if start + size > len(content):
        raise ProofError("a section's name ends past the section's end")
    try:
        name = content[start : start + size].decode("utf-8")
    except UnicodeDecodeError as bad:
        raise ProofError("a section's name is not UTF-8") from bad
    return name, content[start + size :]


def _u32(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def _read_u32(data: bytes, place: int) -> tuple[int, int]:
    """Return the LEB128 integer at `place` and the place after it."""
    value = 0
    for index, digit in enumerate(data[place : place + _U32_BYTES_MAX]):
        value |= (digit & 0x7F) << (7 * index)
        if digit < 0x80:
            if value >= 2**32:
                break
            return value, place + index + 1
    raise ProofError("a length is no LEB128 integer of 32 bits")

"""Custom sections of WebAssembly modules: text that travels in a module and changes only its hash.

Source: WebAssembly Core Specification 2.0, section 5.5 (modules), 5.2.2 (LEB128 integers).
"""

from __future__ import annotations

from opkit.proof.checks import ProofError

MAGIC = b"\0asm\x01\0\0\0"
"""The magic number and version 1 that every module starts with."""

_CUSTOM = 0


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


def _u32(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])

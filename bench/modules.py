"""Modules of a wanted size: WebAssembly commands that do nothing, with code or with padding."""

from __future__ import annotations

import secrets

from opkit.proof.wasm import MAGIC, add_custom_section

_TYPES = bytes([2, 0x60, 0, 0, 0x60, 1, 0x7F, 1, 0x7F])
_BODY_STEPS = 40


def padded(size_bytes: int, *, code_bytes: int) -> bytes:
    """Return a module of about `size_bytes`, of which about `code_bytes` are code.

    No two are equal: the padding is random, so no cache of an earlier one helps.
    """
    module = coded(code_bytes)
    return add_custom_section(
        module, "bench", secrets.token_bytes(max(0, size_bytes - len(module)))
    )


def coded(code_bytes: int) -> bytes:
    """Return a module of about `code_bytes` of code that validates and compiles.

    The constants in its functions are random: no two functions are equal, and nothing is compiled
    once for all.
    """
    bodies = [b"\x02\x00\x0b"]
    size = 0
    while size < code_bytes:
        body = _body()
        bodies.append(body)
        size += len(body)
    signatures = bytes([0]) + bytes([1]) * (len(bodies) - 1)
    memory = bytes([1, 0, 1])
    exports = bytes([2, 6]) + b"memory" + bytes([2, 0, 6]) + b"_start" + bytes([0, 0])
    sections = [
        (1, _TYPES),
        (3, u32(len(bodies)) + signatures),
        (5, memory),
        (7, exports),
        (10, u32(len(bodies)) + b"".join(bodies)),
    ]
    parts = [bytes([kind]) + u32(len(content)) + content for kind, content in sections]
    return MAGIC + b"".join(parts)


def _body() -> bytes:
    """Return a function that loads, compares and stores, as compiled programs mostly do."""
    steps = b"".join(_step(secrets.randbelow(2**13)) for _ in range(_BODY_STEPS))
    content = b"\x00" + steps + b"\x20\x00\x0b"
    return u32(len(content)) + content


def _step(constant: int) -> bytes:
    """Return `x = memory[c + (x ^ c)]; if (!x) memory[c + x] = x`."""
    number = bytes([0x80 | constant & 0x7F, constant >> 7])
    load = b"\x20\x00\x41" + number + b"\x73\x28\x02" + number + b"\x22\x00"
    return load + b"\x45\x04\x40\x20\x00\x20\x00\x36\x02" + number + b"\x0b"


def u32(number: int) -> bytes:
    """Return a number as modules spell it: unsigned LEB128."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(0x80 | number & 0x7F)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

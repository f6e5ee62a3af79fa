"""Modules of a wanted size: WebAssembly commands that do nothing, with code or with padding."""

from __future__ import annotations

import secrets

from opkit.proof.wasm import MAGIC, add_custom_section

_TYPES = bytes([2, 0x60, 0, 0, 0x60, 1, 0x7F, 1, 0x7F])
_BODY_STEPS = 1_000


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

    Functions add constants to their argument; the constants are random, so that no two functions
    are equal and nothing is compiled once for all.
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
        (3, _u32(len(bodies)) + signatures),
        (5, memory),
        (7, exports),
        (10, _u32(len(bodies)) + b"".join(bodies)),
    ]
    parts = [bytes([kind]) + _u32(len(content)) + content for kind, content in sections]
    return MAGIC + b"".join(parts)


def _body() -> bytes:
    steps = b"".join(
        b"\x41" + bytes([0x80 | low & 0x7F, high & 0x3F]) + b"\x6a"
        for low, high in zip(
            secrets.token_bytes(_BODY_STEPS), secrets.token_bytes(_BODY_STEPS), strict=True
        )
    )
    content = b"\x00\x20\x00" + steps + b"\x0b"
    return _u32(len(content)) + content


def _u32(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(0x80 | number & 0x7F)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

"""An adaptation of iroh's Python binding: copy outgoing bytes as a block, not one by one.

The generated binding (UniFFI) fills its buffers with a Python loop over every byte, which bounds
a stream to 6 MB/s. The replacement does the same with one `memmove`. It applies to the versions it
was tested with and to no other; `tests/nodeimpl/p2p/test_iroh_buffers.py` compares the bytes and
fails once the original is as fast, which is when this module can go. Source: ADR 0006.
"""

from __future__ import annotations

import ctypes
from importlib.metadata import version
from typing import Any

from iroh import iroh_ffi

TESTED_VERSIONS = frozenset({"1.2.0"})
"""Versions of the `iroh` package whose buffer layout this was tested with."""


def write_block(builder: Any, value: bytes) -> None:
    """Append `value` to the binding's buffer.

    Args:
        builder: a `_UniffiRustBufferBuilder`; its `rbuf` has `data`, `len` and `capacity`.
        value: anything with the bytes to append.
    """
    size = len(value)
    with builder._reserve(size):  # noqa: SLF001 - the binding has no public way to grow it
        if size:
            start = ctypes.addressof(builder.rbuf.data.contents) + builder.rbuf.len
            ctypes.memmove(start, bytes(value), size)


def adapt(installed: str | None = None) -> bool:
    """Replace the slow copy if the installed version is one this was tested with.

    Args:
        installed: the version to judge by; the installed one unless told otherwise.

    Returns:
        Whether the fast copy is in place; without it everything works, slower.
    """
    if (installed or version("iroh")) not in TESTED_VERSIONS:
        return False
    builder: Any = iroh_ffi._UniffiRustBufferBuilder  # noqa: SLF001 - replaced, not used
    builder.write = write_block
    return True

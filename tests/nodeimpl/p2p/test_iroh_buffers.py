"""The adaptation of iroh's binding: same bytes, faster, for tested versions only."""

from __future__ import annotations

import inspect
import os
import time
from importlib.metadata import version
from typing import Any

import pytest
from iroh import iroh_ffi

from nodeimpl.p2p import iroh_buffers


def original(builder: Any, value: bytes) -> None:
    """What the binding generates, as of iroh 1.2: one assignment per byte."""
    with builder._reserve(len(value)):
        for i, byte in enumerate(value):
            builder.rbuf.data[builder.rbuf.len + i] = byte


def written(write, *values: bytes) -> bytes:
    """Return what a fresh buffer holds after writing all values."""
    builder: Any = iroh_ffi._UniffiRustBufferBuilder()
    try:
        for value in values:
            write(builder, value)
        return bytes(builder.rbuf.data[: builder.rbuf.len])
    finally:
        builder.discard()


@pytest.mark.parametrize(
    "values",
    [
        (b"",),
        (b"a",),
        (b"", b"", b"x"),
        (bytes(range(256)) * 3, b"\0" * 17, b"end"),
        tuple(os.urandom(size) for size in (1, 15, 16, 17, 4096, 70_000)),
    ],
    ids=["nothing", "one", "empties", "all-bytes", "growing"],
)
def test_the_fast_copy_writes_the_same_bytes_as_the_original(values):
    assert written(iroh_buffers.write_block, *values) == b"".join(values)
    assert written(original, *values) == b"".join(values)


def test_other_bytes_like_values_are_taken_too():
    assert written(iroh_buffers.write_block, bytearray(b"ab"), memoryview(b"cd")) == b"abcd"


def test_it_applies_to_tested_versions_and_leaves_others_alone(monkeypatch):
    monkeypatch.setattr(iroh_ffi._UniffiRustBufferBuilder, "write", original)
    assert not iroh_buffers.adapt("0.0.1")
    assert iroh_ffi._UniffiRustBufferBuilder.write is original
    assert iroh_buffers.adapt("1.2.0")
    assert iroh_ffi._UniffiRustBufferBuilder.write is iroh_buffers.write_block


def test_the_installed_version_is_one_of_the_tested():
    """When this fails after an upgrade: run these tests with it, then add it to the list."""
    assert version("iroh") in iroh_buffers.TESTED_VERSIONS


def test_the_shipped_binding_still_copies_byte_by_byte():
    """When this fails, upstream has fixed it: delete `iroh_buffers.py` and this file."""
    shipped = inspect.getsource(iroh_ffi._UniffiRustBufferBuilder)
    write = shipped[shipped.index("def write(self, value):") :][:200]
    assert "for i, byte in enumerate(value):" in write


def test_the_fast_copy_is_faster():
    data = bytes(2**20)

    def least_s(write: Any) -> float:
        took_s = []
        for _ in range(3):
            began = time.thread_time()
            written(write, data)
            took_s.append(time.thread_time() - began)
        return min(took_s)

    assert least_s(original) > 3 * least_s(iroh_buffers.write_block)

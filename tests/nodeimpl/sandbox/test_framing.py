"""Frames are bounded before they are read."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

import pytest

from nodeimpl.sandbox import framing


def sent(data: bytes) -> socket.socket:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(data)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join(0.2)
    return ours


@pytest.mark.parametrize("parts", [(), (b"",), (b"a", b"bc"), (bytes(100_000),)])
def test_what_is_written_is_read(parts: tuple[bytes, ...]) -> None:
    with sent(framing.encode({"op": "x", "n": 1}, *parts)) as channel:
        assert framing.read(channel) == ({"op": "x", "n": 1}, b"".join(parts))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        struct.pack(">II", framing.HEAD_BYTES_MAX + 1, 0),
        struct.pack(">II", 2, framing.BYTES_MAX + 1) + b"{}",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{[",
        struct.pack(">II", 2, 9) + b"{}abc",
    ],
)
def test_what_is_no_frame_is_refused_on_both_ends(data: bytes) -> None:
    with sent(data) as channel, pytest.raises(framing.FrameBroken):
        framing.read(channel)

    async def receive() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await framing.receive(reader)

    with pytest.raises(framing.FrameBroken):
        asyncio.run(receive())


def test_a_frame_beyond_the_bounds_is_its_makers_mistake() -> None:
    with pytest.raises(AssertionError):
        framing.encode({"x": "y" * framing.HEAD_BYTES_MAX})

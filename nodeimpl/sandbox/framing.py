"""Frames between the sandbox and its workers: a JSON head and raw bytes, both bounded.

A frame is two big-endian 32-bit lengths, the head as JSON, and the bytes. Both ends check the
lengths before they read on, so that neither a broken nor a captured worker can fill the node.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

HEAD_BYTES_MAX = 65_536
BYTES_MAX = 128 * 2**20
_LENGTHS = struct.Struct(">II")


class FrameBroken(Exception):
    """The other end is gone, or what came is no frame."""


def encode(head: dict[str, Any], *parts: bytes) -> bytes:
    """Return the frame of `head` and the joined `parts`."""
    text = json.dumps(head, separators=(",", ":")).encode("utf-8")
    size = sum(len(part) for part in parts)
    assert len(text) <= HEAD_BYTES_MAX and size <= BYTES_MAX, "a frame is bounded by its maker"
    return b"".join((_LENGTHS.pack(len(text), size), text, *parts))


def _lengths(raw: bytes, bytes_max: int = BYTES_MAX) -> tuple[int, int]:
    head, size = _LENGTHS.unpack(raw)
    if head > HEAD_BYTES_MAX or size > bytes_max:
        raise FrameBroken(f"a frame of {head} and {size} bytes")
    return head, size


def _decode(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text)
    except ValueError as bad:
        raise FrameBroken("the head is not JSON") from bad
    if not isinstance(head, dict):
        raise FrameBroken("the head is no object")
    return head


def read(channel: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Return the next frame from a blocking socket.

    Raises:
        FrameBroken: the other end closed, or sent something else.
    """
    head, size = _lengths(_exactly(channel, _LENGTHS.size))
    return _decode(_exactly(channel, head)), _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    kept = bytearray(size)
    view, done = memoryview(kept), 0
    while done < size:
        got = channel.recv_into(view[done:])
        if got == 0:
            raise FrameBroken("the other end closed")
        done += got
    return bytes(kept)


async def receive(
    reader: asyncio.StreamReader, *, bytes_max: int = BYTES_MAX
) -> tuple[dict[str, Any], bytes]:
    """Return the next frame from a stream.

    Args:
        bytes_max: how many bytes an honest sender's frame has at most beside its head; what
            announces more is not read.

    Raises:
        FrameBroken: the other end closed, or sent something else.
    """
    try:
        head, size = _lengths(await reader.readexactly(_LENGTHS.size), bytes_max)
        return _decode(await reader.readexactly(head)), await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError) as gone:
        raise FrameBroken("the other end closed") from gone

"""Frames on a stream: a four-byte length and that many bytes of JSON (`docs/protocol.md`).

They are read strictly: what another program may read differently is refused.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from nodeimpl.kernel.once import SaidTwice, refuse_twice
from nodeimpl.p2p.transport import Stream, StreamEnded
from opkit.wire.base import Wire
from opkit.wire.errors import Refusal
from opkit.wire.flaws import first_flaw
from opkit.wire.peer import FRAME_BYTES_MAX, AnswerFrame, FrameMalformed, RequestFrame

LENGTH_BYTES = 4
PIECE_BYTES = 256 * 2**10
"""How much one read asks for: larger reads were not faster, smaller ones cost more calls."""

READ_BYTES_MIN = 4096
"""How much a read of a frame asks for at least: most frames come whole in one read."""

_W = TypeVar("_W", bound=Wire)


class FrameReader:
    """Reads frames and what follows them from one stream."""

    def __init__(self, stream: Stream) -> None:
        """Read from `stream`, from where it stands."""
        self._stream = stream
        self._held = bytearray()

    async def length(self) -> int:
        """Return the announced length of the next frame.

        Raises:
            FrameMalformed: longer than any frame; not a byte of it was read.
            StreamEnded: the stream ended before.
        """
        await self._hold(LENGTH_BYTES)
        size = int.from_bytes(self._held[:LENGTH_BYTES], "big")
        if size > FRAME_BYTES_MAX:
            raise FrameMalformed(why=f"{size} bytes are more than {FRAME_BYTES_MAX}")
        del self._held[:LENGTH_BYTES]
        return size

    def holds(self, size: int) -> bool:
        """Return whether the next `size` bytes have arrived already."""
        return len(self._held) >= size

    async def body(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            StreamEnded: the stream ended before.
        """
        await self._hold(size)
        body = bytes(self._held[:size])
        del self._held[:size]
        return body

    async def piece(self, max_bytes: int) -> bytes:
        """Return 1 to `max_bytes` bytes of what follows the frame, or `b""` at the end.

        Raises:
            StreamEnded: the stream broke.
        """
        if not self._held:
            return await self._stream.receive(max_bytes)
        piece = bytes(self._held[:max_bytes])
        del self._held[:max_bytes]
        return piece

    async def _hold(self, size: int) -> None:
        while len(self._held) < size:
            wanted = max(READ_BYTES_MIN, size - len(self._held))
            arrived = await self._stream.receive(min(wanted, PIECE_BYTES))
            if not arrived:
                raise StreamEnded("it ended within a frame")
            self._held += arrived


def framed(frame: RequestFrame | AnswerFrame) -> bytes:
    """Return the frame as it travels.

    Raises:
        ValueError: longer than a frame may be: the sender's mistake, found before it is sent.
    """
    return _with_length(frame.model_dump_json(exclude_none=True))


def cast(said: Wire) -> bytes:
    """Return the frame of a cast, which is its value and nothing round it. Raises as `framed`."""
    return _with_length(said.model_dump_json(exclude_defaults=True))


def _with_length(text: str) -> bytes:
    body = text.encode("utf-8")
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"{len(body)} bytes are more than a frame holds")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def request(method: str, ask: Wire) -> bytes:
    """Return the frame that asks `method`."""
    return framed(RequestFrame(method=method, body=ask.model_dump(mode="json")))


def answer(value: Wire) -> bytes:
    """Return the frame that answers with a value."""
    return framed(AnswerFrame(ok=value.model_dump(mode="json")))


def refusal(no: Refusal) -> bytes:
    """Return the frame that refuses."""
    return framed(AnswerFrame(problem=no.problem()))


def fault(incident: str) -> bytes:
    """Return the frame that says this node is broken, without saying how."""
    problem: dict[str, Any] = {"code": "fault", "status": 500, "incident": incident}
    return framed(AnswerFrame(problem=problem))


def read_request(body: bytes) -> RequestFrame:
    """Return the request in a frame. Raises `FrameMalformed`."""
    try:
        frame = RequestFrame.model_validate_json(body, strict=True)
        refuse_twice(body)
    except ValidationError as bad:
        raise _malformed(bad) from bad
    except SaidTwice as twice:
        raise FrameMalformed(why=str(twice)) from twice
    return frame


def read_answer(body: bytes) -> AnswerFrame:
    """Return the answer in a frame.

    Raises:
        ValueError: not JSON, something said twice, not an answer, or not exactly one of its forms.
    """
    frame = AnswerFrame.model_validate_json(body, strict=True)
    refuse_twice(body)
    if (frame.ok is None) == (frame.problem is None):
        raise ValueError("an answer has exactly one of `ok` and `problem`")
    return frame


def read_cast(of: type[_W], body: bytes) -> _W:
    """Return the cast in a frame. Raises `FrameMalformed`."""
    try:
        said = of.model_validate_json(body, strict=True)
        refuse_twice(body)
    except ValidationError as bad:
        raise _malformed(bad) from bad
    except SaidTwice as twice:
        raise FrameMalformed(why=str(twice)) from twice
    return said


def read_value(of: type[_W], value: dict[str, Any]) -> _W:
    """Return the value of the declared shape. Raises `FrameMalformed`."""
    try:
        return strictly(of, value)
    except ValidationError as bad:
        raise _malformed(bad) from bad


def strictly(of: type[_W], value: dict[str, Any]) -> _W:
    """Return the value of JSON that was decoded, where "5" and true are no integers.

    Raises:
        pydantic.ValidationError: it is none of this type.
    """
    # From Python's values alone lists are no tuples and texts no bytes: they are read as JSON.
    return of.model_validate_json(to_json(value, inf_nan_mode="constants"), strict=True)


def _malformed(bad: ValidationError) -> FrameMalformed:
    return FrameMalformed(why=str(first_flaw(bad))[:512])

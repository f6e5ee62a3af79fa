"""A request's body: counted before it is kept, timed, and never trusted with its own length."""

from __future__ import annotations

import asyncio
import contextlib

from nodeimpl.gateway.limits import GatewayLimits
from nodeimpl.gateway.replies import Receive
from opkit.wire.gateway import BodyOversize, Malformed, RateExceeded

BUSY_RETRY_MS = 1_000


class ClientGone(Exception):
    """The client closed the connection before it had said all."""


class Room:
    """How many bytes of bodies are on their way at this door, all asks together."""

    def __init__(self, *, bytes_max: int) -> None:
        """Begin with nothing on its way."""
        self.bytes_max = bytes_max
        self.taken = 0

    def take(self, size: int) -> None:
        """Set room aside for one body.

        Raises:
            RateExceeded: there is none now.
        """
        if self.taken + size > self.bytes_max:
            raise RateExceeded(retry_after_ms=BUSY_RETRY_MS)
        self.taken += size

    def give_back(self, size: int) -> None:
        """Let another body have the room."""
        self.taken -= size
        assert self.taken >= 0, "room was given back twice"


class Body:
    """The body of one request.

    `declared` is what the headers say: a length, or None where it comes in chunks of unknown sum.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        length: bytes | None,
        chunked: bool,
        limit: int,
        limits: GatewayLimits,
    ) -> None:
        """Look at the headers; nothing is read yet."""
        self._receive = receive
        self._limit = limit
        self._limits = limits
        self._ended = length is None and not chunked
        self.declared = _length(length) if length is not None else (0 if self._ended else None)

    @property
    def waits(self) -> bool:
        """Whether something may still come."""
        return not self._ended

    def check_declared(self) -> None:
        """Refuse a body that says itself that it is too long.

        Raises:
            BodyOversize: it does.
        """
        if self.declared is not None and self.declared > self._limit:
            raise BodyOversize(limit_bytes=self._limit)

    async def read(self, room: Room) -> bytes:
        """Return the whole body.

        Raises:
            BodyOversize: more came than the limit; no more than that was ever kept.
            RateExceeded: too many bodies are on their way.
            Malformed: it did not arrive in time.
            ClientGone: the connection closed first.
        """
        if self._ended:
            return b""
        reserved = self._limit if self.declared is None else self.declared
        room.take(reserved)
        try:
            async with asyncio.timeout(self._limits.body_ms_max / 1000):
                return await self._gather()
        except TimeoutError as slow:
            why = f"not there within {self._limits.body_ms_max} ms"
            raise Malformed(field="body", why=why) from slow
        finally:
            room.give_back(reserved)

    async def overflows(self) -> bool:
        """Count a body of undeclared length without keeping it; say whether it is too long.

        For an ask that is refused for another reason already: the contract says that too long a
        body is told first.
        """
        if self._ended or self.declared is not None:
            return False
        return await self._drop(self._limit) > self._limit

    async def settle(self) -> bool:
        """Read and drop what still comes, so that the sender gets to read the refusal.

        Returns:
            Whether the connection can be used again; False if it must be closed.
        """
        if self._ended:
            return True
        if self.declared is not None and self.declared > self._limits.drain_bytes_max:
            return False
        dropped = await self._drop(self._limits.drain_bytes_max)
        return not self.waits and dropped <= self._limits.drain_bytes_max

    async def _gather(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while not self._ended:
            chunk = await self._next()
            size += len(chunk)
            if size > self._limit:
                raise BodyOversize(limit_bytes=self._limit)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _drop(self, bytes_max: int) -> int:
        """Drop what comes, for so much time and until it is more than so many bytes; count it."""
        size = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.drain_ms_max / 1000):
                while not self._ended and size <= bytes_max:
                    size += len(await self._next())
        return size

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


def _length(text: bytes) -> int | None:
    """Return a declared length; None if it is no number, so that the bytes are counted instead."""
    return int(text) if text.isdigit() and len(text) <= 18 else None

"""Casts: one-way messages on a standing link, in order, or lost with it.

A stream carries the casts of one kind in one direction, frame after frame. Who does not read holds
up nobody: what waits for a link is bounded, and whoever casts is told how much it is, and that
something was dropped. Source: ADR 0028; `docs/protocol.md`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nodeimpl.p2p.transport import Stream
from opkit.wire.base import Did, Wire

CAST_COST_BYTES = 1_024
"""What a cast costs of its peer's budget beside its bytes: an empty one is read and judged too."""

Said = TypeVar("Said", bound=Wire)


@dataclass(frozen=True)
class Hearing(Generic[Said]):
    """Who hears the casts of one kind. `heard` returns at once and raises nothing of its own."""

    of: type[Said]
    heard: Callable[[Did, Said], None]


class Outlet:
    """What waits to be cast on one link, in one kind."""

    def __init__(self, *, bytes_max: int, relieved: Callable[[int], None]) -> None:
        """Begin empty; hold at most `bytes_max`, and tell `relieved` what still waits of it."""
        self._bytes_max = bytes_max
        self._relieved = relieved
        self._waiting: deque[bytes] = deque()
        self._more = asyncio.Event()
        self.unsent_bytes = 0

    def put(self, frame: bytes) -> bool:
        """Let a frame wait for its turn; return False if there is no room for it."""
        if self.unsent_bytes + len(frame) > self._bytes_max:
            return False
        self.unsent_bytes += len(frame)
        self._waiting.append(frame)
        self._more.set()
        return True

    async def pour(self, stream: Stream) -> None:
        """Send what waits, for ever, together what waits together.

        Raises:
            StreamEnded: the peer reads no more; what waited is lost.
        """
        while True:
            await self._more.wait()
            self._more.clear()
            together = b"".join(self._waiting)
            self._waiting.clear()
            await stream.send(together)
            self.unsent_bytes -= len(together)
            self._relieved(self.unsent_bytes)


class Hearings:
    """The kinds of casts that this node hears."""

    def __init__(self) -> None:
        """Begin deaf."""
        self._kinds: dict[str, Hearing[Any]] = {}

    def add(self, kind: str, hearing: Hearing[Any]) -> None:
        """Hear casts of this kind; one hearing a kind."""
        assert kind not in self._kinds, f"{kind} is heard already"
        self._kinds[kind] = hearing

    def find(self, kind: str) -> Hearing[Any] | None:
        """Return who hears this kind."""
        return self._kinds.get(kind)

"""Who answers which question: the handlers of one node, and how their failures travel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic

from opkit.wire.base import Did, Wire
from opkit.wire.endpoint import Answer, Ask
from opkit.wire.errors import Refusal
from opkit.wire.peer import COMMON_REFUSALS, METHODS, MethodUnknown, PeerMethod


@dataclass(frozen=True)
class Streamed(Generic[Answer]):
    """An answer whose bytes follow it. `pieces` yields them; it is closed whatever happens."""

    answer: Answer
    pieces: AsyncIterator[bytes]


Handler = Callable[[Did, Any], Awaitable[Wire | Streamed[Any]]]
"""Answers one question of the peer with this DID, or raises a refusal."""


class Handlers:
    """The handlers by method name. Filled before the first connection."""

    def __init__(self) -> None:
        """Begin with no handler: every question is refused as unknown."""
        self._handlers: dict[str, Handler] = {}

    def serve(self, method: PeerMethod[Ask, Answer], handler: Handler) -> None:
        """Let `handler` answer `method`; one handler a method."""
        assert METHODS.get(method.name) is method, "the method is declared in opkit.wire.peer"
        assert method.name not in self._handlers, f"{method.name} has a handler already"
        self._handlers[method.name] = handler

    def find(self, name: str) -> tuple[PeerMethod[Any, Any], Handler]:
        """Return the method and its handler. Raises `MethodUnknown`."""
        handler = self._handlers.get(name)
        if handler is None:
            raise MethodUnknown(method=name[:64])
        return METHODS[name], handler


def may_refuse(method: PeerMethod[Any, Any], no: Refusal) -> bool:
    """Return whether `no` is one of the refusals that `method` declares."""
    return type(no) in COMMON_REFUSALS or type(no) in method.refuses

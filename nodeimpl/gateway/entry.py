"""The entry: which door an ask is for. Contract paths go straight to it, the rest to the framework.

Finding the door is two dictionary look-ups; the framework's own routing and dependencies cost as
much as everything else that a small ask needs (ADR 0009).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from nodeimpl.gateway.a2a_later import A2ALater
from nodeimpl.gateway.admit import Admission
from nodeimpl.gateway.door import Door
from nodeimpl.gateway.replies import App, Receive, Scope, Send, reply_refusal
from nodeimpl.gateway.request import Head, is_called, read_head
from nodeimpl.gateway.streams import Streams
from opkit.wire.agents import CARD_PATH
from opkit.wire.errors import Refusal
from opkit.wire.gateway import RateExceeded, RouteUnknown

PATH_CHARACTERS_MAX = 200
"""How much of an unknown path is said back."""

BESIDE = frozenset({"/metrics", "/openapi.json", CARD_PATH})
"""What is served and is no endpoint."""


class Entry:
    """The outermost part of the node's ASGI app."""

    def __init__(
        self,
        *,
        doors: Sequence[Door],
        streams: Streams,
        admission: Admission,
        otherwise: App,
        names: frozenset[str] = frozenset(),
        a2a: A2ALater | None = None,
    ) -> None:
        """Lay out the table of doors.

        Args:
            doors: one for each endpoint.
            streams: the event streams.
            admission: how fast what is no endpoint may be asked for.
            otherwise: what answers paths outside the contract.
            names: by which hosts' names the node may be called, besides those of loopback.
            a2a: what answers A2A clients, if any are to be answered.
        """
        self._a2a = a2a
        self._names = names
        self._static: dict[str, dict[str, Door]] = {}
        self._patterns: dict[int, list[tuple[tuple[str, ...], dict[str, Door]]]] = {}
        self._streams = streams
        self._admission = admission
        self._otherwise = otherwise
        for door in doors:
            self._lay(door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead one connection to its door."""
        if scope["type"] == "websocket":
            await self._streams.serve(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._otherwise(scope, receive, send)
            return
        head = read_head(scope)
        path = _path(scope)
        if not is_called(head.host, self._names):
            await self._refuse(send, head, path=path)
            return
        methods, in_path = self._find(path)
        door = methods.get(scope["method"])
        if door is not None:
            await door.answer(scope, receive, send, head=head, in_path=in_path)
        elif self._a2a is not None and self._a2a.is_for(path):
            await self._a2a.serve(scope, receive, send, head=head, path=path)
        elif methods or path not in BESIDE:
            await self._refuse(send, head, path=path)
        else:
            await self._beside(scope, receive, send, head=head)

    async def _refuse(self, send: Send, head: Head, *, path: str) -> None:
        """Say that there is no such endpoint, as fast as that may be asked."""
        refusal: Refusal = RouteUnknown(path=path[:PATH_CHARACTERS_MAX])
        try:
            self._admission.admit_beside(head, costs=False)
        except RateExceeded as too_fast:
            refusal = too_fast
        await reply_refusal(send, refusal, request_id=head.request_id)

    async def _beside(self, scope: Scope, receive: Receive, send: Send, *, head: Head) -> None:
        """Have the framework answer, as often as that may be asked."""
        try:
            self._admission.admit_beside(head, costs=True)
        except RateExceeded as too_fast:
            await reply_refusal(send, too_fast, request_id=head.request_id)
            return
        await self._otherwise(scope, receive, send)

    def _lay(self, door: Door) -> None:
        path = door.endpoint.path
        method = door.endpoint.method
        if not door.endpoint.path_fields():
            methods = self._static.setdefault(path, {})
        else:
            parts = tuple("" if part.startswith("{") else part for part in path.split("/"))
            same = self._patterns.setdefault(len(parts), [])
            known = [methods for pattern, methods in same if pattern == parts]
            methods = known[0] if known else {}
            if not known:
                same.append((parts, methods))
        assert method not in methods, f"two endpoints answer {method} {path}"
        methods[method] = door

    def _find(self, path: str) -> tuple[dict[str, Door], tuple[str, ...]]:
        """Return the doors of a path by method, and the values of the path's fields."""
        methods = self._static.get(path)
        if methods is not None:
            return methods, ()
        parts = path.split("/")
        for pattern, doors in self._patterns.get(len(parts), ()):
            pairs = list(zip(pattern, parts, strict=True))[1:]
            if all(part in ("", given) for part, given in pairs):
                return doors, tuple(unquote(given) for part, given in pairs if part == "")
        return {}, ()


def _path(scope: Scope) -> str:
    """Return the path as it was sent, still quoted, so that a field may hold any character."""
    raw = scope.get("raw_path")
    if raw is None:
        path: str = scope["path"]
        return path
    quoted: str = raw.decode("latin-1")
    return quoted

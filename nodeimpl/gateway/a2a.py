"""A2A at the front door: JSON-RPC at `/a2a/`, HTTP+JSON below `/a2a/v1`, both plain and streaming.

No part of the contract: what is asked here is defined by the Agent2Agent protocol 1.0. Address,
rate, token, body and room are judged as everywhere and told as everywhere; what follows is told as
A2A tells it. Nothing of this is loaded before the first ask. Source: ADR 0037.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from nodeimpl.gateway.a2a_bindings import STREAMING, Called, Request, called_by
from nodeimpl.gateway.a2a_errors import INTERNAL, A2AError, error_of
from nodeimpl.gateway.a2a_later import Gate
from nodeimpl.gateway.a2a_tasks import Asker, Tasks
from nodeimpl.gateway.body import Body, ClientGone
from nodeimpl.gateway.faults import confess
from nodeimpl.gateway.replies import Receive, Send, reply, reply_refusal
from nodeimpl.gateway.replies import Scope as Asgi
from nodeimpl.gateway.request import Head
from nodeimpl.kernel.errors import StoreClosed
from nodeimpl.kernel.log import bound
from opkit.wire.endpoint import JSON_BODY_BYTES_MAX, Scope
from opkit.wire.errors import Refusal
from opkit.wire.gateway import (
    GATE_REFUSALS,
    BodyOversize,
    Malformed,
    RateExceeded,
    StoreBusy,
)

EVENTS = b"text/event-stream"
NAME = "a2a"
"""What metrics and logs call all of this."""

FULL_RETRY_MS = 1_000
KEEP_ALIVE_S = 15.0
"""How often a stream says that it is there, while nothing happens."""

Plain = Callable[[Asker, Any], Awaitable[dict[str, Any]]]
Streaming = Callable[[Asker, Any], AsyncGenerator[dict[str, Any], None]]


class A2A:
    """Answers A2A at one node."""

    def __init__(self, tasks: Tasks, gate: Gate) -> None:
        """Answer by these operations."""
        self._gate = gate
        self._held: Counter[str] = Counter()
        self._plain: dict[str, Plain] = {
            "SendMessage": tasks.send,
            "GetTask": tasks.get,
            "ListTasks": tasks.list,
            "CancelTask": tasks.cancel,
        }
        self._streaming: dict[str, Streaming] = {
            "SendStreamingMessage": tasks.stream,
            "SubscribeToTask": tasks.subscribe,
        }

    async def serve(
        self, scope: Asgi, receive: Receive, send: Send, *, head: Head, path: str
    ) -> None:
        """Answer one request; nothing is raised but what ends the process."""
        began = self._gate.figures.began()
        with bound(request_id=head.request_id, endpoint=NAME):
            status = await self._serve(scope, receive, send, head=head, path=path)
        self._gate.figures.asked(NAME, status=status, began=began)

    async def _serve(
        self, scope: Asgi, receive: Receive, send: Send, *, head: Head, path: str
    ) -> int:
        limits = self._gate.limits
        limit = min(JSON_BODY_BYTES_MAX, limits.body_bytes_max)
        body = Body(receive, length=head.length, chunked=head.chunked, limit=limit, limits=limits)
        try:
            with self._gate.crowd:
                asker, content = await self._admitted(scope, body, head=head, limit=limit)
                called = called_by(_request(scope, content, head=head, path=path))
                if called.error is not None:
                    return await self._fail(send, called, called.error, head=head)
                if called.operation not in STREAMING:
                    return await self._answer(send, called, asker, head=head)
            with self._counted(head.asker):
                return await self._stream(receive, send, called, asker, head=head)
        except ClientGone:
            return 499
        except Refusal as refusal:
            try:
                reusable = await body.settle()
            except ClientGone:
                return 499
            extra = () if reusable else ((b"connection", b"close"),)
            await reply_refusal(send, refusal, request_id=head.request_id, extra=extra)
            return refusal.status

    async def _admitted(
        self, scope: Asgi, body: Body, *, head: Head, limit: int
    ) -> tuple[Asker, bytes]:
        """Return who asks, and the body, or raise what the contract says, in its order."""
        body.check_declared()
        try:
            admitted = await self._gate.admission.admit(head, Scope.COMPUTE_READ)
        except Refusal:
            if await body.overflows():
                raise BodyOversize(limit_bytes=limit) from None
            raise
        assert admitted.caller is not None, "a scope asks for a caller"
        head.asker = admitted.caller.member_id
        if head.coded:
            raise Malformed(field="Content-Encoding", why="bodies travel as they are")
        content = await body.read(self._gate.room) if body.waits else b""
        base = f"{scope.get('scheme', 'http')}://{head.host.decode('latin-1')}"
        return Asker(admitted=admitted, base=base), content

    async def _answer(self, send: Send, called: Called, asker: Asker, *, head: Head) -> int:
        """Run an operation that has one answer, and send it."""
        try:
            async with asyncio.timeout(self._gate.limits.answer_ms_max / 1_000):
                result = await self._plain[called.operation](asker, called.params)
        except Exception as failure:  # noqa: BLE001 - the edge: each is told in its form
            return await self._fail(send, called, _error_of(failure), head=head)
        content = called.said(result)
        with self._gate.unread.held(head.asker, len(content)):
            await reply(
                send, status=200, body=content, kind=called.kind, request_id=head.request_id
            )
        return 200

    async def _fail(self, send: Send, called: Called, error: A2AError, *, head: Head) -> int:
        """Tell why there is no answer."""
        status, body = called.status(error), called.failed(error)
        await reply(send, status=status, body=body, kind=called.kind, request_id=head.request_id)
        return error.kind.status

    async def _stream(
        self, receive: Receive, send: Send, called: Called, asker: Asker, *, head: Head
    ) -> int:
        """Run an operation that goes on, and send what it says, until that is all or who left."""
        events = self._streaming[called.operation](asker, called.params)
        async with contextlib.aclosing(events):
            try:
                first = await anext(events)
            except Exception as failure:  # noqa: BLE001 - the edge: each is told in its form
                return await self._fail(send, called, _error_of(failure), head=head)
            await _begin(send, head=head)
            pages = asyncio.create_task(self._send_all(send, called, asker, first, events))
            left = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({pages, left}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (pages, left):
                    task.cancel()
                await asyncio.wait({pages, left})
            if not pages.cancelled() and (failed := pages.exception()) is not None:
                raise failed
        return 200

    async def _send_all(
        self,
        send: Send,
        called: Called,
        asker: Asker,
        first: dict[str, Any],
        events: AsyncGenerator[dict[str, Any], None],
    ) -> None:
        """Send each event, and a comment where nothing happens; the token's end is the stream's."""
        said: bytes | None = b"data: " + called.said(first) + b"\n\n"
        coming: asyncio.Task[bytes | None] | None = None
        try:
            while said is not None and self._gate.clock.now_ms() < asker.admitted.expires_at_ms:
                async with asyncio.timeout(self._gate.limits.stream_stall_ms_max / 1_000):
                    await send({"type": "http.response.body", "body": said, "more_body": True})
                coming = coming or asyncio.create_task(_next(called, events))
                await asyncio.wait({coming}, timeout=KEEP_ALIVE_S)
                if coming.done():
                    said, coming = coming.result(), None
                else:
                    said = b": waiting\n\n"
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return  # Who does not read is not waited for: the server closes what is not complete.
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})

    @contextlib.contextmanager
    def _counted(self, who: str) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            RateExceeded: the member, or the node, has as many open as may be.
        """
        limits = self._gate.limits
        full = self._held.total() >= limits.streams_max
        if full or self._held[who] >= limits.streams_per_principal_max:
            raise RateExceeded(retry_after_ms=FULL_RETRY_MS)
        self._held[who] += 1
        try:
            yield
        finally:
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]


def _request(scope: Asgi, content: bytes, *, head: Head, path: str) -> Request:
    return Request(
        method=scope["method"],
        path=path,
        query=scope["query_string"],
        headers=scope["headers"],
        content_type=head.content_type,
        content=content,
    )


def _error_of(failure: Exception) -> A2AError:
    """Return how a failure is told by A2A.

    Raises:
        Refusal: it is about who asks or how fast, which is told as everywhere at this door.
    """
    if isinstance(failure, A2AError):
        return failure
    if isinstance(failure, StoreClosed):
        return error_of(StoreBusy(why=str(failure)))
    if type(failure) in GATE_REFUSALS:
        raise failure
    if isinstance(failure, Refusal):
        return error_of(failure)
    incident = confess(failure, endpoint=NAME)
    return A2AError(INTERNAL, f"the node is broken, incident {incident}", {"incident": incident})


async def _begin(send: Send, *, head: Head) -> None:
    headers = [
        (b"content-type", EVENTS),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", head.request_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _next(called: Called, events: AsyncGenerator[dict[str, Any], None]) -> bytes | None:
    """Return the next event as it is sent, a failure as the last one; None at the end."""
    try:
        return b"data: " + called.said(await anext(events)) + b"\n\n"
    except StopAsyncIteration:
        return None
    except Exception as failure:  # noqa: BLE001 - the edge: each is told in its form
        error = error_of(failure) if isinstance(failure, Refusal) else _error_of(failure)
        kind = b"event: error\n" if called.rest else b""
        return kind + b"data: " + called.failed(error) + b"\n\n"


async def _left(receive: Receive) -> None:
    """Return once whoever asked has left."""
    while (await receive())["type"] != "http.disconnect":
        pass

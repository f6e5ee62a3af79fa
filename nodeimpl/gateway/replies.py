"""What leaves by HTTP: answers, problem documents, and the confession of a fault."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from opkit.wire.errors import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
BYTES = b"application/octet-stream"
PROBLEM = b"application/problem+json"

FAULT_TYPE = "urn:opkit:fault"

PIECE_BYTES = 262_144
"""How much of an answer is sent at once."""

_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))

Headers = Iterable[tuple[bytes, bytes]]


async def reply(
    send: Send,
    *,
    status: int,
    body: bytes,
    kind: bytes,
    request_id: str,
    extra: Headers = (),
) -> None:
    """Send one whole response; each piece of a large one waits until the last was read."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", kind),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", request_id.encode()),
                *_ALWAYS,
                *extra,
            ],
        }
    )
    for place in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
        piece = body[place : place + PIECE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    last = body[(len(body) - 1) // PIECE_BYTES * PIECE_BYTES :] if body else b""
    await send({"type": "http.response.body", "body": last})


async def reply_refusal(
    send: Send, refusal: Refusal, *, request_id: str, extra: Headers = ()
) -> None:
    """Send a refusal as a problem document. Source: RFC 9457."""
    headers = [*extra]
    retry_after_ms = refusal.details().get("retry_after_ms")
    if isinstance(retry_after_ms, int):
        headers.append((b"retry-after", str(-(-retry_after_ms // 1000)).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await reply(
        send,
        status=refusal.status,
        body=problem_bytes(refusal),
        kind=PROBLEM,
        request_id=request_id,
        extra=headers,
    )


async def reply_fault(send: Send, *, incident: str, request_id: str) -> None:
    """Send a fault: nothing of the cause, only the id under which the log has it."""
    await reply(
        send,
        status=500,
        body=json.dumps(fault_problem(incident)).encode(),
        kind=PROBLEM,
        request_id=request_id,
    )


def fault_problem(incident: str) -> dict[str, Any]:
    """Return a fault as a problem document."""
    return {
        "type": FAULT_TYPE,
        "title": "The node is broken.",
        "status": 500,
        "incident": incident,
        "hint": "the incident id stands in the node's log beside the cause",
    }


def blank_problem(status: HTTPStatus) -> dict[str, Any]:
    """Return a problem that says no more than its status. Source: RFC 9457, section 4.2.1."""
    return {"type": "about:blank", "title": status.phrase, "status": status.value}


def problem_bytes(refusal: Refusal) -> bytes:
    """Return a refusal's problem document as JSON."""
    return json.dumps(refusal.problem()).encode()

"""What the gateway reads of a request before anything else: a few headers, once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nodeimpl.gateway.replies import Scope
from nodeimpl.kernel.ids import request_id

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""The names by which any door may be called on its own machine: a web page that had its own name
point here must not get in. Source: DNS rebinding; RFC 6761, section 6.3."""

TOKEN_CHARACTERS_MAX = 4_096

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_PORT = re.compile(r":[0-9]{1,5}$")


@dataclass(slots=True)
class Head:
    """The headers that matter here; empty or None where they are missing.

    `asker` is the member who asks, once that is known.
    """

    authorization: bytes | None = None
    host: bytes = b""
    length: bytes | None = None
    chunked: bool = False
    content_type: bytes = b""
    coded: bool = False
    idempotency_key: bytes | None = None
    request_id: str = ""
    address: str = ""
    asker: str = ""


def read_head(scope: Scope) -> Head:
    """Return the head of an HTTP or WebSocket request."""
    head = Head()
    for name, value in scope["headers"]:
        if name == b"authorization":
            head.authorization = value
        elif name == b"host":
            head.host = value
        elif name == b"content-length":
            head.length = value
        elif name == b"transfer-encoding":
            head.chunked = True
        elif name == b"content-type":
            head.content_type = value
        elif name == b"content-encoding":
            head.coded = value.lower() != b"identity"
        elif name == b"idempotency-key":
            head.idempotency_key = value
        elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            head.request_id = value.decode("ascii")
    head.request_id = head.request_id or request_id()
    client = scope.get("client")
    head.address = str(client[0]) if client else ""
    return head


def is_called(host: bytes, names: frozenset[str]) -> bool:
    """Say whether a `Host` header names this machine to itself, or is one of these names."""
    name = _PORT.sub("", host.decode("latin-1").lower())
    return name in LOOPBACK_NAMES or name in names or name.endswith(".localhost")

"""The two bindings of A2A that this node speaks: which operation is asked for, and how it is told.

Source: ADR 0037; the Agent2Agent protocol, version 1.0, sections 9 (JSON-RPC) and 11 (HTTP+JSON);
JSON-RPC 2.0, sections 4 and 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic_core import from_json

from nodeimpl.gateway.a2a_errors import (
    CONTENT_TYPE_NOT_SUPPORTED,
    EXTENDED_CARD_NOT_CONFIGURED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_JSON,
    PUSH_NOT_SUPPORTED,
    VERSION_NOT_SUPPORTED,
    A2AError,
)
from nodeimpl.kernel.once import SaidTwice, refuse_twice
from opkit.wire.agents import A2A_JSONRPC_PATH, A2A_REST_PATH, A2A_VERSION

A2A_JSON = b"application/a2a+json"
JSON = b"application/json"

OPERATIONS = frozenset(
    {
        "SendMessage",
        "SendStreamingMessage",
        "GetTask",
        "ListTasks",
        "CancelTask",
        "SubscribeToTask",
    }
)
"""What this node does for A2A clients, by the names of JSON-RPC."""

STREAMING = frozenset({"SendStreamingMessage", "SubscribeToTask"})

QUERY_FIELDS_MAX = 16
ID_CHARACTERS_MAX = 128

_PUSH = frozenset(
    {
        "CreateTaskPushNotificationConfig",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
    }
)
_EXTENDED_CARD = "GetExtendedAgentCard"
_ON_A_TASK = {
    ("POST", "cancel"): "CancelTask",
    ("POST", "subscribe"): "SubscribeToTask",
    ("GET", "subscribe"): "SubscribeToTask",
}
_WHOLE = {
    ("POST", "/message:send"): "SendMessage",
    ("POST", "/message:stream"): "SendStreamingMessage",
    ("GET", "/tasks"): "ListTasks",
    ("GET", "/extendedAgentCard"): _EXTENDED_CARD,
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a binding reads of an HTTP request, once its token was taken."""

    method: str
    path: str
    query: bytes
    headers: Iterable[tuple[bytes, bytes]]
    content_type: bytes
    content: bytes

    def header(self, name: bytes) -> str:
        """Return a header, or nothing."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


@dataclass(frozen=True, kw_only=True)
class Called:
    """An operation that was asked for, or why there is none; and how both are told.

    Attributes:
        ident: the id of a JSON-RPC request.
        rest: whether it came by HTTP+JSON.
    """

    operation: str = ""
    params: Any = field(default_factory=dict)
    ident: str | int | None = None
    rest: bool
    error: A2AError | None = None

    def said(self, result: dict[str, Any]) -> bytes:
        """Return an answer, or an event of a stream."""
        if self.rest:
            return json.dumps(result).encode()
        return json.dumps({"jsonrpc": "2.0", "id": self.ident, "result": result}).encode()

    def failed(self, error: A2AError) -> bytes:
        """Return an error."""
        if self.rest:
            return json.dumps(error.by_http()).encode()
        said = {"jsonrpc": "2.0", "id": self.ident, "error": error.by_rpc()}
        return json.dumps(said).encode()

    def status(self, error: A2AError) -> int:
        """Return the HTTP status of an error: JSON-RPC tells all of them by 200."""
        return error.kind.status if self.rest else 200

    @property
    def kind(self) -> bytes:
        """The media type of answers."""
        return A2A_JSON if self.rest else JSON


def called_by(asked: Request) -> Called:
    """Return the operation that a request is for; whatever is wrong with it stands in `error`."""
    rest = asked.path.startswith(f"{A2A_REST_PATH}/")
    if not rest and (
        asked.method != "POST" or asked.path not in (A2A_JSONRPC_PATH, A2A_JSONRPC_PATH[:-1])
    ):
        return Called(rest=True, error=A2AError(METHOD_NOT_FOUND, "nothing of A2A is here"))
    try:
        return _by_http(asked) if rest else _by_rpc(asked)
    except A2AError as error:
        return Called(rest=rest, error=error)


def _by_rpc(asked: Request) -> Called:
    _judge_kind(asked)
    said = _json_of(asked.content, empty=False)
    if not isinstance(said, dict):
        raise A2AError(INVALID_REQUEST, "a request is one object; batches are not taken")
    ident, method = said.get("id"), said.get("method")
    if isinstance(ident, bool) or not isinstance(ident, str | int | None):
        raise A2AError(INVALID_REQUEST, "the id is a text or a whole number")
    if isinstance(ident, str) and len(ident) > ID_CHARACTERS_MAX:
        raise A2AError(INVALID_REQUEST, f"an id has at most {ID_CHARACTERS_MAX} characters")
    try:
        params = _params_of(asked, said)
    except A2AError as error:
        return Called(rest=False, ident=ident, error=error)
    return Called(rest=False, ident=ident, operation=str(method), params=params)


def _params_of(asked: Request, said: dict[str, Any]) -> dict[str, Any]:
    """Return the params of a JSON-RPC request for something that this node does."""
    method, params = said.get("method"), said.get("params", {})
    if said.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise A2AError(INVALID_REQUEST, "it says jsonrpc 2.0 and a method")
    _judge_version(asked)
    _judge_operation(method)
    if not isinstance(params, dict):
        raise A2AError(INVALID_PARAMS, "params are an object")
    return params


def _by_http(asked: Request) -> Called:
    operation, in_path = _operation(asked.method, asked.path.removeprefix(A2A_REST_PATH))
    _judge_version(asked)
    _judge_operation(operation)
    params = _query_of(asked.query) if asked.method == "GET" else _body_of(asked)
    return Called(rest=True, operation=operation, params=params | in_path)


def _operation(method: str, below: str) -> tuple[str, dict[str, str]]:
    """Return which operation stands at a path, and what the path says of it."""
    whole = _WHOLE.get((method, below))
    if whole is not None:
        return whole, {}
    parts = below.split("/")
    if parts[1] != "tasks" or len(parts) < 3:
        raise A2AError(METHOD_NOT_FOUND, "HTTP+JSON has no such path")
    if len(parts) > 3 and parts[3] == "pushNotificationConfigs":
        return "CreateTaskPushNotificationConfig", {}
    task_id, _, verb = parts[2].partition(":")
    operation = _ON_A_TASK.get((method, verb))
    if not verb and method == "GET":
        operation = "GetTask"
    if operation is None or len(parts) > 3:
        raise A2AError(METHOD_NOT_FOUND, "HTTP+JSON has no such path")
    return operation, {"id": unquote(task_id)}


def _judge_operation(name: str) -> None:
    """Pass what this node does.

    Raises:
        A2AError: callbacks, the extended card, and what A2A does not know.
    """
    if name in _PUSH:
        raise A2AError(PUSH_NOT_SUPPORTED, "this node calls nobody back: stream, or ask again")
    if name == _EXTENDED_CARD:
        raise A2AError(EXTENDED_CARD_NOT_CONFIGURED, "the card that everybody gets is the only one")
    if name not in OPERATIONS:
        raise A2AError(METHOD_NOT_FOUND, "A2A 1.0 has no such method")


def _judge_version(asked: Request) -> None:
    """Pass who speaks version 1.0; who does not say speaks 0.3, by the protocol's word.

    Raises:
        A2AError: another version.
    """
    said = asked.header(b"a2a-version").strip()
    if not said and asked.query:
        said = str(_query_of(asked.query).get("A2A-Version", ""))
    if said.split(".")[:2] != A2A_VERSION.split("."):
        why = f"this node speaks A2A {A2A_VERSION}: say so in A2A-Version"
        raise A2AError(VERSION_NOT_SUPPORTED, why, {"supported": A2A_VERSION})


def _judge_kind(asked: Request) -> None:
    kind = asked.content_type.split(b";", 1)[0].strip().lower()
    if kind not in (JSON, A2A_JSON):
        raise A2AError(CONTENT_TYPE_NOT_SUPPORTED, "a body is application/json")


def _body_of(asked: Request) -> dict[str, Any]:
    if not asked.content:
        return {}
    _judge_kind(asked)
    said = _json_of(asked.content, empty=True)
    if not isinstance(said, dict):
        raise A2AError(INVALID_REQUEST, "a body is one object")
    return said


def _json_of(content: bytes, *, empty: bool) -> Any:
    """Return decoded JSON.

    Raises:
        A2AError: it is none, is too deep, or says something twice.
    """
    try:
        said = from_json(content or (b"{}" if empty else b""))
        refuse_twice(content or b"{}")
    except SaidTwice as twice:
        raise A2AError(INVALID_REQUEST, f"{twice.name[:64]!r} is given twice") from None
    except ValueError:
        raise A2AError(NOT_JSON, "the body is no JSON") from None
    return said


def _query_of(query: bytes) -> dict[str, Any]:
    """Return what a query says, each name once.

    Raises:
        A2AError: it is no query, or says something twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:
        raise A2AError(INVALID_PARAMS, "the query is no name=value pairs") from None
    said = dict(pairs)
    if len(said) != len(pairs):
        raise A2AError(INVALID_PARAMS, "the query says something twice")
    return said

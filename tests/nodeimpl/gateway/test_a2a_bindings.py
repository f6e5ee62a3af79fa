"""Which operation A2A asks for, and what is told when there is none: no node is needed for that."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.gateway.a2a_bindings import Called, Request, called_by
from nodeimpl.gateway.a2a_errors import A2AError, error_of
from nodeimpl.gateway.a2a_types import (
    STATES,
    ListTasks,
    SendMessage,
    read,
    read_wanted,
    status_said,
    task_said,
)
from opkit.proof.cid import cid_of
from opkit.wire.compute import INLINE_BYTES_MAX, ManifestRejected, QueueFull, TaskState, TaskView
from opkit.wire.grants import GrantNeeded

MODULE = cid_of(b"module")
DATA = {"wasm_hash": MODULE, "input": "hello"}


def rpc(said: Any, **changes: Any) -> Called:
    """Return what a JSON-RPC request asks for."""
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/a2a/",
        "query": b"",
        "headers": [(b"a2a-version", b"1.0")],
        "content_type": b"application/json",
        "content": content,
    }
    return called_by(Request(**fields | changes))


def rest(method: str, below: str, *, query: bytes = b"", **changes: Any) -> Called:
    """Return what an HTTP+JSON request asks for."""
    return rpc(changes.pop("content", b""), method=method, path=f"/a2a/v1{below}", query=query)


def asked(method: str = "GetTask", **changes: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"id": "t"}} | changes


def reason(called: Called) -> str:
    assert called.error is not None, called
    return called.error.kind.reason


@pytest.mark.parametrize("path", ["/a2a", "/a2a/"])
def test_json_rpc_is_taken_with_and_without_the_slash(path: str) -> None:
    called = rpc(asked(), path=path)
    assert (called.operation, called.params, called.ident, called.error) == (
        "GetTask",
        {"id": "t"},
        7,
        None,
    )


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"[" * 5_000, -32700),
        (b"\xff", -32700),
        ([asked()], -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "GetTask"}', -32600),
        (asked(jsonrpc="1.0"), -32600),
        (asked(method=3), -32600),
        (asked(id=True), -32600),
        (asked(id=1.5), -32600),
        (asked(id="x" * 129), -32600),
        (asked("Nothing"), -32601),
        (asked(params=[1]), -32602),
        (asked("CreateTaskPushNotificationConfig"), -32003),
        (asked("ListTaskPushNotificationConfigs"), -32003),
        (asked("GetExtendedAgentCard"), -32007),
    ],
)
def test_json_rpc_that_cannot_be_has_its_code(said: Any, code: int) -> None:
    called = rpc(said)
    assert called.error is not None
    assert called.error.kind.code == code
    told = json.loads(called.failed(called.error))
    assert (told["jsonrpc"], told["error"]["code"]) == ("2.0", code)
    assert told["error"]["data"][0]["@type"].endswith("google.rpc.ErrorInfo")
    assert called.status(called.error) == 200


@pytest.mark.parametrize(
    ("version", "query", "taken"),
    [
        (b"1.0", b"", True),
        (b"1.0.3", b"", True),
        (b"", b"A2A-Version=1.0", True),
        (b"", b"", False),
        (b"0.3", b"", False),
        (b"1.1", b"", False),
        (b"10", b"", False),
    ],
)
def test_only_version_1_0_is_spoken(version: bytes, query: bytes, taken: bool) -> None:
    headers = [(b"a2a-version", version)] if version else []
    for called in (
        rpc(asked(), headers=headers, query=query),
        rpc(b"", headers=headers, query=query, method="GET", path="/a2a/v1/tasks/t"),
    ):
        assert (called.error is None) == taken
        assert taken or reason(called) == "VERSION_NOT_SUPPORTED"


def test_another_kind_of_body_is_told() -> None:
    assert reason(rpc(asked(), content_type=b"text/plain")) == "CONTENT_TYPE_NOT_SUPPORTED"
    assert rpc(asked(), content_type=b"application/a2a+json; charset=utf-8").error is None


@pytest.mark.parametrize(
    ("method", "below", "operation", "params"),
    [
        ("POST", "/message:send", "SendMessage", {}),
        ("POST", "/message:stream", "SendStreamingMessage", {}),
        ("GET", "/tasks", "ListTasks", {}),
        ("GET", "/tasks/t", "GetTask", {"id": "t"}),
        ("POST", "/tasks/t:cancel", "CancelTask", {"id": "t"}),
        ("POST", "/tasks/t:subscribe", "SubscribeToTask", {"id": "t"}),
        ("GET", "/tasks/t:subscribe", "SubscribeToTask", {"id": "t"}),
    ],
)
def test_http_has_a_path_for_each_operation(
    method: str, below: str, operation: str, params: dict[str, str]
) -> None:
    called = rest(method, below)
    assert (called.operation, called.params, called.rest) == (operation, params, True)


@pytest.mark.parametrize(
    ("method", "below", "why"),
    [
        ("GET", "/", "METHOD_NOT_FOUND"),
        ("GET", "/message:send", "METHOD_NOT_FOUND"),
        ("PUT", "/tasks/t", "METHOD_NOT_FOUND"),
        ("POST", "/tasks/t", "METHOD_NOT_FOUND"),
        ("POST", "/tasks/t:fly", "METHOD_NOT_FOUND"),
        ("GET", "/tasks/t/u", "METHOD_NOT_FOUND"),
        ("GET", "/tenant/tasks/t", "METHOD_NOT_FOUND"),
        ("POST", "/tasks/t/pushNotificationConfigs", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        ("GET", "/extendedAgentCard", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    ],
)
def test_http_that_is_nothing_is_told(method: str, below: str, why: str) -> None:
    assert reason(rest(method, below)) == why


def test_a_query_says_each_thing_once() -> None:
    assert rest("GET", "/tasks", query=b"pageSize=2&contextId=c").params == {
        "pageSize": "2",
        "contextId": "c",
    }
    for query in (b"pageSize=1&pageSize=2", b"nothing", b"%ff=%zz"):
        assert reason(rest("GET", "/tasks", query=query)) == "INVALID_PARAMS"
    assert reason(rest("POST", "/message:send", content=b"[1]")) == "INVALID_REQUEST"
    assert reason(rpc(asked(), method="GET")) == "METHOD_NOT_FOUND"


@given(st.binary(max_size=300), st.text(max_size=60))
def test_no_bytes_are_a_fault(content: bytes, below: str) -> None:
    """Whatever comes is an operation or an error that A2A knows."""
    for called in (rpc(content), rest("POST", f"/{below}", content=content)):
        assert (called.error is None) == bool(called.operation)


def message(**changes: Any) -> SendMessage:
    said = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": DATA}]} | changes
    return read(SendMessage, {"message": said})


@pytest.mark.parametrize(
    ("data", "stdin"),
    [
        ({"input": "grüße"}, "grüße".encode()),
        ({"input": ""}, b""),
        ({"input_b64": "_w"}, b"\xff"),
        ({"input_hash": cid_of(b"far")}, None),
    ],
)
def test_an_input_is_text_bytes_or_a_name(data: dict[str, str], stdin: bytes | None) -> None:
    wanted = read_wanted(message(parts=[{"data": {"wasm_hash": MODULE} | data}]), context_id="c")
    assert wanted.stdin == stdin
    assert wanted.input_hash == cid_of(b"far" if stdin is None else stdin)


def test_numbers_that_protobuf_made_of_whole_ones_are_taken() -> None:
    data = DATA | {"limits": {"fuel": 5_000.0, "time_ms": 10.0}}
    wanted = read_wanted(message(parts=[{"data": data}]), context_id="c")
    assert wanted.limits is not None
    assert (wanted.limits.fuel, wanted.limits.time_ms) == (5_000, 10)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"messageId": ""}, "INVALID_PARAMS"),
        ({"messageId": "\x00"}, "INVALID_PARAMS"),
        ({"parts": []}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA}] * 17}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA}] * 2}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"parts": [{"data": DATA}, {"text": "x"}]}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"parts": [{"text": "x"}]}, "CONTENT_TYPE_NOT_SUPPORTED"),
        ({"parts": [{"data": [1]}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA | {"colour": 1}}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": {"wasm_hash": MODULE}}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA | {"input_b64": "eA"}}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA | {"executor": "any"}}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA | {"limits": {"fuel": 1.5}}}]}, "INVALID_PARAMS"),
        ({"parts": [{"data": DATA | {"input": "ü" * INLINE_BYTES_MAX}}]}, "INVALID_PARAMS"),
    ],
)
def test_a_message_that_asks_for_no_task_is_told(said: dict[str, Any], why: str) -> None:
    with pytest.raises(A2AError) as told:
        read_wanted(message(**said), context_id="c")
    assert told.value.kind.reason == why


def test_callbacks_are_refused_and_what_is_newer_is_left_out() -> None:
    said = {"message": {"messageId": "m", "parts": [{"data": DATA}], "zz": 1}, "zz": 1}
    config = {"taskPushNotificationConfig": {"url": "http://127.0.0.1"}}
    with pytest.raises(A2AError) as told:
        read_wanted(read(SendMessage, said | {"configuration": config}), context_id="c")
    assert told.value.kind.reason == "PUSH_NOTIFICATION_NOT_SUPPORTED"
    assert read_wanted(read(SendMessage, said), context_id="c").message_id == "m"
    assert read(ListTasks, {"page_size": "3"}).page_size == 3


def test_a_refusal_has_a_name_of_a2as_or_its_own() -> None:
    invalid = error_of(ManifestRejected(why="it is odd"))
    assert (invalid.kind.reason, invalid.details["code"]) == ("INVALID_PARAMS", "manifest-rejected")
    needed = error_of(GrantNeeded(wasm_hash=MODULE, fuel=3))
    assert (needed.kind.code, needed.kind.status, needed.kind.reason) == (
        -32000,
        403,
        "GRANT_NEEDED",
    )
    assert error_of(QueueFull(limit=1)).by_http()["error"]["status"] == "UNAVAILABLE"


def view(**changes: Any) -> TaskView:
    fields: dict[str, Any] = {
        "task_id": "0" * 32,
        "state": TaskState.DONE,
        "member_id": "mill/ana",
        "manifest": "a.b.c",
        "manifest_hash": "0" * 64,
        "executor": None,
        "accepted_at_ms": 1_000,
    }
    return TaskView(**fields | changes)


@pytest.mark.parametrize(
    ("inline", "part"),
    [
        (b"text", {"text": "text", "mediaType": "text/plain"}),
        (b"", {"text": "", "mediaType": "text/plain"}),
        (b"\xff", {"raw": "/w==", "mediaType": "application/octet-stream"}),
        (
            None,
            {
                "url": f"http://127.0.0.1:1/v1/compute/blobs/{cid_of(b'x')}",
                "mediaType": "application/octet-stream",
            },
        ),
    ],
)
def test_an_output_is_text_bytes_or_an_address(inline: bytes | None, part: dict[str, str]) -> None:
    shown = view(output_hash=cid_of(b"x"), output_inline=inline)
    said = task_said(shown, context_id="c", base="http://127.0.0.1:1")
    assert said["artifacts"][0]["parts"] == [part | {"metadata": {"cid": cid_of(b"x")}}]
    assert said["status"] == {
        "state": "TASK_STATE_COMPLETED",
        "timestamp": "1970-01-01T00:00:01.000Z",
    }


def test_every_state_has_its_name_and_a_refusal_its_reason() -> None:
    assert set(STATES) == set(TaskState)
    refused = view(state=TaskState.REFUSED, problem=QueueFull(limit=1).problem())
    said = status_said(refused, context_id="c")
    assert said["state"] == "TASK_STATE_REJECTED"
    assert said["message"]["parts"][0]["text"].startswith("queue-full: ")


def test_a_node_that_nobody_asks_loads_nothing_of_a2a() -> None:
    look = (
        "import sys, nodeimpl.node;"
        "print([name for name in sys.modules if 'a2a' in name or name.startswith('google')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "['nodeimpl.gateway.a2a_later']"

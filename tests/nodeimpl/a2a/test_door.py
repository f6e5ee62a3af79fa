"""A2A at the door of a real node: tokens, scopes, sizes and ends are those of every other ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from opkit.proof.cid import cid_of
from opkit.wire.endpoint import Scope
from opkit.wire.membership import REVOKE_TOKEN, RevokeToken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WASM = Path(__file__).resolve().parents[3] / "wasm"
STORY_S_MAX = 60
RPC, REST = "/a2a/", "/a2a/v1"
ENDLESS = {"fuel": 100_000_000_000, "time_ms": 60_000}
TASK_MS = 60_000


def story(work: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(STORY_S_MAX):
            await work()

    asyncio.run(bounded())


@asynccontextmanager
async def calling(node: Any, *scopes: Scope, token: str | None = None) -> AsyncIterator[Any]:
    """Give an HTTP client with a bearer header and the version's."""
    bearer = await node.bearer(*scopes) if token is None else token
    headers = {"A2A-Version": "1.0"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    async with httpx.AsyncClient(base_url=node.url, headers=headers, timeout=60) as http:
        yield http


def sent(ident: str, **data: Any) -> dict[str, Any]:
    message = {"messageId": ident, "role": "ROLE_USER", "parts": [{"data": data}]}
    return {"message": message}


def rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


async def deployed(node: Any, name: str) -> str:
    async with node.member() as client:
        info = await client.wasm.deploy((WASM / f"{name}.wasm").read_bytes(), name=name)
        await node.give(client)
        return str(info.wasm_hash)


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_who_has_no_token_or_too_little_is_told_as_everywhere(node: Any) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        asked = sent("scopes", wasm_hash=upper, input="x")
        for path, body in ((RPC, rpc("SendMessage", asked)), (f"{REST}/message:send", asked)):
            async with calling(node, token="") as nobody:
                said = await nobody.post(path, json=body)
                assert (said.status_code, said.json()["code"]) == (401, "token-missing")
                assert said.headers["WWW-Authenticate"] == "Bearer"
            async with calling(node, token="not.a.token") as forger:
                said = await forger.post(path, json=body)
                assert (said.status_code, said.json()["code"]) == (401, "token-rejected")
            async with calling(node, Scope.COMPUTE_READ) as reader:
                said = await reader.post(path, json=body)
                assert (said.status_code, said.json()["code"]) == (403, "scope-missing")
                assert (await reader.get(f"{REST}/tasks")).status_code == 200
            async with calling(node, Scope.WASM_READ) as other:
                assert (await other.get(f"{REST}/tasks")).json()["code"] == "scope-missing"

    story(work)


def test_a_body_that_is_too_long_is_refused_with_any_token(node: Any) -> None:
    async def work() -> None:
        for token in (None, "not.a.token"):
            async with calling(node, token=token) as http:
                said = await http.post(RPC, content=b" " * 262_145)
                assert (said.status_code, said.json()["code"]) == (413, "body-oversize")

    story(work)


def test_a_large_input_is_named_and_a_large_output_is_fetched(node: Any) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        large = b"a" * 100_000
        async with node.member() as client:
            await client.compute.submit(upper, large)  # It uploads what is large.
        async with calling(node) as http:
            asked = sent("large", wasm_hash=upper, input_hash=cid_of(large))
            task = (await http.post(f"{REST}/message:send", json=asked)).json()["task"]
            assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
            part = task["artifacts"][0]["parts"][0]
            assert part["url"].startswith(node.url)
            assert (await http.get(part["url"])).content == large.upper()

    story(work)


def test_a_message_id_stands_for_one_task(node: Any) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with calling(node) as http:
            path = f"{REST}/message:send"
            first = (await http.post(path, json=sent("once", wasm_hash=upper, input="a"))).json()
            again = (await http.post(path, json=sent("once", wasm_hash=upper, input="a"))).json()
            assert again == first
            other = await http.post(path, json=sent("once", wasm_hash=upper, input="b"))
            assert other.status_code == 400
            assert other.json()["error"]["details"][0]["reason"] == "INVALID_PARAMS"
            by_rpc = await http.post(RPC, json=rpc("GetTask", {"id": first["task"]["id"]}))
            assert by_rpc.json()["result"] == first["task"]

    story(work)


def test_pages_of_tasks_end_and_filter(node: Any) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with calling(node) as http:
            for place in range(3):
                asked = sent(f"page-{place}", wasm_hash=upper, input="x")
                asked["message"]["contextId"] = "pages"
                await http.post(f"{REST}/message:send", json=asked)
            found, token = [], ""
            for _ in range(3):
                query = {"contextId": "pages", "pageSize": "2", "pageToken": token}
                page = (await http.get(f"{REST}/tasks", params=query)).json()
                assert (page["totalSize"], page["pageSize"]) == (3, 2)
                found += [task["id"] for task in page["tasks"]]
                assert all("artifacts" not in task for task in page["tasks"])
                token = page["nextPageToken"]
                if not token:
                    break
            assert len(found) == len(set(found)) == 3
            for wrong in ({"pageToken": "x"}, {"pageSize": "101"}, {"status": "TASK_STATE_ODD"}):
                said = await http.get(f"{REST}/tasks", params=wrong)
                assert said.json()["error"]["details"][0]["reason"] == "INVALID_PARAMS"
            failed = {"contextId": "pages", "status": "TASK_STATE_FAILED"}
            assert (await http.get(f"{REST}/tasks", params=failed)).json()["totalSize"] == 0
            late = {"contextId": "pages", "statusTimestampAfter": "2999-01-01T00:00:00Z"}
            assert (await http.get(f"{REST}/tasks", params=late)).json()["tasks"] == []

    story(work)


def test_a_module_that_fails_is_a_failed_task_with_its_reason(node: Any) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with calling(node) as http:
            asked = sent("fuel", wasm_hash=upper, input="x", limits={"fuel": 1})
            task = (await http.post(f"{REST}/message:send", json=asked)).json()["task"]
            assert task["status"]["state"] == "TASK_STATE_FAILED"
            assert task["status"]["message"]["parts"][0]["text"].startswith("fuel")
            unknown = sent("unknown", wasm_hash=cid_of(b"nobody has it"), input="x")
            task = (await http.post(f"{REST}/message:send", json=unknown)).json()["task"]
            assert task["status"]["state"] == "TASK_STATE_REJECTED"
            assert task["status"]["message"]["parts"][0]["text"].startswith("module-unknown")

    story(work)


@pytest.mark.parametrize("binding", ["rpc", "rest"])
def test_a_stream_ends_with_its_token(own_node: Any, binding: str) -> None:
    """Who was logged out hears nothing more; the task goes on, and is cancelled by another."""

    async def work() -> None:
        spin = await deployed(own_node, "spin")
        token = await own_node.bearer()
        asked = sent("revoked", wasm_hash=spin, input="", limits=ENDLESS)
        path, body = (
            (RPC, rpc("SendStreamingMessage", asked))
            if binding == "rpc"
            else (f"{REST}/message:stream", asked)
        )
        async with (
            calling(own_node, token=token) as http,
            http.stream("POST", path, json=body) as response,
        ):
            assert response.headers["Content-Type"] == "text/event-stream"
            pieces = aiter(response.aiter_text())
            said = await anext(pieces)
            (first,) = events_of(said)[:1]
            task = (first["result"] if binding == "rpc" else first)["task"]
            async with own_node.member() as client:
                await client.with_token(token).call(REVOKE_TOKEN, RevokeToken())
            async for piece in pieces:
                said += piece
        last = events_of(said)[-1]["error"]
        assert last["data" if binding == "rpc" else "details"][0]["reason"] == "TOKEN_REJECTED"
        async with calling(own_node) as http:
            gone = await http.post(f"{REST}/tasks/{task['id']}:cancel")
            assert gone.json()["status"]["state"] == "TASK_STATE_CANCELED"

    story(work)


def test_the_card_that_the_node_serves_names_both_doors(node: Any) -> None:
    async def work() -> None:
        async with calling(node, token="") as nobody:
            card = (await nobody.get("/.well-known/agent-card.json")).json()
            named = {each["protocolBinding"]: each["url"] for each in card["supportedInterfaces"]}
            assert named == {"JSONRPC": f"{node.url}{RPC}", "HTTP+JSON": f"{node.url}{REST}"}

    story(work)

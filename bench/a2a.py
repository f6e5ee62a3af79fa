"""A2A at a node: what it costs to be ready for it, and how soon a task comes back by it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable

import httpx
import psutil

from bench.network import ROOT, devnet, opkit, state_home
from bench.rows import Row, ms_of, percentile, quick, row
from devnet.attach import open_world
from opkit.client import NodeClient
from opkit.client.grants import GrantCalls

RIVER = "river-city-tool-library"
MARA = f"{RIVER}/mara"
MB = 1_000_000
SETTLE_S = 5.0
TIMES, QUICK_TIMES = 200, 10
WARM = 20


def a2a() -> list[Row]:
    """A small task by each binding, and the memory of an idle node with all that A2A takes."""
    with state_home(), devnet() as name:
        rows = asyncio.run(_in_world(name))
        time.sleep(SETTLE_S)
        sizes = [_memory(node) / MB for node in _nodes(name)]
    told = "idle node with cards and A2A, memory (PSS)"
    return [*rows, row(told, max(sizes), "MB", target="<= 150", of=sizes)]


async def _in_world(name: str) -> list[Row]:
    world = await open_world(name, run_id=f"bench-{secrets.token_hex(4)}", seed=7)
    try:
        return await _tasks(world.client(RIVER, MARA))
    finally:
        await world.close()


async def _tasks(mara: NodeClient) -> list[Row]:
    """Have a task run again and again by a client that holds a token and no key."""
    module = (ROOT / "wasm/upper.wasm").read_bytes()
    info = await mara.wasm.deploy(module, name="upper")
    await GrantCalls(mara).give(tasks_max=10_000)
    token = (await mara.login()).token
    headers = {"Authorization": f"Bearer {token}", "A2A-Version": "1.0"}
    rows = []
    async with httpx.AsyncClient(base_url=mara.url, headers=headers, timeout=30) as http:
        by = {
            "JSON-RPC": _by_rpc(http, info.wasm_hash),
            "HTTP+JSON": _by_http(http, info.wasm_hash),
        }
        for binding, task in by.items():
            for _ in range(WARM):
                await task()
            took = [await ms_of(task) for _ in range(QUICK_TIMES if quick() else TIMES)]
            rows.append(
                row(f"A2A task, {binding}, P95", percentile(took, 0.95), "ms", target="", of=took)
            )
    return rows


def _message(wasm_hash: str) -> dict[str, object]:
    part = {"data": {"wasm_hash": wasm_hash, "input": "hello"}}
    said = {"messageId": secrets.token_hex(8), "role": "ROLE_USER", "parts": [part]}
    return {"message": said}


def _by_rpc(http: httpx.AsyncClient, wasm_hash: str) -> Callable[[], Awaitable[None]]:
    async def task() -> None:
        params = _message(wasm_hash)
        ask = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
        _judge((await http.post("/a2a/", json=ask)).json()["result"])

    return task


def _by_http(http: httpx.AsyncClient, wasm_hash: str) -> Callable[[], Awaitable[None]]:
    async def task() -> None:
        _judge((await http.post("/a2a/v1/message:send", json=_message(wasm_hash))).json())

    return task


def _judge(said: dict[str, object]) -> None:
    assert "TASK_STATE_COMPLETED" in json.dumps(said), said


def _nodes(name: str) -> list[psutil.Process]:
    status = json.loads(opkit("devnet", "status", name, "--json"))
    return [psutil.Process(int(node["pid"])) for node in status["nodes"]]


def _memory(node: psutil.Process) -> int:
    """Return what a node and its workers take of memory (PSS), in bytes."""
    family = [node, *node.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in family)

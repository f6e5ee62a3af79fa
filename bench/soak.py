"""`make soak`: half an hour of steady work at one node, and how its memory grows meanwhile.

Members upload, submit tasks, look at them, log in anew and follow the journal, at a steady pace.
Caches fill in the beginning: growth is counted from the end of the first sixth, which is five
minutes of thirty. `OPKIT_BENCH_SOAK_MIN` makes it shorter or longer.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from statistics import median

import psutil

from bench.network import ROOT
from bench.node import AskedNode, asked_node
from bench.rows import Row, row, table
from opkit.client import NodeClient
from opkit.wire.compute import PUT_BLOB, PutBlob

MINUTES = float(os.environ.get("OPKIT_BENCH_SOAK_MIN", "30"))
SETTLE_SHARE = 1 / 6
LOOK_EVERY_S = 5.0
LOOKS = 12
"""How many looks at the memory one figure is the median of: a minute's."""

UPLOADS_PER_S, TASKS_PER_S, LOGINS_PER_S = 20, 10, 1
FOLLOWERS = 4
MB = 1_000_000

Work = Callable[[NodeClient], Awaitable[None]]


def soak() -> list[Row]:
    """Growth of the node's memory (PSS, workers included), in percent."""
    with asked_node("SQLite") as node:
        sizes = asyncio.run(_soaked(node, seconds=MINUTES * 60))
    settled = sizes[int(len(sizes) * SETTLE_SHARE) :]
    first, last = median(settled[:LOOKS]), median(settled[-LOOKS:])
    growth = (last / first - 1) * 100
    name = f"memory after {MINUTES:g} minutes of work"
    return [
        row(f"{name}, growth", growth, "%", target="<= 5", of=[growth]),
        row(name, last, "MB", target="", of=settled),
    ]


async def _soaked(node: AskedNode, *, seconds: float) -> list[float]:
    """Work for so long, and return the node's memory in MB, looked at in even distances."""
    members = node.members
    working = [
        asyncio.create_task(_paced(node.client(members[0]), _upload, per_s=UPLOADS_PER_S)),
        asyncio.create_task(_paced(node.client(members[1]), _run_task, per_s=TASKS_PER_S)),
        asyncio.create_task(_paced(node.client(members[2]), _log_in, per_s=LOGINS_PER_S)),
        *(asyncio.create_task(_follow(node.client(members[3]))) for _ in range(FOLLOWERS)),
    ]
    sizes = []
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            done, _ = await asyncio.wait(
                working, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
            for failed in done:
                failed.result()
            sizes.append(_pss(psutil.Process(node.pid)) / MB)
    finally:
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return sizes


async def _paced(client: NodeClient, work: Work, *, per_s: float) -> None:
    """Do `work` so many times a second, one after the other."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    async with client:
        while True:
            await work(client)
            due = max(due + 1 / per_s, loop.time())
            await asyncio.sleep(due - loop.time())


async def _upload(client: NodeClient) -> None:
    await client.call(PUT_BLOB, PutBlob(content=secrets.token_bytes(256)))


async def _run_task(client: NodeClient) -> None:
    module = (ROOT / "wasm" / "upper.wasm").read_bytes()
    info = await client.wasm.deploy(module, name="upper")
    handle = await client.compute.submit(info.wasm_hash, secrets.token_bytes(16))
    await handle.result()


async def _log_in(client: NodeClient) -> None:
    await client.login()


async def _follow(client: NodeClient) -> None:
    async with client, aclosing(client.events()) as pages:
        async for _ in pages:
            pass


def _pss(node: psutil.Process) -> int:
    family = [node, *node.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in family)


if __name__ == "__main__":
    print(table(soak()))
    sys.exit(0)

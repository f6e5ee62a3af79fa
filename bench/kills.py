"""A node that is killed under load, again and again: how soon it is back, and that nothing is lost.

What was acknowledged before a kill must stand after it: every upload with its bytes, every task
with its end, every receipt as it was shown; and nothing may stand twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import select

from bench.network import ROOT
from bench.node import AskedNode, asked_node, engines
from bench.rows import Row, percentile, quick, row
from nodeimpl.compute.store import receipts
from nodeimpl.kernel.clock import RealClock
from nodeimpl.kernel.store import Store, Tx, sql
from opkit.client import NodeClient
from opkit.proof.cid import cid_of
from opkit.proof.receipt import verify_chain
from opkit.wire.base import Cid, Jws
from opkit.wire.compute import PUT_BLOB, PutBlob, TaskId
from opkit.wire.events import Cursor
from opkit.wire.network import NodeStarted

KILLS, QUICK_KILLS = 20, 3
ENTRIES = 100_000
FILL_EVENTS = 1_000
UPLOADERS, SUBMITTERS = 8, 4
UPLOADS_PER_ROUND, TASKS_PER_ROUND = 100, 10
UPLOAD_BYTES = 256
ROUND_S_MAX, CHECK_S_MAX = 120, 300
_ONCE = ("compute.task-accepted", "compute.task-ended")
_RECEIPTS = sql(select(receipts.c.receipt).order_by(receipts.c.generation, receipts.c.sequence))


class Lost(AssertionError):
    """Something that was acknowledged is not there, or is there twice."""


@dataclass(eq=False)
class Acknowledged:
    """What the node has said yes to."""

    uploads: set[Cid] = field(default_factory=set)
    tasks: dict[TaskId, Jws] = field(default_factory=dict)
    receipts: dict[TaskId, Jws] = field(default_factory=dict)


def kills() -> list[Row]:
    """Twenty kills under load with 100,000 entries in the journal, on each database."""
    times = QUICK_KILLS if quick() else KILLS
    rows = []
    for engine in engines():
        with asked_node(engine) as node:
            taken = asyncio.run(killed(node, times=times, entries=ENTRIES))
        name = f"killed under load to ready, {engine}"
        rows.append(row(f"{name}, P95", percentile(taken, 0.95), "s", target="<= 2", of=taken))
    return rows


async def killed(node: AskedNode, *, times: int, entries: int) -> list[float]:
    """Kill a running node under load so often; return the seconds of each start after it.

    Args:
        node: serving; at the end it does not run any more.
        entries: so many are journalled before the first kill.

    Raises:
        Lost: what was acknowledged is not there, or something is there twice.
    """
    node.kill()
    place = await _fill(node.store_url, entries)
    await node.start()
    said, taken = Acknowledged(), []
    for _ in range(times):
        async with asyncio.timeout(ROUND_S_MAX):
            with _loaded(node, said) as enough:
                await enough()
                node.kill()
            taken.append(await node.started_after_s())
    async with asyncio.timeout(CHECK_S_MAX):
        await _check_acknowledged(node, said)
        await _check_once(node, place)
    node.kill()
    await _check_receipts(node.store_url, said)
    return taken


async def _fill(url: str, entries: int) -> Cursor:
    """Journal so many entries and return the place after the last."""
    event = NodeStarted(version="bench", generation=1)

    def announce(tx: Tx) -> None:
        for _ in range(min(FILL_EVENTS, entries)):
            tx.announce(event)

    store = await Store.open(url=url, clock=RealClock())
    try:
        while store.head().sequence < entries:
            await store.write(announce)
        return store.head()
    finally:
        await store.close()


@contextmanager
def _loaded(node: AskedNode, said: Acknowledged) -> Iterator[Callable[[], Awaitable[None]]]:
    """Have members upload and submit meanwhile; give what returns once enough was acknowledged."""
    uploads, tasks = len(said.uploads), len(said.receipts)
    members = node.members
    working = [
        asyncio.ensure_future(work(node.client(members[n % len(members)]), said))
        for n, work in enumerate([_upload] * UPLOADERS + [_compute] * SUBMITTERS)
    ]

    async def enough() -> None:
        while (
            len(said.uploads) < uploads + UPLOADS_PER_ROUND
            or len(said.receipts) < tasks + TASKS_PER_ROUND
        ):
            for failed in (one for one in working if one.done()):
                failed.result()
            await asyncio.sleep(0.01)

    try:
        yield enough
    finally:
        for one in working:
            one.cancel()


async def _upload(client: NodeClient, said: Acknowledged) -> None:
    """Upload until cancelled; note what the node answered."""
    async with client:
        while True:
            content = secrets.token_bytes(UPLOAD_BYTES)
            info = await client.call(PUT_BLOB, PutBlob(content=content))
            said.uploads.add(info.cid)


async def _compute(client: NodeClient, said: Acknowledged) -> None:
    """Submit tasks until cancelled, each after the last one's receipt; note what was answered."""
    async with client:
        module = (ROOT / "wasm" / "upper.wasm").read_bytes()
        info = await client.wasm.deploy(module, name="upper")
        while True:
            handle = await client.compute.submit(info.wasm_hash, secrets.token_bytes(16))
            said.tasks[handle.task_id] = handle.manifest
            result = await handle.result()
            said.receipts[handle.task_id] = result.bundle.receipt


async def _check_acknowledged(node: AskedNode, said: Acknowledged) -> None:
    """Raise `Lost` unless everything acknowledged is there, as it was shown."""
    async with node.operator() as operator:
        for cid in said.uploads:
            if cid_of(await operator.wasm.fetch(cid)) != cid:
                raise Lost(f"upload {cid}")
        for task_id, manifest in said.tasks.items():
            result = await operator.compute.handle(task_id, manifest).result()
            shown = said.receipts.setdefault(task_id, result.bundle.receipt)
            if result.bundle.receipt != shown:
                raise Lost(f"the receipt of task {task_id} is another one")


async def _check_once(node: AskedNode, place: Cursor) -> None:
    """Raise `Lost` unless every task was accepted once and ended once in the journal."""
    seen: Counter[tuple[str, str]] = Counter()
    async with node.operator() as operator:
        async for page in operator.journal(place):
            seen.update(
                (entry.type, str(entry.body["task_id"]))
                for entry in page.entries
                if entry.type in _ONCE
            )
    twice = [key for key, count in seen.items() if count != 1]
    if twice or not seen:
        raise Lost(f"journalled more than once: {twice}")


async def _check_receipts(url: str, said: Acknowledged) -> None:
    """Raise `Lost` unless the receipts are one unbroken chain with all that were shown in it."""
    store = await Store.open(url=url, clock=RealClock())
    try:
        chain = [text for (text,) in await store.read(lambda tx: tx.all(_RECEIPTS))]
    finally:
        await store.close()
    failures = verify_chain(chain, genesis=None).failures
    if failures:
        raise Lost(f"the chain of receipts: {failures[0]}")
    missing = set(said.receipts.values()) - set(chain)
    if missing or len(set(chain)) != len(chain):
        raise Lost(f"{len(missing)} receipts are not in the chain, or some are twice")

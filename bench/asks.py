"""How many asks a node answers at its front door: small uploads, and looks at a task.

Thirty-two connections, each kept and each with its own token, ask again as soon as they were
answered. Every upload has other bytes and its own idempotency key, and is durable once answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.asking import MARK, Answered, ask, get, post
from bench.network import ROOT
from bench.node import AskedNode, asked_node, engines
from bench.rows import Engine, Row, percentile, quick, row
from opkit.wire.base import MemberId
from opkit.wire.compute import GET_TASK, PUT_BLOB, TaskId

CONNECTIONS = 32
UPLOAD_BYTES = 256
ROUNDS, ROUND_S = 3, 2.5
"""So short that a node's rate for one address, which all connections share here, is not reached:
16,000 asks at once and 4,000 a second after that."""

QUICK_ROUND_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What asking came to: a rate and a latency for each round, and the node's own cost."""

    per_s: list[float]
    p95_ms: list[float]
    processor_us: float


def asks() -> list[Row]:
    """Uploads and looks at a task, at 32 connections, on each database."""
    with TemporaryDirectory(prefix="opkit-bench-") as folder:
        return [each for engine in engines() for each in _on(engine, Path(folder) / engine)]


def _on(engine: Engine, folder: Path) -> list[Row]:
    folder.mkdir()
    with asked_node(engine, folder=folder) as node:
        tokens = asyncio.run(node.tokens(CONNECTIONS))
        tasks = asyncio.run(_tasks(node, [member for member, _ in tokens]))
        looks = [
            [get(GET_TASK.path.replace("{task_id}", task), token=token)]
            for task, (_, token) in zip(tasks, tokens, strict=True)
        ]
        uploads = [[upload(n, token=token)] for n, (_, token) in enumerate(tokens)]
        looked, uploaded = in_rounds(node, looks), in_rounds(node, uploads)
    return [
        *_rows(f"GET of a task, {engine}", looked, per_s=2500, p95_target=""),
        *_rows(f"small upload, {engine}", uploaded, per_s=800, p95_target="<= 60"),
    ]


def upload(connection: int, *, token: str) -> bytes:
    """Return the upload of a connection: each time it is sent, other bytes under another key."""
    said = b"%d %b " % (connection, MARK)
    key = b"upload-%d-%b" % (connection, MARK)
    body = said.ljust(UPLOAD_BYTES, b".")
    return post(PUT_BLOB.path, body, token=token, key=key, kind="application/octet-stream")


async def _tasks(node: AskedNode, members: Sequence[MemberId]) -> list[TaskId]:
    """Return a task of each of these members that has ended, with its receipt and output."""
    made = []
    for member in members:
        async with node.client(member) as client:
            module = (ROOT / "wasm" / "upper.wasm").read_bytes()
            info = await client.wasm.deploy(module, name="upper")
            handle = await client.compute.submit(info.wasm_hash, b"hello")
            await handle.result()
            made.append(handle.task_id)
    return made


def in_rounds(node: AskedNode, plan: Sequence[Sequence[bytes]]) -> Asked:
    """Ask without a pause, and look at it in rounds; every answer must be what was asked for."""
    each_s = QUICK_ROUND_S if quick() else ROUND_S
    spent_s, began_ns = node.processor_s(), time.monotonic_ns()
    answers = ask(plan, port=node.port, seconds=each_s * (ROUNDS + 1))
    spent_s = node.processor_s() - spent_s
    wrong = sorted({answer.status for answer in answers} - {200})
    if wrong:
        raise RuntimeError(f"asks were answered with {wrong}")
    # The first round is left out: connections and caches are new in it.
    rounds = [_within(answers, began_ns, each_s, n) for n in range(1, ROUNDS + 1)]
    return Asked(
        per_s=[len(part) / each_s for part in rounds],
        p95_ms=[percentile([answer.ms for answer in part], 0.95) for part in rounds],
        processor_us=spent_s / len(answers) * 1e6,
    )


def _within(answers: list[Answered], began_ns: int, each_s: float, n: int) -> list[Answered]:
    """Return what was answered in round `n`."""
    starts = began_ns + int(n * each_s * 1e9)
    ends = starts + int(each_s * 1e9)
    return [one for one in answers if starts <= one.began_ns + one.took_ns < ends]


def _rows(name: str, asked: Asked, *, per_s: int, p95_target: str) -> list[Row]:
    rates, p95s, cost = asked.per_s, asked.p95_ms, asked.processor_us
    return [
        row(f"{name}, 32 connections", median(rates), "/s", target=f">= {per_s}", of=rates),
        row(f"{name}, P95", median(p95s), "ms", target=p95_target, of=p95s),
        row(f"{name}, node's processor", cost, "us", target="", of=[cost]),
    ]

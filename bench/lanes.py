"""A lean client for crowds: one kept connection each, requests made before the clock starts.

It costs a tenth of what the node does for the same task, so that it may share the machine.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from bench.asking import get, post
from opkit.client.asks import encode
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.base import Did, MemberId, NetworkId
from opkit.wire.compute import (
    FINAL,
    GET_TASK,
    SUBMIT,
    TASK_TYP,
    GetTask,
    Manifest,
    SubmitTask,
    TaskLimits,
)

STDIN = b"hello"
TTL_MS = 600_000
WAIT_MS = 20_000
BEGIN_S = 1.0
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ENDS = frozenset(state.value for state in FINAL)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A signed task as it travels: the request that submits it, and the one that awaits its end."""

    submit: bytes
    wait: bytes


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of a task.

    Attributes:
        end: its final state, or the code of the refusal.
        accepted: whether the node took it.
        ms: how long that took since it was due.
    """

    end: str
    accepted: bool
    ms: float


def prepare(
    *,
    network: NetworkId,
    executor: Did,
    member: tuple[MemberId, Identity, str],
    module: bytes,
    limits: TaskLimits | None = None,
) -> Prepared:
    """Sign a task for an executor and spell its requests.

    Args:
        member: whose task it is, their key, and their token.
    """
    member_id, identity, token = member
    now_ms = time.time_ns() // 1_000_000
    manifest = Manifest(
        network=network,
        aud=executor,
        task_id=secrets.token_hex(16),
        member_id=member_id,
        wasm_hash=cid_of(module),
        input_hash=cid_of(STDIN),
        limits=limits or TaskLimits(),
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + TTL_MS,
    )
    signed = jws.sign(manifest, typ=TASK_TYP, identity=identity)
    asked = encode(SUBMIT, SubmitTask(manifest=signed, input_inline=STDIN))
    waits = encode(GET_TASK, GetTask(task_id=manifest.task_id, wait_ms=WAIT_MS))
    key = jws.record_id(signed).encode("ascii")
    return Prepared(
        submit=post(asked.target, asked.body, token=token, key=key, kind=asked.content_type),
        wait=get(waits.target, token=token),
    )


class Lane(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._heard = b""
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, url: str) -> Lane:
        """Return a connection to a node."""
        where = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(cls, where.hostname or "", where.port or 0)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give a whole answer to who waits for it."""
        self._heard += data
        head = self._heard.find(b"\r\n\r\n")
        length = _LENGTH.search(self._heard, 0, max(head, 0))
        if length is None or len(self._heard) < (end := head + 4 + int(length.group(1))):
            return
        answer = int(self._heard[9:12]), self._heard[head + 4 : end]
        self._heard = self._heard[end:]
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that there will be no answer."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionError("the node closed the connection"))

    @property
    def is_open(self) -> bool:
        """Say whether the node has left the connection open; one that idles, it closes."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body of an answer.

        Raises:
            OSError: the connection was lost.
        """
        assert self._transport is not None, "it is open"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    async def task(self, prepared: Prepared, *, due: float) -> Told:
        """Submit a task and wait for its end.

        Args:
            due: since when it is waited for, as `time.perf_counter` counts.
        """
        status, body = await self.ask(prepared.submit)
        if status != 200:
            return _told(_code(status, body), accepted=False, due=due)
        while (state := json.loads(body)["state"]) not in _ENDS:
            status, body = await self.ask(prepared.wait)
            if status != 200:
                return _told(_code(status, body), accepted=True, due=due)
        return _told(state, accepted=True, due=due)


def _code(status: int, body: bytes) -> str:
    """Return the code of a refusal; what is refused before it is read has only a status."""
    return str(json.loads(body).get("code", status))


def _told(end: str, *, accepted: bool, due: float) -> Told:
    return Told(end=end, accepted=accepted, ms=(time.perf_counter() - due) * 1000)


async def keep_in_flight(url: str, tasks: Sequence[Prepared], *, count: int) -> list[Told]:
    """Have so many lanes carry one task after the other until there are no more.

    They begin one by one within `BEGIN_S`: people do not all press a key in the same millisecond.
    """
    left, told = iter(tasks), list[Told]()

    async def carry() -> None:
        lane = await Lane.open(url)
        for task in left:
            due = time.perf_counter()
            try:
                told.append(await lane.task(task, due=due))
            except OSError:
                told.append(_told("connection-lost", accepted=False, due=due))
                lane = await Lane.open(url)
        lane.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(carry())
            await asyncio.sleep(BEGIN_S / count)
    return told


async def offer(url: str, tasks: Sequence[Prepared], *, per_s: float) -> list[Told]:
    """Offer tasks at even distances, whatever becomes of those before; none waits for another."""
    free: list[Lane] = []
    told: list[Told] = []

    async def carry(task: Prepared, due: float) -> None:
        while free and not free[-1].is_open:
            free.pop()
        lane = free.pop() if free else await Lane.open(url)
        try:
            told.append(await lane.task(task, due=due))
        except OSError:
            told.append(_told("connection-lost", accepted=False, due=due))
            return
        free.append(lane)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, task in enumerate(tasks):
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(carry(task, due))
    for lane in free:
        lane.close()
    return told

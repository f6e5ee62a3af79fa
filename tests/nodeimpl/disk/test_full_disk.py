"""A full disk: changes are refused, reads are answered, and it passes when there is room again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from opkit.client.node import NodeClient
from opkit.proof.cid import cid_of
from opkit.proof.wasm import add_custom_section
from opkit.wire.compute import (
    PUT_BLOB,
    BlobUnknown,
    Outcome,
    PutBlob,
    StorageFull,
    StorageQuotaExceeded,
    TaskLimits,
    TaskState,
)
from opkit.wire.gateway import StoreBusy

pytestmark = [pytest.mark.disk, pytest.mark.timeout(240)]

WASM = Path(__file__).resolve().parents[3] / "wasm"
STORY_S_MAX = 200
SMALL_MB = 24


class Ballast:
    """What fills a real file system, and can be taken away."""

    def __init__(self, node: Any) -> None:
        self._file = node.seen / "ballast"

    def fill(self) -> None:
        with self._file.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))

    def free(self) -> None:
        self._file.unlink()


class Saying:
    """A disk that says that it is full."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def fill(self) -> None:
        self._node.fail(f"grow * {errno.ENOSPC} 0")

    def free(self) -> None:
        self._node.fail()


@pytest.fixture(params=["a small file system", "a disk that says so"])
def kind(request: pytest.FixtureRequest, node: Any) -> str:
    """How the disk comes to be full."""
    wants: str = request.param
    if wants == "a small file system":
        # A system that lets nobody mount has the other kind, which shows the same.
        command = [*node.small_disk(), "true"]
        tried = subprocess.run(command, capture_output=True, check=False, timeout=60)
        if tried.returncode:
            pytest.skip("this system lets no process mount a file system of its own")
    return wants


async def started(node: Any, kind: str) -> Ballast | Saying:
    if kind == "a small file system":
        await node.start(before=HASTY, small_mb=SMALL_MB)
        return Ballast(node)
    await node.start(before=HASTY)
    return Saying(node)


async def refused_at_last(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Return the refusal that comes once the last reserve of room is used."""
    for _ in range(300):
        try:
            await ask()
        except (StorageFull, StoreBusy) as no:
            return no
    raise AssertionError("a full disk took everything")


HASTY = """
import nodeimpl.compute.patience as patience
tries = []
def look(attempt):
    tries.append(attempt)
    print("asked again", attempt, flush=True)
    return 10
patience.backoff_ms = look
"""
"""Lets a node ask a busy store again soon, and say so."""


async def refused_everywhere(mara: NodeClient, module: bytes, wasm_hash: str) -> None:
    """Let every kind of change be refused, each in a way that says what can be done."""

    async def deploy() -> None:
        await mara.wasm.deploy(variant(module), name="other")

    async def submit() -> None:
        await mara.compute.submit(wasm_hash, secrets.token_bytes(60_000))

    for ask in (lambda: upload(mara), deploy, submit):
        no = await refused_at_last(ask)
        assert no.hint and (isinstance(no, StorageFull) or "full" in no.why), no


async def upload(mara: NodeClient) -> str:
    return (await mara.call(PUT_BLOB, PutBlob(content=secrets.token_bytes(300_000)))).cid


def variant(module: bytes) -> bytes:
    return add_custom_section(module, "other", secrets.token_bytes(8))


async def asked_again(node: Any, times: int) -> None:
    """Return once a node has asked its store so often in vain."""
    async with asyncio.timeout(60):
        while f"asked again {times}" not in node.log.read_text():
            await asyncio.sleep(0.05)


def test_a_full_disk_refuses_changes_answers_reads_and_passes(node, kind) -> None:
    """A task that ends meanwhile waits with its receipt for room, and nobody has to start anew."""
    module = (WASM / "upper.wasm").read_bytes()
    spin = (WASM / "spin.wasm").read_bytes()

    async def story() -> None:
        disk = await started(node, kind)
        async with node.client(attempts=1) as mara, httpx.AsyncClient(timeout=60) as anyone:
            info = await mara.wasm.deploy(module, name="upper")
            spinning = await mara.wasm.deploy(spin, name="spin")
            kept = await upload(mara)
            limits = TaskLimits(fuel=100_000_000_000, time_ms=6_000)
            running = await mara.compute.submit(spinning.wasm_hash, b"", limits=limits)
            disk.fill()
            await refused_everywhere(mara, module, info.wasm_hash)
            await asked_again(node, 30)
            assert (await running.view()).state is TaskState.RUNNING
            assert cid_of(await mara.wasm.fetch(kept)) == kept
            assert (await mara.wasm.get(info.wasm_hash)).name == "upper"
            health = await anyone.get(f"{node.url}/v1/health/live")
            assert health.status_code == 200
            if kind == "a small file system":
                assert any("disk is full" in each for each in health.json()["degraded"])
            assert "opkit_disk_free_bytes" in await metrics(anyone, node)
            disk.free()
            assert (await running.result(60_000)).receipt.outcome is Outcome.TIME
            assert await mara.wasm.fetch(await upload(mara))
            other = await mara.wasm.deploy(variant(module), name="other")
            again = await mara.compute.submit(other.wasm_hash, b"again")
            assert (await again.result()).output == b"AGAIN"
        assert list((node.seen / "blobs" / "partial").iterdir()) == []
        assert node.process.poll() is None

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))


SMALL_QUOTA = """
[store]
member_bytes_max = 700_000
"""
HASTY_COLLECTOR = "blob_grace_ms = 60_000"
"""It looks every six seconds, and takes nothing that was brought just now."""
LONG_AGO_NS = 10**18


def test_a_member_who_has_filled_their_quota_is_told_by_the_gateway_and_has_room_again(
    node,
) -> None:
    """Also by a node that was killed in between; what no task names goes by itself."""

    async def story() -> None:
        node.configure(node.data, SMALL_QUOTA)
        await node.start()
        async with node.client(attempts=1) as mara:
            first, second = await upload(mara), await upload(mara)
        node.kill()
        await node.start()
        async with node.client(attempts=1) as mara:
            with pytest.raises(StorageQuotaExceeded) as no:
                await upload(mara)
            assert (no.value.used_bytes, no.value.limit_bytes) == (600_000, 700_000)
            assert no.value.status == 429
            assert "operator" in no.value.hint
            assert await mara.wasm.fetch(first)
        node.kill()
        for cid in (first, second):
            os.utime(node.data / "blobs" / cid, ns=(LONG_AGO_NS, LONG_AGO_NS))
        node.configure(node.data, SMALL_QUOTA + HASTY_COLLECTOR)
        await node.start()
        async with node.client(attempts=1) as mara, httpx.AsyncClient(timeout=60) as anyone:
            async with asyncio.timeout(60):
                while "opkit_blobs_collected_total 2.0" not in (await metrics(anyone, node)):
                    await asyncio.sleep(0.1)
            for cid in (first, second):
                with pytest.raises(BlobUnknown):
                    await mara.wasm.fetch(cid)
            assert await mara.wasm.fetch(await upload(mara))
        assert "blobs were collected" in node.log.read_text()

    asyncio.run(asyncio.wait_for(story(), STORY_S_MAX))


async def metrics(anyone: httpx.AsyncClient, node: Any) -> str:
    return (await anyone.get(f"{node.url}/metrics")).text

"""How a devnet ends and fails, as people see it: real processes, signals, a full disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from devnet.state import load_identities, load_state
from opkit.client import NodeClient
from opkit.wire.compute import TaskLimits, TaskState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROOT = Path(__file__).resolve().parents[3]
MARA = "river-city-tool-library/mara"
RIVER = "river-city-tool-library"
WAIT_S_MAX = 100


def client(name: str) -> NodeClient:
    """Return a client of Mara's at her home node."""
    state = load_state(name)
    node = state.node(RIVER)
    return NodeClient(
        url=node.url,
        node=node.did,
        network=state.network,
        identity=load_identities(state)[MARA],
    )


async def spin(name: str, *, time_ms: int) -> tuple[str, str]:
    """Have Mara's home node run a task that ends by its limit; return its id and manifest."""
    async with client(name) as mara:
        info = await mara.wasm.deploy((ROOT / "wasm" / "spin.wasm").read_bytes(), name="spin")
        executor = load_state(name).node(RIVER).did
        limits = TaskLimits(fuel=10**11, time_ms=time_ms)
        task = await mara.compute.submit(info.wasm_hash, b"", limits=limits, executor=executor)
        async with asyncio.timeout(WAIT_S_MAX):
            while (await task.view()).state is not TaskState.RUNNING:
                await asyncio.sleep(0.05)
        return task.task_id, task.manifest


async def end_of(name: str, task_id: str, manifest: str) -> TaskState:
    """Have a task that runs again end, and return how it did."""
    async with client(name) as mara:
        task = mara.compute.handle(task_id, manifest)
        async with asyncio.timeout(WAIT_S_MAX):
            while (await task.view()).state is not TaskState.RUNNING:
                await asyncio.sleep(0.05)
        await task.cancel()
        return (await task.view(wait_ms=20_000)).state


def test_down_says_what_it_waits_for_and_the_next_up_goes_on_with_it(
    opkit: Callable[..., Any], own_home: Path
) -> None:
    assert opkit("devnet", "up", "d").code == 0
    try:
        check_names(load_state("d").folder)
        task_id, manifest = asyncio.run(spin("d", time_ms=60_000))
        down = opkit("devnet", "down", "d")
        assert down.code == 0, down.err
        assert f"{RIVER}: waiting for 1 running task" in down.err
        assert "d: stopped" in down.out
        assert opkit("devnet", "up", "d").code == 0
        assert asyncio.run(end_of("d", task_id, manifest)) is TaskState.CANCELLED
    finally:
        opkit("devnet", "down", "d")
    log = (own_home / "devnets/d/nodes" / RIVER / "node.log").read_text("utf-8")
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events.count("stopping") == events.count("stopped waiting") == 2
    assert not (own_home / "devnets/d/nodes" / RIVER / "node.log.1").exists()


def check_names(folder: Path) -> None:
    """Every process of a devnet shows by its name, in both columns that people look at."""
    shown = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPKIT_DEVNET_FOLDER") == str(folder):
                comm = Path(f"/proc/{process.pid}/comm").read_text("utf-8").strip()
                shown[process.pid] = (comm, process.cmdline())
        except (psutil.Error, OSError):
            continue
    titles = {" ".join(line).strip() for _, line in shown.values()}
    assert {"opkit-devnet", "opkit-forks", RIVER} <= titles, shown
    assert not any("devnet.supervisor" in title for title in titles), shown
    assert {name for name, _ in shown.values()} >= {"opkit-devnet", "opkit-forks", RIVER[:15]}


SMALL = 'mount -t tmpfs -o size={size} tmpfs {where} && exec "$@"'


@pytest.mark.parametrize("size", ["64k", "200k"])
def test_a_disk_that_is_full_is_told_with_what_to_do(tmp_path: Path, size: str) -> None:
    """On a real file system that is too small, mounted where nobody else sees it."""
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    inside = [*namespace, "sh", "-c", SMALL.format(size=size, where=tmp_path), "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("not run: this system mounts nothing in a namespace")
    done = subprocess.run(
        [*inside, sys.executable, "-m", "opkit.cli", "devnet", "up"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPKIT_HOME": str(tmp_path)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "No space left on device" in done.stderr or "disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert "room" in done.stderr

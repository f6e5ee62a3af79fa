"""Looking over a running devnet before an audience comes, without changing anything about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devnet.control import ask_supervisor
from devnet.facts import network_facts
from devnet.stage import OVER
from devnet.state import DevnetState, NodeState
from opkit.wire.network import NodeInfo

SKEW_MS_MAX = 1_000
"""By how much a node's clock may differ from this machine's."""

DISK_BYTES_MIN = 1 << 30
MEMORY_BYTES_MIN = 512 << 20
"""Room for a clone of the network, its workers, and what a telling writes."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: whether it is well, what was seen, and what would help."""

    name: str
    ok: bool
    seen: str
    hint: str = ""


Infos = Sequence[tuple[NodeState, NodeInfo]]


async def look_over(state: DevnetState) -> tuple[Finding, ...]:
    """Return what can be said of a running devnet by reading alone.

    The supervisor is asked for its status, each node who it is (which takes no token, so that not
    even a login is journalled there), and this machine for its room.

    Raises:
        DevnetError: the supervisor does not answer.
    """
    status = await ask_supervisor(state.socket, "status")
    before_ms = _now_ms()
    infos, _ = await network_facts(state)
    after_ms = _now_ms()
    return (
        _nodes(status),
        _links(status),
        _hostile(status),
        _stage(status),
        _clocks(status, infos, before_ms=before_ms, after_ms=after_ms),
        same_builds(infos),
        _disk(state.folder),
        _memory(),
    )


def _nodes(status: Mapping[str, Any]) -> Finding:
    ill = [
        f"{node['org']}: {node['state'] if node['state'] != 'ready' else 'no answer'}"
        for node in status["nodes"]
        if node["state"] != "ready" or not node["answers"]
    ]
    if status["state"] != "ready":
        ill.append(f"the network: {status['state']}")
    return Finding(
        name="every node is ready and answers",
        ok=not ill,
        seen=", ".join(ill) or f"{len(status['nodes'])} nodes",
        hint="opkit devnet restart ORG",
    )


def _links(status: Mapping[str, Any]) -> Finding:
    others = len(status["nodes"]) - 1
    orgs = {node["org"] for node in status["nodes"]}
    lonely = [
        f"{node['org']}: {known} of {others} peers"
        for node in status["nodes"]
        if (known := len(orgs & set(node["connected"]))) < others
    ]
    cut = [f"{link['a']} – {link['b']}: cut" for link in status["links"] if link["cut"]]
    return Finding(
        name="all nodes are linked and no link is cut",
        ok=not cut and not lonely,
        seen=", ".join(cut + lonely) or f"{len(status['links'])} links",
        hint="opkit devnet heal",
    )


def _hostile(status: Mapping[str, Any]) -> Finding:
    peers = [f"peer {peer['number']}: {peer['kind']}" for peer in status["hostile"]]
    return Finding(
        name="nobody hostile is connected",
        ok=not peers,
        seen=", ".join(peers) or "nobody",
        hint="opkit devnet stop-hostile NUMBER",
    )


def _stage(status: Mapping[str, Any]) -> Finding:
    stage = status["stage"]
    return Finding(
        name="the stage is free",
        ok=stage is None or stage["mode"] in OVER,
        seen=f"flow {stage['flow']}: {stage['mode']}" if stage else "nothing is being told",
        hint="close the stage on the console's page",
    )


def _clocks(status: Mapping[str, Any], infos: Infos, *, before_ms: int, after_ms: int) -> Finding:
    wrong = [
        f"{node.org}: {info.now_ms - after_ms:+d} ms"
        for node, info in infos
        if not before_ms - SKEW_MS_MAX <= info.now_ms <= after_ms + SKEW_MS_MAX
    ]
    ahead_ms = status["world_offset_ms"]
    wrong += [
        f"{node.org}: world time {info.world_ms - info.now_ms} ms ahead, not {ahead_ms}"
        for node, info in infos
        if info.world_ms - info.now_ms != ahead_ms
    ]
    return Finding(
        name="clocks agree",
        ok=not wrong and bool(infos),
        seen=", ".join(wrong) or f"{len(infos)} clocks",
        hint="opkit devnet restart ORG",
    )


def same_builds(
    infos: Iterable[tuple[NodeState, NodeInfo]],
    *,
    name: str = "one version and one engine everywhere",
) -> Finding:
    """Return, under `name`, whether all nodes are of one version and run modules by one engine."""
    builds = sorted(
        {
            f"{info.version}, {info.engine.name} {info.engine.version} {info.engine.settings}"
            for _, info in infos
        }
    )
    return Finding(
        name=name,
        ok=len(builds) == 1,
        seen=" / ".join(builds) or "no node answered",
        hint="opkit devnet down, then up: nodes run what was installed when they started",
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    return Finding(
        name="there is room on disk",
        ok=free >= DISK_BYTES_MIN,
        seen=f"{free / 2**30:.1f} GiB free",
        hint="make room, or name another disk with OPKIT_HOME",
    )


def _memory() -> Finding:
    free = available_bytes(Path("/proc/meminfo").read_text("ascii"))
    return Finding(
        name="there is room in memory",
        ok=free >= MEMORY_BYTES_MIN,
        seen=f"{free / 2**30:.1f} GiB free",
        hint="end other programs",
    )


def available_bytes(meminfo: str) -> int:
    """Return how much memory programs can get without swapping. Source: proc_meminfo(5)."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1_024
    return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

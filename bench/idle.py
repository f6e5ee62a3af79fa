"""What a node costs while nobody asks it anything."""

from __future__ import annotations

import json
import time

import psutil

from bench.network import devnet, opkit, state_home
from bench.rows import Row, row

SETTLE_S, WATCH_S = 5.0, 20.0
MB = 1_000_000


def idle() -> list[Row]:
    """Memory (PSS, workers included) and processor time of the costliest of three idle nodes."""
    with state_home(), devnet() as name:
        nodes = [psutil.Process(pid) for pid in _node_pids(name)]
        time.sleep(SETTLE_S)
        before = [_seconds(node) for node in nodes]
        time.sleep(WATCH_S)
        shares = [
            (_seconds(node) - spent) / WATCH_S * 100
            for node, spent in zip(nodes, before, strict=True)
        ]
        sizes = [_pss(node) / MB for node in nodes]
    return [
        row("idle node, processor", max(shares), "% core", target="<= 1", of=shares),
        row("idle node, memory (PSS)", max(sizes), "MB", target="<= 130", of=sizes),
    ]


def _family(node: psutil.Process) -> list[psutil.Process]:
    return [node, *node.children(recursive=True)]


def _seconds(node: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family(node))


def _pss(node: psutil.Process) -> int:
    return sum(process.memory_full_info().pss for process in _family(node))


def _node_pids(name: str) -> list[int]:
    """Return the process ids of the nodes, as the supervisor tells them."""
    status = json.loads(opkit("devnet", "status", name, "--json"))
    return [int(node["pid"]) for node in status["nodes"]]

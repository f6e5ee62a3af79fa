"""Letting processes stand still, and go on: a node with all that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from devnet.processes import descendants_of

LOOK_EVERY_MS = 5
STILL_MS_MAX = 10_000
"""How long it is waited for what was told to stand still. Who takes longer is within the kernel,
such as at a disk, and stands still when it comes back from there."""

_STILL = frozenset("TtZXx")
"""The states of a thread that does nothing any more, for now or for good. Source: proc_pid_stat(5),
field 3."""


async def freeze(pid: int) -> None:
    """Stop a process and all below it; what stands still starts no other.

    Each is told, and does so when it has the processor next: on a busy machine that takes a while.
    """
    stopped: set[int] = set()
    wave: Sequence[int] = (pid,)
    with suppress(TimeoutError):
        async with asyncio.timeout(STILL_MS_MAX / 1000):
            while wave:
                send_all(wave, signal.SIGSTOP)
                await _until_still(wave)
                stopped.update(wave)
                wave = [each for each in descendants_of(pid) if each not in stopped]


async def _until_still(pids: Iterable[int]) -> None:
    for pid in pids:
        while True:
            if _stands_still(pid):
                break
            await asyncio.sleep(LOOK_EVERY_MS / 1000)


def _stands_still(pid: int) -> bool:
    """Return whether no thread of a process runs; who has ended runs none."""
    threads = Path(f"/proc/{pid}/task")
    try:
        told = [(thread / "stat").read_text("utf-8", "replace") for thread in threads.iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return not threads.exists()  # It may be that one of its threads has ended, and not all.
    return all(stat.rpartition(")")[2].split()[0] in _STILL for stat in told)


def thaw(pid: int) -> None:
    """Let a process and all below it go on, those first that it may ask something of."""
    send_all((*descendants_of(pid), pid), signal.SIGCONT)


def send_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; who has ended meanwhile is left alone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

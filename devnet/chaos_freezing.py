"""Letting processes stand still, and go on: a node with all that it has started."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress

from devnet.processes import descendants_of


def freeze(pid: int) -> None:
    """Stop a process and all below it; what stands still starts no other."""
    stopped: set[int] = set()
    wave: Sequence[int] = (pid,)
    while wave:
        send_all(wave, signal.SIGSTOP)
        stopped.update(wave)
        wave = [each for each in descendants_of(pid) if each not in stopped]


def thaw(pid: int) -> None:
    """Let a process and all below it go on, those first that it may ask something of."""
    send_all((*descendants_of(pid), pid), signal.SIGCONT)


def send_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; who has ended meanwhile is left alone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

"""Every child that ends is reaped here, orphans of killed nodes included.

The supervisor is the reaper of all below it, so it hears of every exit, and nothing stays a zombie.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import OrderedDict
from dataclasses import dataclass, field

from devnet.processes import descendants_of

EARLY_MAX = 256
"""How many exits are remembered of processes that nobody has named yet."""


@dataclass(eq=False)
class Child:
    """A forked process. `status` is its exit status, negative for a signal; None while it runs."""

    pid: int
    status: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def how(self) -> str:
        """Return how it ended, for people."""
        if self.status is None:
            return "running"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended: its id may be another's by now."""
        if self.status is None:
            os.kill(self.pid, number)


class Reaper:
    """Waits for all children of this process; there must be no other who does."""

    def __init__(self) -> None:
        """Know no child yet."""
        self._children: dict[int, Child] = {}
        self._early: OrderedDict[int, int] = OrderedDict()

    def install(self) -> None:
        """Reap whenever a child ends, from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def know(self, pid: int) -> Child:
        """Return the child `pid`, which may have ended before anybody knew of it."""
        child = Child(pid=pid)
        status = self._early.pop(pid, None)
        if status is None:
            self._children[pid] = child
        else:
            self._end(child, status)
        return child

    async def end(self, child: Child, *, grace_ms: int) -> None:
        """Ask a child to end, then make it."""
        child.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_ms / 1000):
                await child.ended.wait()
        except TimeoutError:
            child.send(signal.SIGKILL)
            await child.ended.wait()

    async def end_orphans(self) -> None:
        """Kill whatever is still below this process, and wait until nothing is."""
        while below := descendants_of(os.getpid()):
            for pid in below:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._reap()
            await asyncio.sleep(0.005)

    def _reap(self) -> None:
        while True:
            try:
                pid, waited = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            status = os.waitstatus_to_exitcode(waited)
            child = self._children.pop(pid, None)
            if child is not None:
                self._end(child, status)
                continue
            self._early[pid] = status
            if len(self._early) > EARLY_MAX:
                self._early.popitem(last=False)

    @staticmethod
    def _end(child: Child, status: int) -> None:
        child.status = status
        child.ended.set()

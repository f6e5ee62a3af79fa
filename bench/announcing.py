"""`python -m bench.announcing CONFIG`: a node that journals 1,000 events a second by itself.

Five events a transaction, as a task has, at even distances; each event carries when it was
announced, in microseconds of the monotonic clock, in place of an offset of world time.
"""

from __future__ import annotations

import asyncio
import sys
import time

from nodeimpl import __main__ as process
from nodeimpl.kernel.tx import Tx
from nodeimpl.node import Node
from opkit.wire.network import ClockMoved

EVENTS_PER_S = 1_000
EVENTS_PER_CHANGE = 5


class AnnouncingNode(Node):
    """A node with one more thing that runs by itself."""

    async def _run(self) -> None:
        """Own everything that runs by itself, and announce."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super()._run())
            tasks.create_task(self._announce())

    async def _announce(self) -> None:
        """Announce at even distances; a change that takes longer does not hold up the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self.store.write(_announce))
                due += EVENTS_PER_CHANGE / EVENTS_PER_S
                await asyncio.sleep(max(0.0, due - loop.time()))


def _announce(tx: Tx) -> None:
    for _ in range(EVENTS_PER_CHANGE):
        tx.announce(ClockMoved(offset_ms=time.monotonic_ns() // 1000))


if __name__ == "__main__":
    # The same process as always, with another node in it.
    vars(process)["Node"] = AnnouncingNode
    sys.exit(process.main())

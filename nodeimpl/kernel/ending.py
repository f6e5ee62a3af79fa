"""How a node ends when it is told to: what begins no more, what is waited for, and until when.

Two moments matter. Once the end has *begun* nothing new is taken; what runs goes on. Once it is
*over*, who waits for something is answered as things stand, streams close, and the door shuts.
Source: ADR 0025.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

WHY = "the node is stopping"
"""What callers, peers and readers of streams are told."""

LOOK_EVERY_S = 0.5
"""How often it is said anew what is waited for, if that has changed."""


GOODBYE_S_MAX = 1.0
"""How long those who must be told the end by their own tasks may take for it."""


class Work(Protocol):
    """What a node does by itself and can be told to finish."""

    @property
    def running(self) -> int:
        """How many pieces are under way."""

    def rest(self) -> None:
        """Begin nothing new; what runs goes on, what waits stays for the next start."""

    async def idle(self) -> None:
        """Return once nothing is under way."""

    def answer_all(self) -> None:
        """Answer everybody who waits, as things stand."""


class Ending:
    """The end of one node. Use it from one event loop."""

    def __init__(self) -> None:
        """Begin with a node that shall go on."""
        self._over = asyncio.Event()
        self._told = asyncio.Event()
        self._listening = 0
        self.begun = False
        self.waits_for: tuple[str, ...] = ()

    async def over(self) -> None:
        """Return once nothing is waited for any more."""
        await self._over.wait()

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for any more."""
        return self._over.is_set()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hold the end up while somebody who waits for it says goodbye to others."""
        self._listening += 1
        try:
            yield
        finally:
            self._listening -= 1
            if not self._listening:
                self._told.set()

    async def wind_down(
        self,
        work: Work,
        *,
        most_ms: int,
        hurry: asyncio.Event,
        told: Callable[[tuple[str, ...]], None],
    ) -> bool:
        """Take nothing new, wait for what runs, then answer everybody; return whether all ended.

        Args:
            most_ms: how long is waited at most; what still runs then begins anew at the next start.
            hurry: ends the waiting at once.
            told: called with what is waited for, whenever that changes.
        """
        self.begun = True
        work.rest()
        idle = asyncio.create_task(work.idle())
        hurried = asyncio.create_task(hurry.wait())
        clock = asyncio.get_running_loop().time
        end_s = clock() + most_ms / 1000
        try:
            while not idle.done() and not hurried.done() and clock() < end_s:
                self._say(work.running, told)
                left_s = max(0.0, end_s - clock())
                await asyncio.wait(
                    {idle, hurried},
                    timeout=min(LOOK_EVERY_S, left_s),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            return idle.done()
        finally:
            idle.cancel()
            hurried.cancel()
            self.waits_for = ()
            self._over.set()
            work.answer_all()
            await self._goodbyes()

    async def _goodbyes(self) -> None:
        """Return once all who listen have heard and passed it on, or have taken too long."""
        self._told.clear()
        if self._listening:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S_MAX):
                    await self._told.wait()

    def _say(self, running: int, told: Callable[[tuple[str, ...]], None]) -> None:
        waits_for = (f"{running} running task{'s' if running > 1 else ''}",) if running else ()
        if waits_for != self.waits_for:
            self.waits_for = waits_for
            told(waits_for)

"""A job under way in this process: what stops it, and what of it is not journalled yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from nodeimpl.compute.parts import cancelled
from nodeimpl.compute.store import JobRow
from nodeimpl.sandbox.result import RunResult
from opkit.wire.base import Cid
from opkit.wire.compute import Fetched, Manifest
from opkit.wire.errors import Refusal
from opkit.wire.events import Event

T = TypeVar("T")


@dataclass
class Live:
    """A job under way.

    Attributes:
        stdin: its input, if it is at hand.
        stopped: whether its end is wanted.
        events: what happened to it and is not journalled yet.
        task: what sees it through; one asyncio task a job, for each costs as much as a statement.
    """

    row: JobRow
    manifest: Manifest
    stdin: bytes | None = None
    stopped: bool = False
    events: list[Event] = field(default_factory=list)
    fetched: Fetched | None = None
    started_at_ms: int | None = None
    task: asyncio.Task[None] | None = None
    _runs: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _telling: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Have the run end; one that has not begun will not, one that has ended stays so."""
        if not self.stopped and self._runs is not None:
            self._runs.cancel()
        self.stopped = True

    async def unless_stopped(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return what `work` returns, or None if the job was stopped, before it or meanwhile.

        Only `stop` and the end of the node cancel `task`; the latter is nothing that the job hears
        of, and goes on from here.
        """
        if self.stopped:
            return None
        assert self.task is not None, "this runs in it"
        self._runs = self.task
        try:
            return await work()
        except asyncio.CancelledError:
            self._take_back_stop(self.task)
            if self.task.cancelling():
                raise
            return None
        finally:
            self._runs = None

    def _take_back_stop(self, task: asyncio.Task[None]) -> None:
        if self.stopped:
            task.uncancel()

    def tell_in(self, delay_s: float, tell: Callable[[], Awaitable[None]]) -> None:
        """Have `tell` journal what happened so far, unless `told` comes before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tell, tell)

    def _tell(self, tell: Callable[[], Awaitable[None]]) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(_whole(tell))

    async def told(self) -> None:
        """Return once nothing more will be journalled of it but its end."""
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            await self._telling

    async def leave(self) -> None:
        """Leave nothing behind, however the job went."""
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            await cancelled(self._telling)


async def _whole(tell: Callable[[], Awaitable[None]]) -> None:
    await tell()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a job ended: by a run, or by a refusal."""

    result: RunResult | None
    refusal: Refusal | None
    output_hash: Cid | None = None
    inline: bytes | None = None

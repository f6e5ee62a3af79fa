"""Reading beside the writer, each function from one snapshot.

SQLite is read on the event loop itself: a read takes tens of microseconds, less than handing it to
a thread and back, and in WAL mode it never waits for the writer. PostgreSQL is read from threads,
for there the answer travels (ADR 0004).
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Engine, Session, Trouble
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import StoreBusy

T = TypeVar("T")


class Reads(Protocol):
    """How transaction functions that only read are run."""

    async def run(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one snapshot."""

    def close(self) -> None:
        """Close the sessions."""


class DirectReads:
    """One session, used on the event loop."""

    def __init__(self, engine: Engine, *, clock: Clock) -> None:
        """Open the session."""
        self._session = engine.reader()
        self._clock = clock

    async def run(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one snapshot, at once."""
        return _read(self._session, self._clock, work)

    def close(self) -> None:
        """Close the session."""
        self._session.close()


class ThreadedReads:
    """As many sessions as threads; when all are taken, who comes waits for the first free one."""

    def __init__(self, engine: Engine, *, clock: Clock, readers: int) -> None:
        """Open `readers` sessions."""
        self._clock = clock
        self._sessions = [engine.reader() for _ in range(readers)]
        self._free: queue.SimpleQueue[Session] = queue.SimpleQueue()
        for session in self._sessions:
            self._free.put(session)
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")

    async def run(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one snapshot, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._one, work)

    def close(self) -> None:
        """Wait for the reads that run, then close the sessions."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _one(self, work: Callable[[Tx], T]) -> T:
        session = self._free.get_nowait()
        try:
            return _read(session, self._clock, work)
        finally:
            self._free.put(session)


def _read(session: Session, clock: Clock, work: Callable[[Tx], T]) -> T:
    """Run `work` in a transaction that is undone.

    Raises:
        StoreBusy: the engine could not; what else `work` raised is raised as it is.
    """
    try:
        session.begin()
        tx = Tx(session, clock=clock, writes=False)
        result = work(tx)
        tx.finish()
    except Exception as error:
        trouble = session.trouble(error, committing=False)
        if trouble is Trouble.NONE:
            raise
        raise StoreBusy(why=str(error)) from error
    finally:
        session.rollback()
    return result

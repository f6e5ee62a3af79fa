"""Reading beside the writer, each function from one snapshot.

SQLite is read on the event loop itself: a read takes tens of microseconds, less than handing it to
a thread and back, and in WAL mode it never waits for the writer. PostgreSQL is read from threads,
for there the answer travels; reads that wait for a thread share its next snapshot, as changes share
a commit, and ask for their first statements by one round trip (ADR 0004, ADR 0027).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from nodeimpl.kernel.ahead import Asked, read_ahead
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Engine, Session, Trouble
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import StoreBusy

T = TypeVar("T")

GROUP_MAX = 32
"""The most reads that share a snapshot: a slow one holds up no more than these."""

TURN_MS_MAX = 20
"""How long a thread lets another read alone, while more gather, before it reads beside it."""


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
        """Run `work` on one snapshot, at once, and undo the transaction.

        Raises:
            StoreBusy: the engine could not; what else `work` raised is raised as it is.
        """
        try:
            self._session.begin()
            return _run(self._session, self._clock, work)
        except Exception as error:
            if self._session.trouble(error, committing=False) is Trouble.NONE:
                raise
            raise StoreBusy(why=str(error)) from error
        finally:
            self._session.rollback()

    def close(self) -> None:
        """Close the session."""
        self._session.close()


class ThreadedReads:
    """As many sessions as threads; what waits when one is free is read from one snapshot together.

    The snapshot is taken after the last of them was asked for, so that each sees every change that
    was answered before. Handing work to a thread and opening a transaction cost more than a small
    read itself; so many share it.
    """

    def __init__(self, engine: Engine, *, clock: Clock, readers: int) -> None:
        """Open `readers` sessions."""
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._run, args=(engine.reader(),), name=f"store-reader-{n}", daemon=True
            )
            for n in range(readers)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one snapshot, in a thread; raises as `DirectReads.run`."""
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._asked.put(Asked(work, waiting))
        return await waiting

    def close(self) -> None:
        """Finish what was asked for, then close the sessions."""
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, session: Session) -> None:
        """Read for one group after another, until told to end."""
        first = self._asked.get()
        while first is not None:
            # Threads that read side by side wait for the interpreter more than for answers.
            has_turn = self._turn.acquire(timeout=TURN_MS_MAX / 1000)
            try:
                group, ending = self._gather(first)
                self._read([one for one in group if not one.waiting.cancelled()], session)
            finally:
                if has_turn:
                    self._turn.release()
            self._answer(group)
            first = None if ending else self._asked.get()
        session.close()

    def _gather(self, first: Asked) -> tuple[list[Asked], bool]:
        """Return what is asked for by now, and whether this thread has to end."""
        group = [first]
        while len(group) < GROUP_MAX:
            try:
                one = self._asked.get_nowait()
            except queue.Empty:
                break
            if one is None:
                return group, True
            group.append(one)
        return group, False

    def _read(self, group: list[Asked], session: Session) -> None:
        """Read for a group, together as far as that goes, and the rest of it one by one."""
        left = read_ahead(session, self._clock, group) if len(group) > 1 else group
        while left:
            left = left[_read_some(session, self._clock, left) :]

    def _answer(self, group: list[Asked]) -> None:
        try:
            self._loop.call_soon_threadsafe(_tell, group)
        except RuntimeError:
            # The loop was closed without closing the store: nobody is left to be told.
            return


def _tell(group: list[Asked]) -> None:
    """On the event loop: answer those who still wait."""
    for one in group:
        if one.waiting.done():
            continue
        if one.error is None:
            one.waiting.set_result(one.result)
        else:
            one.waiting.set_exception(one.error)


def _read_some(session: Session, clock: Clock, group: list[Asked]) -> int:
    """Run functions on one snapshot until one of them fails; return how many were run.

    What fails may have taken the snapshot along, so whatever it was, the rest gets a new one.
    """
    done, one = 1, group[0]
    try:
        try:
            _begin(session)
            for done, one in enumerate(group, start=1):  # noqa: B007 - read after the loop
                one.result = _run(session, clock, one.work)
        finally:
            session.rollback()
    except Exception as error:  # noqa: BLE001 - whatever it is goes to who asked
        one.error = _told(session, error)
    return done


def _begin(session: Session) -> None:
    """Begin a transaction; one whose connection turns out to be lost is begun again on another."""
    try:
        session.begin()
    except Exception as error:
        if session.trouble(error, committing=False) is not Trouble.BUSY:
            raise
        session.begin()


def _run(session: Session, clock: Clock, work: Callable[[Tx], T]) -> T:
    tx = Tx(session, clock=clock, writes=False)
    result = work(tx)
    tx.finish()
    return result


def _told(session: Session, error: Exception) -> Exception:
    """Return what the caller is told: that the engine could not, or what the function raised."""
    if session.trouble(error, committing=False) is Trouble.NONE:
        return error
    busy = StoreBusy(why=str(error))
    busy.__cause__ = error
    return busy

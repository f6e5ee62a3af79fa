"""The one writer: a thread that runs transaction functions one after another, in shared commits.

Work that waits while a group runs joins it, each in its own savepoint, so one sync to disk serves
many callers and a single caller never waits for others (ADR 0004). Nothing is told to anyone
before COMMIT has returned; what refuses undoes itself alone; if the whole transaction is gone,
every caller of the group is told that nothing happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Session, Trouble
from nodeimpl.kernel.errors import StoreFailed
from nodeimpl.kernel.group import Group
from nodeimpl.kernel.journal import Head, append
from nodeimpl.kernel.tx import Tx
from opkit.wire.gateway import StoreBusy


@dataclass(eq=False, slots=True)
class Job:
    """One transaction function on its way: what it is, who waits, and how it ended."""

    work: Callable[[Tx], Any]
    waiting: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None
    callbacks: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ended:
    """A group after its commit, or after its loss; `failure` says that the store is broken."""

    jobs: list[Job]
    head: Head
    committed: bool
    failure: StoreFailed | None = None


_LOOK_S = 1.0
"""How often a thread that is told to stop is looked at for a commit that does not end."""

_THE_END = frozenset({Trouble.ENDED, Trouble.FAILED})
"""After these the store takes no more changes."""


class _GroupLost(Exception):
    """The whole transaction is gone; nothing of it was kept."""


class _Broken(Exception):
    """The engine broke. `in_doubt` says that what COMMIT did is unknown."""

    def __init__(self, why: str, *, in_doubt: bool) -> None:
        super().__init__(why)
        self.in_doubt = in_doubt


class Writer:
    """The thread, its queue and its session."""

    def __init__(
        self,
        *,
        session: Session,
        clock: Clock,
        head: Head,
        group_max: int,
        group_ms_max: int,
        deliver: Callable[[Ended], None],
    ) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            head: the journal's last committed entry.
            group_max: the most functions in one commit.
            group_ms_max: how long a group takes on more work before it commits.
            deliver: told how each group ended, from the writer's thread.
        """
        self._session = session
        self._clock = clock
        self._head = head
        self._group_max = group_max
        self._group_s_max = group_ms_max / 1000
        self._deliver = deliver
        self._failure: StoreFailed | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ending = False
        self._lasting: dict[object, Any] = {}
        self._commit_began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job; the store bounds how many there are."""
        self._queue.put(job)

    def take_back(self) -> list[Job]:
        """Return what is queued and has not begun; the writer will not see it."""
        jobs: list[Job] = []
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs
            if job is None:
                # The word to stop is the last of all.
                self._queue.put(None)
                return jobs
            jobs.append(job)

    @property
    def committing_ms(self) -> int:
        """How long a commit is under way; 0 if none is. From any thread."""
        began_s = self._commit_began_s
        return 0 if began_s is None else round((time.monotonic() - began_s) * 1000)

    def stop(self, *, stalled_ms_max: int) -> bool:
        """Finish what is queued, close the session, and return whether the thread has ended.

        Args:
            stalled_ms_max: how long one commit is waited for: it may never end.
        """
        self._queue.put(None)
        while self._thread.is_alive() and self.committing_ms < stalled_ms_max:
            self._thread.join(_LOOK_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ending:
            first = self._queue.get()
            if first is None:
                break
            if self._failure is not None:
                first.error = StoreBusy(why=str(self._failure))
                self._deliver(Ended([first], self._head, committed=False))
                continue
            self._deliver(self._group(first))
        self._session.close()

    def _group(self, first: Job) -> Ended:
        jobs: list[Job] = []
        group = Group(self._session, self._lasting)
        try:
            self._call(self._session.begin)
            head = self._run_jobs(first, jobs, group)
            if all(job.error is not None for job in jobs):
                self._call(self._session.rollback)
                return Ended(jobs, self._head, committed=False)
            self._close(group)
            self._commit()
        except _GroupLost as lost:
            return self._lost(jobs or [first], group, why=str(lost))
        except _Broken as broken:
            return self._broken(jobs or [first], group, broken)
        self._head = head
        return Ended(jobs, head, committed=True)

    def _run_jobs(self, first: Job, jobs: list[Job], group: Group) -> Head:
        """Run `first` and what joins meanwhile; `jobs` receives each before it runs."""
        head = self._head
        closes_at = time.monotonic() + self._group_s_max
        job: Job | None = first
        while job is not None:
            jobs.append(job)
            head = self._run_job(job, head, group)
            job = self._next(jobs, closes_at)
        return head

    def _next(self, jobs: list[Job], closes_at: float) -> Job | None:
        if len(jobs) >= self._group_max or time.monotonic() >= closes_at:
            return None
        try:
            job = self._queue.get_nowait()
        except queue.Empty:
            return None
        self._ending = job is None
        return job

    def _run_job(self, job: Job, head: Head, group: Group) -> Head:
        """Run one function in its savepoint; return the head after it, or `head` if it refused."""
        if job.waiting.cancelled():
            job.error = StoreBusy(why="the caller went away before the work began")
            return head
        self._call(self._session.savepoint)
        group.begin_work()
        tx = Tx(self._session, clock=self._clock, writes=True, group=group)
        try:
            job.result = job.work(tx)
            after = append(tx, head, tx.announced)
            tx.finish()
            self._session.release()
        except Exception as error:  # noqa: BLE001 - whatever the function raised goes to its caller
            self._undo(job, tx, error, group)
            return head
        job.callbacks = tx.callbacks
        return after

    def _undo(self, job: Job, tx: Tx, error: Exception, group: Group) -> None:
        """Roll one function back and note its error, or raise if more than it was undone."""
        first_cause = group.broken or tx.cause or error
        trouble = self._session.trouble(first_cause, committing=False)
        if trouble in _THE_END:
            raise _Broken(str(first_cause), in_doubt=False) from first_cause
        if group.broken is not None or not self._session.in_transaction():
            raise _GroupLost(str(first_cause)) from first_cause
        self._call(self._session.rollback_to)
        _put_back(group.undo_work)
        job.error = StoreBusy(why=str(first_cause)) if trouble is Trouble.BUSY else error

    def _close(self, group: Group) -> None:
        """Do what is left before COMMIT: what was asked for at the end, then all rows that wait."""
        group.begin_work()
        tx = Tx(self._session, clock=self._clock, writes=True, group=group)
        for callback in group.closing:
            try:
                callback(tx)
            except Exception as error:
                if tx.cause is None:
                    raise _Broken(str(error), in_doubt=False) from error
                self._call(tx.finish)
        self._call(group.write)
        self._call(tx.finish)

    def _call(self, action: Callable[[], None]) -> None:
        """Run one of the session's own steps; an error in it is the whole group's."""
        try:
            action()
        except Exception as error:
            if self._session.trouble(error, committing=False) in _THE_END:
                raise _Broken(str(error), in_doubt=False) from error
            raise _GroupLost(str(error)) from error

    def _commit(self) -> None:
        self._commit_began_s = time.monotonic()
        try:
            self._session.commit()
        except Exception as error:
            trouble = self._session.trouble(error, committing=True)
            if trouble is Trouble.BUSY:
                raise _GroupLost(str(error)) from error
            raise _Broken(str(error), in_doubt=trouble is not Trouble.ENDED) from error
        finally:
            self._commit_began_s = None

    def _lost(self, jobs: list[Job], group: Group, *, why: str) -> Ended:
        try:
            self._session.rollback()
            _put_back(group.undo_all)
        except Exception as error:  # noqa: BLE001 - whatever it is, the session is of no use now
            return self._broken(jobs, group, _Broken(f"{why}; then: {error}", in_doubt=False))
        for job in jobs:
            job.error, job.result = StoreBusy(why=why), None
        return Ended(jobs, self._head, committed=False)

    def _broken(self, jobs: list[Job], group: Group, broken: _Broken) -> Ended:
        why, cause = str(broken), broken.__cause__
        self._failure = cause if isinstance(cause, StoreFailed) else StoreFailed(why)
        try:
            self._session.rollback()
        except Exception as error:  # noqa: BLE001 - it is broken already; say so, and stop
            self._failure = StoreFailed(f"{why}; then rolling back: {error}")
        with contextlib.suppress(_Broken):  # The store takes no more changes in any case.
            _put_back(group.undo_all)
        for job in jobs:
            job.error = self._failure if broken.in_doubt else StoreBusy(why=why)
            job.result = None
        return Ended(jobs, self._head, committed=False, failure=self._failure)


def _put_back(action: Callable[[], None]) -> None:
    """Have put back what was kept in memory; memory that is in doubt is no base for more changes.

    Raises:
        _Broken: it could not be.
    """
    try:
        action()
    except Exception as error:
        raise _Broken(
            f"what was undone is not undone in memory: {error}", in_doubt=False
        ) from error

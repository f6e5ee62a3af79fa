"""The store: one writer in shared commits, reads beside it, the journal, and who is told when.

Source: ADR 0004 (one writer), ADR 0005 (journal).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from nodeimpl.kernel import birth, journal
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Engine, Session
from nodeimpl.kernel.errors import (
    SchemaBroken,
    SchemaNewer,
    StoreClosed,
    StoreError,
    StoreFailed,
    StoreLocked,
)
from nodeimpl.kernel.follow import follow
from nodeimpl.kernel.journal import StoredEntry
from nodeimpl.kernel.reads import DirectReads, Reads, ThreadedReads
from nodeimpl.kernel.schema import Int64, metadata
from nodeimpl.kernel.sqlite import SqliteEngine
from nodeimpl.kernel.statements import Statement, insert_new, sql, tally, upsert
from nodeimpl.kernel.tx import Tx
from nodeimpl.kernel.writer import Ended, Job, Writer
from opkit.proof.merkle import Frontier
from opkit.wire.events import Cursor
from opkit.wire.gateway import StoreBusy

__all__ = [
    "Int64",
    "SchemaBroken",
    "SchemaNewer",
    "Statement",
    "Store",
    "StoreClosed",
    "StoreError",
    "StoreFailed",
    "StoreFigures",
    "StoreLimits",
    "StoreLocked",
    "StoredEntry",
    "Tx",
    "insert_new",
    "metadata",
    "sql",
    "tally",
    "upsert",
]

T = TypeVar("T")

STALLED = "the database does not confirm a commit"
"""What callers are told while one takes too long."""


@dataclass(frozen=True, kw_only=True)
class StoreLimits:
    """Bounds of one store.

    Attributes:
        waiting_max: the most changes on their way; one more is `StoreBusy`.
        group_max: the most changes in one commit.
        group_ms_max: how long a group takes on more work before it commits.
        stalled_ms: how long a commit may take before changes are refused and not queued behind it.
        closing_ms: how long a commit may take while the store closes: longer than any is looked up.
        readers: sessions for reading, where reading needs threads.
    """

    waiting_max: int = 2_000
    group_max: int = 500
    group_ms_max: int = 20
    stalled_ms: int = 5_000
    closing_ms: int = 40_000
    readers: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """What the store did since it was opened."""

    commits: int
    changes: int
    refusals: int
    lost: int
    busy: int
    reads: int
    waiting: int
    sequence: int


class Store:
    """One database, owned by this process until `close`."""

    generation: int

    def __init__(
        self, *, engine: Engine, session: Session, reads: Reads, clock: Clock, limits: StoreLimits
    ) -> None:
        """Use `Store.open`."""
        self._engine = engine
        self._reads = reads
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._look_at: asyncio.TimerHandle | None = None
        self._failure: StoreFailed | None = None
        self._barred: str | None = None
        self._failed = asyncio.Event()
        self._grown = asyncio.Event()
        self._waiting = self._commits = self._changes = self._refusals = 0
        self._lost = self._busy = self._read_count = 0
        first = Tx(session, clock=clock, writes=False)
        self.generation = journal.read_generation(first)
        self._head = journal.read_head(first)
        self._writer = Writer(
            session=session,
            clock=clock,
            head=self._head,
            group_max=limits.group_max,
            group_ms_max=limits.group_ms_max,
            deliver=self._deliver_from_thread,
        )
        self._writer.start()

    @classmethod
    async def open(
        cls,
        *,
        url: str,
        clock: Clock,
        limits: StoreLimits | None = None,
        engine: Engine | None = None,
    ) -> Store:
        """Own the database at `url`, make or migrate its schema, and start the writer.

        Args:
            url: `sqlite:///relative/or//absolute/path`, or `postgresql://…`.
            engine: another engine than the one that the URL names; for tests.

        Raises:
            StoreLocked: another process owns it.
            SchemaNewer: a newer version has written it.
            SchemaBroken: it is not what its revision says, or parts of the journal are missing.
            ValueError: the URL names no engine that there is.
        """
        limits = limits or StoreLimits()
        chosen = engine or engine_for(url)
        session = await asyncio.to_thread(_own, chosen, url)
        try:
            reads = _reads(chosen, clock=clock, readers=limits.readers)
            try:
                return cls(engine=chosen, session=session, reads=reads, clock=clock, limits=limits)
            except Exception:
                reads.close()
                raise
        except Exception:
            session.close()
            chosen.disown()
            raise

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction, and return what it returned once COMMIT has returned.

        `work` runs on the writer's thread, in a savepoint of its own: what it raises undoes what
        it did, and nothing else, and is raised here. Cancelling the caller does not undo work that
        has begun.

        Raises:
            StoreBusy: nothing happened (full queue, full disk, lost connection, broken or barred
                store, a commit before it that does not come to its end).
            StoreFailed: the store broke in COMMIT; what it did is unknown until opened again.
            StoreClosed: the store was closed.
        """
        self._check_open()
        if self._failure is not None:
            raise StoreBusy(why=f"the store has failed: {self._failure}")
        self.check_unbarred()
        if self._waiting >= self._limits.waiting_max:
            self._busy += 1
            raise StoreBusy(why=f"{self._waiting} changes are waiting")
        if self.stalled_ms:
            self._busy += 1
            raise StoreBusy(why=STALLED)
        if self._look_at is None:
            self._look_later()
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._writer.put(Job(work, waiting))
        return await waiting

    def bar(self, why: str) -> None:
        """Take no more changes, for good: they would contradict what others hold of this node."""
        self._barred = self._barred or why

    def check_unbarred(self) -> None:
        """Return if changes are taken. Raises `StoreBusy` if none is any more (`bar`)."""
        if self._barred is not None:
            raise StoreBusy(why=self._barred)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on one snapshot beside the writer; it must not change anything.

        Raises:
            StoreBusy: the engine could not.
            StoreClosed: the store was closed.
        """
        self._check_open()
        self._read_count += 1
        return await self._reads.run(work)

    def head(self) -> Cursor:
        """Return the place after the last committed entry."""
        head = self._head
        return Cursor(generation=self.generation, sequence=head.sequence, hash=head.hash)

    def tree(self) -> Frontier:
        """Return the Merkle tree's right edge over all committed entries, those up to `head`."""
        return self._head.tree

    async def read_journal(self, *, after: Cursor | None, entries_max: int) -> list[StoredEntry]:
        """Return at most `entries_max` (1 to 1000) entries after `after`, or from the first.

        Raises:
            JournalDiverged: `after` is not a place in this journal.
        """
        return await self.read(
            lambda tx: journal.read_page(
                tx, generation=self.generation, after=after, entries_max=entries_max
            )
        )

    async def journal_grew(self, after: int) -> None:
        """Return once an entry with a sequence number above `after` is committed."""
        while self._head.sequence <= after:
            self._check_open()
            await self._grown.wait()

    async def follow(self, name: str, handle: Callable[[StoredEntry], Awaitable[None]]) -> None:
        """Give every entry, from where `name` stopped, to `handle`; run until cancelled.

        At least once: after a crash the last entries come again. What `handle` raises ends it.

        Raises:
            JournalDiverged: the journal is not the one that `name` read before.
        """
        await follow(self, name, handle)

    async def failed(self) -> StoreFailed:
        """Return how the store broke, once it has: the node must then stop."""
        await self._failed.wait()
        assert self._failure is not None, "the event is set with the failure"
        return self._failure

    @property
    def has_failed(self) -> bool:
        """Whether the store broke; readiness says so."""
        return self._failure is not None

    def figures(self) -> StoreFigures:
        """Return what the store did since it was opened."""
        return StoreFigures(
            commits=self._commits,
            changes=self._changes,
            refusals=self._refusals,
            lost=self._lost,
            busy=self._busy,
            reads=self._read_count,
            waiting=self._waiting,
            sequence=self._head.sequence,
        )

    @property
    def stalled_ms(self) -> int:
        """How long a commit has taken that takes too long; 0 if none does.

        A disk that hangs, or a server that waits for a standby which is not there (ADR 0022).
        """
        taken_ms = self._writer.committing_ms
        return taken_ms if taken_ms >= self._limits.stalled_ms else 0

    async def close(self) -> None:
        """Finish what is queued, then let go of the database. Closing again waits for the same end.

        Whoever is cancelled here leaves it going on: a database that is still written to is let go
        of by nobody else, and never would be.
        """
        if self._closing is None:
            self._closed = True
            self._reads.close()
            self._closing = self._loop.run_in_executor(None, self._let_go)
            self._closing.add_done_callback(self._end)
        await asyncio.shield(self._closing)

    def _let_go(self) -> None:
        """In a thread: a commit that never ends keeps its database, for it may yet be done."""
        if self._writer.stop(stalled_ms_max=self._limits.closing_ms):
            self._engine.disown()

    def _end(self, _: asyncio.Future[None]) -> None:
        """Wake who waits; what the writer delivered last was on the loop before this."""
        if self._look_at is not None:
            self._look_at.cancel()
        self._grown.set()

    def _look_later(self) -> None:
        self._look_at = self._loop.call_later(self._limits.stalled_ms / 1000, self._look)

    def _look(self) -> None:
        """Refuse what waits behind a commit that takes too long: none of it has begun."""
        if self.stalled_ms:
            left = self._writer.take_back()
            self._waiting -= len(left)
            for job in left:
                job.error = StoreBusy(why=STALLED)
                self._answer(job)
        self._look_at = None
        if self._waiting:
            self._look_later()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")

    def _deliver_from_thread(self, ended: Ended) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, ended)
        except RuntimeError:
            # The loop was closed without closing the store: nobody is left to be told.
            return

    def _deliver(self, ended: Ended) -> None:
        """On the event loop: the head and the callbacks, then the readers, then the callers."""
        self._waiting -= len(ended.jobs)
        if ended.committed:
            self._commits += 1
            grown = ended.head.sequence > self._head.sequence
            self._head = ended.head
            self._call_back(ended.jobs)
            if grown:
                self._grown.set()
                self._grown = asyncio.Event()
        if ended.failure is not None:
            self._failure = ended.failure
            self._failed.set()
        for job in ended.jobs:
            self._answer(job)

    def _call_back(self, jobs: list[Job]) -> None:
        for job in jobs:
            for callback in job.callbacks:
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - one defect must not silence the others
                    said = {"message": "a callback after a commit failed", "exception": error}
                    self._loop.call_exception_handler(said)

    def _answer(self, job: Job) -> None:
        if job.error is None:
            self._changes += 1
        elif isinstance(job.error, (StoreBusy, StoreFailed)):
            self._lost += 1
        else:
            self._refusals += 1
        if job.waiting.done():
            return
        if job.error is None:
            job.waiting.set_result(job.result)
        else:
            job.waiting.set_exception(job.error)


def engine_for(url: str) -> Engine:
    """Return the engine that `url` names.

    Raises:
        ValueError: it names none that there is.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return SqliteEngine(Path(unquote(parts.path[1:])))
    if parts.scheme in {"postgresql", "postgres"}:
        # Deferred: its driver is an extra that a node on SQLite does not need.
        from nodeimpl.kernel.postgres import PostgresEngine

        return PostgresEngine(url)
    raise ValueError(f"no store at {parts.scheme}: sqlite:///path or postgresql://… are known")


def _own(engine: Engine, url: str) -> Session:
    """Own the database, open the writing session and see to the schema."""
    engine.own()
    try:
        session = engine.writer()
        try:
            birth.prepare(engine, session, url=url)
            engine.settle(session)
        except Exception:
            session.close()
            raise
    except Exception:
        engine.disown()
        raise
    return session


def _reads(engine: Engine, *, clock: Clock, readers: int) -> Reads:
    if engine.name == "sqlite":
        return DirectReads(engine, clock=clock)
    return ThreadedReads(engine, clock=clock, readers=readers)

"""Deadlines of world time: what is due is done in the order of its time, whatever domain asked.

They are rows, so a stop forgets none. World time may jump by weeks (ADR 0014): what was due on the
way is then done one after another, and what that sets for a moment that has passed too comes in its
place among the rest. Source: ADR 0014, ADR 0040.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import structlog
from sqlalchemy import bindparam, select

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.schema import timers
from nodeimpl.kernel.statements import sql, upsert
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.wire.base import SAFE_INT_MAX, TimeMs
from opkit.wire.gateway import StoreBusy

Handle: TypeAlias = "Callable[[Tx, str, TimeMs], None]"
"""Does what is due: gets the transaction, the key, and for when it was set."""

DUE_PER_TRANSACTION_MAX = 64
"""How many deadlines are seen to in one transaction."""

EVENTS_PER_TRANSACTION = 512
"""After so many events of what was due, the rest is left to the next transaction."""

IDLE_MS = 60_000
"""How long it is waited at most before it is looked whether something is due."""

BUSY_MS = 1_000
"""How long until the store is tried again that took nothing."""

NEVER_MS = SAFE_INT_MAX

_t = timers.c
_SET = upsert(timers)
_DROP = sql(timers.delete().where(_t.kind == bindparam("its_kind"), _t.key == bindparam("its_key")))
_FIRST = sql(select(_t.due_ms, _t.kind, _t.key).order_by(_t.due_ms, _t.kind, _t.key).limit(1))

_log = structlog.get_logger("timers")


class Timers:
    """The deadlines of one node. All but `on`, `run` and `due_ms` belong to the writer."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        """Know of no deadline yet; `run` finds those that were set before the last stop."""
        self._store = store
        self._clock = clock
        self._handles: dict[str, Handle] = {}
        self._wake = asyncio.Event()
        self._is_doing = False
        # Nothing is due before this. It may be too early, which costs one look, and never too late.
        self._bound_ms: TimeMs = 0

    def on(self, kind: str, handle: Handle) -> None:
        """Have `handle` do what is due of a kind, in the transaction that ends the deadline.

        What it raises undoes all of it, and ends the node unless the store was only busy: work
        that is due and cannot be done is a defect.
        """
        assert kind not in self._handles, f"{kind} has its handle"
        self._handles[kind] = handle

    def set(self, tx: Tx, *, kind: str, key: str, due_ms: TimeMs) -> None:
        """Have something done at a moment of world time, and no more when it was set for before."""
        assert kind in self._handles, f"nobody would do {kind}"
        tx.run(_SET, kind=kind, key=key, due_ms=due_ms)
        self._bound_ms = min(self._bound_ms, due_ms)
        tx.after_commit(self._wake.set)

    def cancel(self, tx: Tx, *, kind: str, key: str) -> None:
        """Have it not done after all; nothing happens if it was not to be."""
        tx.run(_DROP, its_kind=kind, its_key=key)

    def catch_up(self, tx: Tx) -> None:
        """Do first what is due, so that whoever judges by world time finds all of it done.

        It costs a comparison unless something is due. What is done here is done with the caller's
        transaction, and undone with it. While something due is being done nothing else is: its
        place in time is before what is due later.

        Refuses:
            StoreBusy: more is due than one transaction takes; it is being done.
        """
        if tx.world_ms < self._bound_ms or self._is_doing:
            return
        if self._do_due(tx):
            raise StoreBusy(why="what is due goes first")

    @property
    def due_ms(self) -> TimeMs:
        """Nothing is due before this moment of world time."""
        return self._bound_ms

    async def run(self) -> None:
        """Do what is due, whenever world time passes or is moved, until cancelled.

        Raises:
            StoreFailed: the store broke.
        """
        self._clock.when_moved.append(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self._wait(await self._look())
        finally:
            self._clock.when_moved.remove(self._wake.set)

    async def _look(self) -> int:
        """Do what is due; return how long nothing will be, in milliseconds."""
        try:
            while self._clock.world_ms() >= self._bound_ms:
                if not await self._store.write(self._do_due):
                    break
        except StoreBusy as busy:
            _log.warning("what is due is done later", why=str(busy))
            return BUSY_MS
        return max(1, min(self._bound_ms - self._clock.world_ms(), IDLE_MS))

    def _do_due(self, tx: Tx) -> bool:
        """Do what is due in this transaction; return whether more of it is left."""
        for _ in range(DUE_PER_TRANSACTION_MAX):
            first = tx.one(_FIRST)
            if first is None or first[0] > tx.world_ms:
                self._rest_until(tx, NEVER_MS if first is None else first[0])
                return False
            due_ms, kind, key = first
            tx.run(_DROP, its_kind=kind, its_key=key)
            self._do(tx, kind, key, due_ms)
            if len(tx.announced) >= EVENTS_PER_TRANSACTION:
                break
        return True

    def _do(self, tx: Tx, kind: str, key: str, due_ms: TimeMs) -> None:
        self._is_doing = True
        try:
            self._handles[kind](tx, key, due_ms)
        finally:
            self._is_doing = False

    def _rest_until(self, tx: Tx, due_ms: TimeMs) -> None:
        """Look no more before `due_ms`, unless this transaction is undone."""
        before_ms = self._bound_ms
        self._bound_ms = due_ms
        tx.if_undone(lambda: self._look_again_at(before_ms))

    def _look_again_at(self, due_ms: TimeMs) -> None:
        self._bound_ms = min(self._bound_ms, due_ms)

    async def _wait(self, ms: int) -> None:
        """Return once something was set, world time was moved, or `ms` have passed."""
        sleeper = asyncio.ensure_future(self._clock.sleep(ms))
        sleeper.add_done_callback(lambda slept: None if slept.cancelled() else self._wake.set())
        try:
            await self._wake.wait()
        finally:
            sleeper.cancel()

"""Reading for several at once: what each asks for first travels together.

A function that only reads is plain and synchronous, so it cannot stop half way until its answer is
there. It is stopped by an exception at a statement whose answer is not known yet, and begun anew
once it is: what it did before is done again, which costs little and changes nothing (ADR 0027).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.engine import Cursor, Row, Session
from nodeimpl.kernel.tx import Tx

AHEAD_MAX = 2
"""How many of a function's statements are asked for together with others'; what it asks for after
these, it asks for alone, and is not begun anew."""


@dataclass(eq=False, slots=True)
class Asked:
    """One function that only reads, on its way, and what came back for it so far."""

    work: Callable[[Tx], Any]
    waiting: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None
    known: list[_Known] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """A statement and what it gave."""

    text: str
    parameters: Mapping[str, Any]
    rowcount: int
    rows: list[Row]


class _Wanted(BaseException):
    """A function wants to know what is not known yet; no function that reads may catch it."""

    def __init__(self, text: str, parameters: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.text = text
        self.parameters = parameters


class _Told:
    """What is known, given once more."""

    def __init__(self, known: _Known) -> None:
        self.rowcount = known.rowcount
        self._rows = iter(known.rows)

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        return list(self._rows)


class _Replay:
    """A session as one function sees it: what it asked for before, it is told from memory."""

    def __init__(self, session: Session, known: list[_Known], *, alone: bool) -> None:
        self.name = session.name
        self._session = session
        self._known: Iterator[_Known] = iter(known)
        self._alone = alone

    def execute(self, text: str, parameters: Mapping[str, Any]) -> Cursor:
        """Run one statement, unless it is known or has to be asked for with others'."""
        known = next(self._known, None)
        if known is not None and (known.text, known.parameters) == (text, parameters):
            return _Told(known)
        if known is not None or self._alone:
            # Who asks for something else this time, for the world has moved on, asks by itself.
            self._known, self._alone = iter(()), True
            return self._session.execute(text, parameters)
        raise _Wanted(text, parameters)

    def later(
        self, text: str, parameters: Mapping[str, Any], take: Callable[[Cursor], None]
    ) -> None:
        """Refuse: who only reads waits for every answer."""
        raise AssertionError("this transaction only reads")


def read_ahead(session: Session, clock: Clock, group: list[Asked]) -> list[Asked]:
    """Run functions on one snapshot; return those that have to be run by themselves.

    If the engine fails it is nobody's fault here: who has not ended by then is run anew, and told.
    """
    left = group
    try:
        try:
            session.begin()
            for _ in range(AHEAD_MAX):
                left = _ask_together(session, clock, left)
            while left:
                _run(left[0], _Replay(session, left[0].known, alone=True), clock)
                left = left[1:]
        finally:
            session.rollback()
    except Exception:  # noqa: BLE001 - whatever it is, it comes again for whoever's it is
        for one in left:
            one.known, one.error = [], None
    return left


def _ask_together(session: Session, clock: Clock, group: list[Asked]) -> list[Asked]:
    """Ask for the next statement of each by one round trip; return who has not ended."""
    wanted: list[tuple[Asked, _Wanted]] = []
    for one in group:
        try:
            _run(one, _Replay(session, one.known, alone=False), clock)
        except _Wanted as stopped:
            wanted.append((one, stopped))
    for at, (one, want) in enumerate(wanted, start=1):
        keep = functools.partial(_keep, one, want)
        if at < len(wanted):
            session.later(want.text, want.parameters, keep)
        else:
            keep(session.execute(want.text, want.parameters))
    return [one for one, _ in wanted]


def _keep(one: Asked, want: _Wanted, cursor: Cursor) -> None:
    one.known.append(_Known(want.text, want.parameters, cursor.rowcount, cursor.fetchall()))


def _run(one: Asked, view: _Replay, clock: Clock) -> None:
    """Run a function to its end, or to where it wants to know more.

    Raises:
        Exception: the engine's; what the function raised itself is kept for whoever asked.
    """
    tx = Tx(view, clock=clock, writes=False)
    try:
        one.result = one.work(tx)
        tx.finish()
    except Exception as error:
        if tx.cause is not None:
            raise
        one.error = error

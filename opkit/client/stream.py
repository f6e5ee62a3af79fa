"""The event stream as the reader wants it: every event once, in order, whatever happens between.

The position is the cursor of the last page. After a lost connection the stream is opened again
there; what a page claims is checked against it, so that neither a gap nor a repeat goes unseen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import urlencode

from pydantic import ValidationError

from opkit.client.retry import PASSING, Patience
from opkit.client.sockets import EventsSocket, SocketClosed, SocketRefused
from opkit.wire.errors import CoopError, Fault, Refusal, Unreachable, refusal_from
from opkit.wire.events import (
    EVENTS_PATH,
    Cursor,
    JournalDiverged,
    JournalEntry,
    JournalPage,
    StreamEnd,
)
from opkit.wire.gateway import (
    Malformed,
    RateExceeded,
    RouteUnknown,
    ScopeMissing,
    StoreBusy,
    TokenMissing,
    TokenRejected,
)

_DECLARED = (
    RateExceeded,
    TokenMissing,
    TokenRejected,
    ScopeMissing,
    Malformed,
    JournalDiverged,
    RouteUnknown,
    StoreBusy,
)


class OpenSocket(Protocol):
    """Opens a socket; see `EventsPort.open`."""

    def __call__(
        self, *, target: str, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[EventsSocket]:
        """Return a context that holds the socket."""


async def follow(
    *,
    open_socket: OpenSocket,
    token: Callable[[str | None], Awaitable[str | None]],
    patience: Patience,
    where: str,
    after: Cursor | None,
) -> AsyncGenerator[JournalPage, None]:
    """Return pages of events as they happen, for ever; see `NodeClient.events`.

    Args:
        open_socket: opens one connection.
        token: gives the token to use, another one than the argument if it can.
        patience: how often a lost connection is opened again without anything arriving.
        where: the node's address, for failures.
        after: where to begin; None for the beginning.
    """
    place = Place(cursor=after, where=where)
    bearer = await token(None)
    pauses = patience.pauses_ms()
    while True:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        try:
            async with open_socket(target=place.target(), headers=headers) as socket:
                while True:
                    page = place.take(await socket.receive())
                    pauses = patience.pauses_ms()
                    if page is not None:
                        yield page
        except (SocketClosed, SocketRefused, Unreachable) as lost:
            failure = _failure(lost, where)
        if isinstance(failure, TokenRejected):
            renewed = await token(bearer)
            if renewed == bearer:
                raise failure
            bearer = renewed
        elif not isinstance(failure, PASSING):
            raise failure
        pause_ms = next(pauses, None)
        if pause_ms is None:
            raise failure
        await asyncio.sleep(pause_ms / 1000)


class Place:
    """Where in a node's journal a reader is, and whether the next page follows on it."""

    def __init__(self, *, cursor: Cursor | None, where: str) -> None:
        """Begin after `cursor`, or at the beginning."""
        self.cursor = cursor
        self._where = where

    def target(self) -> str:
        """Return path and query of the stream that begins here."""
        if self.cursor is None:
            return EVENTS_PATH
        return f"{EVENTS_PATH}?{urlencode({'after': str(self.cursor)})}"

    def take(self, text: str) -> JournalPage | None:
        """Return the page in a message, without what was seen before; None if nothing is new.

        Raises:
            JournalDiverged: the message says that the cursor is of another history.
            Fault: it is no page, or does not follow on the one before without a gap.
        """
        page = self._page(text)
        before = 0 if self.cursor is None else self.cursor.sequence
        if self.cursor is not None and page.cursor.generation != self.cursor.generation:
            raise self._fault("the stream changed its history without saying so")
        if page.cursor.sequence <= before:
            return None
        fresh = tuple(entry for entry in page.entries if entry.sequence > before)
        hidden = page.cursor.sequence - before - len(fresh)
        repeats = len(page.entries) - len(fresh)
        if hidden < 0 or (repeats == 0 and hidden != page.passed_through):
            raise self._fault(f"events are missing after {before}")
        self._check_links(fresh, before=before)
        self.cursor = page.cursor
        return page.model_copy(update={"entries": fresh, "passed_through": hidden})

    def _page(self, text: str) -> JournalPage:
        try:
            said: Any = json.loads(text)
        except (ValueError, RecursionError) as bad:
            raise self._fault("a message is not JSON") from bad
        refusal = refusal_from(said)
        if isinstance(refusal, JournalDiverged):
            raise refusal
        try:
            return JournalPage.heard(said)
        except ValidationError as bad:
            raise self._fault("a message is no page of events") from bad

    def _check_links(self, entries: tuple[JournalEntry, ...], *, before: int) -> None:
        sequence, digest = before, self.cursor.hash if self.cursor else None
        for entry in entries:
            if entry.sequence <= sequence:
                raise self._fault(f"event {entry.sequence} comes after {sequence}")
            if entry.sequence == sequence + 1 and digest not in (None, entry.previous):
                raise self._fault(f"event {entry.sequence} does not cite the one before")
            sequence, digest = entry.sequence, entry.hash

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._where, incident="", why=why)


def _failure(lost: CoopError, where: str) -> CoopError:
    """Return what the end of a connection means."""
    if isinstance(lost, SocketClosed):
        if lost.code == StreamEnd.REJECTED:
            return TokenRejected(why=lost.reason)
        return Unreachable(where=where, why=f"the stream ended ({lost.code} {lost.reason})".strip())
    if isinstance(lost, SocketRefused):
        return _refused(lost, where)
    return lost


def _refused(lost: SocketRefused, where: str) -> CoopError:
    try:
        problem: Any = json.loads(lost.body)
    except (ValueError, RecursionError):
        problem = None
    refusal: Refusal | None = refusal_from(problem)
    if isinstance(refusal, _DECLARED):
        return refusal
    incident = str(problem.get("incident", "")) if isinstance(problem, dict) else ""
    return Fault(where=where, incident=incident[:64], why=f"status {lost.status}")

"""Waiting for a condition, with a deadline: stories never sleep and hope."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from opkit.story.evidence import NotShown
from opkit.wire.endpoint import Answer, Ask, Endpoint
from opkit.wire.events import (
    EVENTS,
    EVENTS_PER_PAGE_MAX,
    READ_JOURNAL,
    Event,
    JournalEntry,
    ReadJournal,
)
from opkit.wire.network import PEERS, AskPeers

E = TypeVar("E", bound=Event)
T = TypeVar("T")

EVENT_DEADLINE_MS = 15_000
HOLD_MS = 1_000
POLL_MS = 20


class Caller(Protocol):
    """What waiting needs of a client."""

    async def call(self, endpoint: Endpoint[Ask, Answer], ask: Ask) -> Answer:
        """Ask the node one question."""


async def journal_head(client: Caller) -> str:
    """Return the cursor after the last entry of the node's journal, to wait from there."""
    return str((await client.call(PEERS, AskPeers())).journal)


async def wait_for_event(
    client: Caller,
    of: type[E],
    *,
    after: str,
    match: Callable[[E], bool],
    deadline_ms: int = EVENT_DEADLINE_MS,
) -> tuple[E, JournalEntry]:
    """Return the first event of a type that matches, with its journal entry.

    The node holds each question until its journal grows, so nothing is polled.

    Args:
        client: a client of the node whose journal is read.
        of: the event's type.
        after: the cursor to begin after; empty for the beginning.
        match: says whether this is the one.
        deadline_ms: how long to wait in all.

    Raises:
        NotShown: the deadline passed without such an event.
    """
    until_s = time.monotonic() + deadline_ms / 1000
    while True:
        left_ms = int((until_s - time.monotonic()) * 1000)
        ask = ReadJournal(
            after=after, entries_max=EVENTS_PER_PAGE_MAX, wait_ms=max(0, min(HOLD_MS, left_ms))
        )
        page = await client.call(READ_JOURNAL, ask)
        for entry in page.entries:
            if EVENTS.get(entry.type) is of:
                event = of.heard_json(_json(entry.body))
                if match(event):
                    return event, entry
        if left_ms <= 0:
            raise NotShown(f"no such {of.type} in the journal within {deadline_ms} ms")
        after = str(page.cursor)


async def until(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    *,
    what: str,
    deadline_ms: int = EVENT_DEADLINE_MS,
) -> T:
    """Ask again until the answer holds, and return it.

    For conditions that no journal announces; each question goes to the node.

    Raises:
        NotShown: the deadline passed; `what` says what did not come about.
    """
    until_s = time.monotonic() + deadline_ms / 1000
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        if time.monotonic() > until_s:
            raise NotShown(f"{what} did not come about within {deadline_ms} ms")
        await asyncio.sleep(POLL_MS / 1000)


def _json(body: dict[str, Any]) -> str:
    import json

    return json.dumps(body)

"""Stories wait for conditions, with a deadline."""

from __future__ import annotations

import asyncio

import pytest

from opkit.story import NotShown, journal_head, until, wait_for_event
from opkit.wire.events import Cursor, JournalEntry, JournalPage
from opkit.wire.network import PEERS, NodeStarted, Peers

ZERO = "0" * 64


class Journal:
    """A journal of one node, read as a client would; grows when asked a second time."""

    def __init__(self, *, grows: bool = True) -> None:
        self.asked = 0
        self.grows = grows

    async def call(self, endpoint, ask):
        self.asked += 1
        entry = JournalEntry(
            sequence=self.asked,
            type="node.started",
            at_ms=1,
            body={"version": str(self.asked), "generation": 0},
            previous=ZERO,
            hash=ZERO,
        )
        if not self.grows:
            await asyncio.sleep(ask.wait_ms / 1000)
        return JournalPage(
            entries=(entry,) if self.grows else (),
            passed_through=0,
            cursor=Cursor(generation=1, sequence=self.asked, hash=ZERO),
        )


def test_an_event_is_found_once_it_is_journalled():
    journal = Journal()

    event, entry = asyncio.run(
        wait_for_event(journal, NodeStarted, after="", match=lambda each: each.version == "3")
    )

    assert event.version == "3"
    assert entry.sequence == 3


def test_waiting_for_an_event_ends_at_its_deadline():
    with pytest.raises(NotShown, match=r"no such node\.started"):
        asyncio.run(
            wait_for_event(
                Journal(grows=False), NodeStarted, after="", match=lambda _: True, deadline_ms=30
            )
        )


class AtItsEnd:
    """A node whose journal ends at its seventh entry."""

    async def call(self, endpoint, ask):
        assert endpoint is PEERS
        end = Cursor(generation=1, sequence=7, hash=ZERO)
        return Peers(links=(), blobs=0, blob_bytes=0, journal=end)


def test_the_head_is_where_the_node_says_that_its_journal_ends():
    assert asyncio.run(journal_head(AtItsEnd())) == f"1.7.{ZERO}"


def test_a_condition_is_asked_for_again_until_it_holds():
    answers = iter([1, 2, 3])

    async def ask():
        return next(answers)

    assert asyncio.run(until(ask, lambda answer: answer == 3, what="three")) == 3


def test_a_condition_that_never_holds_is_not_shown():
    async def ask():
        return 0

    with pytest.raises(NotShown, match="three did not come about"):
        asyncio.run(until(ask, bool, what="three", deadline_ms=30))

"""What is done to the network on purpose, heard from the supervisor as it does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from opkit.live.book import Book
from opkit.live.ports import ControlRefused, Source
from opkit.views.figures import Happening
from opkit.views.sentences import deed_told

WAIT_MS = 20_000
"""How long one ask is held open while nothing is done."""

PAUSE_MS = 1_000
"""How long to rest when the supervisor does not answer."""

LINES_MAX = 1_000
"""How many lines of one answer are looked at."""


SUPERVISOR = "supervisor/"
"""How the key of a disturbance begins."""


class Disturbed:
    """The links that are cut, and every disturbance as a happening.

    Attributes:
        cut: the links that are cut now, by their two ends, and since when.
        why: what keeps this from hearing more, in words; empty if nothing does.
    """

    def __init__(self, source: Source, *, on_change: Callable[[], None]) -> None:
        """Prepare; nothing is asked yet."""
        self.cut: dict[frozenset[str], int] = {}
        self.why = ""
        self._source = source
        self._on_change = on_change
        self._next = 0
        self._cut_ms: dict[frozenset[str], int] = {}

    async def run(self, book: Book, titles: Mapping[str, str]) -> None:
        """Hear of disturbances until cancelled, and keep them in `book`."""
        while True:
            try:
                await self._catch_up(book, titles)
                self.why = ""
                while True:
                    for line in await self._hear(book, titles, wait_ms=WAIT_MS):
                        self._note(line)
            except ControlRefused as refused:
                self.why = str(refused)
                self._on_change()
                await asyncio.sleep(PAUSE_MS / 1000)

    async def _catch_up(self, book: Book, titles: Mapping[str, str]) -> None:
        """Hear what was done before now; which links are cut, the supervisor says itself.

        A cut that is in the journal need not stand any more: links are whole in a network that was
        started again. It may be another supervisor that answers than a moment ago, too.
        """
        while await self._hear(book, titles, wait_ms=0):
            pass
        status = await self._source.ask("status", look=False)
        pairs = [_pair(link) for link in status.get("links", ()) if link.get("cut")]
        self.cut = {pair: self._cut_ms.get(pair, 0) for pair in pairs}
        self._on_change()

    async def _hear(
        self, book: Book, titles: Mapping[str, str], *, wait_ms: int
    ) -> list[Mapping[str, Any]]:
        said = await self._source.ask("disturbances", after=self._next, wait_ms=wait_ms)
        lines = list(said["lines"])[:LINES_MAX]
        for line in lines:
            book.add(_happening(line, titles))
            if line.get("what") == "cut":
                self._cut_ms[_pair(line)] = int(line.get("at_ms", 0))
        self._next = int(said["next"])
        if lines:
            self._on_change()
        return lines

    def _note(self, line: Mapping[str, Any]) -> None:
        pair = _pair(line)
        if line.get("what") == "cut":
            self.cut[pair] = self._cut_ms[pair]
        elif line.get("what") == "heal":
            self.cut.pop(pair, None)


def _pair(said: Mapping[str, Any]) -> frozenset[str]:
    return frozenset((str(said.get("a")), str(said.get("b"))))


def _happening(line: Mapping[str, Any], titles: Mapping[str, str]) -> Happening:
    told = deed_told(line, titles=titles)
    return Happening(
        key=f"{SUPERVISOR}{int(line['number'])}",
        at_ms=int(line.get("at_ms", 0)),
        org=str(line.get("org") or line.get("a") or ""),
        kind=str(line.get("what", "")),
        sentence=told.sentence,
        tone=told.tone,
        adversarial=told.adversarial,
        entry=dict(line),
    )

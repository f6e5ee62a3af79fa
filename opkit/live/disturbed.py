"""What is done to the network on purpose, heard from the supervisor as it does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from opkit.live.book import Book
from opkit.live.ports import ControlRefused, Source
from opkit.views.deeds import lasting_sentence
from opkit.views.figures import Happening, LastingFigure
from opkit.views.sentences import deed_told

WAIT_MS = 20_000
"""How long one ask is held open while nothing is done."""

PAUSE_MS = 1_000
"""How long to rest when the supervisor does not answer."""

LINES_MAX = 1_000
"""How many lines of one answer are looked at."""


LASTING_MAX = 100
"""How many disturbances that last are shown."""

_PARTS = frozenset({"cut", "partition"})
"""What lets nothing pass over its links."""

SUPERVISOR = "supervisor/"
"""How the key of a disturbance begins."""


class Disturbed:
    """What is done to the network now, and every disturbance as a happening.

    Attributes:
        lasting: what lasts, by the number that ends it, as the supervisor journalled it.
        why: what keeps this from hearing more, in words; empty if nothing does.
    """

    def __init__(self, source: Source, *, on_change: Callable[[], None]) -> None:
        """Prepare; nothing is asked yet."""
        self.lasting: dict[int, Mapping[str, Any]] = {}
        self.why = ""
        self._source = source
        self._on_change = on_change
        self._next = 0
        # Cuts that no number ends: those of a world whose nodes are in one process.
        self._plain: dict[frozenset[str], int] = {}
        self._cut_ms: dict[frozenset[str], int] = {}

    @property
    def cut(self) -> dict[frozenset[str], int]:
        """The links that are cut now, by their two ends, and since when."""
        found = dict(self._plain)
        for line in self.lasting.values():
            if line.get("what") in _PARTS:
                found |= dict.fromkeys(_links(line), int(line.get("at_ms", 0)))
        return found

    def figures(self, titles: Mapping[str, str]) -> tuple[LastingFigure, ...]:
        """Return what lasts, oldest first, as it is drawn."""
        return tuple(
            LastingFigure(
                number=number,
                kind=str(line.get("what", "")),
                sentence=lasting_sentence(line, titles=titles),
                ends_ms=int(line.get("ends_ms", 0)),
                org=str(line.get("org", "")),
                links=tuple(_links(line)) if line.get("what") in _PARTS else (),
            )
            for number, line in self.lasting.items()
        )

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
        said = list(status.get("chaos", ()))[:LASTING_MAX]
        self.lasting = {int(line["id"]): line for line in said}
        self._plain = {}
        pairs = {_pair(link) for link in status.get("links", ()) if link.get("cut")}
        self._plain = {pair: self._cut_ms.get(pair, 0) for pair in pairs - self.cut.keys()}
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
        for number in line.get("ended", ()):
            self.lasting.pop(number, None)
        pair = _pair(line)
        if "ends_ms" in line and len(self.lasting) < LASTING_MAX:
            self.lasting[int(line["id"])] = line
        elif line.get("what") == "cut":
            self._plain[pair] = self._cut_ms[pair]
        elif line.get("what") == "heal" and "of" not in line:
            self._plain.pop(pair, None)
            for number, one in self.lasting.items():
                left = [sorted(each) for each in _links(one) if each != pair]
                self.lasting[number] = {**one, "links": left}
        self._on_change()


def _links(line: Mapping[str, Any]) -> list[frozenset[str]]:
    """Return the links that something is done to."""
    return [frozenset(map(str, pair)) for pair in line.get("links", ())]


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

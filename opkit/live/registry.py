"""Names, cards and services as all nodes tell of them, asked for while somebody looks.

Nothing of it is believed: each record is verified here once, and a service again whenever one of
its records changes. What nodes say beside their records is how the nodes of services do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final, TypeVar

from opkit.live.live import Live
from opkit.live.outlook import SILENT
from opkit.live.ports import PageRefused
from opkit.live.proven import (
    card_figure,
    health_shown,
    name_figure,
    read_names,
    records_of,
    service_figure,
)
from opkit.proof.names import NameView
from opkit.views.figures import AnswerFigure, CardFigure, FoundFigure, NamesFigures
from opkit.wire.base import Jws
from opkit.wire.cards import RESOLVE_CARD, AskCard
from opkit.wire.names import LIST_NAMES, ListNames, NameHeld, NamePage
from opkit.wire.services import FIND_SERVICES, FindServices, FoundService, ServicePage

EVERY_MS: Final = 2_000
"""How often all nodes are asked while somebody looks."""

CARDS_EVERY: Final = 5
"""Every so many times one is asked for cards that were found before: they change seldom."""

WANTED_MS: Final = 6_000
"""For how long after a page was drawn nodes are still asked."""

NAMES_MAX: Final = 100
"""How many names are listed: the first ones."""

QUESTIONS_MAX: Final = 16
"""How many questions of all viewers together are kept up to date."""

READ_MAX: Final = 2_048
"""Of how many records it is remembered what they say, and of how many services what was proven."""

Question = tuple[str, FindServices]
"""Whose node is asked, by its organisation (empty: the first that is up), and what."""

T = TypeVar("T")
V = TypeVar("V")


class Registry:
    """What is known of names, cards and services. Satisfies `Runs`: one for all pages of a `Live`.

    Attributes:
        figures: what was told last; None before the first look.
    """

    def __init__(self, live: Live) -> None:
        """Know nothing yet."""
        self.figures: NamesFigures | None = None
        self._live = live
        self._genesis = live.source.genesis
        self._answers: dict[Question, AnswerFigure | None] = {}
        self._asked_at: dict[Question, float] = {}
        self._told: dict[str, NamePage] = {}
        self._cards: dict[str, CardFigure] = {}
        self._views: dict[Jws, NameView | str] = {}
        self._proven: dict[tuple[str, FindServices], FoundFigure] = {}
        self._wanted = asyncio.Event()
        self._wanted_at = -1e9
        self._looks = 0

    def want(self, question: Question) -> tuple[NamesFigures | None, AnswerFigure | None]:
        """Return what is known, and have it kept up to date for a while."""
        self._wanted_at = self._asked_at[question] = time.monotonic()
        self._answers.setdefault(question, None)
        while len(self._answers) > QUESTIONS_MAX:
            oldest = min(self._answers, key=lambda each: self._asked_at[each])
            del self._answers[oldest], self._asked_at[oldest]
        self._wanted.set()
        return self.figures, self._answers[question]

    async def run(self) -> None:
        """Ask all nodes as long as somebody wants to see it, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._live.followed:
                await self._look()
            await asyncio.sleep(EVERY_MS / 1000)
            late = time.monotonic() - self._wanted_at > WANTED_MS / 1000
            if not self._live.is_watched or late:
                self._wanted.clear()

    async def ask(self, question: Question) -> None:
        """Ask for services at once."""
        self.want(question)
        self._keep(question, await self._answer(question))
        self._live.touch()

    async def verify(self, question: Question, name: str) -> None:
        """Verify again, here, the records of a service as they were answered.

        Raises:
            PageRefused: no such service was answered to this question.
        """
        answer = self._answers.get(question)
        found = next((each for each in answer.found if each.name == name), None) if answer else None
        if answer is None or found is None:
            raise PageRefused("That service is not among the answers any more; ask again.")
        records = FoundService.model_validate_json(found.proof)
        again = await self._prove(records, question[1])
        self._proven[records_of(records), question[1]] = again
        shown = tuple(again if each.name == name else each for each in answer.found)
        self._keep(question, replace(answer, found=shown))
        self._live.touch()

    async def _look(self) -> None:
        orgs = [org for org, one in self._live.followed.items() if one.health == "up"]
        await asyncio.gather(*(self._list(org) for org in orgs))
        if orgs:
            await self._look_for_cards(orgs[0])
        now, changed = time.monotonic(), False
        for question, asked_at in list(self._asked_at.items()):
            if now - asked_at < WANTED_MS / 1000:
                changed |= self._keep(question, await self._answer(question))
        figures = await self._figures(orgs)
        if figures != self.figures or changed:
            self.figures = figures
            self._live.touch_soon()

    def _keep(self, question: Question, answer: AnswerFigure) -> bool:
        """Keep an answer if the question still is; return whether it is another one than before."""
        before = self._answers.get(question)
        # How long it took is another time at each asking, and no news.
        same = before is not None and replace(answer, took_ms=before.took_ms) == before
        if same or question not in self._answers:
            return False
        self._answers[question] = answer
        return True

    async def _list(self, org: str) -> None:
        told = await _said(self._live.call(org, LIST_NAMES, ListNames(names_max=NAMES_MAX)))
        if told is not None:
            self._told[org] = told

    async def _look_for_cards(self, at: str) -> None:
        """Ask a node for the cards that were not found yet, and every so often for all."""
        is_due = self._looks % CARDS_EVERY == 0
        self._looks += 1
        found = {org for org, figure in self._cards.items() if not figure.why}
        wanted = [org for org in self._live.followed if is_due or org not in found]
        await asyncio.gather(*(self._resolve(at, org) for org in wanted))

    async def _resolve(self, at: str, org: str) -> None:
        did = self._live.followed[org].at.did
        told = await _said(self._live.call(at, RESOLVE_CARD, AskCard(did=did)))
        if told is None:
            self._cards[org] = CardFigure(org=org, did=did, why="No card of it is found now.")
        else:
            figure = await asyncio.to_thread(card_figure, org, did, told, self._genesis)
            self._cards[org] = figure

    async def _figures(self, orgs: list[str]) -> NamesFigures:
        """Return the names that nodes have which are up, each verified here once."""
        told = {org: self._told[org] for org in orgs if org in self._told}
        held: dict[str, dict[str, NameHeld]] = {}
        for org, page in told.items():
            for one in page.names:
                held.setdefault(one.name, {})[org] = one
        records = {one.record for by_org in held.values() for one in by_org.values()}
        unread = records - self._views.keys()
        if unread:
            self._views |= await asyncio.to_thread(read_names, unread, self._genesis)
            _bound(self._views)
        names = tuple(
            name_figure(held[name], orgs=list(told), views=self._views, genesis=self._genesis)
            for name in sorted(held)[:NAMES_MAX]
        )
        return NamesFigures(
            names=names,
            more=any(page.next_after for page in told.values()) or len(held) > NAMES_MAX,
            cards=tuple(self._cards[org] for org in self._live.followed if org in self._cards),
        )

    async def _answer(self, question: Question) -> AnswerFigure:
        """Return what a node answers to a question, each service verified here."""
        org, asked = question
        up = (each for each, one in self._live.followed.items() if one.health == "up")
        at = org or next(up, "")
        if at not in self._live.followed:
            return AnswerFigure(asked=asked, at="", trouble="No node is up that could be asked.")
        title = self._live.followed[at].at.title
        began = time.monotonic()
        try:
            page: ServicePage = await self._live.call(at, FIND_SERVICES, asked)
        except SILENT as no:
            return AnswerFigure(asked=asked, at=title, trouble=f"{title} does not answer: {no}")
        took_ms = round((time.monotonic() - began) * 1000)
        found = [await self._known(each, asked) for each in page.services]
        return AnswerFigure(
            asked=asked, at=title, found=tuple(found), more=bool(page.next_after), took_ms=took_ms
        )

    async def _known(self, found: FoundService, asked: FindServices) -> FoundFigure:
        """Return a service as it was proven, unless its records changed or lapsed since."""
        key = records_of(found), asked
        known = self._proven.get(key)
        if known is None or known.lapses_ms <= self._live.now_ms():
            known = self._proven[key] = await self._prove(found, asked)
            _bound(self._proven)
        return replace(known, health=health_shown(found))

    async def _prove(self, found: FoundService, asked: FindServices) -> FoundFigure:
        now_ms = self._live.now_ms()
        return await asyncio.to_thread(service_figure, found, asked, self._genesis, now_ms)


async def _said(asking: Awaitable[T]) -> T | None:
    """Return an answer; None if none comes."""
    try:
        return await asking
    except SILENT:
        return None


def _bound(kept: dict[T, V]) -> None:
    """Let the oldest go of what is remembered."""
    while len(kept) > READ_MAX:
        del kept[next(iter(kept))]

"""A telling that a presenter leads: next, back, play, pause, repeat, skip to.

The same stage is led from a terminal and from the console; both draw its `StageView` and nothing
else, so that both tell the same story from the same objects.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from opkit.proof.cid import cid_of
from opkit.story.evidence import NotShown
from opkit.story.flow import Flow, NotApplicable
from opkit.story.lead import Lead, Mode, StageRefused
from opkit.story.pace import Pace
from opkit.story.report import (
    Kind,
    MarkerName,
    MarkerRecord,
    Report,
    Sentence,
    SetupRecord,
    Stop,
)
from opkit.story.states import State
from opkit.story.telling import Telling, Told
from opkit.story.world import World
from opkit.wire.base import Count, TimeMs, Wire

__all__ = ["Action", "Mode", "OpenWorld", "Stage", "StageRefused", "StageStep", "StageView"]

_log = logging.getLogger(__name__)

OPENING_DEADLINE_MS = 120_000
CLOSING_DEADLINE_MS = 30_000
WHY_CHARS_MAX = 4_000

Say = Annotated[str, StringConstraints(max_length=600)]
"""What the presenter says beside a step; empty if the sentence is enough."""


class Action(StrEnum):
    """What a presenter may ask of a stage.

    `NEXT` shows the step after, telling it if it was not told. `BACK` shows the step before,
    telling nothing. `PLAY` goes on at once, and then by itself. `SKIP_TO` tells all steps before a
    marker without a pause and waits there; a step that was told is shown. `REPEAT` begins a new
    telling (a new run id) and tells it without a pause up to and including the step that is shown.
    `AGAIN` begins a new telling and waits at its first step. `STOP` ends the stage; it, `REPEAT`
    and `AGAIN` break off a step that is being told, the others let it end.
    """

    NEXT = "next"
    BACK = "back"
    PLAY = "play"
    PAUSE = "pause"
    REPEAT = "repeat"
    SKIP_TO = "skip-to"
    AGAIN = "again"
    STOP = "stop"


RENEWS = frozenset({Action.REPEAT, Action.AGAIN})
"""What begins another telling, for which the network has to be had again."""


class StageStep(Wire):
    """One step: what it says, how it stands, and its record once it was told."""

    marker: MarkerName
    sentence: Sentence
    kind: Kind
    say: Say = ""
    state: State
    record: MarkerRecord | None = None


class StageView(Wire):
    """A stage as others see it. `revision` grows with every change.

    Attributes:
        shown: the index of the step in front of the audience (0 before the first is told). After
            `SKIP_TO` it is one that has not been told yet, so that it equals `told`.
        told: how many steps have been told, one that failed included.
        began_ms: when this telling began, in real time.
        pace_ms: how long the step that is shown stays before the next, when playing.
        stopped: where and why the story ended before its end.
        held: whether the network is held for this telling; not any more once it is over and has
            been let go of, although the stage stays open.
    """

    revision: Count
    run_id: str
    flow: str
    title: str
    story: str
    mode: Mode
    shown: Count
    told: Count
    began_ms: TimeMs
    pace_ms: Count
    setup: Annotated[tuple[SetupRecord, ...], Field(max_length=64)] = ()
    steps: Annotated[tuple[StageStep, ...], Field(max_length=64)]
    stopped: Stop | None = None
    held: bool = False


OpenWorld = Callable[[str], Awaitable[World]]
"""Opens the world for one telling, given its run id. The stage closes it."""


class Stage:
    """Leads tellings of one flow. One task runs it; `do` is called in the same event loop.

    Every telling is told in a world of its own and under a run id of its own: nothing that is
    shown is ever taken over from an earlier one.

    Source: ADR 0018.
    """

    def __init__(
        self,
        flow: Flow[Any],
        open_world: OpenWorld,
        *,
        pace: Pace,
        on_change: Callable[[StageView], None],
    ) -> None:
        """Prepare the first telling; nothing is opened before `run`.

        Args:
            flow: what to tell.
            open_world: opens a world for one telling.
            pace: how fast it goes on by itself.
            on_change: called with each new view, from `run` and from `do`; it must not block.
        """
        assert flow.steps, "a flow without steps cannot be told"
        self._flow = flow
        self._open_world = open_world
        self._pace = pace
        self._on_change = on_change
        self._revision = 0
        self._closing = self._closed = False
        self._nudged = asyncio.Event()
        self._renewed = asyncio.Event()
        self._reset(Lead(steps=len(flow.steps)))
        self._view = self._draw()

    @property
    def view(self) -> StageView:
        """The stage as it stands now."""
        return self._view

    @property
    def busy(self) -> bool:
        """Whether it opens, or tells a step or is about to: `NEXT` would be refused."""
        lead = self._lead
        return not lead.over and (lead.opening or lead.running or lead.goes_on)

    @property
    def blobs(self) -> Mapping[str, bytes]:
        """Bytes of the blob proofs of this telling, by their names."""
        return dict(self._blobs)

    def report(self) -> Report:
        """Return what this telling has told; it is ok only if it was told whole.

        Raises:
            StageRefused: its world is not open yet.
        """
        if self._telling is None:
            raise StageRefused("nothing has been told yet", hint="wait until the network is open")
        return self._telling.report()

    async def run(self) -> None:
        """Open the world and tell, as `do` says, until `STOP`.

        A telling that stops early, or whose world cannot be opened, is shown as stopped; `AGAIN`
        and `REPEAT` try anew. The world of a telling is closed when that ends, in whatever way.
        """
        assert not self._closed, "a stage is run once"
        try:
            while not self._closing:
                self._renewed.clear()
                self._change()
                async with asyncio.TaskGroup() as group:
                    telling = group.create_task(self._tell(), name="telling")
                    try:
                        await self._renewed.wait()
                    finally:
                        self._renewed.set()  # From here on nothing that the telling says counts.
                    telling.cancel()
        finally:
            self._close()

    def do(self, action: Action, marker: str = "") -> None:
        """Do what the presenter asks for; what comes of it shows in the views that follow.

        Args:
            action: what to do.
            marker: where to skip to; for `SKIP_TO` alone.

        Raises:
            StageRefused: it makes no sense now, or there is no such marker.
        """
        if self._closed or self._closing:
            raise StageRefused("the stage is closed", hint="choose a flow and run it")
        lead = self._lead
        deeds: dict[Action, Callable[[], None]] = {
            Action.NEXT: lead.next,
            Action.BACK: lead.back,
            Action.PLAY: lead.play,
            Action.PAUSE: lead.pause,
            Action.SKIP_TO: lambda: lead.skip_to(self._index(marker)),
            Action.REPEAT: lambda: self._renew(lead.again()),
            Action.AGAIN: lambda: self._renew(Lead(steps=lead.steps)),
            Action.STOP: self._end,
        }
        deeds[action]()
        self._nudged.set()
        self._change()

    def _index(self, marker: str) -> int:
        if marker not in self._flow.markers:
            raise StageRefused(
                f"there is no step {marker!r}", hint="name one of the flow's markers"
            )
        return self._flow.markers.index(marker)

    def _renew(self, lead: Lead) -> None:
        self._reset(lead)
        self._renewed.set()

    def _end(self) -> None:
        self._closing = True
        self._renewed.set()

    def _reset(self, lead: Lead) -> None:
        """Stand before the first step of a new telling."""
        self._lead = lead
        self._run_id = secrets.token_hex(8)
        self._began_ms = time.time_ns() // 1_000_000
        self._telling: Telling[Any] | None = None
        self._setup: tuple[SetupRecord, ...] = ()
        self._blobs: dict[str, bytes] = {}
        self._stopped: Stop | None = None
        self._held = True
        self._steps = [
            StageStep(
                marker=planned.marker,
                sentence=planned.sentence,
                kind=planned.kind,
                say=planned.say,
                state=State.WAITING,
            )
            for planned in self._flow.steps
        ]

    def _close(self) -> None:
        lead = self._lead
        lead.wait()
        if lead.running:
            # It has neither been shown nor failed: it was broken off.
            self._put(lead.told, state=State.WAITING)
            lead.running = False
        if not lead.over:
            why = "the presenter ended it" if self._closing else "it was broken off"
            self._stop(Stop(at=self._steps[lead.told].marker, why=why))
        self._held, self._closed = False, True
        self._change()

    async def _tell(self) -> None:
        """Tell once, as far as the presenter wants; what goes wrong is shown."""
        try:
            async with AsyncExitStack() as held:
                async with asyncio.timeout(OPENING_DEADLINE_MS / 1000):
                    world = await self._open_world(self._run_id)
                held.push_async_callback(_let_go, world)
                self._telling = self._flow.tell(world, on_told=self._take)
                await self._go_on(self._telling)
        except Exception as raised:  # noqa: BLE001 - the edge: shown to whoever may try it again
            if not hasattr(raised, "hint") and not isinstance(raised, NotApplicable):
                _log.exception("the telling broke off")
            if not self._renewed.is_set():
                self._stop(Stop(at="", why=_say(raised)))
        if not self._renewed.is_set():
            self._held = False
            self._change()

    async def _go_on(self, telling: Telling[Any]) -> None:
        lead = self._lead
        try:
            await telling.prepare()
            self._opened(telling)
            while lead.told < lead.steps:
                await self._wanted()
                if lead.shows_again:
                    lead.at_once = False
                    lead.shown += 1
                    self._change()
                else:
                    await telling.step(self._steps[lead.told].marker)
        except NotShown:
            stopped = telling.report().stopped
            assert stopped is not None, "a step that was not shown stops the story"
            if not self._renewed.is_set():
                self._stop(stopped)
                self._opened(telling)

    async def _wanted(self) -> None:
        """Return when the presenter, or the pace, wants another step."""
        lead = self._lead
        while not lead.goes_on:
            self._nudged.clear()
            pause_s = self._pace_ms() / 1000 if lead.playing else None
            try:
                async with asyncio.timeout(pause_s):
                    await self._nudged.wait()
            except TimeoutError:
                if lead.playing:
                    return

    def _opened(self, telling: Telling[Any]) -> None:
        self._lead.opening = False
        self._setup = telling.report().setup
        self._change()

    def _take(self, told: Told) -> None:
        """Take what the telling says of a step that began or ended."""
        if self._renewed.is_set():
            return
        self._put(told.index, state=told.state, record=told.record)
        if told.record is None:
            self._lead.began()
        else:
            self._lead.ended(ok=told.record.ok)
            self._blobs.update((cid_of(data), data) for data in told.blobs)
            if not told.record.ok:
                self._stop(Stop(at=told.marker, why=told.record.problem))
        self._change()

    def _put(self, index: int, **changed: Any) -> None:
        self._steps[index] = self._steps[index].model_copy(update=changed)

    def _stop(self, stop: Stop) -> None:
        self._lead.stopped = True
        self._stopped = stop

    def _change(self) -> None:
        self._revision += 1
        self._view = self._draw()
        self._on_change(self._view)

    def _pace_ms(self) -> int:
        if self._lead.told == 0:
            return self._pace.opening_ms(self._flow.story)
        step = self._steps[self._lead.shown]
        checks = len(step.record.checks) if step.record is not None else 0
        return self._pace.pause_ms(read=step.sentence, spoken=step.say, checks=checks)

    def _draw(self) -> StageView:
        return StageView(
            revision=self._revision,
            run_id=self._run_id,
            flow=self._flow.name,
            title=self._flow.title,
            story=self._flow.story,
            mode=self._lead.mode,
            shown=self._lead.shown,
            told=self._lead.told,
            began_ms=self._began_ms,
            pace_ms=self._pace_ms(),
            setup=self._setup,
            steps=tuple(self._steps),
            stopped=self._stopped,
            held=self._held,
        )


async def _let_go(world: World) -> None:
    async with asyncio.timeout(CLOSING_DEADLINE_MS / 1000):
        await world.close()


def _say(raised: Exception) -> str:
    """Return what went wrong, for people: with its hint if it has one."""
    if isinstance(raised, NotApplicable):
        text = str(raised)
    elif hint := getattr(raised, "hint", ""):
        text = f"{raised}; {hint}"
    elif isinstance(raised, TimeoutError) and not str(raised):
        text = "the network takes too long to open or to close"
    else:
        text = f"{type(raised).__name__}: {raised}"
    return text if len(text) <= WHY_CHARS_MAX else text[: WHY_CHARS_MAX - 1] + "…"

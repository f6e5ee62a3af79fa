"""Presenting in a terminal: a stage led by keys, drawn as lines that scroll by.

`opkit demo --present` is this; the console in the browser leads the same kind of stage.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from opkit.cli.keys import Input, Typed, Word, word_of_line
from opkit.story.flow import Flow
from opkit.story.pace import Pace
from opkit.story.stage import Action, Mode, OpenWorld, Stage, StageRefused, StageView
from opkit.story.states import State
from opkit.views.terminal import theme
from opkit.views.terminal_stage import (
    end_line,
    evidence_block,
    foot,
    help_block,
    now_line,
    setup_line,
    skipped_line,
    stage_head,
    step_block,
    stop_block,
    telling_line,
)

_PLAIN = {
    "next": Action.NEXT,
    "back": Action.BACK,
    "play": Action.PLAY,
    "pause": Action.PAUSE,
    "repeat": Action.REPEAT,
    "again": Action.AGAIN,
}
_GOES_ON = {Mode.PLAYING, Mode.SKIPPING}


@dataclass(frozen=True, kw_only=True)
class Presented:
    """How presenting ended: as the stage stood when the presenter left it.

    Attributes:
        view: the stage then.
        left: the presenter said so; otherwise the input has ended.
    """

    view: StageView
    left: bool

    @property
    def ok(self) -> bool:
        """Whether the story was told whole, or somebody chose to leave one that had not failed."""
        if self.view.mode is Mode.STOPPED:
            return False
        return self.left or self.view.mode is Mode.ENDED


class Screen:
    """Draws a stage's views as they come: what is new scrolls by, two lines stay below."""

    def __init__(self, console: Console, *, keys: bool) -> None:
        """Draw on this console.

        Args:
            console: where to.
            keys: single keys are read and the lower lines can be drawn in place.
        """
        self._console = console
        self._ascii = not (console.encoding or "").lower().startswith("utf")
        self._live: Live | None = None
        self._keys = keys
        self._before: StageView | None = None
        self.typed: str | None = None
        self.notice = ""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Draw in the project's colours until this is left; the lower lines are then wiped."""
        self._console.push_theme(theme(colours=self._console.color_system))
        try:
            if self._keys:
                with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
                    yield
            else:
                yield
        finally:
            self._live = None
            self._console.pop_theme()

    def show(self, view: StageView) -> None:
        """Draw what has changed since the view before."""
        before, self._before = self._before, view
        self.notice = ""
        self.draw()
        if before is None:
            self._console.print(stage_head(view))
        if before is None or before.run_id != view.run_id:
            self._console.print(telling_line(view))
            before = None
        for record in view.setup[len(before.setup) if before is not None else 0 :]:
            self._console.print(setup_line(record, ascii_only=self._ascii))
        if not self._show_told(before, view):
            self._show_moved(before, view)
        if view.stopped is not None and (before is None or before.stopped is None):
            self._console.print(stop_block(view))

    def _show_told(self, before: StageView | None, view: StageView) -> bool:
        """Print the steps that were told since; return whether there were any."""
        told = range(before.told if before is not None else 0, view.told)
        for index in told:
            step = view.steps[index]
            skipped = before is not None and before.mode is Mode.SKIPPING
            passes = view.mode is Mode.SKIPPING or index != view.shown
            if skipped and passes and step.state is not State.FAILED:
                self._console.print(skipped_line(step, ascii_only=self._ascii))
            else:
                self._console.print(step_block(view, index, ascii_only=self._ascii))
        return bool(told)

    def _show_moved(self, before: StageView | None, view: StageView) -> None:
        """Print the step that the presenter went to, if it is another."""
        was_told = view.shown < view.told
        if before is not None and before.shown != view.shown and was_told:
            self._console.print(step_block(view, view.shown, ascii_only=self._ascii))

    def draw(self) -> None:
        """Draw the lower lines anew; whatever is printed then goes above them."""
        if self._live is not None and self._before is not None:
            lines = foot(self._before, typed=self.typed, notice=self.notice, ascii_only=self._ascii)
            self._live.update(lines, refresh=True)

    def say(self, notice: str) -> None:
        """Say why nothing happened."""
        self.notice = notice
        self.draw()
        if self._live is None:
            self._console.print(Text(notice, "run"))

    def prompt(self) -> None:
        """Say what comes next, where lines are typed."""
        if self._before is not None and not self._keys:
            line = now_line(self._before, ascii_only=self._ascii)
            self._console.print(line)
            self._console.print(Text("[enter next, back, play, go N, help, quit]", "soft"))

    def help(self) -> None:
        """Print what the keys do."""
        self._console.print(help_block())

    def evidence(self) -> None:
        """Print what the step that is shown rests on."""
        view = self._before
        if view is not None:
            step = view.steps[view.shown]
            self._console.print(evidence_block(step, ascii_only=self._ascii))

    def end(self, view: StageView) -> None:
        """Print how the story ended, or where it was left."""
        self._console.print(end_line(view))


async def present(
    flow: Flow[Any],
    open_world: OpenWorld,
    *,
    console: Console,
    fd: int,
    pace: Pace,
    autoplay: bool,
) -> Presented:
    """Tell a flow as somebody at this terminal leads it, until they leave.

    Args:
        flow: what to tell.
        open_world: opens the world of one telling.
        console: what to draw on.
        fd: what keys or lines are read from.
        pace: how fast it goes on by itself.
        autoplay: begin to play as soon as the network is open.
    """
    if isinstance(console.file, io.TextIOWrapper):
        # What a node says may have letters that this terminal lacks: the story goes on without.
        console.file.reconfigure(errors="replace")
    keys = _has_keys(console, fd)
    screen = Screen(console, keys=keys)
    settled = asyncio.Event()
    leaving = asyncio.Event()

    def show(view: StageView) -> None:
        if not leaving.is_set():
            screen.show(view)
        settled.set()

    stage = Stage(flow, open_world, pace=pace, on_change=show)
    with screen.opened():
        async with asyncio.TaskGroup() as group, Input(fd, lines=not keys) as typed:
            group.create_task(stage.run(), name="stage")
            if autoplay:
                stage.do(Action.PLAY)
            presenter = _Presenter(stage, screen, typed, settled)
            left = await (presenter.obey_keys() if keys else presenter.obey_lines())
            view = stage.view
            leaving.set()
            stage.do(Action.STOP)
    screen.end(view)
    return Presented(view=view, left=left)


class _Presenter:
    """Takes what was typed to the stage."""

    def __init__(self, stage: Stage, screen: Screen, typed: Input, settled: asyncio.Event) -> None:
        self._stage = stage
        self._screen = screen
        self._input = typed
        self._settled = settled

    async def obey_keys(self) -> bool:
        """Obey single keys until the presenter quits."""
        typed = Typed()
        while (key := await self._input.next()) is not None:
            word = typed.take(key)
            self._screen.typed = typed.digits
            if word is None:
                self._screen.draw()
            elif word.name == "quit":
                return True
            else:
                self._obey(word)
        return False

    async def obey_lines(self) -> bool:
        """Obey lines until the presenter quits; once the input has ended, until nothing plays.

        Each line waits until the one before is done, so that lines may also come from a file.
        """
        while True:
            await self._until(lambda: not self._stage.busy)
            if self._stage.view.mode not in _GOES_ON:
                self._screen.prompt()
            line = await self._input.next()
            await self._until(lambda: not self._stage.busy)
            if line is None:
                await self._until(lambda: self._stage.view.mode not in {*_GOES_ON, Mode.OPENING})
                return False
            word = word_of_line(line)
            if word is None:
                self._screen.say("that is no command; help lists them")
            elif word.name == "quit":
                return True
            else:
                self._obey(word)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._settled.clear()
            await self._settled.wait()

    def _obey(self, word: Word) -> None:
        try:
            if word.name == "help":
                self._screen.help()
            elif word.name == "evidence":
                self._screen.evidence()
            elif word.name == "go":
                self._stage.do(Action.SKIP_TO, self._marker(word.rest))
            elif word.name == "toggle":
                playing = self._stage.view.mode in _GOES_ON
                self._stage.do(Action.PAUSE if playing else Action.PLAY)
            else:
                self._stage.do(_PLAIN[word.name])
        except StageRefused as no:
            self._screen.say(f"{no}: {no.hint}")

    def _marker(self, place: str) -> str:
        """Return the marker at a place: its number from 1, or its name."""
        steps = self._stage.view.steps
        if not place.isdecimal():
            return place
        if not 1 <= int(place) <= len(steps):
            raise StageRefused(f"there is no step {place}", hint=f"they go from 1 to {len(steps)}")
        return steps[int(place) - 1].marker


def _has_keys(console: Console, fd: int) -> bool:
    return os.isatty(fd) and console.is_terminal and not console.is_dumb_terminal

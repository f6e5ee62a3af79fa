"""Where a presenter stands in a telling, and what may be asked for next: no I/O, no clock.

A stage asks this value what to do and tells it what has happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What a stage is doing. `WAITING`: for the presenter. `PLAYING`: goes on by itself.

    `OPENING` lasts until the network is open and the flow's set-up is done. A step may be running
    in `WAITING`, `PLAYING` and `SKIPPING`: its state says so. `STOPPED` has a reason beside it.
    """

    OPENING = "opening"
    WAITING = "waiting"
    PLAYING = "playing"
    SKIPPING = "skipping"
    ENDED = "ended"
    STOPPED = "stopped"


OVER = frozenset({Mode.ENDED, Mode.STOPPED})
"""Nothing is told any more, and a stage gives way to another."""


class StageRefused(Exception):
    """What was asked of the stage makes no sense now; `hint` says what would."""

    def __init__(self, why: str, *, hint: str) -> None:
        """Keep what is wrong, and what to do."""
        super().__init__(why)
        self.hint = hint


@dataclass(kw_only=True)
class Lead:
    """One telling as its presenter leads it.

    Attributes:
        steps: how many steps there are.
        target: how many steps to tell without a pause.
        rest: which step to show once a skip has reached its target.
        shown: the step in front of the audience.
        told: how many have been told, one that failed included.
        opening: the network is not open yet, or the set-up not done.
        running: step `told` is being told.
        playing: it goes on by itself.
        skipping: it goes on without a pause until the target.
        at_once: the next step shall not wait for the pace.
        stopped: the story ended before its end.
    """

    steps: int
    target: int = 0
    rest: int = 0
    shown: int = 0
    told: int = 0
    opening: bool = True
    running: bool = False
    playing: bool = False
    skipping: bool = False
    at_once: bool = False
    stopped: bool = False

    @property
    def last(self) -> int:
        """The step that was told last, or is being told; -1 before the first."""
        return self.told - 1 + self.running

    @property
    def over(self) -> bool:
        """Whether nothing is left to tell."""
        return self.stopped or self.told == self.steps

    @property
    def mode(self) -> Mode:
        """What the stage is doing."""
        if self.stopped:
            return Mode.STOPPED
        if self.told == self.steps:
            return Mode.ENDED
        if self.opening:
            return Mode.OPENING
        if self.skipping:
            return Mode.SKIPPING
        return Mode.PLAYING if self.playing else Mode.WAITING

    # What a presenter asks for.

    def next(self) -> None:
        """Show the step after, or have it told.

        Raises:
            StageRefused: the story is over, or a step is being told.
        """
        if self.shown < self.last:
            self.shown += 1
            return
        self._check_goes_on()
        if self.running or self.target > self.told:
            raise StageRefused("a step is being told", hint="wait until it ends, or go back")
        self.target = self.told + 1

    def back(self) -> None:
        """Show the step before, and wait.

        Raises:
            StageRefused: there is none.
        """
        if self.shown == 0:
            raise StageRefused("this is the first step", hint="next tells it")
        self.wait()
        self.shown -= 1

    def play(self) -> None:
        """Go on by itself from here; while the network opens, from the beginning.

        Raises:
            StageRefused: the story is over, or it plays already.
        """
        self._check_goes_on()
        if self.playing:
            raise StageRefused("it plays already", hint="pause makes it wait")
        self.wait()
        self.playing = True
        self.at_once = not (self.opening or self.running)

    def pause(self) -> None:
        """Wait for the presenter again.

        Raises:
            StageRefused: it waits already.
        """
        if not (self.playing or self.skipping):
            raise StageRefused("it waits already", hint="next tells a step, play all of them")
        self.wait()

    def skip_to(self, index: int) -> None:
        """Have all steps before this one told without a pause; show it if it was told.

        Raises:
            StageRefused: it will not be told any more: the story is over.
        """
        if index > self.last:
            self._check_goes_on()
        self.wait()
        if index <= self.told:
            self.shown = index
        else:
            self.target, self.rest, self.skipping = index, index, True

    def again(self) -> Lead:
        """Return a new telling that comes to where this one stands.

        Raises:
            StageRefused: nothing has been told yet.
        """
        if self.last < 0:
            raise StageRefused("nothing has been told yet", hint="next tells the first step")
        target = self.shown + (self.shown <= self.last)
        return Lead(steps=self.steps, target=target, rest=self.shown, skipping=True)

    def wait(self) -> None:
        """Neither play nor skip from here on; a step that is being told ends by itself."""
        self.playing = self.skipping = self.at_once = False
        self.target = self.told + self.running

    def _check_goes_on(self) -> None:
        if self.over:
            raise StageRefused("the story is over", hint="again tells it anew")

    # What has happened.

    @property
    def goes_on(self) -> bool:
        """Whether to go on without waiting for the pace or the presenter."""
        return self.at_once or self.target > self.told

    @property
    def shows_again(self) -> bool:
        """Whether the step after is one that was told, to be shown before the next is told."""
        return self.target <= self.told and self.shown < self.last

    def began(self) -> None:
        """Take note that the next step is being told."""
        self.running, self.at_once = True, False
        self.shown = self.told

    def ended(self, *, ok: bool) -> None:
        """Take note that the step which was being told has ended."""
        self.running = False
        self.told += 1
        self.stopped = not ok
        if self.skipping and self.told >= self.target:
            self.skipping = False
            self.shown = self.rest if ok else self.shown

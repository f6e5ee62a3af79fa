"""A telling that a presenter leads: next, back, play, pause, repeat, skip to.

The same stage is led from a terminal and from the console; both draw its `StageView` and nothing
else, so that both tell the same story from the same objects.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from opkit.story.report import Kind, MarkerName, MarkerRecord, Sentence, SetupRecord, Stop
from opkit.story.states import State
from opkit.wire.base import Count, TimeMs, Wire

Say = Annotated[str, StringConstraints(max_length=600)]
"""What the presenter says beside a step; empty if the sentence is enough."""


class Mode(StrEnum):
    """What the stage is doing. `WAITING`: for the presenter. `PLAYING`: goes on by itself."""

    OPENING = "opening"
    WAITING = "waiting"
    PLAYING = "playing"
    SKIPPING = "skipping"
    ENDED = "ended"
    STOPPED = "stopped"


class Action(StrEnum):
    """What a presenter may ask of a stage.

    `NEXT` tells one step. `BACK` shows the step before, telling nothing. `SKIP_TO` tells all steps
    before a marker without a pause and waits there. `REPEAT` begins a new telling (a new run id)
    and tells it without a pause up to and including the step that is shown. `AGAIN` begins a new
    telling and waits at its first step.
    """

    NEXT = "next"
    BACK = "back"
    PLAY = "play"
    PAUSE = "pause"
    REPEAT = "repeat"
    SKIP_TO = "skip-to"
    AGAIN = "again"
    STOP = "stop"


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
        shown: the index of the step in front of the audience (0 before the first is told).
        told: how many steps have been told.
        pace_ms: how long the step that is shown stays before the next, when playing.
        stopped: where and why the story ended before its end.
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

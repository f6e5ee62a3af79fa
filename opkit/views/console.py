"""The console: choose a flow, see its sentences light up, with narration and evidence beside it.

A presenter's page and a viewer's are the same drawing; what a viewer may not do is not drawn, and
refused elsewhere if it is asked for all the same.
"""

from __future__ import annotations

from html import escape
from typing import Final

from opkit.story.stage import Mode, StageStep, StageView
from opkit.story.states import State
from opkit.views.amounts import clock_text
from opkit.views.cards import card, control, empty, scroll
from opkit.views.figures import ConsoleFigures, FlowChoice, NetworkFigures
from opkit.views.page import icon
from opkit.views.values import took

LIVE = frozenset({Mode.WAITING, Mode.PLAYING, Mode.ENDED})
"""Modes in which a presenter may skip to a sentence that waits."""

_FRAME = (
    '<div class="console">'
    '<div class="tell-story" data-card="story"></div>'
    '<div class="tell-map" data-card="map"></div>'
    '<div class="tell-side card"><div data-card="say"></div>'
    '<div class="scroll" tabindex="0" role="region" aria-label="Evidence" data-card="evidence">'
    "</div></div>"
    '<div class="tell-bar">'
    '<div class="tell-transport" data-card="transport"></div>'
    '<div class="tell-deeds" data-card="deeds"></div></div>'
    "</div>"
)


def frame() -> str:
    """Return the markup around the console's cards."""
    return _FRAME


def story(figures: ConsoleFigures, *, trouble: str = "", trouble_ms: int = 0) -> str:
    """Return the flow that is being told, sentence by sentence, or all that can be chosen.

    Args:
        figures: the console now.
        trouble: why nothing newer is known of the stage; empty if all is well.
        trouble_ms: since when.
    """
    silent = _silent(trouble, trouble_ms) if trouble else ""
    if figures.stage is None:
        return _choices(figures, silent)
    return _told(figures, figures.stage, silent)


def _silent(why: str, since_ms: int) -> str:
    """Return that the supervisor does not say how the stage stands, and what to do."""
    return (
        f'<div class="tell-trouble" role="status">{icon(State.FAILED)}<div>'
        f"<strong>Nothing newer is known since {clock_text(since_ms)} UTC</strong>"
        f"<p>{escape(why)}</p><p>It is asked again until it answers.</p></div></div>"
    )


def in_front(stage: StageView) -> StageStep | None:
    """Return the step in front of the audience, or None if the story has no step."""
    return stage.steps[min(stage.shown, len(stage.steps) - 1)] if stage.steps else None


def opened(figures: ConsoleFigures) -> StageStep | None:
    """Return the step whose evidence is open: the selected one, that in front, or the last told."""
    stage = figures.stage
    if stage is None:
        return None
    told = [step for step in stage.steps if step.record is not None]
    chosen = next((step for step in told if step.marker == figures.selected), None)
    front = in_front(stage)
    if chosen is not None or (front is not None and front.record is not None):
        return chosen or front
    return told[-1] if told else None


def in_words(why: str, network: NetworkFigures) -> str:
    """Return a reason with each node called by its organisation's name, as plain text."""
    for node in network.nodes:
        why = why.replace(node.did, node.title)
        why = why.replace(node.url, node.title) if node.url else why
    return why


def _choices(figures: ConsoleFigures, silent: str) -> str:
    if not figures.flows:
        return card("Which story shall be told?", silent + _NO_STORY)
    hint = (
        "Each is told on this network, with a run id of its own."
        if figures.may_act
        else "Nothing is being told yet. The presenter chooses; the story then appears here by "
        "itself. There are:"
    )
    listed = "".join(_choice(flow, may_act=figures.may_act) for flow in figures.flows)
    body = f'<p class="soft">{hint}</p><ul class="tell-choices">{listed}</ul>'
    return card("Which story shall be told?", silent + scroll(body, name="Stories"))


_NO_STORY: Final = empty(
    "No story is known here yet.", "Stories appear as soon as the network's supervisor answers."
)


def _choice(flow: FlowChoice, *, may_act: bool) -> str:
    if flow.lacking:
        controls = f'<p class="soft">Not on this network: {escape(flow.lacking)}</p>'
    elif may_act:
        controls = control(
            "Run", "run", kind="main", about=f"Run: {flow.title}", flow=flow.name
        ) + control("Step by step", "open", about=f"Step by step: {flow.title}", flow=flow.name)
    else:
        controls = ""
    counted = "one step" if flow.steps == 1 else f"{flow.steps} steps"
    steps = "" if flow.lacking else f'<p class="soft">{counted}</p>'
    title = f"Flow {escape(flow.name.upper())}: {escape(_lower_first(flow.title))}"
    return (
        f'<li><details class="tell-about"><summary><h2>{title}</h2></summary>'
        f'<p>{escape(flow.story)}</p></details><div class="tell-start">{controls}{steps}'
        "</div></li>"
    )


def _told(figures: ConsoleFigures, stage: StageView, silent: str) -> str:
    title = f"Flow {stage.flow.upper()}: {_lower_first(stage.title)}"
    steps = "".join(_step(figures, stage, index) for index in range(len(stage.steps)))
    listed = scroll(f'<ol class="tell-steps">{steps}</ol>', name="Sentences")
    return (
        f'<section class="card">{silent}{_trouble(figures, stage)}<h1>{escape(title)}</h1>'
        f"{_about(stage)}{listed}</section>"
    )


def _trouble(figures: ConsoleFigures, stage: StageView) -> str:
    """Return why the story ended before its end: the first thing seen, if there is something."""
    if stage.stopped is None:
        return ""
    at = f"at {escape(stage.stopped.at)}" if stage.stopped.at else "before its first step"
    why = in_words(stage.stopped.why, figures.network)
    return (
        f'<div class="tell-trouble" role="alert">{icon(State.FAILED)}'
        f"<div><strong>The story stopped {at}</strong><p>{escape(why)}</p></div>"
        "</div>"
    )


def _about(stage: StageView) -> str:
    """Return the story in short, opened whole by a click, with its set-up."""
    setup = "".join(
        f"<li>{icon(State.DONE if each.ok else State.FAILED)}"
        f"<span>{escape(each.sentence)} {escape(each.problem)}</span>"
        f'<span class="took">{took(each.took_ms)}</span></li>'
        for each in stage.setup
    )
    opening = (
        f'<p class="t-running pill">{icon(State.RUNNING)}getting ready</p>'
        if stage.mode is Mode.OPENING
        else ""
    )
    before = f'<ul class="tell-setup">{setup}</ul>' if setup else ""
    return (
        f'<details class="tell-about"><summary><span class="tell-clip">{escape(stage.story)}</span>'
        f"</summary>{before}<p>run <code>{escape(stage.run_id)}</code></p></details>{opening}"
    )


def _step(figures: ConsoleFigures, stage: StageView, index: int) -> str:
    step = stage.steps[index]
    marker = escape(step.marker)
    classes = [f"is-{step.state.value}"]
    front = index == min(stage.shown, len(stage.steps) - 1)
    if front:
        classes.append("is-front")
    shown = opened(figures)
    if shown is not None and shown.marker == step.marker:
        classes.append("is-open")
    attack = '<i class="tell-attack">attack</i>' if step.kind == "refused" else ""
    inside = (
        f"{icon(step.state)}<span>{escape(step.sentence)}</span>"
        f'<span class="took">{_when(step)}</span><span class="name">{marker}{attack}</span>'
    )
    current = ' aria-current="step" data-follow' if front else ""
    return (
        f'<li id="step-{marker}" class="{" ".join(classes)}"{current}>'
        f"{_pressable(figures, stage, step, inside)}</li>"
    )


def _pressable(figures: ConsoleFigures, stage: StageView, step: StageStep, inside: str) -> str:
    """Return a sentence as the control that it is: open its evidence, or skip to it."""
    marker = escape(step.marker, quote=True)
    if step.record is not None:
        return (
            f'<button type="button" class="row" data-act="select" data-marker="{marker}">'
            f"{inside}</button>"
        )
    if figures.may_act and step.state is State.WAITING and stage.mode in LIVE:
        return (
            f'<button type="button" class="row" data-act="skip-to" data-marker="{marker}" '
            f'title="Tell everything before this sentence, and wait here">{inside}</button>'
        )
    return f'<div class="row">{inside}</div>'


def _when(step: StageStep) -> str:
    if step.record is not None:
        return took(step.record.took_ms)
    return step.state.word if step.state is not State.WAITING else ""


def _lower_first(title: str) -> str:
    return title[:1].lower() + title[1:]

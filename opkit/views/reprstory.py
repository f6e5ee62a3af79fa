"""Verdicts, markers, reports, flows and a whole network, as a notebook draws them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from opkit.proof.checks import CONSISTENT, Verdict
from opkit.story.flow import Flow
from opkit.story.report import MarkerRecord, Report
from opkit.story.states import State
from opkit.views.amounts import counted
from opkit.views.cards import pill, said_state
from opkit.views.page import icon
from opkit.views.reprstyle import card, checks_table, facts, opened, rows_table, text_html
from opkit.views.values import took


def verdict(said: Verdict) -> str:
    """Return a verdict with each check and both of its sides."""
    held = sum(check.ok for check in said.checks)
    tone = State.DONE if said.ok else State.FAILED
    if said.status == CONSISTENT:
        tone = State.WAITING
    return card(
        said.status,
        checks_table(said.checks),
        beside=pill(tone, f"{held} of {counted(len(said.checks), 'check')}"),
        below=text_html(said.subject),
    )


def marker(told: MarkerRecord) -> str:
    """Return a told step with what it rests on."""
    named = {
        name: escape(value) if isinstance(value, str) else escape(str(value))
        for name, value in told.evidence.items()
    }
    problem = f"<pre>{escape(told.problem)}</pre>" if told.problem else ""
    checks = checks_table(told.checks) if told.checks else ""
    return card(
        told.sentence,
        problem + opened(f"What {told.name} rests on", checks + facts(named), wide=not told.ok),
        beside=pill(told.state, told.state.word),
    )


def report(said: Report) -> str:
    """Return a story as it was told."""
    rows = [
        (
            icon(step.state),
            escape(step.sentence),
            f"<code>{escape(step.name)}</code>",
            str(len(step.checks)),
            took(step.took_ms),
        )
        for step in said.markers
    ]
    tone = State.DONE if said.ok else State.FAILED
    return card(
        f"Flow {said.name.upper()}: {said.title}",
        rows_table(("", "step", "marker", "checks#", "time#"), rows),
        beside=pill(tone, f"{len(said.shown)} of {len(said.planned)} shown"),
        below=escape(said.stopped.why) if said.stopped else escape(said.story),
    )


def flow(planned: Flow[Any]) -> str:
    """Return what a flow will show, and where it can be told."""
    rows = [
        (
            icon(State.REFUSED if step.kind == "refused" else State.WAITING),
            escape(step.sentence),
            f"<code>{escape(step.marker)}</code>",
        )
        for step in planned.steps
    ]
    steps = rows_table(("", "step", "marker"), rows)
    return card(
        f"Flow {planned.name.upper()}: {planned.title}",
        opened(counted(len(rows), "step"), steps)
        + facts({"notebook": escape(planned.notebook), "needs": escape(", ".join(planned.needs))}),
        below=escape(planned.story),
    )


def comparison(a: str, b: str, rows: Sequence[tuple[str, bool, str, str]]) -> str:
    """Return two nodes side by side, what differs first.

    Args:
        a: the one node's name.
        b: the other's.
        rows: what was compared, whether it is the same, and both sides as text.
    """
    differ = sum(not same for _, same, _, _ in rows)
    cells = [
        (
            said_state(State.DONE, "same") if same else said_state(State.RUNNING, "differs"),
            escape(what),
            text_html(one),
            text_html(other),
        )
        for what, same, one, other in sorted(rows, key=lambda row: row[1])
    ]
    tone = pill(State.RUNNING, f"{counted(differ, 'difference')}")
    return card(
        f"{a} and {b}",
        rows_table(("", "what", a, b), cells),
        beside=tone if differ else pill(State.DONE, "no difference"),
    )

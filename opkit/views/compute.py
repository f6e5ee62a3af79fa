"""The compute page: modules by their hash, tasks as they run, receipts that anyone can check."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from html import escape
from itertools import islice
from typing import Final
from urllib.parse import quote

from opkit.story.states import State
from opkit.views import header
from opkit.views.amounts import brief_text, count_text, counted, many, moment_html, size_text
from opkit.views.cards import (
    Column,
    Row,
    card,
    control,
    empty,
    figure,
    listed,
    pill,
    said_state,
    scroll,
    table,
)
from opkit.views.checks import checks_table
from opkit.views.figures import (
    ComputeFigures,
    ModuleFigure,
    NetworkFigures,
    TaskFigure,
    Verification,
)
from opkit.views.outcomes import task_state
from opkit.views.values import member_html, sentence_html, text_html, took, values_table
from opkit.wire.compute import FINAL, TaskState

SHOWN_MAX: Final = 50
"""How many modules, and how many tasks, stand on the page."""

FILTERS: Final[Mapping[str, tuple[str, frozenset[TaskState]]]] = {
    "": ("All", frozenset(TaskState)),
    "open": ("Open", frozenset(TaskState) - FINAL),
    "done": ("Done", frozenset({TaskState.DONE})),
    "ended": ("Ended otherwise", FINAL - {TaskState.DONE}),
}
"""What a viewer can choose to see of the tasks, by the name that the page is told."""


def frame() -> str:
    """Return the markup around the compute page's cards."""
    ids = ("programs", "open", "done", "failed", "tasks", "modules", "task")
    return (
        '<div class="board compute-board"><h1 class="unseen">Compute</h1>'
        + "".join(f'<div class="at-{each}" data-card="{each}"></div>' for each in ids)
        + "</div>"
    )


def cards(
    figures: Callable[[], ComputeFigures],
    network: Callable[[], NetworkFigures],
    *,
    selected: str = "",
    showing: str = "",
    verification: Verification | None = None,
) -> dict[str, Callable[[], str]]:
    """Return what draws each card of the page, by the card's id.

    Args:
        figures: returns modules and tasks as they are when a card is drawn.
        network: returns the network, for the bar on top.
        selected: the id of the task whose page is open, or empty.
        showing: the name of the chosen filter of `FILTERS`; empty for all tasks.
        verification: the last verification of the selected task's receipt, if there was one.
    """
    return {
        "health": lambda: header.health(network()),
        "programs": lambda: programs(figures()),
        "open": lambda: open_tasks(figures()),
        "done": lambda: done_tasks(figures()),
        "failed": lambda: failed_tasks(figures()),
        "tasks": lambda: tasks(figures(), selected=selected, showing=showing),
        "modules": lambda: modules(figures()),
        "task": lambda: task(figures(), selected, verification),
    }


def programs(figures: ComputeFigures) -> str:
    """Return how many modules are known."""
    total = sum(each.size_bytes for each in figures.modules)
    return figure(
        "What can be run?",
        count_text(len(figures.modules)),
        f"{many(len(figures.modules), 'program')}, {size_text(total)}",
        opened=listed([(each.name, size_text(each.size_bytes)) for each in figures.modules]),
    )


def open_tasks(figures: ComputeFigures) -> str:
    """Return how many tasks are under way."""
    waiting = [each for each in figures.tasks if each.state not in FINAL]
    running = sum(each.state is TaskState.RUNNING for each in waiting)
    return figure(
        "What is under way?",
        count_text(len(waiting)),
        f"{many(len(waiting), 'task')}, {running} running",
        opened=listed([(_named(each), said_state(*_state(each))) for each in waiting]),
    )


def done_tasks(figures: ComputeFigures) -> str:
    """Return how many tasks have a result, of all that were asked for."""
    done = [each for each in figures.tasks if each.state is TaskState.DONE]
    asked = max(figures.tasks_total, len(figures.tasks))
    by = Counter(each.executor for each in done)
    return figure(
        "What was done?",
        count_text(len(done)),
        f"of {counted(asked, 'task')}",
        opened=listed([(who, counted(count, "task")) for who, count in by.most_common()]),
    )


def failed_tasks(figures: ComputeFigures) -> str:
    """Return how many tasks failed, and in which ways all others ended without a result."""
    over = [each for each in figures.tasks if each.state in FINAL]
    ended = [each for each in over if each.state is not TaskState.DONE]
    ways = Counter((*_state(each), each.code) for each in ended)
    failed = sum(_state(each)[0] is State.FAILED for each in ended)
    rows = [
        (f"{counted(count, 'task')}{_because(code)}", said_state(state, words))
        for (state, words, code), count in ways.most_common()
    ]
    return figure(
        "Did anything fail?",
        count_text(failed),
        f"of {len(over)} that ended",
        tone=State.FAILED if failed else None,
        opened=listed(rows),
    )


def modules(figures: ComputeFigures) -> str:
    """Return the modules, newest first, each with who holds it."""
    question = "Which programs does the network hold?"
    if not figures.modules:
        hint = "A program appears when a member deploys it: opkit wasm deploy FILE, or run flow A."
        return card(question, empty("No program yet.", hint))
    columns = (
        Column(title="Program"),
        Column(title="Hash"),
        Column(title="Size", number=True),
        Column(title="Owner"),
        Column(title="Held by", grows=True),
        Column(title="Runs", number=True),
        Column(title="Since", number=True),
    )
    rows = [_module(each, figures) for each in figures.modules[:SHOWN_MAX]]
    return card(question, scroll(table(columns, rows, name="Programs"), name="Programs"))


def tasks(figures: ComputeFigures, *, selected: str = "", showing: str = "") -> str:
    """Return the tasks, newest first. A click asks for `open` with the `task`; `filter` with `of`.

    Args:
        figures: modules and tasks now.
        selected: the id of the task whose page is open, or empty.
        showing: the name of the chosen filter of `FILTERS`; an unknown one shows all.
    """
    question = "What was asked, and how did it end?"
    if not figures.tasks:
        hint = "A task appears when a member submits one: opkit compute submit HASH, or run flow A."
        return card(question, empty("No task yet.", hint))
    chosen = showing if showing in FILTERS else ""
    wanted = FILTERS[chosen][1]
    filters = "".join(
        control(words, "filter", kind="quiet", pressed=name == chosen, of=name)
        for name, (words, _) in FILTERS.items()
    )
    columns = (
        Column(title="State"),
        Column(title="Program"),
        Column(title="Asked by", grows=True),
        Column(title="Run by", grows=True),
        Column(title="Took", number=True),
        Column(title="Fuel", number=True),
        Column(title="Asked at", number=True),
    )
    shown_tasks = islice((each for each in figures.tasks if each.state in wanted), SHOWN_MAX)
    rows = [_task(each, figures, selected=selected) for each in shown_tasks]
    shown = (
        scroll(table(columns, rows, name="Tasks"), name="Tasks")
        if rows
        else empty("No such task now.", "Others may be: choose All.")
    )
    return card(question, shown, beside=f'<div class="filters" role="group">{filters}</div>')


def task(figures: ComputeFigures, task_id: str, verification: Verification | None) -> str:
    """Return the page of one task with its receipt; `verify` and `close` are asked with the `task`.

    Args:
        figures: modules and tasks now.
        task_id: which; an unknown one shows how to choose one.
        verification: the last verification of its receipt; one of another task is not shown.
    """
    question = "Why should I believe this result?"
    chosen = next((each for each in figures.tasks if each.task_id == task_id), None)
    if chosen is None:
        hint = (
            "Click a task. Its receipt is then fetched from its home node, and every check runs "
            "here, with both of its sides."
        )
        return card(question, empty("No task is chosen.", hint))
    verified = verification if verification and verification.subject == task_id else None
    back = control("Close", "close", kind="quiet", key="Escape")
    opened = escape(task_id)
    body = (
        f'<div data-begins="{opened}" data-bring="{opened}"></div>'
        f"{_verdict(chosen, verified, figures)}{_receipt(chosen, verified)}"
        f"<h2>What is known of it?</h2>{values_table(_facts(chosen))}"
    )
    return card(question, scroll(body, name="Task"), beside=back)


def _verdict(each: TaskFigure, verified: Verification | None, figures: ComputeFigures) -> str:
    state = pill(*_state(each))
    if verified is None:
        return f'<p class="verdict">{state}</p>'
    held = sum(check.ok for check in verified.checks)
    tone = State.DONE if verified.ok else State.FAILED
    count = pill(tone, f"holds: {held} of {len(verified.checks)} checks")
    at = moment_html(verified.at_ms, now_ms=figures.now_ms)
    return f'<p class="verdict">{state}{count}<span class="soft">verified here at {at}</span></p>'


def _receipt(each: TaskFigure, verified: Verification | None) -> str:
    if each.state not in FINAL:
        return '<p class="soft">It has no receipt yet: its executor signs one when it ends.</p>'
    if not each.receipt_hash and verified is None:
        return '<p class="soft">It ended before anybody ran it, so there is no receipt.</p>'
    if verified is None:
        verify = control("Verify the receipt", "verify", kind="main", task=each.task_id)
        return (
            "<p>Its executor signed a receipt. A check here trusts no node: it needs the receipt, "
            f"the manifest and the genesis that this machine keeps.</p>{verify}"
        )
    again = control("Verify again", "verify", task=each.task_id)
    facts = values_table(dict(verified.facts)) if verified.facts else ""
    return (
        f"<p>{sentence_html(verified.verdict)}</p>"
        f'<div class="acts">{again}{_save(verified)}</div>'
        f"{checks_table(verified.checks)}{facts}"
    )


def _save(verified: Verification) -> str:
    if verified.bundle is None:
        return ""
    said = json.dumps(verified.bundle.model_dump(mode="json"), indent=2)
    return (
        f'<button type="button" class="act" data-copy="{escape(said)}">Copy the receipt</button>'
        f'<a class="act" download="{escape(verified.subject[:12])}.receipt.json" '
        f'href="data:application/json,{quote(said)}">Save proof</a>'
    )


def _facts(each: TaskFigure) -> dict[str, object]:
    facts: dict[str, object] = {
        "task": each.task_id,
        "program": each.wasm_hash,
        "asked by": each.member_id,
        "through": each.home,
        "run by": each.executor,
        "code came from": each.fetched_from or "its own store",
        "outcome": each.outcome or None,
        "fuel used": each.fuel_used or None,
        "receipt": each.receipt_hash or None,
        "asked_at_ms": each.accepted_ms,
        "ended_at_ms": each.ended_ms or None,
    }
    if each.code:
        facts["refused with"] = each.code
    return facts


def _state(each: TaskFigure) -> tuple[State, str]:
    return task_state(each.state, each.outcome, each.code)


def _named(each: TaskFigure) -> str:
    return f"{each.module or each.wasm_hash[:12]}, {each.member_id}"


def _because(code: str) -> str:
    return f", {code.replace('-', ' ')}" if code else ""


def _module(each: ModuleFigure, figures: ComputeFigures) -> Row:
    return Row(
        key=f"m-{each.wasm_hash}",
        cells=(
            f"<b>{escape(each.name)}</b>",
            text_html(each.wasm_hash),
            size_text(each.size_bytes),
            member_html(each.owner),
            ", ".join(map(escape, each.holders)) or '<span class="soft">nobody now</span>',
            count_text(each.runs),
            moment_html(each.deployed_ms, now_ms=figures.now_ms),
        ),
    )


def _task(each: TaskFigure, figures: ComputeFigures, *, selected: str) -> Row:
    state, words = _state(each)
    none = '<span class="soft">–</span>'
    chosen = each.task_id == selected
    act = "close" if chosen else "open"
    opens = (
        f'<button type="button" class="opens" data-act="{act}" data-task="{escape(each.task_id)}" '
        f'aria-expanded="{"true" if chosen else "false"}">'
        f"<b>{escape(each.module or each.wasm_hash[:12])}</b></button>"
    )
    return Row(
        key=f"t-{each.task_id}",
        selected=chosen,
        cells=(
            said_state(state, words),
            opens,
            member_html(each.member_id),
            escape(each.executor) or none,
            took(max(0, each.ended_ms - each.accepted_ms)) if each.ended_ms else none,
            brief_text(each.fuel_used) if each.fuel_used else none,
            moment_html(each.accepted_ms, now_ms=figures.now_ms),
        ),
    )

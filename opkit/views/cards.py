"""The parts that every page is made of. What is passed as markup says so; all else is escaped.

A control carries `data-act` and its arguments as `data-…`; whoever shows the page sends both to the
page's `act`. `data-key` binds a key to it, `data-copy` copies, and what carries `data-new` is
tinted when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

from opkit.story.states import State
from opkit.views.amounts import clock_text
from opkit.views.page import icon

SPARK_MAX: Final = 24
"""How many values a small line has."""

LISTED_MAX: Final = 24
"""How many lines a figure opens to."""


def card(question: str, body: str, *, beside: str = "", classes: str = "") -> str:
    """Return a card: the question that it answers, and the answer.

    Args:
        question: its title; no card without one.
        body: markup.
        beside: markup at the right of the title, such as a filter.
        classes: further classes of the card.
    """
    aside = f'<div class="beside">{beside}</div>' if beside else ""
    return (
        f'<section class="card {classes}"><div class="head"><h2>{escape(question)}</h2>{aside}'
        f"</div>{body}</section>"
    )


def empty(nothing: str, what_to_do: str, *, control: str = "") -> str:
    """Return what stands where nothing is yet: that there is nothing, and how to change it.

    Args:
        nothing: `No task yet.`
        what_to_do: `A task appears when …`
        control: markup of the button that does it.
    """
    return (
        f'<div class="empty"><p><b>{escape(nothing)}</b></p>'
        f'<p class="soft">{escape(what_to_do)}</p>{control}</div>'
    )


def error_card(what: str, *, why: str, since_ms: int, hint: str) -> str:
    """Return the card in place of one that cannot be drawn: what, since when, what to do."""
    return (
        f'<section class="card broken" role="alert"><h1>{icon(State.FAILED)} {escape(what)}</h1>'
        f"<p>{escape(hint)}</p>"
        f'<p class="soft">Since {clock_text(since_ms)} UTC.</p>'
        f'<details><summary class="act">Show the error</summary><pre>{escape(why)}</pre></details>'
        "</section>"
    )


def figure(
    question: str, value: str, words: str, *, opened: str = "", tone: State | None = None
) -> str:
    """Return a key figure as a card that opens to what it rests on, over what stands below.

    Args:
        question: the card's title.
        value: the figure.
        words: what belongs to it, in a few words.
        opened: markup of what it rests on; without it the figure cannot be opened.
        tone: a state that the figure's colour and shape must say; None if it is just a figure.
    """
    sign = icon(tone) if tone is not None else ""
    shown = f"{sign}<b>{escape(value)}</b><span>{escape(words)}</span>"
    if not opened:
        return (
            f'<section class="card key"><h2>{escape(question)}</h2>'
            f'<div class="shown">{shown}</div></section>'
        )
    return (
        f'<details class="card key" name="figures"><summary><h2>{escape(question)}</h2>'
        f'<span class="shown">{shown}<span class="took"></span></span></summary>'
        f'<div class="over">{opened}</div></details>'
    )


def listed(rows: Sequence[tuple[str, str]]) -> str:
    """Return what a figure rests on: names beside markup, one a line. No row, nothing to open."""
    if not rows:
        return ""
    shown = "".join(
        f"<li><span>{escape(name)}</span><span>{said}</span></li>"
        for name, said in rows[:LISTED_MAX]
    )
    rest = len(rows) - LISTED_MAX
    more = f'<li class="soft">and {rest:,} more</li>' if rest > 0 else ""
    return f"<ul>{shown}{more}</ul>"


def pill(state: State, words: str) -> str:
    """Return a few words in a state's shape and colour."""
    return f'<span class="pill t-{state.value}">{icon(state)}{escape(words)}</span>'


def said_state(state: State, words: str) -> str:
    """Return a state's shape and a word for it, for a cell of a table."""
    return f'<span class="said s-{state.value}">{icon(state)}{escape(words)}</span>'


def control(
    words: str,
    act: str,
    *,
    kind: Literal["plain", "main", "danger", "quiet"] = "plain",
    key: str = "",
    about: str = "",
    pressed: bool | None = None,
    disabled: bool = False,
    **arguments: str,
) -> str:
    """Return a button that does something.

    Args:
        words: what stands on it.
        act: what the page is asked to do.
        kind: `main` for the one that is wanted most, `danger` for what disturbs the network.
        key: the key that does the same, as browsers name it.
        about: what it will do, for its title.
        pressed: whether it stands pressed; None if it is no switch.
        disabled: whether it makes no sense now.
        arguments: what the page is told with it.
    """
    given = "".join(f' data-{name}="{escape(value)}"' for name, value in arguments.items())
    bound = f' data-key="{escape(key)}"' if key else ""
    title = f' title="{escape(about)}"' if about else ""
    state = "" if pressed is None else f' aria-pressed="{"true" if pressed else "false"}"'
    off = " disabled" if disabled else ""
    return (
        f'<button type="button" class="act {kind}" data-act="{escape(act)}"{given}{bound}{title}'
        f"{state}{off}>{escape(words)}</button>"
    )


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table. `number` is set to the right; `grows` takes what width is left."""

    title: str
    number: bool = False
    grows: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        key: what stays the same while the row's values change.
        cells: markup, one for each column.
        opened: markup below the row, over its whole width.
        selected: it is the one whose page is open.
    """

    key: str
    cells: Sequence[str]
    opened: str = ""
    selected: bool = False


def table(columns: Sequence[Column], rows: Iterable[Row], *, name: str) -> str:
    """Return a table whose rows become cards where there is no room. `name` is for readers."""
    heads = "".join(f"<th scope=col{_classes(each)}>{escape(each.title)}</th>" for each in columns)
    body = "".join(_row(columns, row) for row in rows)
    return (
        f'<table class="rows" aria-label="{escape(name)}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _row(columns: Sequence[Column], row: Row) -> str:
    cells = "".join(
        f'<td{_classes(column)} data-label="{escape(column.title)}">{cell}</td>'
        for column, cell in zip(columns, row.cells, strict=True)
    )
    current = " aria-current=true" if row.selected else ""
    below = (
        f'<tr class="below"><td colspan="{len(columns)}">{row.opened}</td></tr>'
        if row.opened
        else ""
    )
    return f'<tr id="{escape(row.key)}" data-new{current}>{cells}</tr>{below}'


def _classes(column: Column) -> str:
    names = " ".join(name for name in ("number", "grows") if getattr(column, name))
    return f' class="{names}"' if names else ""


def scroll(body: str, *, name: str) -> str:
    """Return markup in a region that scrolls by itself, within reach of the keyboard."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{body}</div>'
    )


def sparkline_svg(values: Sequence[int], *, words: str) -> str:
    """Return values as a small line over zero, oldest first, the last one with a dot.

    Args:
        values: at least two, none below zero; fewer draw nothing.
        words: what the line says, for readers.
    """
    if len(values) < 2:
        return '<span class="spark"></span>'
    values = values[-SPARK_MAX:]
    top = max(*values, 1)
    step = 100 / (len(values) - 1)
    heights = [30 - 28 * value / top for value in values]
    line = " ".join(f"{index * step:.0f},{y:.1f}" for index, y in enumerate(heights))
    last = heights[-1] / 30 * 100
    return (
        f'<span class="spark" role="img" aria-label="{escape(words)}">'
        '<svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="0,30 {line} 100,30"/>'
        f'<polyline points="{line}" vector-effect="non-scaling-stroke"/></svg>'
        f'<i style="top:{last:.0f}%"></i></span>'
    )

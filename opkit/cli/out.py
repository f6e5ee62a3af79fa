"""Output: for people by default, for programs with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opkit.cli.calling import as_called

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")
]
"""The option that every command has."""

PIPED_WIDTH = 200
"""How wide lines are where nobody looks: nothing that a script may want to copy is folded."""

Human = Callable[["Console"], None]
"""Shows the answer to people."""


def group(help_text: str = "") -> typer.Typer:
    """Return an empty command group: help without arguments, `-h`, no completion options."""
    return typer.Typer(
        help=help_text or None,
        no_args_is_help=bool(help_text),
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def show(value: Any, *, as_json: bool, human: Human) -> None:
    """Print one answer: a JSON document, or what `human` shows."""
    if as_json:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        human(console())


def line(value: Any) -> None:
    """Print one JSON line at once, for answers that go on."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def console(*, errors: bool = False) -> Console:
    """Return a console for standard output, or for standard error."""
    from rich.console import Console

    class Calling(Console):
        """Names commands as they can be called from here."""

        def print(self, *objects: Any, **settings: Any) -> None:
            """Print, as a console does."""
            told = (as_called(each) if isinstance(each, str) else each for each in objects)
            super().print(*told, **settings)

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Calling(stderr=errors, highlight=False, soft_wrap=True, emoji=False, width=width)


def table(
    on: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], *, none: str = ""
) -> None:
    """Print rows under headings, without lines around them; `none` says that there are no rows."""
    from rich import box
    from rich.table import Table

    if none and not rows:
        on.print(none, markup=False)
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    on.print(grid)


def facts(on: Console, values: Mapping[str, object]) -> None:
    """Print names and values for people, one a line; what is empty is left out."""
    shown = [(name, value) for name, value in values.items() if value not in (None, "", [], {})]
    told = [fact(name, value) for name, value in shown]
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        on.print(f"{name:<{width}}  {value}", markup=False)


def fact(name: str, value: object) -> tuple[str, str]:
    """Return a JSON field for people: times as dates, durations and sizes with their units."""
    words = name.replace("_", " ")
    if isinstance(value, bool):
        return words, "yes" if value else "no"
    if isinstance(value, int):
        if name.endswith("_at_ms"):
            return words.removesuffix(" ms"), moment(value)
        if name.endswith("_us"):
            return words.removesuffix(" us"), f"{value / 1_000:,.1f} ms"
        if name.endswith("_ms"):
            return words.removesuffix(" ms"), duration(value)
        return words, f"{value:,}"
    if isinstance(value, list):
        return words, ", ".join(map(str, value))
    return words, plain(str(value))


def plain(text: str) -> str:
    """Return a text of somebody else's without what steers a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def moment(at_ms: int) -> str:
    """Return a point in time as people write it, in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(took_ms: int) -> str:
    """Return a duration in the unit that people would choose."""
    if took_ms < 1_000:
        return f"{took_ms} ms"
    if took_ms < 120_000:
        return f"{took_ms / 1_000:g} s"
    if took_ms < 7_200_000:
        return f"{took_ms / 60_000:g} min"
    return f"{took_ms / 3_600_000:g} h"


def shorten(text: str) -> str:
    """Return a long identifier with its middle left out."""
    return text if len(text) <= 24 else f"{text[:14]}…{text[-6:]}"

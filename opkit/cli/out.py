"""Output: for people by default, for programs with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

    stream = sys.stderr if errors else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=errors, highlight=False, soft_wrap=True, emoji=False, width=width)


def table(on: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, without lines around them."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    on.print(grid)


def facts(on: Console, values: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        on.print(f"{name:<{width}}  {value}", markup=False)


def shorten(text: str) -> str:
    """Return a long identifier with its middle left out."""
    return text if len(text) <= 24 else f"{text[:14]}…{text[-6:]}"

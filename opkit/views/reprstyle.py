"""The parts of a notebook's outputs: a card, facts, a table, a name, and the style they share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from opkit.proof.checks import Check
from opkit.story.report import CheckRecord
from opkit.story.states import State
from opkit.views.page import icon
from opkit.views.tokens import DARK, LIGHT, SIZES, css_variables
from opkit.views.values import label

TAIL: Final = 5
"""How many characters of a shortened name stand after the dots."""

TEXT_CHARS_MAX: Final = 2_000
"""How much of an output is drawn as text."""

_DARK_LAB: Final = "[data-jp-theme-light=false] .opkit-lab"


@cache
def lab_css() -> str:
    """Return the style of an output; it follows JupyterLab's theme, elsewhere the system's."""
    asset = (files("opkit.views") / "assets" / "lab.css").read_text(encoding="utf-8")
    dark = f"color-scheme:dark;{css_variables(DARK)}"
    return (
        f".opkit-lab{{color-scheme:light;{css_variables(SIZES)}{css_variables(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{"
        f":root:not(:has([data-jp-theme-light])) .opkit-lab{{{dark}}}}}"
        f"{_DARK_LAB}{{{dark}}}"
        # Twice, so that it outweighs what the notebook says about tables of its own.
        ".opkit-lab.opkit-lab{color:var(--opkit-ink);font:15px/1.45 system-ui,-apple-system,"
        '"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;'
        f"\n{asset}}}"
    )


def markup(body: str, *, kind: str = "") -> str:
    """Return an output that stands by itself: its style, and what is drawn.

    Args:
        body: markup.
        kind: a further class, by which others find it.
    """
    classes = f"opkit-lab {kind}".rstrip()
    return f'<div class="{classes}"><style>{lab_css()}</style>{body}</div>'


def card(headline: str, body: str, *, beside: str = "", below: str = "") -> str:
    """Return a card. `headline` is text; `beside` (a pill), `below` and `body` are markup.

    It is no heading, which JupyterLab would list among those of the notebook.
    """
    soft = f'<p class="soft">{below}</p>' if below else ""
    top = f'<div class="top"><b class="headline">{escape(headline)}</b>{beside}</div>'
    return f'<section class="card">{top}{soft}{body}</section>'


def facts(named: Mapping[str, str]) -> str:
    """Return named markup, one row each; what is empty is left out."""
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{value}</td></tr>"
        for name, value in named.items()
        if value
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def rows_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left_out: int = 0) -> str:
    """Return a table of markup. A title that ends in `#` heads a column of figures.

    Args:
        titles: of the columns.
        rows: their cells.
        left_out: how many more rows there are, said below.
    """
    sides = [' class="number"' if title.endswith("#") else "" for title in titles]
    heads = "".join(
        f"<th scope=col{side}>{escape(title.rstrip('#'))}</th>"
        for title, side in zip(titles, sides, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{s}>{cell}</td>' for s, cell in zip(sides, row, strict=True))}</tr>"
        for row in rows
    )
    more = f'<p class="soft">and {left_out:,} more</p>' if left_out else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def checks_table(
    checks: Iterable[Check | CheckRecord], *, sides: tuple[str, str] = ("expected", "is")
) -> str:
    """Return each check with both of its sides, those that do not hold first."""
    ordered = sorted(checks, key=lambda check: check.ok)
    rows = [
        (
            icon(State.DONE if check.ok else State.FAILED),
            label(check.name.replace("-", " ")),
            text_html(check.expected),
            text_html(check.actual),
        )
        for check in ordered
    ]
    return rows_table(("", "check", *sides), rows)


def opened(summary: str, body: str, *, wide: bool = False) -> str:
    """Return markup that a click opens; `wide`: it is open at first."""
    return f"<details{' open' if wide else ''}><summary>{escape(summary)}</summary>{body}</details>"


def hint(text: str, code: str = "") -> str:
    """Return what to do next, and the code that does it."""
    typed = f" <code>{escape(code)}</code>" if code else ""
    return f'<p class="soft">{escape(text)}{typed}</p>'


def name_html(name: str | None, *, what: str = "") -> str:
    """Return a hash or key, shortened in the middle; one click selects the whole of it."""
    if not name:
        return '<span class="soft">none</span>'
    if len(name) < 20:
        return f"<code>{escape(name)}</code>"
    said = f' title="{escape(f"{what}: {name}" if what else name, quote=True)}"'
    kind = "name key" if name.startswith("did:") else "name"
    return f'<span class="{kind}"{said}><i>{escape(name[:-TAIL])}</i>{escape(name[-TAIL:])}</span>'


def text_html(value: str) -> str:
    """Return text; one long word is shown as a name."""
    return name_html(value) if len(value) > 32 and " " not in value else escape(value)


def json_html(value: Any) -> str:
    """Return any JSON value as text."""
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False, default=str))}</pre>"


def bytes_html(data: bytes) -> str:
    """Return bytes as text if they are text, else as their first bytes in hex."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data[: TEXT_CHARS_MAX // 3].hex(" ")
    cut = "…" if len(text) > TEXT_CHARS_MAX else ""
    return f"<pre>{escape(text[:TEXT_CHARS_MAX])}{cut}</pre>"


def moment(at_ms: int) -> str:
    """Return a moment: `2026-01-02 03:04:05.678 UTC`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d} UTC"


def amount(count: int, unit: str = "") -> str:
    """Return a whole number with separators, and its unit."""
    return f"{count:,} {unit}".rstrip()

"""A distribution and its reasons as a notebook draws them, from what a story's markers carry."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from opkit.story.report import MarkerRecord
from opkit.views.cards import pill
from opkit.views.reprstyle import card, markup, name_html, rows_table

BAR_WIDTH: Final = 320
BAR_HEIGHT: Final = 18
ROW_HEIGHT: Final = 28
NAME_WIDTH: Final = 72
SHARE_WIDTH: Final = 80


class Shares:
    """A surplus shared by hours, as a table and a chart.

    Args:
        told: the marker whose evidence has `lines` (member, hours, share, amount) and `surplus`.
    """

    def __init__(self, told: MarkerRecord) -> None:
        """See the class."""
        self._told = told
        self._lines: list[Mapping[str, Any]] = list(told.evidence["lines"])

    def _repr_html_(self) -> str:
        """Return the table, and the chart below it."""
        rows = [
            (escape(str(line["member"])), str(line["hours"]), escape(str(line["share"])))
            for line in self._lines
        ]
        hours = sum(line["hours"] for line in self._lines)
        rows.append(("together", f"{hours:,}", escape(str(self._told.evidence["surplus"]))))
        table = rows_table(("member", "hours#", "share#"), rows)
        return markup(
            card(
                "Who gets what",
                table + bars_svg(self._lines),
                beside=pill(self._told.state, self._told.state.word),
            )
        )


class Why:
    """The links from a payment back to the votes, one below the other.

    Args:
        told: the marker whose evidence has `chain` (link, says, of).
    """

    def __init__(self, told: MarkerRecord) -> None:
        """See the class."""
        self._told = told

    def _repr_html_(self) -> str:
        """Return each link with what it says, and the hash or key that it is checked by."""
        rows = [
            (escape(str(link["link"])), escape(str(link["says"])), name_html(str(link["of"])))
            for link in self._told.evidence["chain"]
        ]
        held = sum(check.ok for check in self._told.checks)
        return markup(
            card(
                "From the payment back to the votes",
                rows_table(("", "says", "by"), rows),
                beside=pill(self._told.state, f"{held} of {len(self._told.checks)} checks hold"),
            )
        )


def bars_svg(lines: list[Mapping[str, Any]]) -> str:
    """Return one bar for each line, as long as its amount is large; each says it in text."""
    most = max((int(line["amount"]) for line in lines), default=0) or 1
    height, width = ROW_HEIGHT * len(lines), NAME_WIDTH + BAR_WIDTH + SHARE_WIDTH
    said = "; ".join(f"{line['member']} {line['share']}" for line in lines)
    bars = "".join(
        _bar(line, top=ROW_HEIGHT * place, most=most) for place, line in enumerate(lines)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}" '
        f'style="width:100%;max-width:{width}px;font-size:13px">{bars}</svg>'
    )


def _bar(line: Mapping[str, Any], *, top: int, most: int) -> str:
    wide = BAR_WIDTH * int(line["amount"]) // most
    middle = top + ROW_HEIGHT // 2 + 4
    return (
        f'<text x="0" y="{middle}" fill="currentColor">{escape(str(line["member"]))}</text>'
        f'<rect x="{NAME_WIDTH}" y="{top + 5}" width="{wide}" height="{BAR_HEIGHT}" rx="3" '
        'style="fill:var(--opkit-done, currentColor)"/>'
        f'<text x="{NAME_WIDTH + wide + 8}" y="{middle}" fill="currentColor">'
        f"{escape(str(line['share']))}</text>"
    )

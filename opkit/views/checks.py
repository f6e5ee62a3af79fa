"""Checks as a table: what was compared, both of its sides, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from opkit.story.report import CheckRecord
from opkit.story.states import State
from opkit.views.page import icon
from opkit.views.values import value_html


def checks_table(checks: Iterable[CheckRecord]) -> str:
    """Return checks with both of their sides, one a row."""
    rows = "".join(
        f"<tr><th scope=row>{escape(check.name)}</th>"
        f'<td data-side="expected">{value_html(check.expected)}</td>'
        f'<td data-side="is">{value_html(check.actual)}</td>'
        f"<td>{icon(State.DONE if check.ok else State.FAILED)}</td></tr>"
        for check in checks
    )
    return (
        '<table class="checks"><thead><tr><th>check</th><th>expected</th><th>is</th>'
        '<th><span class="unseen">holds</span></th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )

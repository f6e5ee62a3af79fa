"""The row in which a coop is chosen, with how its books are: what is wrong there is seen here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from opkit.story.states import State
from opkit.views.ledger_figures import HomeFigure, Soundness
from opkit.views.page import icon

_STATES: Final[dict[Soundness, State]] = {
    "unasked": State.WAITING,
    "sound": State.DONE,
    "wrong": State.FAILED,
    "silent": State.WAITING,
}


def chooser(question: str, homes: Sequence[HomeFigure], *, chosen: str) -> str:
    """Return the row of coops; a click asks for `coop` with `of`.

    Args:
        question: `Whose ledger?`
        homes: the coops there are.
        chosen: whose is shown.
    """
    if not homes:
        shown = '<p class="soft">Genesis names no coop.</p>'
    else:
        shown = "".join(_choice(each, is_chosen=each.coop == chosen) for each in homes)
    return (
        f'<section class="card chooser"><h2>{escape(question)}</h2>'
        f'<div class="coops" role="group" aria-label="{escape(question)}">{shown}</div></section>'
    )


def _choice(home: HomeFigure, *, is_chosen: bool) -> str:
    state = _STATES[home.state]
    said = f"<small>{escape(home.words)}</small>" if home.words else ""
    return (
        f'<button type="button" class="act quiet coop s-{state.value}" data-act="coop" '
        f'data-of="{escape(home.coop)}" aria-pressed="{"true" if is_chosen else "false"}">'
        f"{icon(state)}<span>{escape(home.title)}{said}</span></button>"
    )

"""The five states a step can be in: each has a shape, a word and a colour, the same everywhere.

None depends on colour alone. The colours are tokens of `opkit.views.tokens`; here stand the shapes
and words that terminal, notebook and report share.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a step stands. `REFUSED` is a success: an attack that failed as promised."""

    DONE = "done"
    REFUSED = "refused"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"

    @property
    def word(self) -> str:
        """The word that stands beside the shape."""
        return _WORDS[self]

    @property
    def shape(self) -> str:
        """Tick, shield, ring, thin empty ring or cross, as one character.

        No shield stands in common terminal fonts, so a solid diamond stands for it there.
        """
        return _SHAPES[self]

    @property
    def drawing(self) -> str:
        """The shape as SVG within a square of 20 units, drawn in the current colour."""
        return _DRAWINGS[self]

    @property
    def letter(self) -> str:
        """The shape for terminals that know ASCII only."""
        return _LETTERS[self]

    @property
    def token(self) -> str:
        """The name of the colour token."""
        return _TOKENS[self]


_WORDS = {
    State.DONE: "done",
    State.REFUSED: "refused as promised",
    State.RUNNING: "running",
    State.WAITING: "waiting",
    State.FAILED: "failed",
}
_SHAPES = {
    State.DONE: "✓",
    State.REFUSED: "◆",
    State.RUNNING: "◉",
    State.WAITING: "○",
    State.FAILED: "✗",
}
_DRAWINGS = {
    State.DONE: '<path d="M5.5 10.5l3 3 6-7" fill="none" stroke-width="2"/>',
    State.REFUSED: (
        '<path d="M10 3.2l5.6 2v4.4c0 3.4-2.3 5.9-5.6 7.2-3.3-1.3-5.6-3.8-5.6-7.2V5.2z"'
        ' fill="currentColor" stroke="none"/>'
    ),
    State.RUNNING: '<circle cx="10" cy="10" r="6.5" fill="none" stroke-width="2.4"/>',
    State.WAITING: '<circle cx="10" cy="10" r="6.5" fill="none" stroke-width="1.2"/>',
    State.FAILED: '<path d="M6 6l8 8M14 6l-8 8" fill="none" stroke-width="2.4"/>',
}
_LETTERS = {
    State.DONE: "+",
    State.REFUSED: "#",
    State.RUNNING: ">",
    State.WAITING: ".",
    State.FAILED: "x",
}
_TOKENS = {
    State.DONE: "done",
    State.REFUSED: "shield",
    State.RUNNING: "run",
    State.WAITING: "soft",
    State.FAILED: "fail",
}


def state_of(*, ok: bool, kind: str) -> State:
    """Return the state of a told marker. `kind` is `shown` or `refused`."""
    if not ok:
        return State.FAILED
    return State.REFUSED if kind == "refused" else State.DONE

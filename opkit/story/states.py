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
        """Tick, shield, ring, thin empty ring or cross, as one character."""
        return _SHAPES[self]

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
    State.REFUSED: "⛊",
    State.RUNNING: "◉",
    State.WAITING: "○",
    State.FAILED: "✗",
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

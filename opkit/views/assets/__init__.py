"""Style sheets and the one small script of all boards, as they lie beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def board_js() -> str:
    """Return the board's script as one JavaScript module that fetches nothing.

    It exports `render` (anywidget), `connect` (a page that speaks over a WebSocket) and `painter`
    (whoever has the messages already). What is appended to the text may use them by name.
    """
    here = files(__name__)
    morph = (here / "vendor" / "idiomorph.min.js").read_text(encoding="utf-8")
    return f"{morph.strip()}\n{(here / 'board.js').read_text(encoding='utf-8')}"

"""Style sheets and the one small script of all boards, as they lie beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def board_js() -> str:
    """Return the board's script as one JavaScript module that fetches nothing.

    Its default export is for anywidget, `connect` for a page that speaks over a WebSocket, and
    `painter` for whoever has the messages already. What is appended may use them by name.
    """
    here = files(__name__)
    morph = (here / "vendor" / "idiomorph.min.js").read_text(encoding="utf-8")
    return f"{morph.strip()}\n{(here / 'board.js').read_text(encoding='utf-8')}"

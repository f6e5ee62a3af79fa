"""The one style sheet: tokens, the parts that every page shares, boards, and the bar above them.

Reports, dashboards, viewers' pages, notebooks and replays all draw from here. A board's rules are
nested within `.opkit`, so that in JupyterLab they touch nothing but the board.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from opkit.views.nav import PAGES
from opkit.views.tokens import DARK, LIGHT, css_tokens, css_variables

_ASSETS = files("opkit.views") / "assets"


@cache
def common_css() -> str:
    """Return the rules of the parts that reports and boards share: cards, pills, tables, steps."""
    return _asset("common.css")


@cache
def board_css() -> str:
    """Return the style of a board, wherever it stands; a notebook's own theme is followed."""
    own = [f"{each.name}.css" for each in PAGES]
    pages = "".join(_asset(name) for name in own if _is_asset(name))
    parts = f"{common_css()}{_asset('board.css')}{_asset('parts.css')}{pages}"
    return f"{css_tokens()}{_notebook_tokens()}.opkit{{\n{parts}}}\n"


@cache
def chrome_css() -> str:
    """Return the style of a page of its own: its ground, the bar on top, the navigation."""
    return _asset("chrome.css")


def _notebook_tokens() -> str:
    """Follow JupyterLab's theme, which stands on the body and not on the root."""
    light, dark = css_variables(LIGHT), css_variables(DARK)
    return (
        f"body[data-jp-theme-light=true] .jp-LabShell .opkit{{color-scheme:light;{light}}}"
        f"body[data-jp-theme-light=false] .jp-LabShell .opkit{{color-scheme:dark;{dark}}}\n"
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _is_asset(name: str) -> bool:
    """Return whether there is such a file: most pages need no rules of their own."""
    return (_ASSETS / name).is_file()

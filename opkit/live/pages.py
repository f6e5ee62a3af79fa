"""Every page there is, by its name in the navigation (`opkit.views.nav`), which lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final

from opkit.live.live import Live
from opkit.live.ports import Page
from opkit.views import nav


def open_page(name: str, live: Live) -> Page:
    """Return a page for one viewer; its module is loaded when it is first asked for.

    The page `network` is `NetworkPage` of `opkit.live.network`.

    Raises:
        KeyError: there is no page of this name.
    """
    return PAGES[name](live)


def _open(name: str, live: Live) -> Page:
    module = import_module(f"opkit.live.{name}")
    page: Page = getattr(module, f"{name.capitalize()}Page")(live)
    return page


PAGES: Final[dict[str, Callable[[Live], Page]]] = {
    each.name: partial(_open, each.name) for each in nav.PAGES
}
"""What opens each page for one viewer."""

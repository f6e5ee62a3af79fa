"""Every page there is, by its name in the navigation. A new domain adds its line here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from opkit.live.live import Live
from opkit.live.ports import Page

_WHERE: Final = {
    "console": ("opkit.live.console", "ConsolePage"),
    "network": ("opkit.live.network", "NetworkPage"),
    "compute": ("opkit.live.compute", "ComputePage"),
}


def open_page(name: str, live: Live) -> Page:
    """Return a page for one viewer; its module is loaded when it is first asked for.

    Raises:
        KeyError: there is no page of this name.
    """
    module, kind = _WHERE[name]
    page: Page = getattr(import_module(module), kind)(live)
    return page


def _opener(name: str) -> Callable[[Live], Page]:
    return lambda live: open_page(name, live)


PAGES: Final[dict[str, Callable[[Live], Page]]] = {name: _opener(name) for name in _WHERE}
"""What opens each page for one viewer."""

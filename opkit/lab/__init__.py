"""The lab: what an operator works with in a notebook.

`open_desk` opens a network as a desk with nodes, members and flows by name; `frame` makes tidy
tables; `progress` shows long waits; `enable` has notebooks draw what nodes say. Names are loaded
when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opkit.lab.bars import Bar, progress, together
    from opkit.lab.desk import Desk, open_desk
    from opkit.lab.formats import enable
    from opkit.lab.frames import frame

__all__ = ["Bar", "Desk", "enable", "frame", "open_desk", "progress", "together"]

_WHERE = {
    "Bar": "bars",
    "Desk": "desk",
    "enable": "formats",
    "frame": "frames",
    "open_desk": "desk",
    "progress": "bars",
    "together": "bars",
}


def __getattr__(name: str) -> Any:
    """Load a public name's module when the name is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def load_ipython_extension(ipython: Any) -> None:
    """Have this notebook draw what nodes say: `%load_ext opkit.lab`."""
    from opkit.lab.formats import enable

    enable(ipython)

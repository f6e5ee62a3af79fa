"""opkit: tell, run and verify demo stories on a cooperative peer-to-peer network.

Importing this package costs nothing: sub-packages are loaded when they are used.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load `opkit.frame` (tidy tables from what nodes say) when it is first used."""
    if name != "frame":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module("opkit.lab.frames").frame

"""`opkit`: the command line. Command groups are loaded when they are used."""

from __future__ import annotations

from opkit.cli.app import main

__all__ = ["main"]

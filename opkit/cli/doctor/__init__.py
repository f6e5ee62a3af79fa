"""`opkit doctor`: what is wrong on this machine, and what to do about it."""

from __future__ import annotations

from opkit.cli.doctor.command import app

__all__ = ["app"]

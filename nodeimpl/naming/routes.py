"""Naming's endpoints bound to the service."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, answer, serve
from nodeimpl.naming.service import Naming
from opkit.wire import names as wire


def routes(naming: Naming) -> list[Route]:
    """Return this domain's endpoints."""
    return [
        serve(wire.REGISTER_NAME, naming.register, prepare=naming.hand_in),
        answer(wire.LOOK_UP_NAME, naming.look_up),
        answer(wire.LIST_NAMES, naming.list),
    ]

"""The history domain's endpoints."""

from __future__ import annotations

from nodeimpl.history.service import History
from nodeimpl.kernel.binding import Route, answer, serve
from opkit.wire import journal as wire


def routes(history: History) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [
        answer(wire.HEAD, history.head),
        answer(wire.INCLUSION, history.inclusion),
        answer(wire.CONSISTENCY, history.consistency),
        serve(wire.ORIGIN, history.origin),
    ]

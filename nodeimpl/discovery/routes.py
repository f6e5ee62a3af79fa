"""The discovery domain's endpoints."""

from __future__ import annotations

from nodeimpl.discovery.service import Discovery
from nodeimpl.kernel.binding import Route, answer
from opkit.wire import services as wire


def routes(discovery: Discovery) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [answer(wire.FIND_SERVICES, discovery.find)]

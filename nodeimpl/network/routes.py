"""The network domain's endpoints."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, answer, serve
from nodeimpl.network.service import Network
from opkit.wire import network as wire


def routes(network: Network) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [
        answer(wire.NODE, network.node),
        answer(wire.PEERS, network.peers),
        answer(wire.LIVE, network.live),
        answer(wire.READY, network.ready),
        serve(wire.MOVE_CLOCK, network.move_clock),
    ]

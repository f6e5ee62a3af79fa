"""Clearing's endpoints bound to what answers them."""

from __future__ import annotations

from nodeimpl.clearing.service import Clearing
from nodeimpl.kernel.binding import Route, answer, serve
from opkit.wire import clearing as wire


def routes(clearing: Clearing) -> list[Route]:
    """Return this domain's endpoints."""
    return [
        answer(wire.POST_OFFER, clearing.offer),
        answer(wire.SETTLE_PERIOD, clearing.settle),
        answer(wire.NET_DEBTS, clearing.net),
        serve(wire.LIST_EXCHANGES, clearing.exchanges),
        serve(wire.READ_EXCHANGE, clearing.exchange),
        serve(wire.LIST_POSITIONS, clearing.positions),
    ]

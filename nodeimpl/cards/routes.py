"""The cards domain's endpoints."""

from __future__ import annotations

from nodeimpl.cards.service import Cards
from nodeimpl.kernel.binding import Route, answer, serve
from opkit.wire import cards as wire


def routes(cards: Cards) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [
        answer(wire.RESOLVE_CARD, cards.look_up),
        serve(wire.PUBLISH_CARD, cards.publish, prepare=cards.spread),
    ]

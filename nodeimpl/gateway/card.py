"""The node's own agent card, where A2A clients look for it: open to all, and kept by caches."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from nodeimpl.cards.own import ServedCard
from opkit.wire.agents import CARD_PATH


def add_card(app: FastAPI, card: ServedCard) -> None:
    """Serve a card at its well-known place. Source: RFC 8615; RFC 9110, section 13; RFC 9111."""
    said = {
        "ETag": card.etag,
        "Last-Modified": card.modified,
        "Cache-Control": card.cache_control,
        "X-Content-Type-Options": "nosniff",
    }

    async def show_card(request: Request) -> Response:
        if card.is_known_to(request.headers.get("if-none-match")):
            return Response(status_code=304, headers=said)
        return Response(card.body, media_type="application/json", headers=said)

    app.add_route(CARD_PATH, show_card, include_in_schema=False)

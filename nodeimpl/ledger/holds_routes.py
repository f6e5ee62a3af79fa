"""The endpoints of holds bound to what answers them."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, serve
from nodeimpl.ledger.holds_service import Holds
from opkit.wire import holds as wire


def routes(holds: Holds) -> list[Route]:
    """Return the endpoints of holds."""
    return [
        serve(wire.CREATE_HOLD, holds.create),
        serve(wire.POST_HOLD, holds.post),
        serve(wire.VOID_HOLD, holds.void),
        serve(wire.GET_HOLD, holds.get),
        serve(wire.LIST_HOLDS, holds.list),
    ]

"""The endpoints of agreements bound to the service."""

from __future__ import annotations

from nodeimpl.agreements.service import Agreements
from nodeimpl.kernel.binding import Route, serve
from opkit.wire import agreements as wire


def routes(agreements: Agreements) -> list[Route]:
    """Return this domain's endpoints."""
    return [
        serve(wire.LIST_AGREEMENTS, agreements.list),
        serve(wire.READ_AGREEMENT, agreements.show),
        serve(wire.READ_AGREEMENT_FILE, agreements.file),
        serve(wire.USE_AGREEMENT, agreements.use),
        serve(wire.BRING_AGREEMENT, agreements.bring, prepare=agreements.prove),
    ]

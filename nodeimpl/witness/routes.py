"""The witness domain's endpoints."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, answer
from nodeimpl.witness.service import Witness
from opkit.wire import witness as wire


def routes(witness: Witness) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [answer(wire.WITNESSES, witness.witnesses)]

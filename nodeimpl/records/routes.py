"""The records domain's endpoints."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, answer, serve
from nodeimpl.records.service import Records
from opkit.wire import overlay as wire


def routes(records: Records) -> list[Route]:
    """Return the endpoints bound to the service."""
    return [
        answer(wire.RECORDS, records.find),
        answer(wire.ROUTE, records.route),
        answer(wire.OVERLAY, records.state),
        answer(wire.BELOW, records.below),
        serve(wire.PUBLISH, records.publish, prepare=records.spread),
        serve(wire.PROVIDE, records.provide, prepare=records.say_provided),
    ]

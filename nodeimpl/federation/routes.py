"""The federation's endpoints bound to what answers them."""

from __future__ import annotations

from nodeimpl.federation.reading import Reading
from nodeimpl.federation.service import Federation
from nodeimpl.kernel.binding import Route, serve
from opkit.wire import federation as wire


def routes(federation: Federation) -> list[Route]:
    """Return this domain's endpoints; what needs a replica is answered on the writer."""
    reading = Reading(federation)
    return [
        serve(wire.LIST_FEDERATION, reading.members, writes=True),
        serve(wire.LIST_ATTESTATIONS, reading.attestations),
        serve(wire.LIST_FORKS, reading.forks),
        serve(wire.READ_LOG, reading.log),
        serve(wire.LIST_OBJECTS, reading.objects, writes=True),
        serve(wire.REGISTER_COOP, federation.register),
        serve(wire.VOUCH, federation.vouch),
        serve(wire.ATTEST, federation.attest),
        serve(wire.REVOKE_ATTESTATION, federation.revoke),
    ]

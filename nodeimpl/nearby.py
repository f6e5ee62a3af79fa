"""Where a node says it is, and whether it looks around on the local network: as configured."""

from __future__ import annotations

from collections.abc import Callable

from nodeimpl.config import ConfigError, P2pSection
from nodeimpl.p2p.lan import Lan, LanUnavailable, told_addresses
from nodeimpl.p2p.reaching import PeerAddress
from nodeimpl.p2p.transport import Transport
from opkit.wire.base import Did, NetworkId


def addresses_of(p2p: P2pSection, transport: Transport) -> tuple[str, ...]:
    """Return where others are told that the node can be dialled."""
    return told_addresses(p2p.advertise, transport.addresses())


async def open_lan(
    p2p: P2pSection,
    *,
    did: Did,
    network: NetworkId,
    transport: Transport,
    found: Callable[[PeerAddress], None],
) -> Lan | None:
    """Return the node's voice and ears on the local network; None if it is to have none.

    Raises:
        ConfigError: the interfaces cannot be used as the configuration is, or as this is installed.
        OSError: this machine has no such interface.
    """
    if not p2p.lan:
        return None
    lan = Lan(
        did=did,
        network=network,
        addresses=addresses_of(p2p, transport),
        interfaces=tuple(map(str, p2p.lan)),
        found=found,
    )
    try:
        await lan.open()
    except LanUnavailable as no:
        raise ConfigError("the configuration", (("p2p.lan", no.why),), hint=no.hint) from no
    return lan

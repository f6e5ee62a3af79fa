"""Finding nodes of the same network on the local one, by multicast DNS: for who asks for it.

Whoever shares the wire can say anything here, so what is heard is only where somebody might be
dialled; who is there, the transport proves. A node says of itself what it tells every peer: its
DID, its network and its addresses. Source: RFC 6762, RFC 6763; ADR 0034.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import structlog

from nodeimpl.p2p.prefixes import ip_of
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.checks import ProofError
from opkit.proof.did import public_key_of
from opkit.wire.base import Did, NetworkId

if TYPE_CHECKING:
    from zeroconf import Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

SERVICE = "_opkit._udp.local."
"""The type of service. Source: RFC 6763, section 7."""

VERSION = "1"
"""The form of what is said. Another one is another program's to read."""

FOUND_MAX = 64
"""How many nodes are remembered that were found; more are not dialled."""

ASKED_MAX = 16
"""How many services are asked for their addresses at once; more are not."""

ASK_MS_MAX = 3_000

ADDRESSES_MAX = 4
"""How many addresses of one service count."""

_log = structlog.get_logger("p2p.lan")


class LanUnavailable(Exception):
    """The node cannot look on these interfaces: `why`, and a `hint` if there is one."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        """Say it."""
        super().__init__(why)
        self.why = why
        self.hint = hint


def told_addresses(advertise: tuple[str, ...], bound: Iterable[str]) -> tuple[str, ...]:
    """Return where a node says it can be dialled.

    Args:
        advertise: what the operator says; it stands for itself if there is any.
        bound: where the node listens; what stands for every interface is nowhere in particular.
    """
    return advertise or tuple(
        each for each in bound if (ip := ip_of(each)) is None or not ip.is_unspecified
    )


class Lan:
    """One node's voice and ears on some interfaces. Open it, run it; `run` closes it."""

    def __init__(
        self,
        *,
        did: Did,
        network: NetworkId,
        addresses: Iterable[str],
        interfaces: tuple[str, ...],
        found: Callable[[PeerAddress], None],
    ) -> None:
        """Prepare; nothing is said or heard before `open`.

        Args:
            addresses: where the node can be dialled; those on `interfaces` are said.
            interfaces: IPv4 addresses of the interfaces on which it is said and heard.
            found: told of each other node of this network, once for each new set of addresses.
        """
        self._did = did
        self._network = network
        here = frozenset(map(ip_address, interfaces))
        self._addresses = tuple(each for each in addresses if ip_of(each) in here)
        self._interfaces = interfaces
        self._told = found
        self._found: dict[str, PeerAddress] = {}
        self._asking: dict[asyncio.Task[None], str] = {}
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None

    async def open(self) -> None:
        """Join the multicast group, say who is here, and begin to listen.

        Raises:
            LanUnavailable: the node can be dialled at none of the interfaces, or the library for
                it is not installed.
            OSError: this machine has no such interface.
        """
        if not self._addresses:
            where = ", ".join(self._interfaces)
            raise LanUnavailable(
                f"the node listens nowhere on {where}",
                hint="name it in p2p.bind; with 0.0.0.0 there, in p2p.advertise",
            )
        try:
            from zeroconf import IPVersion
            from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf
        except ModuleNotFoundError as missing:
            raise LanUnavailable(
                "finding nodes on a local network needs zeroconf",
                hint="pip install 'opkit[lan]'",
            ) from missing
        self._zeroconf = AsyncZeroconf(
            interfaces=list(self._interfaces), ip_version=IPVersion.V4Only
        )
        for service in self._services():
            # Without probing: the name is a hash of the key, so nobody else has it by chance.
            await self._zeroconf.async_register_service(service, cooperating_responders=True)
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, SERVICE, handlers=[self._changed]
        )
        _log.info("looking on the local network", interfaces=list(self._interfaces))

    async def run(self) -> None:
        """Listen until cancelled, then say goodbye."""
        assert self._zeroconf is not None, "opened before it runs"
        assert self._browser is not None, "opened before it runs"
        try:
            await asyncio.Event().wait()
        finally:
            await self._browser.async_cancel()
            for asking in tuple(self._asking):
                asking.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)
            await self._zeroconf.async_close()

    def found(self) -> tuple[PeerAddress, ...]:
        """Return the nodes that say now that they are there, in order."""
        return tuple(sorted(self._found.values(), key=lambda one: one.did))

    def _services(self) -> list[AsyncServiceInfo]:
        """Return one service for each address: a service has one port."""
        from zeroconf.asyncio import AsyncServiceInfo

        name = hashlib.sha256(self._did.encode("ascii")).hexdigest()[:32]
        said = {"v": VERSION, "did": self._did, "network": self._network}
        return [
            AsyncServiceInfo(
                SERVICE,
                f"{name}-{number}.{SERVICE}",
                parsed_addresses=[str(ip_of(address))],
                port=int(address.rpartition(":")[2]),
                properties=said,
                server=f"{name}-{number}.local.",
            )
            for number, address in enumerate(self._addresses)
        ]

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: object
    ) -> None:
        """Hear that a service came, changed or went; called in the event loop."""
        from zeroconf import ServiceStateChange

        if state_change is ServiceStateChange.Removed:
            self._found.pop(name, None)
            # What it was asked before it went is no news any more, and would stay for good.
            for asking in [each for each, whom in self._asking.items() if whom == name]:
                asking.cancel()
        elif len(self._asking) < ASKED_MAX:
            asking = asyncio.ensure_future(self._ask(zeroconf, service_type, name))
            self._asking[asking] = name
            asking.add_done_callback(self._asking.pop)

    async def _ask(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf import BadTypeInNameException
        from zeroconf.asyncio import AsyncServiceInfo

        with suppress(BadTypeInNameException):  # Anybody may say any name; this one is none.
            info = AsyncServiceInfo(service_type, name)
            if await info.async_request(zeroconf, ASK_MS_MAX):
                said = info.parsed_addresses()[:ADDRESSES_MAX]
                self._hear(name, info.properties, [f"{each}:{info.port}" for each in said])

    def _hear(
        self, name: str, said: Mapping[bytes, bytes | None], addresses: Iterable[str]
    ) -> None:
        """Take what a service says of itself."""
        peer = read_service(said, addresses, network=self._network)
        if peer is None or peer.did == self._did or self._found.get(name) == peer:
            return
        if name not in self._found and len(self._found) >= FOUND_MAX:
            _log.info("more nodes say that they are there than are looked at", found=FOUND_MAX)
            return
        self._found[name] = peer
        _log.info("found on the local network", peer=peer.did, addresses=list(peer.addresses))
        self._told(peer)


def read_service(
    said: Mapping[bytes, bytes | None], addresses: Iterable[str], *, network: NetworkId
) -> PeerAddress | None:
    """Return the node of this network that a service says it is, or None if it is none.

    Args:
        said: the keys and values of the service's text record. Source: RFC 6763, section 6.
        addresses: where it says it can be dialled.
    """
    if said.get(b"v") != VERSION.encode() or said.get(b"network") != network.encode():
        return None
    did = (said.get(b"did") or b"").decode("ascii", "replace")
    where = tuple(addresses)
    with suppress(ProofError):
        public_key_of(did)
        return PeerAddress(did=did, addresses=where) if where else None
    return None

"""Which part of an address stands for one place: few contacts of one place are in a bucket."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

GLOBAL_BITS = {4: 24, 6: 48}
"""How much of a public address is usually one customer's. Source: RFC 6177, section 2."""


def ip_of(address: str) -> IPv4Address | IPv6Address | None:
    """Return the host of `host:port`; None if it is a name, as other transports have."""
    host = address.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        return ip_address(host)
    except ValueError:
        return None


def prefix_of(address: str) -> str | None:
    """Return the place where an address is, or None if nothing there is bounded.

    Many keys cost nothing, many networks do: so whoever wants to surround a name needs many of
    these. Public addresses are told apart by network, private ones by host, for one local network
    has one prefix and many machines. Loopback is for networks on one machine.

    Args:
        address: `host:port`, as contacts say it; what is none is a place of its own kind.
    """
    ip = ip_of(address)
    if ip is None:
        return ""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return None
    bits = GLOBAL_BITS[ip.version] if ip.is_global else ip.max_prefixlen
    return str(ip_network((ip, bits), strict=False))

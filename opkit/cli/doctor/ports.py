"""Checks of addresses: whether this machine has them, and who holds a port that a node wants."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from opkit.cli.doctor.cases import NodeCase
from opkit.cli.doctor.found import Finding, gathered, wrong

_LISTENS = "0A"
_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a node wants to listen, and by which key of its configuration."""

    key: str
    kind: str
    host: str
    port: int


def places(node: NodeCase) -> Iterator[Place]:
    """Return every place where a node listens."""
    gateway = node.config.gateway
    host = "127.0.0.1" if gateway.host == "localhost" else gateway.host.strip("[]")
    yield Place(key="gateway.port", kind="tcp", host=host, port=gateway.port)
    for bind in node.config.p2p.bind:
        address, _, port = bind.rpartition(":")
        yield Place(key="p2p.bind", kind="udp", host=address.strip("[]"), port=int(port))


def free(node: NodeCase) -> Finding:
    """Look whether the places are there, and free or the node's own."""
    kept = list(places(node))
    amiss = [found for place in kept if (found := _look(place, own=node.pid)) is not None]
    said = ", ".join(f"{place.host}:{place.port or 'any'}/{place.kind}" for place in kept)
    return gathered(amiss, otherwise=said)


def _look(place: Place, *, own: int | None) -> Finding | None:
    why = lacking(place.host)
    if why:
        return wrong(
            f"{place.host} cannot be bound here: {why}",
            f"change {place.key} to an address that this machine has (ip address)",
        )
    for inode in holders(place):
        pid = process_of(inode)
        if pid is not None and pid == own:
            continue
        who = f"process {pid} ({name_of(pid)})" if pid else "a process of another user"
        return wrong(
            f"{place.host}:{place.port}/{place.kind} is held by {who}",
            f"end that process, or change {place.key}; 0 takes a free port",
        )
    return None


def lacking(host: str) -> str:
    """Return why nothing can listen at an address of this machine; empty if it can."""
    address = ip_address(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        # Port 0 takes a free one and nothing listens there: nobody is kept from anything.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError as bad:
        return bad.strerror or str(bad)
    return ""


def holders(place: Place) -> list[int]:
    """Return the sockets that are in the way of a fixed port, by inode."""
    if place.port == 0:
        return []
    wanted = ip_address(place.host)
    found = []
    for table in (place.kind, f"{place.kind}6"):
        for line in _lines(Path(f"/proc/net/{table}")):
            fields = line.split()
            address, port = _address(fields[1])
            taken = place.kind == "udp" or fields[3] == _LISTENS
            if taken and port == place.port and (address == wanted or str(address) in _ANY):
                found.append(int(fields[9]))
    return found


def _lines(table: Path) -> list[str]:
    """Return the rows of a table of the kernel's; it has none where IPv6 is off."""
    return table.read_text("ascii").splitlines()[1:] if table.exists() else []


def _address(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Return an address as the kernel writes it: words in this machine's order, in hex."""
    words, _, port = text.partition(":")
    raw = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(words), 8)
    )
    return ip_address(raw), int(port, 16)


def process_of(inode: int) -> int | None:
    """Return whose socket it is; None if this user may not know."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(file.readlink()) == wanted for file in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue  # It ended meanwhile, or is another user's.
    return None


def name_of(pid: int) -> str:
    """Return what a process is called, or that it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "ended meanwhile"

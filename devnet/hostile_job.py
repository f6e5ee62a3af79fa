"""A hostile peer in a process of its own: what the fork server runs for `hostile`."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from devnet.hostile import hostile_peer
from nodeimpl.p2p.iroh_transport import IrohTransport
from nodeimpl.p2p.reaching import PeerAddress
from opkit.proof.genesis import read_genesis
from opkit.proof.keys import Identity

LINE_BYTES_MAX = 65_536


def run(kind: str, genesis: str, targets: list[dict[str, Any]], about: str, channel: int) -> int:
    """Misbehave until the other end of `channel` closes; answer `stats` lines meanwhile."""
    with socket.socket(fileno=channel) as ours:
        read = Path(genesis).read_text("ascii")
        asyncio.run(_misbehave(kind, read, targets, about, ours))
    return 0


async def _misbehave(
    kind: str, genesis: str, targets: list[dict[str, Any]], about: str, channel: socket.socket
) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel, limit=LINE_BYTES_MAX)
    addresses = [
        PeerAddress(did=target["did"], addresses=tuple(target["addresses"])) for target in targets
    ]
    peer_at_work = hostile_peer(
        kind,
        make=_end,
        genesis=read_genesis(genesis),
        targets=addresses,
        about=about,
    )
    async with peer_at_work as peer:
        writer.write(json.dumps({"did": peer.did}).encode("ascii") + b"\n")
        while await reader.readline():
            writer.write(json.dumps(dict(peer.stats())).encode("utf-8") + b"\n")
            await writer.drain()


def _end(identity: Identity) -> IrohTransport:
    return IrohTransport(identity=identity)

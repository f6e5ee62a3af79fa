"""Where hostile peers live: each in a forked process of its own, spoken to over a channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from devnet.channels import fork_with_channel
from devnet.forks import ForkServer
from devnet.layout import last_line
from devnet.reaper import Child, Reaper
from devnet.state import DevnetError, NodeState

START_DEADLINE_MS = 15_000
ANSWER_DEADLINE_MS = 5_000
END_GRACE_MS = 500
PEERS_MAX = 16
LINE_BYTES_MAX = 65_536


@dataclass(eq=False, kw_only=True)
class _Hostile:
    number: int
    kind: str
    did: str
    against: tuple[str, ...]
    by: int
    child: Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Lair:
    """All hostile peers of one devnet, by number."""

    def __init__(self, *, forks: ForkServer, reaper: Reaper, folder: Path, genesis: Path) -> None:
        """Keep the parts; nobody lives here yet."""
        self._forks = forks
        self._reaper = reaper
        self._log = folder / "hostile.log"
        self._genesis = genesis
        self._numbers = count(1)
        self._peers: dict[int, _Hostile] = {}

    async def start(
        self, kind: str, targets: Sequence[NodeState], *, by: int, about: str = ""
    ) -> dict[str, Any]:
        """Start a peer of this kind and return its number and key once it is connected.

        Args:
            kind: how it misbehaves.
            targets: the nodes it connects to.
            by: the number of the grant under which it was asked for.
            about: the name that it is after, for kinds that are after one.

        Raises:
            DevnetError: there are too many, it ended at once, or it took too long.
        """
        if len(self._peers) >= PEERS_MAX:
            raise DevnetError(f"at most {PEERS_MAX} hostile peers at once", hint="stop one first")
        ask = {
            "module": "devnet.hostile_job",
            "call": "run",
            "arguments": [
                kind,
                str(self._genesis),
                [{"did": node.did, "addresses": node.peer_addresses} for node in targets],
                about,
            ],
            "title": f"hostile {kind}",
        }
        child, reader, writer = await fork_with_channel(
            ask,
            forks=self._forks,
            reaper=self._reaper,
            log=self._log,
            line_bytes_max=LINE_BYTES_MAX,
        )
        peer = _Hostile(
            number=next(self._numbers),
            kind=kind,
            did="",
            against=tuple(node.org for node in targets),
            by=by,
            child=child,
            reader=reader,
            writer=writer,
        )
        self._peers[peer.number] = peer
        peer.did = (await self._line(peer, START_DEADLINE_MS))["did"]
        return {"number": peer.number, "did": peer.did}

    async def stats(self, number: int) -> dict[str, Any]:
        """Return what the peer says it was asked and served.

        Raises:
            DevnetError: there is no such peer, or it does not answer.
        """
        peer = self._peer(number)
        async with peer.turn:
            peer.writer.write(b"stats\n")
            return await self._line(peer, ANSWER_DEADLINE_MS)

    async def stop(self, number: int) -> None:
        """End the peer and return when its process is gone.

        Raises:
            DevnetError: there is no such peer.
        """
        peer = self._peer(number)
        del self._peers[number]
        peer.writer.close()
        await self._reaper.end(peer.child, grace_ms=END_GRACE_MS)

    async def close(self) -> None:
        """End all of them."""
        for number in list(self._peers):
            await self.stop(number)

    def of(self, by: int) -> tuple[int, ...]:
        """Return the numbers of the peers that were started under a grant, by its number."""
        return tuple(peer.number for peer in self._peers.values() if peer.by == by)

    def list(self) -> list[dict[str, Any]]:
        """Return who lives here."""
        return [
            {
                "number": peer.number,
                "kind": peer.kind,
                "did": peer.did,
                "against": list(peer.against),
                "running": peer.child.status is None,
            }
            for peer in self._peers.values()
        ]

    def _peer(self, number: int) -> _Hostile:
        if number not in self._peers:
            raise DevnetError(f"there is no hostile peer {number}", hint="opkit devnet status")
        return self._peers[number]

    async def _line(self, peer: _Hostile, deadline_ms: int) -> dict[str, Any]:
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                line = await peer.reader.readline()
                if not line:
                    await peer.child.ended.wait()
        except TimeoutError:
            line = b""
        if not line:
            how = peer.child.how() if peer.child.status is not None else "did not answer"
            await self.stop(peer.number)
            raise DevnetError(
                f"the hostile peer {how}: {last_line(self._log)}",
                hint=f"its log: {self._log}",
            )
        said: dict[str, Any] = json.loads(line)
        return said

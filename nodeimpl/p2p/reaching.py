"""Connections that are wanted for a question: dialled once for all who wait, ended when unused.

Peers to stay connected with are looked for as long as they are away (`dialling.py`); whoever else
is asked is dialled then, and gives way when there are many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.groups import begin_in
from nodeimpl.p2p.deadline import deadline
from nodeimpl.p2p.limits import PeersLimits
from nodeimpl.p2p.session import Session
from opkit.wire.base import Did
from opkit.wire.errors import Unreachable

_log = structlog.get_logger("p2p")


@dataclass(frozen=True, kw_only=True)
class PeerAddress:
    """A peer, and where it can be dialled."""

    did: Did
    addresses: tuple[str, ...]


class Reaching:
    """Dials on request; many who want the same peer at once share one attempt."""

    def __init__(
        self,
        *,
        connect: Callable[[PeerAddress], Awaitable[bool]],
        clock: Clock,
        limits: PeersLimits,
    ) -> None:
        """Use `connect`, which dials, says hello, and tells whether the peer is connected then."""
        self._connect = connect
        self._clock = clock
        self._limits = limits
        self._under_way: dict[Did, asyncio.Task[bool]] = {}

    async def reach(self, peer: PeerAddress, *, tasks: asyncio.TaskGroup, deadline_ms: int) -> None:
        """Return once the peer is connected.

        Args:
            tasks: owns the attempt, which goes on for others when this caller is cancelled.

        Raises:
            Unreachable: as many as may be are dialled now; it did not happen in time; nobody with
                this key is there, or it does not welcome this node; this node ends.
        """
        attempt = self._under_way.get(peer.did)
        if attempt is None:
            if len(self._under_way) >= self._limits.dialling_max:
                raise Unreachable(where=peer.did, why="too many others are dialled now")
            attempt = self._begin(peer, tasks)
        try:
            async with deadline(self._clock, deadline_ms):
                await asyncio.wait({attempt})
        except TimeoutError as late:
            raise Unreachable(where=peer.did, why=f"not connected in {deadline_ms} ms") from late
        if attempt.cancelled():
            raise Unreachable(where=peer.did, why="this node ends")
        if not attempt.result():
            raise Unreachable(where=peer.did, why="it cannot be connected with")

    def _begin(self, peer: PeerAddress, tasks: asyncio.TaskGroup) -> asyncio.Task[bool]:
        attempt = begin_in(tasks, self._attempt(peer))
        if attempt is None:
            raise Unreachable(where=peer.did, why="this node ends")
        self._under_way[peer.did] = attempt
        # Not by the attempt itself: one that is cancelled before its first step does nothing.
        attempt.add_done_callback(lambda _: self._under_way.pop(peer.did))
        return attempt

    async def _attempt(self, peer: PeerAddress) -> bool:
        return await self._connect(peer)


def unused(sessions: Iterable[Session], *, keep: frozenset[Did], most: int) -> list[Session]:
    """Return the sessions beyond `most` that were longest not used, without those of `keep`."""
    standing = list(sessions)
    able = sorted((one for one in standing if one.peer not in keep), key=lambda it: it.used_at)
    return able[: max(0, len(standing) - most)]

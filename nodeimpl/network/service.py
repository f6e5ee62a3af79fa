"""The network domain: answers about the node itself, and the move of world time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.network import store as table
from nodeimpl.network.links import Links
from nodeimpl.network.rules import Limits, WorldTime, judge_clock
from opkit.proof import jws
from opkit.proof.checks import ProofError
from opkit.proof.genesis import GenesisView
from opkit.wire import network as wire


class Kept(Protocol):
    """What this domain asks of the blob store."""

    def usage(self) -> tuple[int, int]:
        """Return how many blobs and bytes are kept."""
        ...


@dataclass(frozen=True, kw_only=True)
class About:
    """What never changes while a node runs."""

    did: str
    org: str | None
    version: str
    engine: wire.EngineId
    started_ms: int


class Network:
    """Says who the node is, whom it is connected to, whether it is ready, and what time it has."""

    def __init__(
        self,
        *,
        about: About,
        genesis: GenesisView,
        store: Store,
        clock: Clock,
        links: Links,
        blobs: Kept,
        waiting_for: Callable[[], tuple[str, ...]],
        degraded: Callable[[], tuple[str, ...]] = tuple,
        limits: Limits,
    ) -> None:
        """Keep the parts.

        Args:
            waiting_for: names what readiness still lacks.
            degraded: names what is amiss although the node answers.
        """
        self._about = about
        self._genesis = genesis
        self._store = store
        self._clock = clock
        self._links = links
        self._blobs = blobs
        self._waiting_for = waiting_for
        self._degraded = degraded
        self._limits = limits

    async def restore(self) -> None:
        """Set world time to what was adopted before the last stop."""
        self._clock.move_world((await self._store.read(table.standing)).offset_ms)

    async def node(self, ask: wire.AskNode, caller: Caller | None) -> wire.NodeInfo:
        """Say who the node is."""
        about, now_ms = self._about, self._clock.now_ms()
        return wire.NodeInfo(
            did=about.did,
            org=about.org,
            network=self._genesis.network,
            version=about.version,
            engine=about.engine,
            generation=self._store.generation,
            started_ms=about.started_ms,
            now_ms=now_ms,
            world_ms=now_ms + self._clock.offset_ms,
        )

    async def peers(self, ask: wire.AskPeers, caller: Caller | None) -> wire.Peers:
        """Say whom the node is connected to and what it keeps."""
        blobs, blob_bytes = self._blobs.usage()
        return wire.Peers(
            links=self._links.links(),
            blobs=blobs,
            blob_bytes=blob_bytes,
            journal=self._store.head(),
        )

    async def live(self, ask: wire.AskHealth, caller: Caller | None) -> wire.Health:
        """Say that the node lives: who can answer does."""
        return wire.Health(status="ok", degraded=self._degraded())

    async def ready(self, ask: wire.AskHealth, caller: Caller | None) -> wire.Health:
        """Say that the node is ready, or refuse with what it waits for."""
        waiting_for = self._waiting_for()
        if waiting_for:
            raise wire.NotReady(waiting_for=list(waiting_for))
        return wire.Health(status="ok", degraded=self._degraded())

    def move_clock(
        self, tx: Tx, ask: wire.MoveClock, caller: Caller | None, prepared: Any
    ) -> wire.ClockMovedAnswer:
        """Adopt the operator's clock record; refuses as `judge_clock` does."""
        record, why = self._verified(ask.record)
        standing = table.standing(tx)
        adopted = judge_clock(
            record,
            standing,
            why_rejected=why,
            devnet=self._genesis.devnet,
            limits=self._limits,
        )
        if adopted != standing:
            table.adopt(tx, adopted, record=ask.record)
            tx.announce(wire.ClockMoved(offset_ms=adopted.offset_ms))
            tx.after_commit(lambda: self._adopt(adopted))
        return wire.ClockMovedAnswer(sequence=adopted.sequence, offset_ms=adopted.offset_ms)

    def _adopt(self, time: WorldTime) -> None:
        """Let world time run ahead from now on."""
        self._clock.move_world(time.offset_ms)

    def _verified(self, token: str) -> tuple[wire.ClockRecord | None, str]:
        """Return the record if the operator signed it, else why not."""
        try:
            record = jws.verify(
                token,
                typ=wire.CLOCK_TYP,
                issuer=self._genesis.operator,
                network=self._genesis.network,
                of=wire.ClockRecord,
            )
        except ProofError as bad:
            return None, str(bad)
        return record, ""

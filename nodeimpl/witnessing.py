"""A node as a witness of others, and before them: joins its journal, its peers and its records."""

from __future__ import annotations

from typing import Any

import structlog

from nodeimpl.history.keeper import Keeper
from nodeimpl.history.service import History
from nodeimpl.kernel.clock import Clock
from nodeimpl.outside import Outside, next_record
from nodeimpl.overlay.shelf import Kept
from nodeimpl.p2p.company import Watcher
from nodeimpl.p2p.peers import Peers
from nodeimpl.witness.board import Board
from nodeimpl.witness.own import Own
from nodeimpl.witness.rules import Limits
from nodeimpl.witness.service import Witness
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import Did
from opkit.wire.errors import Refusal
from opkit.wire.records import Namespace
from opkit.wire.witness import GROW

_log = structlog.get_logger("witness")


async def join_witness(
    *,
    identity: Identity,
    genesis: GenesisView,
    keeper: Keeper,
    history: History,
    outside: Outside,
    peers: Peers,
    clock: Clock,
    limits: Limits | None = None,
) -> Witness:
    """Return what watches the journals of others, and answers them for this node's own.

    Raises:
        StoreBusy, StoreFailed: what was kept cannot be read.
    """
    store = keeper.store
    own = Own(
        did=identity.did,
        network=genesis.network,
        store=store,
        sign=history.sign_head,
        mark=keeper.give_up,
    )
    board = Board(
        did=identity.did,
        network=genesis.network,
        clock=clock,
        standing=outside.overlay.shelf.get,
        publish=_Publishing(identity, genesis=genesis, outside=outside, clock=clock).publish,
    )
    witness = Witness(
        own=own,
        board=board,
        links=peers,
        genesis=genesis,
        store=store,
        clock=clock,
        limits=limits,
    )
    await witness.restore()
    peers.serve(GROW, own.grow)
    peers.watch(_Joining(witness))

    def kept(kept: Kept) -> None:
        if kept.namespace in {"head", "fork"}:
            witness.told(kept.name)

    outside.overlay.shelf.on_kept.append(kept)
    return witness


class _Joining(Watcher):
    """Tells the witness who has come."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def joined(self, peer: Did) -> None:
        """Have a peer asked."""
        self._witness.joined(peer)


class _Publishing:
    """Signs what the node says of others' journals, and hands it to gossip and reconciliation.

    It is kept on the shelf and not put to the nearest nodes: everybody is to have it.
    """

    def __init__(
        self, identity: Identity, *, genesis: GenesisView, outside: Outside, clock: Clock
    ) -> None:
        self._identity = identity
        self._network = genesis.network
        self._outside = outside
        self._clock = clock

    def publish(self, namespace: Namespace, node: Did, value: dict[str, Any]) -> None:
        """Say something under a node's name; what finds no room is said to nobody."""
        now_ms, shelf = self._clock.now_ms(), self._outside.overlay.shelf
        said = next_record(
            self._identity,
            network=self._network,
            shelf=shelf,
            namespace=namespace,
            name=node,
            value=value,
            now_ms=now_ms,
        )
        try:
            shelf.offer(said, now_ms)
        except Refusal as no:
            _log.info("what was witnessed finds no room", node=node, why=str(no))
        self._outside.driver.touch()

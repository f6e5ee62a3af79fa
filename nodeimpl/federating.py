"""A node that shares objects with others: joins replicas, peers and what runs for them."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.outside import Outside
from nodeimpl.p2p.peers import Peers
from nodeimpl.sharing.replicating import Replicator
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharingLimits
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.objects import GIVE, LACKING, TELL_HEADS


@dataclass(frozen=True, kw_only=True)
class Shares:
    """A node's part in shared objects: the replicas, and what brings them together."""

    sharing: Sharing
    replicator: Replicator


def join_sharing(
    identity: Identity,
    genesis: GenesisView,
    store: Store,
    outside: Outside,
    *,
    peers: Peers,
    clock: Clock,
    limits: SharingLimits | None = None,
) -> Shares:
    """Return a node's part in shared objects; domains say which there are before peers come.

    What is to run for it runs with `outside`.
    """
    sharing = Sharing(identity, network=genesis.network, limits=limits)
    replicator = Replicator(sharing, store=store, links=peers, clock=clock)
    peers.serve(TELL_HEADS, replicator.heard)
    peers.serve(LACKING, replicator.lacking)
    peers.serve(GIVE, replicator.give)
    peers.watch(replicator)
    outside.run_too(replicator.run)
    return Shares(sharing=sharing, replicator=replicator)

"""A node that shares objects with others, the federation first: joins replicas and peers."""

from __future__ import annotations

from dataclasses import dataclass

from nodeimpl.federation.service import Federation
from nodeimpl.governance import store as proposals
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store, Tx
from nodeimpl.outside import Outside
from nodeimpl.p2p.peers import Peers
from nodeimpl.sharing.replicating import Replicator
from nodeimpl.sharing.service import Sharing
from nodeimpl.sharing.specs import SharingLimits
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.wire.base import RecordId, Slug
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
    sharing = Sharing(identity, network=genesis.network, generation=store.generation, limits=limits)
    replicator = Replicator(sharing, store=store, links=peers, clock=clock)
    peers.serve(TELL_HEADS, replicator.heard)
    peers.serve(LACKING, replicator.lacking)
    peers.serve(GIVE, replicator.give)
    peers.watch(replicator)
    outside.run_too(replicator.run)
    return Shares(sharing=sharing, replicator=replicator)


async def join_federation(
    identity: Identity, genesis: GenesisView, store: Store, shares: Shares
) -> Federation:
    """Return a node's part in the federation, which it keeps from now on.

    Raises:
        StoreBusy, StoreFailed: it could not be kept.
    """
    federation = Federation(identity, genesis, shares.sharing, decisions=_Decided())
    await store.write(federation.begin)
    return federation


class _Decided:
    """What the coop whose home this node is has decided."""

    def accepted(self, tx: Tx, coop: Slug, proposal: str) -> RecordId | None:
        """Return the decision on an accepted proposal, by its id or hash; None if there is none."""
        standing = proposals.get(tx, coop, proposal)
        if standing is None or standing.outcome != "accepted" or standing.voided_by is not None:
            return None
        return standing.decision

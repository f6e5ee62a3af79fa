"""What a node says of itself and of its links: joins the network domain and what it looks at."""

from __future__ import annotations

from collections.abc import Callable

import opkit
from nodeimpl.config import NodeConfig
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import Clock
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.network import rules
from nodeimpl.network.links import LinkWatch
from nodeimpl.network.service import About, Network
from nodeimpl.sandbox.sandbox import Sandbox
from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity


def about_node(config: NodeConfig, identity: Identity, sandbox: Sandbox, clock: Clock) -> About:
    """Return what a node that starts now says about itself for as long as it runs."""
    return About(
        did=identity.did,
        org=config.node.org,
        version=opkit.__version__,
        engine=sandbox.engine,
        started_ms=clock.now_ms(),
    )


async def join_network(
    about: About,
    genesis: GenesisView,
    clock: Clock,
    *,
    store: Store,
    blobs: BlobStore,
    vitals: Vitals,
    links: LinkWatch,
    waiting_for: Callable[[], tuple[str, ...]],
) -> Network:
    """Return the network domain, with what it knew before.

    Args:
        about: what the node says of itself.
        waiting_for: what the node waits for until it is ready.
    """
    network = Network(
        about=about,
        genesis=genesis,
        store=store,
        clock=clock,
        links=links,
        blobs=blobs,
        waiting_for=waiting_for,
        degraded=vitals.degraded,
        limits=rules.Limits(),
    )
    await network.restore()
    return network

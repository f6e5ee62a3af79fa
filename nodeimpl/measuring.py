"""What a scrape of a node reads: joins its parts and its metrics."""

from __future__ import annotations

import opkit
from nodeimpl.compute.service import Compute
from nodeimpl.config import NodeConfig
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.metrics import Figure, Metrics
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.p2p.peers import Peers
from nodeimpl.sandbox.sandbox import Sandbox


def make_metrics(
    sandbox: Sandbox,
    config: NodeConfig,
    store: Store,
    blobs: BlobStore,
    vitals: Vitals,
    *,
    peers: Peers,
    compute: Compute,
) -> Metrics:
    """Return what a scrape reads of a node's parts."""

    def figures() -> tuple[Figure, ...]:
        return (
            ("peers", "Peers that are connected.", len(peers.connected())),
            ("peers_wanted", "Peers to stay connected with.", len(config.p2p.peers)),
            ("jobs", "Jobs under way.", compute.running),
            ("workers", "Jobs that may run at once.", sandbox.slots),
            ("workers_busy", "Jobs that run now.", sandbox.running),
            ("jobs_waiting", "Jobs that wait for a worker.", sandbox.waiting),
        )

    metrics = Metrics()
    metrics.watch_store(store)
    metrics.watch_blobs(blobs)
    metrics.watch_vitals(vitals)
    metrics.watch_figures(figures)
    metrics.watch_ends(lambda: compute.executor.ends)
    engine = sandbox.engine
    metrics.watch_process(version=opkit.__version__, engine=f"{engine.name} {engine.version}")
    return metrics

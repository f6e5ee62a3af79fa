"""What a scrape of a node reads: joins its parts and its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import opkit
from nodeimpl.agreements.service import Agreements
from nodeimpl.clearing.service import Clearing
from nodeimpl.compute.service import Compute
from nodeimpl.config import NodeConfig
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.metrics import Figure, Metrics
from nodeimpl.kernel.store import Store, StoreError, Tx
from nodeimpl.kernel.vitals import Vitals
from nodeimpl.p2p.peers import Peers
from nodeimpl.sandbox.sandbox import Sandbox
from nodeimpl.sharing.replicating import Replicator
from opkit.wire.agreements import AgreementState
from opkit.wire.clearing import Ending
from opkit.wire.gateway import StoreBusy

SHARED = (
    ("operations_pulled", "operations pulled", "Operations taken from other nodes."),
    ("pulls_failed", "pulls that failed", "Pulls that a peer did not serve to the end."),
    ("peers_untold", "peers not told", "Times that a peer did not take what is new."),
    ("lies", "lies", "Times that a peer gave what no honest one gives."),
)
"""Counters of shared objects: their names without `opkit_shared_`, what counts them, their help."""


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


def watch_coops(
    metrics: Metrics,
    store: Store,
    *,
    replicator: Replicator,
    agreements: Agreements,
    clearing: Clearing,
) -> None:
    """Let a scrape see what the node shares with others, what is agreed, and what is exchanged."""
    stands: dict[AgreementState, int] = {}
    waits = [0, 0]

    def read(tx: Tx) -> tuple[dict[AgreementState, int], tuple[int, int]]:
        return agreements.by_state(tx), clearing.waiting(tx)

    async def look() -> None:
        # A store that cannot read says so by figures of its own; these stay as they were.
        with suppress(StoreBusy, StoreError):
            states, waits[:] = await store.read(read)
            stands.clear()
            stands.update(states)

    def figures() -> tuple[Figure, ...]:
        doubtful, errands = waits
        return (
            ("exchanges_in_doubt", "Sides of exchanges that are in doubt.", doubtful),
            ("exchange_errands", "What is to be said or done about exchanges.", errands),
        )

    metrics.look_first(look)
    metrics.watch_figures(figures)
    metrics.watch(lambda: [_agreements_metric(stands)])
    metrics.watch(lambda: _clearing_metrics(clearing))
    metrics.watch(lambda: _shared_metrics(replicator))


def _agreements_metric(stands: Mapping[AgreementState, int]) -> Metric:
    family = GaugeMetricFamily("opkit_agreements", "Agreements kept.", labels=("state",))
    for state in get_args(AgreementState):
        family.add_metric((state,), stands.get(state, 0))
    return family


def _clearing_metrics(clearing: Clearing) -> Iterable[Metric]:
    counts = clearing.counts
    for name, help_text, counted in (
        ("exchanges_ended", "Sides of exchanges, by how they ended first.", counts.ended),
        ("exchange_rulings", "Rulings that this node gave as an arbiter.", counts.ruled),
    ):
        family = CounterMetricFamily(f"opkit_{name}", help_text, labels=("outcome",))
        for ending in get_args(Ending):
            family.add_metric((ending,), counted[ending])
        yield family
    yield CounterMetricFamily(
        "opkit_exchange_contradictions",
        "Proposers and arbiters that contradicted themselves.",
        value=counts.contradictions,
    )
    yield CounterMetricFamily(
        "opkit_exchange_errands_broken", "Errands that a defect ended.", value=counts.broken
    )


def _shared_metrics(replicator: Replicator) -> Iterable[Metric]:
    for name, what, help_text in SHARED:
        yield CounterMetricFamily(f"opkit_shared_{name}", help_text, value=replicator.counts[what])

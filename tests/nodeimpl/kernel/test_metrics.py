from __future__ import annotations

import asyncio

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.clock import VirtualClock
from nodeimpl.kernel.metrics import Metrics
from nodeimpl.kernel.store import Store
from opkit.wire.network import NodeStarted


def test_each_node_has_metrics_of_its_own(tmp_path) -> None:
    async def main() -> None:
        ours, theirs = Metrics(), Metrics()
        store = await Store.open(url=f"sqlite:///{tmp_path}/node.db", clock=VirtualClock())
        blobs = BlobStore(tmp_path / "blobs", 1_000)
        for metrics in (ours, theirs):
            metrics.counter("asks", "Asks.", ["endpoint"]).labels("a.do").inc()
        ours.gauge("peers", "Peers.").set(2)
        ours.seconds("ask", "How long.").observe(0.003)
        ours.watch_store(store)
        ours.watch_blobs(blobs)
        await store.write(lambda tx: tx.announce(NodeStarted(version="1", generation=1)))
        await blobs.put(b"12345")
        text = ours.render().decode()
        for line in (
            'opkit_asks_total{endpoint="a.do"} 1.0',
            "opkit_peers 2.0",
            'opkit_ask_seconds_bucket{le="0.005"} 1.0',
            "opkit_store_commits_total 1.0",
            "opkit_journal_sequence 1.0",
            "opkit_store_failed 0.0",
            "opkit_blob_bytes 5.0",
            "opkit_blob_quota_bytes 1000.0",
        ):
            assert line in text.splitlines(), text
        assert "opkit_peers" not in theirs.render().decode()
        await store.close()

    asyncio.run(asyncio.wait_for(main(), 120))

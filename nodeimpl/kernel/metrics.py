"""Prometheus metrics of one node, in a registry of its own: several nodes may share a process.

What the store and the blobs count anyway is read when somebody scrapes, and costs nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as Readable

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.collect import Collector
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.vitals import Vitals

# When a child was made is of no use to anybody here, and doubles the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it so

Figure = tuple[str, str, float]
"""A gauge that is read at each scrape: its name without `opkit_`, its help, its value."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds of the histograms of durations, in seconds."""


class Metrics:
    """The metrics of one node. Names start with `opkit_`; labels have few values, never ids."""

    def __init__(self) -> None:
        """Start with none."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._first: list[Callable[[], Awaitable[None]]] = []

    def counter(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Counter:
        """Return a new counter `opkit_{name}_total`."""
        return Counter(f"opkit_{name}", help_text, tuple(labels), registry=self.registry)

    def gauge(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Gauge:
        """Return a new gauge `opkit_{name}`."""
        return Gauge(f"opkit_{name}", help_text, tuple(labels), registry=self.registry)

    def seconds(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Histogram:
        """Return a new histogram of durations `opkit_{name}_seconds`."""
        return Histogram(
            f"opkit_{name}_seconds",
            help_text,
            tuple(labels),
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )

    def watch(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Ask `read` for metrics at each scrape."""
        self.registry.register(_Read(read))

    def look_first(self, look: Callable[[], Awaitable[None]]) -> None:
        """Await `look` at each scrape before anything is read: for what only the store knows."""
        self._first.append(look)

    def watch_figures(self, read: Callable[[], Iterable[Figure]]) -> None:
        """Ask `read` for gauges without labels at each scrape."""
        self.watch(
            lambda: [
                GaugeMetricFamily(f"opkit_{name}", help_text, value=value)
                for name, help_text, value in read()
            ]
        )

    def watch_ends(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Count jobs by how they ended."""
        self.watch(lambda: [_ends_metric(read())])

    def watch_process(self, *, version: str, engine: str) -> None:
        """Show what this process uses, and what it is."""
        ProcessCollector(registry=self.registry)
        info = Gauge(
            "opkit_build_info",
            "1, for the version and the engine that its labels name.",
            ("version", "engine"),
            registry=self.registry,
        )
        info.labels(version, engine).set(1)

    def watch_vitals(self, vitals: Vitals) -> None:
        """Show how the node feels."""
        self.watch_figures(
            lambda: (
                ("degraded", "How many things are amiss.", len(vitals.degraded())),
                ("stopping", "1 while it ends.", int(vitals.stopping)),
                ("disk_free_bytes", "Room on its disk.", vitals.room_bytes()),
            )
        )

    def watch_store(self, store: Store) -> None:
        """Show what the store does."""
        self.watch(lambda: _store_metrics(store))

    def watch_blobs(self, blobs: BlobStore) -> None:
        """Show how much the blob store keeps."""
        self.watch(lambda: _blob_metrics(blobs))

    def watch_collector(self, collector: Collector) -> None:
        """Show what was collected."""
        self.watch(lambda: _collector_metrics(collector))

    async def scrape(self) -> bytes:
        """Return all metrics as they are now, to be sent as `CONTENT_TYPE`."""
        for look in self._first:
            await look()
        return self.render()

    def render(self) -> bytes:
        """Return all metrics in the text format; what the store knows is as of the last scrape."""
        return generate_latest(self.registry)


class _Read(Readable):
    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        return self._read()

    def describe(self) -> Iterable[Metric]:
        """Return their names, without values."""
        return self._read()


def _ends_metric(ends: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        "opkit_jobs_ended", "Jobs that this node ran, by how they ended.", labels=("outcome",)
    )
    for outcome, count in ends.items():
        family.add_metric((outcome,), count)
    return family


def _store_metrics(store: Store) -> Iterable[Metric]:
    now = store.figures()
    counters = {
        "commits": (now.commits, "Groups of changes that were committed."),
        "changes": (now.changes, "Changes that were committed."),
        "refusals": (now.refusals, "Changes that refused, and were undone alone."),
        "lost": (now.lost, "Changes that were undone because the store could not."),
        "busy": (now.busy, "Changes not begun because the queue was full."),
        "reads": (now.reads, "Transactions that only read."),
    }
    for name, (value, help_text) in counters.items():
        yield CounterMetricFamily(f"opkit_store_{name}", help_text, value=value)
    yield GaugeMetricFamily("opkit_store_waiting", "Changes on their way.", value=now.waiting)
    yield GaugeMetricFamily("opkit_journal_sequence", "The last entry.", value=now.sequence)
    yield GaugeMetricFamily("opkit_store_failed", "1 if it broke.", value=int(store.has_failed))


def _blob_metrics(blobs: BlobStore) -> Iterable[Metric]:
    count, size_bytes = blobs.usage()
    yield GaugeMetricFamily("opkit_blobs", "Blobs kept.", value=count)
    yield GaugeMetricFamily("opkit_blob_bytes", "Bytes of all blobs.", value=size_bytes)
    yield GaugeMetricFamily("opkit_blob_quota_bytes", "The quota.", value=blobs.quota_bytes)


def _collector_metrics(collector: Collector) -> Iterable[Metric]:
    now = collector.collected
    counters = {
        "blobs_collected": (now.blobs, "Blobs removed because nothing named them."),
        "blob_bytes_collected": (now.size_bytes, "Their bytes."),
        "blob_rounds": (now.rounds, "Rounds of looking for blobs that nothing names."),
    }
    for name, (value, help_text) in counters.items():
        yield CounterMetricFamily(f"opkit_{name}", help_text, value=value)
